-- I27: what the trades hold, foreign orders and adjustments make the position; no share belongs to two trades.
-- A trade that is said to be closed holds nothing and was entered with what is said.
WITH newest AS (
    SELECT DISTINCT ON (shard, account, pipeline) shard, account, trading_day, pipeline, seq, quantity
    FROM oms.v_position ORDER BY shard, account, pipeline, seq DESC
),
parts AS (
    SELECT shard, account, pipeline, sum(CASE side WHEN 'LONG' THEN held ELSE -held END) AS quantity FROM oms.v_trade
    GROUP BY shard, account, pipeline
    UNION ALL
    SELECT shard, account, pipeline, sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) FROM oms.v_fill
    WHERE trade_no IS NULL GROUP BY shard, account, pipeline
    UNION ALL
    SELECT shard, account, pipeline, sum((body ->> 'quantity')::numeric) FROM oms.event
    WHERE type = 'PositionAdjusted' GROUP BY shard, account, pipeline
)
SELECT newest.shard, newest.account, newest.trading_day, newest.pipeline, newest.seq, newest.quantity,
    sum(parts.quantity) AS expected
FROM newest JOIN parts USING (shard, account, pipeline)
GROUP BY newest.shard, newest.account, newest.trading_day, newest.pipeline, newest.seq, newest.quantity
HAVING newest.quantity <> sum(parts.quantity)
UNION ALL
SELECT shard, account, trading_day, pipeline, ended_seq, entered - held, quantity_reported FROM oms.v_trade
WHERE status = 'closed' AND (held <> 0 OR entered <> quantity_reported)
