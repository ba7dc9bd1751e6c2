-- I15: what the broker counts as filled of an order is what its executions sum to, ten seconds after the last word.
SELECT history.shard, history.account, history.trading_day, history.pipeline, history.seq, history.client_order_id,
    history.quantity, history.filled, history.total AS counted
FROM (
    SELECT DISTINCT ON (shard, account, pipeline, client_order_id) * FROM oms.v_order_history
    ORDER BY shard, account, pipeline, client_order_id, seq DESC
) AS history
JOIN oms.account_head AS head USING (shard, account)
WHERE history.total > history.filled AND head.logical_time > history.logical_time + interval '10 seconds'
