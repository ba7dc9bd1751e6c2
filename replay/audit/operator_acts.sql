-- What did people do to the writer, who and why?
SELECT account, trading_day, seq, logical_time, body ->> 'act' AS act, body ->> 'principal' AS principal,
    body ->> 'reason' AS reason, body ->> 'instrument' AS instrument, trade_no, client_order_id
FROM oms.event WHERE type = 'OperatorCommanded' ORDER BY account, seq
