-- The position after every change, by instrument: executions of ours and of strangers, corrections, busts, and
-- what changed without an execution. `cost` is money paid less money received; the average is that of open quantity.
WITH changes AS (
    SELECT shard, account, trading_day, seq, logical_time, pipeline, client_order_id, type,
        CASE side WHEN 'BUY' THEN quantity_change ELSE -quantity_change END AS change,
        CASE side WHEN 'BUY' THEN value_change ELSE -value_change END AS cost_change
    FROM oms.v_execution WHERE counted
    UNION ALL
    SELECT shard, account, trading_day, seq, logical_time, pipeline, NULL, type, (body ->> 'quantity')::numeric, 0
    FROM oms.v_dealing WHERE type = 'PositionAdjusted'
)
SELECT shard, account, trading_day, pipeline, seq, logical_time, type, client_order_id, change,
    sum(change) OVER so_far AS quantity,
    sum(cost_change) OVER so_far AS cost,
    CASE WHEN sum(change) OVER so_far <> 0
        THEN sum(cost_change) OVER so_far / sum(change) OVER so_far END AS price_break_even,
    lead(seq) OVER (PARTITION BY shard, account, pipeline ORDER BY seq) AS until_seq,
    lead(logical_time) OVER (PARTITION BY shard, account, pipeline ORDER BY seq) AS until_at
FROM changes
WINDOW so_far AS (PARTITION BY shard, account, pipeline ORDER BY seq)
