-- What happened to each order, step by step, and because of which event?
SELECT account, trading_day, pipeline, client_order_id, seq, cause_seq, type, logical_time, status, quantity, filled, leaves
FROM oms.v_order_history ORDER BY account, client_order_id, seq
