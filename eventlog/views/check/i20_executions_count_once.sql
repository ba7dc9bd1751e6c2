-- I20: an execution of an instrument contributes to one order only.
SELECT shard, account, min(trading_day) AS trading_day, pipeline, execution, max(seq) AS seq,
    array_agg(client_order_id ORDER BY seq) AS orders
FROM oms.v_fill GROUP BY shard, account, pipeline, execution HAVING count(*) > 1
