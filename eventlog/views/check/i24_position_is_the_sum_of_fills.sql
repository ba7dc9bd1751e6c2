-- I24: the position that moved with every report equals the sum of the executions that stand, and what the broker
-- said it holds, where nothing was reported between its count and its word.
WITH newest AS (
    SELECT DISTINCT ON (shard, account, pipeline) shard, account, trading_day, pipeline, seq, quantity
    FROM oms.v_position ORDER BY shard, account, pipeline, seq DESC
),
parts AS (
    SELECT shard, account, pipeline, CASE side WHEN 'BUY' THEN quantity ELSE -quantity END AS quantity FROM oms.v_fill
    UNION ALL
    SELECT shard, account, pipeline, (body ->> 'quantity')::numeric FROM oms.event WHERE type = 'PositionAdjusted'
),
summed AS (
    SELECT shard, account, pipeline, sum(quantity) AS quantity FROM parts GROUP BY shard, account, pipeline
),
told AS (
    SELECT event.shard, event.account, event.trading_day, event.seq, (event.body ->> 'asked_at_seq')::bigint AS asked_at,
        line ->> 'instrument' AS pipeline, (line ->> 'quantity')::numeric AS quantity
    FROM oms.event, jsonb_array_elements(event.body -> 'positions') AS line
    WHERE event.type = 'BrokerSnapshotReported' AND event.body ->> 'complete' = 'true'
)
SELECT newest.shard, newest.account, newest.trading_day, newest.pipeline, newest.seq, newest.quantity AS moved,
    coalesce(summed.quantity, 0) AS expected
FROM newest LEFT JOIN summed USING (shard, account, pipeline)
WHERE newest.quantity <> coalesce(summed.quantity, 0)
UNION ALL
SELECT told.shard, told.account, told.trading_day, told.pipeline, told.seq, coalesce(held.quantity, 0), told.quantity
FROM told
LEFT JOIN oms.v_position AS held ON held.shard = told.shard AND held.account = told.account
    AND held.pipeline = told.pipeline AND held.seq <= told.asked_at
    AND told.asked_at < coalesce(held.until_seq, told.asked_at + 1)
WHERE coalesce(held.quantity, 0) <> told.quantity AND coalesce(held.until_seq, told.seq + 1) > told.seq
    AND (held.seq IS NOT NULL OR NOT EXISTS (
        SELECT 1 FROM oms.v_position AS later WHERE later.shard = told.shard AND later.account = told.account
        AND later.pipeline = told.pipeline AND later.seq < told.seq))
