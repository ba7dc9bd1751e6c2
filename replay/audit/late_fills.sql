-- Which executions came after their order had ended?
SELECT fill.account, fill.trading_day, fill.pipeline, fill.trade_no, fill.client_order_id, fill.execution, fill.quantity,
    fill.price, fill.seq, followed.status_before
FROM oms.v_fill AS fill
JOIN (
    SELECT shard, account, seq, lag(status) OVER (
        PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq) AS status_before
    FROM oms.v_order_history
) AS followed USING (shard, account, seq)
WHERE followed.status_before IN ('CANCELED', 'REJECTED', 'FILLED')
ORDER BY fill.account, fill.seq
