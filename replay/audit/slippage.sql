-- How much worse than meant was each trade filled, and the mean of the last 5 and 10?
SELECT account, trading_day, pipeline, trade_no, side, amount_entry, amount_exit, slippage_entry, slippage_exit,
    slippage_entry_5, slippage_entry_10, fills_without_intent
FROM oms.v_slippage ORDER BY account, trade_no
