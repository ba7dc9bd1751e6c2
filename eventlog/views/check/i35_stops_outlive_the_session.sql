-- I35: every stop is good until cancelled.
SELECT shard, account, trading_day, pipeline, trade_no, seq, client_order_id, body ->> 'time_in_force' AS time_in_force
FROM oms.event WHERE type = 'OrderPlaced' AND body ->> 'role' = 'STOP' AND body ->> 'time_in_force' <> 'GTC'
