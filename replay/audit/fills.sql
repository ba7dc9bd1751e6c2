-- Which executions stand, at what price, for which order, and at which price were they meant?
SELECT account, trading_day, pipeline, trade_no, client_order_id, role, execution, revision, side, quantity, price,
    intent_price, slippage, fees, fees_currency, reason, seq, request_seq, logical_time
FROM oms.v_fill ORDER BY account, seq
