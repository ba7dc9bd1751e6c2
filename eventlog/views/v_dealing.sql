-- Every row but those that only say what the market did: what was asked, told, decided and set.
-- Views about orders and trades begin here: market data are nine tenths of a day, and the rest is read once.
SELECT shard, account, trading_day, seq, cause_seq, kind, type, version, logical_time, event_time, received_at,
    recorded_at, pipeline, trade_no, client_order_id, broker_order_id, reason, body
FROM oms.event
WHERE type NOT IN ('QuoteReported', 'TradePrinted', 'BarClosed', 'DepthReported')
