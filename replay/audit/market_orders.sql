-- Which market orders were sent, for which permitted reason, and which events make the reason true?
SELECT account, trading_day, pipeline, trade_no, seq, client_order_id, request, side, quantity, reason, evidence, facts,
    policy, filled, price_average, slippage
FROM oms.v_market_order ORDER BY account, seq
