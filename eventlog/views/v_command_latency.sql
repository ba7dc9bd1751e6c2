-- How long each command took from its decision to the broker's first answer, and how often we had to ask.
WITH commands AS (
    SELECT shard, account, trading_day, seq, logical_time, recorded_at, pipeline, trade_no, client_order_id, type,
        coalesce(body ->> 'wire_id', client_order_id) AS wire_id
    FROM oms.v_dealing WHERE type IN ('OrderPlaced', 'ReplaceRequested', 'CancelRequested')
),
answers AS (
    SELECT shard, account, seq, type, logical_time, received_at, recorded_at, client_order_id AS wire_id,
        (body ->> 'command_seq')::bigint AS command_seq
    FROM oms.v_dealing WHERE kind = 'I' AND type IN (
        'OrderAccepted', 'OrderRejected', 'OrderFilled', 'OrderCanceled', 'CancelRejected', 'OrderReplaced',
        'ReplaceRejected', 'OrderStatusReported', 'OrderUnknown', 'CommandFailed', 'CommandRefused', 'CommandExpired')
),
first_answer AS (
    SELECT DISTINCT ON (commands.shard, commands.account, commands.seq) commands.shard, commands.account, commands.seq,
        answers.seq AS answer_seq, answers.type AS answer, answers.logical_time AS answered_at,
        answers.recorded_at AS answer_recorded_at
    FROM commands JOIN answers ON answers.shard = commands.shard AND answers.account = commands.account
        AND answers.seq > commands.seq
        AND (answers.wire_id = commands.wire_id AND answers.command_seq IS NULL OR answers.command_seq = commands.seq)
    ORDER BY commands.shard, commands.account, commands.seq, answers.seq
),
asked AS (
    SELECT shard, account, body ->> 'wire_id' AS wire_id, count(*) AS queries FROM oms.v_dealing
    WHERE type = 'QueryRequested' GROUP BY shard, account, body ->> 'wire_id'
)
SELECT commands.shard, commands.account, commands.trading_day, commands.pipeline, commands.trade_no,
    commands.client_order_id, commands.type AS command, commands.seq, first_answer.answer, first_answer.answer_seq,
    extract(epoch FROM first_answer.answered_at - commands.logical_time) AS seconds,
    extract(epoch FROM first_answer.answer_recorded_at - commands.recorded_at) AS seconds_recorded,
    coalesce(asked.queries, 0) AS queries
FROM commands
LEFT JOIN first_answer USING (shard, account, seq)
LEFT JOIN asked USING (shard, account, wire_id)
