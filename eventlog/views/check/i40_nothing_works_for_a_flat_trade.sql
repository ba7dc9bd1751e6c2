-- I40: of a trade that was closed more than five seconds ago no reducing order is still alive.
SELECT orders.shard, orders.account, orders.trading_day, orders.pipeline, orders.trade_no, orders.last_seq AS seq,
    orders.client_order_id, orders.role, orders.status, orders.leaves
FROM oms.v_order AS orders
JOIN oms.v_trade AS trade ON trade.shard = orders.shard AND trade.account = orders.account
    AND trade.trade_no = orders.trade_no
JOIN oms.account_head AS head ON head.shard = orders.shard AND head.account = orders.account
WHERE trade.status = 'closed' AND trade.held = 0 AND orders.role <> 'ENTRY' AND orders.leaves > 0
    AND head.logical_time > trade.ended_at + interval '5 seconds'
