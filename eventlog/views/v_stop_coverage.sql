-- Intervals in which a position had no confirmed broker stop for all of it. Longer than an acknowledgement takes, and
-- without a guard or an exit in flight, each is a breach; `naked_alert_seq` names the alert that was raised meanwhile.
WITH stops AS (
    SELECT history.shard, history.account, history.trading_day, history.seq, history.logical_time, history.pipeline,
        placed.trade_no, history.client_order_id,
        CASE WHEN history.status IN ('SUBMITTED', 'PARTIAL_FILLED') AND NOT coalesce(bool_or(
                history.type = 'OrderReplaced' AND history.body ->> 'order_type' IN ('MARKET', 'LIMIT')) OVER so_far, false)
            AND NOT coalesce(
                history.type = 'OrderStatusReported' AND history.body ->> 'status' IN ('SUSPENDED', 'STOPPED'), false)
            -- One that was only ever said to have arrived protects nobody yet.
            AND bool_or(history.type IN ('OrderAccepted', 'OrderTriggered', 'OrderReplaced', 'OrderFilled',
                    'ExecutionBusted', 'ExecutionCorrected')
                OR (history.type = 'OrderStatusReported' AND history.body ->> 'status' NOT IN (
                    'PENDING_NEW', 'PENDING_CANCEL', 'PENDING_REPLACE'))) OVER so_far
            THEN history.leaves ELSE 0 END AS covers
    FROM oms.v_order_history AS history
    JOIN oms.v_dealing AS placed ON placed.type = 'OrderPlaced' AND placed.body ->> 'role' = 'STOP'
        AND placed.shard = history.shard AND placed.account = history.account
        AND placed.client_order_id = history.client_order_id
    WINDOW so_far AS (PARTITION BY history.shard, history.account, history.client_order_id ORDER BY history.seq)
),
changes AS (
    SELECT shard, account, trading_day, seq, logical_time, pipeline, trade_no, 0::numeric AS held_change,
        covers - lag(covers, 1, 0::numeric) OVER (
            PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq) AS covers_change
    FROM stops
    UNION ALL
    SELECT execution.shard, execution.account, execution.trading_day, execution.seq, execution.logical_time,
        execution.pipeline, placed.trade_no,
        CASE WHEN execution.side = CASE trade.body ->> 'side' WHEN 'LONG' THEN 'BUY' ELSE 'SELL' END
            THEN execution.quantity_change ELSE -execution.quantity_change END, 0
    FROM oms.v_execution AS execution
    JOIN oms.v_dealing AS placed ON placed.type = 'OrderPlaced' AND placed.shard = execution.shard
        AND placed.account = execution.account AND placed.client_order_id = execution.client_order_id
    JOIN oms.v_dealing AS trade ON trade.type = 'EntryAccepted' AND trade.shard = execution.shard
        AND trade.account = execution.account AND trade.trade_no = placed.trade_no
    WHERE execution.counted
),
moments AS (
    SELECT shard, account, trading_day, pipeline, trade_no, seq, logical_time,
        sum(sum(held_change)) OVER so_far AS held, sum(sum(covers_change)) OVER so_far AS covered
    FROM changes GROUP BY shard, account, trading_day, pipeline, trade_no, seq, logical_time
    WINDOW so_far AS (PARTITION BY shard, account, trade_no ORDER BY seq)
),
judged AS (
    SELECT *, held <> 0 AND covered < abs(held) AS is_open,
        lag(held <> 0 AND covered < abs(held), 1, false) OVER (PARTITION BY shard, account, trade_no ORDER BY seq)
            AS was_open
    FROM moments
),
islands AS (
    SELECT *, count(*) FILTER (WHERE is_open <> was_open) OVER (PARTITION BY shard, account, trade_no ORDER BY seq)
            AS island
    FROM judged
),
intervals AS (
    SELECT shard, account, min(trading_day) AS trading_day, pipeline, trade_no, island, min(seq) AS from_seq,
        min(logical_time) AS from_at, max(abs(held) - covered) AS uncovered_most, bool_and(is_open) AS is_open
    FROM islands WHERE is_open OR was_open OR island > 0
    GROUP BY shard, account, pipeline, trade_no, island
),
bounded AS (
    SELECT *, lead(from_seq) OVER turns AS until_seq, lead(from_at) OVER turns AS until_at
    FROM intervals
    WINDOW turns AS (PARTITION BY shard, account, trade_no ORDER BY from_seq)
),
naked AS (
    SELECT shard, account, trade_no, seq FROM oms.v_dealing
    WHERE type = 'Alerted' AND body ->> 'code' = 'unprotected' AND trade_no IS NOT NULL
)
SELECT bounded.shard, bounded.account, bounded.trading_day, bounded.pipeline, bounded.trade_no, from_seq, until_seq,
    from_at, until_at, extract(epoch FROM coalesce(until_at, head.logical_time) - from_at) AS seconds, uncovered_most,
    min(naked.seq) AS naked_alert_seq
FROM bounded
JOIN oms.account_head AS head USING (shard, account)
LEFT JOIN naked ON naked.shard = bounded.shard AND naked.account = bounded.account
    AND naked.trade_no = bounded.trade_no AND naked.seq >= from_seq AND naked.seq < coalesce(until_seq, naked.seq + 1)
WHERE is_open
GROUP BY bounded.shard, bounded.account, bounded.trading_day, bounded.pipeline, bounded.trade_no, from_seq, until_seq,
    from_at, until_at, head.logical_time, uncovered_most
