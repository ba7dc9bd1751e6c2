-- Which executions did the broker report twice under different keys?
SELECT account, trading_day, pipeline, client_order_id, seq, type, execution, revision, quantity, price, first_seq
FROM oms.v_duplicate ORDER BY account, seq
