-- Periods in which a pipeline sent too much for what got filled: which metric, its value at both ends, how long.
SELECT entered.shard, entered.account, entered.trading_day, entered.pipeline, entered.body ->> 'metric' AS metric,
    entered.body ->> 'effect' AS effect, (entered.body ->> 'value')::numeric AS value_entered,
    (entered.left_body ->> 'value')::numeric AS value_left, (entered.body ->> 'sent')::int AS sent_entered,
    (entered.body ->> 'filled')::numeric AS filled_entered, entered.left_body ->> 'reason' AS reason_left,
    entered.seq AS from_seq, entered.left_seq AS until_seq, entered.logical_time AS from_at, entered.left_at AS until_at,
    extract(epoch FROM coalesce(entered.left_at, head.logical_time) - entered.logical_time) AS seconds,
    entered.left_seq IS NULL AS is_open
FROM (
    SELECT *, CASE WHEN lead(type) OVER turns = 'DegradationLeft' THEN lead(seq) OVER turns END AS left_seq,
        CASE WHEN lead(type) OVER turns = 'DegradationLeft' THEN lead(logical_time) OVER turns END AS left_at,
        CASE WHEN lead(type) OVER turns = 'DegradationLeft' THEN lead(body) OVER turns END AS left_body
    FROM oms.v_dealing WHERE type IN ('DegradationEntered', 'DegradationLeft')
    WINDOW turns AS (PARTITION BY shard, account, pipeline, body ->> 'metric' ORDER BY seq)
) AS entered
JOIN oms.account_head AS head USING (shard, account)
WHERE entered.type = 'DegradationEntered'
