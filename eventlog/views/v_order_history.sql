-- Every row about an order and what was true of it afterwards: quantity in force, filled, leaves, status.
-- The row with the highest `seq` at or below n is the order as of event n.
WITH lowered AS (
    -- Answers that counted less than was told before: there the count begins anew.
    SELECT DISTINCT shard, account, cause_seq AS seq, client_order_id FROM oms.v_dealing
    WHERE type = 'Alerted' AND body ->> 'code' = 'count_lowered'
),
terms AS (
    SELECT report.*, execution.counted, lowered.seq IS NOT NULL AS is_lowered,
        coalesce(execution.quantity_change, 0) AS quantity_change,
        coalesce(execution.value_change, 0) AS value_change,
        (report.body ->> 'leaves')::numeric AS leaves_reported,
        (report.body ->> 'cumulative')::numeric AS cumulative,
        CASE
            WHEN report.type IN ('OrderPlaced', 'OrderReplaced') THEN (report.body ->> 'quantity')::numeric
            WHEN report.type = 'OrderStatusReported' AND report.body ->> 'status' NOT IN (
                'REJECTED', 'CANCELED', 'EXPIRED', 'PENDING_NEW', 'PENDING_CANCEL', 'PENDING_REPLACE'
            ) THEN (report.body ->> 'quantity')::numeric
            -- A fill under the id of a replace proves that it took effect, whatever became of its answer.
            WHEN execution.counted AND row_number() OVER (
                PARTITION BY report.shard, report.account, report.pipeline, report.client_order_id, report.wire_id,
                    report.type IN ('OrderFilled', 'OrderReplaced') ORDER BY report.seq
            ) = 1 THEN (asked.body ->> 'quantity')::numeric
        END AS quantity_new,
        asked.seq AS asked_seq,
        report.type IN ('OrderPlaced', 'OrderReplaced') OR asked.seq IS NOT NULL AND (
            execution.counted OR report.type = 'OrderStatusReported' AND report.body ->> 'status' NOT IN (
                'REJECTED', 'CANCELED', 'EXPIRED', 'PENDING_NEW', 'PENDING_CANCEL', 'PENDING_REPLACE'
            )
        ) AS is_effective,
        CASE WHEN report.type = 'OrderStatusReported' THEN report.body ->> 'status' END AS reported
    FROM oms.v_report AS report
    LEFT JOIN oms.v_execution AS execution ON execution.shard = report.shard
        AND execution.account = report.account AND execution.seq = report.seq
    LEFT JOIN lowered ON lowered.shard = report.shard AND lowered.account = report.account
        AND lowered.seq = report.seq AND lowered.client_order_id = report.client_order_id
    LEFT JOIN oms.v_dealing AS asked ON asked.type = 'ReplaceRequested'
        AND report.type IN ('OrderFilled', 'OrderReplaced', 'OrderStatusReported', 'OrderUnknown')
        AND asked.shard = report.shard AND asked.account = report.account AND asked.pipeline = report.pipeline
        AND asked.body ->> 'wire_id' = report.wire_id
    WHERE report.client_order_id IS NOT NULL
),
named AS (
    -- Terms are known by their id on the wire, and in force from the first word of it.
    SELECT terms.*,
        min(seq) FILTER (WHERE is_effective) OVER of_id AS effective_seq,
        min(seq) FILTER (WHERE type IN ('OrderUnknown', 'ReplaceRejected')) OVER of_id AS given_up_seq,
        max(asked_seq) FILTER (WHERE is_effective) OVER (
            PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS newest_asked_seq
    FROM terms
    WINDOW of_id AS (PARTITION BY shard, account, pipeline, client_order_id, wire_id)
),
ranked AS (
    -- A replace that was still awaited when a later one took effect is history, whatever is heard of it.
    SELECT named.*,
        CASE WHEN NOT coalesce(bool_or(
            seq = effective_seq AND newest_asked_seq > asked_seq
            AND effective_seq <= coalesce(given_up_seq, effective_seq)
        ) OVER (PARTITION BY shard, account, pipeline, client_order_id, wire_id), false) THEN effective_seq END AS terms_seq
    FROM named
),
forced AS (
    SELECT ranked.*,
        max(terms_seq) FILTER (WHERE is_effective) OVER (
            PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq
        ) AS in_force
    FROM ranked
),
counted AS (
    SELECT forced.*,
        sum(quantity_change) OVER so_far AS filled,
        sum(value_change) OVER so_far AS value,
        -- What is told under the id of terms that are history changes none.
        count(quantity_new) FILTER (WHERE effective_seq IS NULL OR terms_seq >= in_force) OVER so_far AS terms_no,
        count(*) FILTER (
            -- A new price shifts no count; a restatement may come as a report of the fill.
            WHERE is_lowered OR counted AND (type = 'ExecutionBusted' OR quantity_change <> 0 AND (
                type = 'ExecutionCorrected' OR (body ->> 'revision')::int > 0))
        ) OVER so_far AS epoch,
        count(*) FILTER (
            WHERE leaves_reported IS NOT NULL OR type IN ('OrderPlaced', 'OrderFilled', 'OrderReplaced')
        ) OVER so_far AS leaves_no,
        min(seq) OVER so_far AS first_seq,
        bool_or(type IN ('OrderAccepted', 'OrderTriggered', 'OrderFilled', 'OrderReplaced', 'OrderStatusReported'))
            OVER so_far AS was_heard_of,
        bool_or(type IN ('OrderAccepted', 'OrderTriggered', 'OrderReplaced', 'ExecutionBusted', 'ExecutionCorrected')
            OR reported IN ('NEW', 'PARTIALLY_FILLED', 'FILLED', 'SUSPENDED', 'STOPPED', 'DONE_FOR_DAY')
        ) OVER so_far AS was_taken
    FROM forced
    WINDOW so_far AS (PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq)
),
ordered AS (
    SELECT counted.*,
        max(cumulative) OVER (
            PARTITION BY shard, account, pipeline, client_order_id, epoch ORDER BY seq
        ) AS total,
        max(quantity_new) FILTER (WHERE effective_seq IS NULL OR terms_seq >= in_force) OVER (
            PARTITION BY shard, account, pipeline, client_order_id, terms_no
        ) AS quantity_asked
    FROM counted
),
marked AS (
    SELECT ordered.*,
        coalesce(greatest(quantity_asked, CASE WHEN client_order_id LIKE 'X:%' THEN greatest(filled, total) END), filled)
            AS quantity,
        CASE
            WHEN type = 'OrderCanceled' OR reported IN ('CANCELED', 'EXPIRED')
                OR (reported = 'DONE_FOR_DAY' AND leaves_reported = 0) THEN 'CANCELED'
            WHEN reported = 'REJECTED' OR (type = 'OrderRejected' AND body ->> 'code' IS DISTINCT FROM 'DUPLICATE_ORDER')
                THEN CASE WHEN filled > 0 THEN 'CANCELED' ELSE 'REJECTED' END
            WHEN type = 'OrderRejected' AND NOT was_heard_of THEN 'REJECTED'
            WHEN type = 'OrderUnknown' AND terms_seq = in_force
                THEN CASE WHEN filled > 0 OR was_taken THEN 'CANCELED' ELSE 'REJECTED' END
            WHEN (type IN ('CommandRefused', 'CommandExpired') OR (type = 'CommandFailed' AND body ->> 'sent' = 'false'))
                AND (body ->> 'command_seq')::bigint = first_seq THEN 'REJECTED'
        END AS ending,
        type IN ('OrderUnknown', 'CommandRefused', 'CommandExpired', 'CommandFailed')
            OR (type = 'OrderRejected' AND filled > 0) AS is_assumed,
        type IN ('OrderAccepted', 'OrderTriggered', 'OrderReplaced')
            -- One that is restated tells of the past.
            OR (type = 'OrderFilled' AND counted AND leaves_reported IS DISTINCT FROM 0
                AND coalesce((body ->> 'revision')::int, 0) = 0)
            OR reported IN ('NEW', 'PARTIALLY_FILLED', 'FILLED', 'SUSPENDED', 'STOPPED', 'PENDING_NEW',
                'PENDING_CANCEL', 'PENDING_REPLACE')
            OR (reported = 'DONE_FOR_DAY' AND leaves_reported IS DISTINCT FROM 0) AS is_alive
    FROM ordered
),
lives AS (
    -- A sign of life takes back an end that was only assumed; after a proven end it changes nothing.
    SELECT marked.*,
        max(seq) FILTER (WHERE is_alive) OVER so_far AS alive_seq,
        min(seq) FILTER (WHERE ending IS NOT NULL AND NOT is_assumed) OVER so_far AS ended_seq,
        count(ending) OVER so_far AS ending_no,
        max(seq) FILTER (WHERE ending IS NOT NULL) OVER so_far AS ending_seq,
        count(*) FILTER (WHERE is_alive OR type IN ('ExecutionBusted', 'ExecutionCorrected')) OVER so_far > 0
            AS is_acknowledged
    FROM marked
    WINDOW so_far AS (PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq)
),
closed AS (
    SELECT lives.*,
        CASE
            WHEN ended_seq IS NOT NULL THEN max(ending) FILTER (WHERE seq = ended_seq) OVER (
                PARTITION BY shard, account, pipeline, client_order_id)
            WHEN ending_seq > coalesce(alive_seq, 0) THEN max(ending) OVER (
                PARTITION BY shard, account, pipeline, client_order_id, ending_no)
        END AS end_now
    FROM lives
),
stated AS (
    SELECT closed.*,
        CASE
            WHEN filled > 0 AND filled >= quantity THEN 'FILLED'
            WHEN end_now IS NOT NULL THEN end_now
            WHEN filled > 0 THEN 'PARTIAL_FILLED'
            WHEN is_acknowledged OR client_order_id LIKE 'X:%' THEN 'SUBMITTED'
            ELSE 'NEW'
        END AS status,
        greatest(quantity - greatest(filled, total), 0) AS unfilled
    FROM closed
)
SELECT shard, account, trading_day, seq, cause_seq, kind, type, logical_time, recorded_at, pipeline, client_order_id,
    wire_id, status, quantity, filled,
    CASE WHEN status IN ('FILLED', 'CANCELED', 'REJECTED') THEN 0
        ELSE least(
            -- Without a word from the broker a bust opens nothing: what could execute before still can, and no more.
            min(unfilled) OVER (PARTITION BY shard, account, pipeline, client_order_id, leaves_no ORDER BY seq),
            max(leaves_reported) OVER (PARTITION BY shard, account, pipeline, client_order_id, leaves_no)
        ) END AS leaves,
    total, value, body
FROM stated
