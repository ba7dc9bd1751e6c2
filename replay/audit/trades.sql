-- Which trades were there, how did they end, and what did their fills make?
SELECT account, trading_day, pipeline, trade_no, strategy, side, status, reason, quantity, entered, held, price_entry,
    price_exit, pnl, pnl_reported, r_reported, fees, fills, first_seq, ended_seq
FROM oms.v_trade ORDER BY account, trade_no
