-- Every alert, how loud, and when its cause was gone.
SELECT raised.shard, raised.account, raised.trading_day, raised.seq, raised.logical_time, raised.pipeline,
    raised.trade_no, raised.client_order_id, raised.body ->> 'severity' AS severity, raised.body ->> 'code' AS code,
    raised.body ->> 'text' AS text, (raised.body ->> 'quantity')::numeric AS quantity, raised.body ->> 'policy' AS policy,
    cleared.seq AS cleared_seq, cleared.logical_time AS cleared_at,
    extract(epoch FROM cleared.logical_time - raised.logical_time) AS seconds
FROM (
    SELECT *, CASE WHEN lead(type) OVER turns = 'AlertCleared' THEN lead(seq) OVER turns END AS cleared_seq
    FROM oms.v_dealing WHERE type IN ('Alerted', 'AlertCleared')
    WINDOW turns AS (PARTITION BY shard, account, pipeline, trade_no, body ->> 'code' ORDER BY seq)
) AS raised
LEFT JOIN oms.v_dealing AS cleared ON cleared.shard = raised.shard AND cleared.account = raised.account
    AND cleared.seq = raised.cleared_seq
WHERE raised.type = 'Alerted'
