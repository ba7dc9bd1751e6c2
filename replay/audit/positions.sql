-- How did each position come about, execution by execution?
SELECT account, trading_day, pipeline, seq, logical_time, type, client_order_id, change, quantity, cost, price_break_even
FROM oms.v_position ORDER BY account, pipeline, seq
