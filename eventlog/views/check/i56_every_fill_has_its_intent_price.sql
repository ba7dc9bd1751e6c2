-- I56: for every execution of an order of ours it is known what price was meant.
SELECT shard, account, trading_day, pipeline, trade_no, seq, client_order_id, execution FROM oms.v_fill
WHERE trade_no IS NOT NULL AND intent_price IS NULL
