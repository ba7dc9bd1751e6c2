-- I19: no order id was given twice, neither to an order nor to a request about one.
SELECT shard, account, min(trading_day) AS trading_day, max(seq) AS seq, id, count(*) AS times
FROM (
    SELECT shard, account, trading_day, seq, client_order_id AS id FROM oms.event WHERE type = 'OrderPlaced'
    UNION ALL
    SELECT shard, account, trading_day, seq, body ->> 'wire_id' FROM oms.event
    WHERE type IN ('ReplaceRequested', 'CancelRequested')
) AS given GROUP BY shard, account, id HAVING count(*) > 1
