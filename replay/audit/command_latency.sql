-- How long did the broker take to answer each command, and which ones had to be asked about?
SELECT account, trading_day, pipeline, trade_no, client_order_id, command, seq, answer, answer_seq, seconds,
    seconds_recorded, queries
FROM oms.v_command_latency ORDER BY account, seq
