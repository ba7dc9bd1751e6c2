-- Which orders were there, and what became of each?
SELECT account, trading_day, pipeline, trade_no, client_order_id, role, side, order_type, status, quantity, filled,
    leaves, price_average, price_limit, price_stop, rung, reason, replaces, cancels, queries, first_seq, last_seq
FROM oms.v_order ORDER BY account, first_seq
