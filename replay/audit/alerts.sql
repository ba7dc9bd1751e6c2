-- What was alerted, how loud, and when was its cause gone?
SELECT account, trading_day, pipeline, trade_no, client_order_id, seq, logical_time, severity, code, text, quantity,
    policy, cleared_seq, seconds
FROM oms.v_alert ORDER BY account, seq
