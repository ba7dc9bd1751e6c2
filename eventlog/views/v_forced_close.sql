-- Every trade that the end of the session closed: when it began, its last fill, limits that became market orders, and
-- what was left.
SELECT asked.shard, asked.account, asked.trading_day, asked.pipeline, asked.trade_no, asked.seq AS from_seq,
    asked.logical_time AS from_at, max(fill.logical_time) AS last_fill_at, max(fill.seq) AS last_fill_seq,
    count(DISTINCT market.seq) AS market_orders, trade.entered, trade.held AS residual, trade.ended_seq, trade.ended_at
FROM oms.v_dealing AS asked
JOIN oms.v_trade AS trade ON trade.shard = asked.shard AND trade.account = asked.account
    AND trade.trade_no = asked.trade_no
LEFT JOIN oms.v_fill AS fill ON fill.shard = asked.shard AND fill.account = asked.account
    AND fill.trade_no = asked.trade_no AND fill.seq > asked.seq
LEFT JOIN oms.v_dealing AS market ON market.type IN ('OrderPlaced', 'ReplaceRequested') AND market.shard = asked.shard
    AND market.account = asked.account AND market.trade_no = asked.trade_no AND market.seq > asked.seq
    AND market.body ->> 'order_type' = 'MARKET'
WHERE asked.type = 'CloseRequested' AND asked.reason = 'FORCED_CLOSE'
GROUP BY asked.shard, asked.account, asked.trading_day, asked.pipeline, asked.trade_no, asked.seq, asked.logical_time,
    trade.entered, trade.held, trade.ended_seq, trade.ended_at
