-- Every market order: the reason that permitted it, the events that make the reason true, and what it cost.
SELECT request.shard, request.account, request.trading_day, request.seq, request.logical_time, request.pipeline,
    request.trade_no, request.client_order_id, request.type AS request, coalesce(request.body ->> 'side', placed.body ->> 'side') AS side,
    (request.body ->> 'quantity')::numeric AS quantity, request.reason,
    coalesce(request.body -> 'evidence', '[]') AS evidence,
    (SELECT string_agg(fact.seq || ' ' || fact.type, ', ' ORDER BY fact.seq) FROM oms.event AS fact
        WHERE fact.shard = request.shard AND fact.account = request.account
        AND fact.seq IN (SELECT jsonb_array_elements_text(request.body -> 'evidence')::bigint)) AS facts,
    request.body ->> 'policy' AS policy, fills.filled, fills.price_average, fills.slippage
FROM oms.v_dealing AS request
LEFT JOIN oms.v_dealing AS placed ON placed.type = 'OrderPlaced' AND placed.shard = request.shard
    AND placed.account = request.account AND placed.client_order_id = request.client_order_id
LEFT JOIN (
    SELECT shard, account, request_seq, sum(quantity) AS filled, sum(quantity * price) / sum(quantity) AS price_average,
        sum(quantity * slippage) / sum(quantity) AS slippage
    FROM oms.v_fill GROUP BY shard, account, request_seq
) AS fills ON fills.shard = request.shard AND fills.account = request.account AND fills.request_seq = request.seq
WHERE request.type IN ('OrderPlaced', 'ReplaceRequested') AND request.body ->> 'order_type' = 'MARKET'
