-- Which trades did the end of the session close, and was anything left?
SELECT account, trading_day, pipeline, trade_no, from_seq, from_at, last_fill_at, market_orders, entered, residual,
    ended_seq, ended_at
FROM oms.v_forced_close ORDER BY account, from_seq
