-- Which commands were never answered?
SELECT account, trading_day, pipeline, trade_no, client_order_id, command, seq, queries
FROM oms.v_command_latency WHERE answer_seq IS NULL ORDER BY account, seq
