-- I34: no stop shares a group with another order.
SELECT shard, account, trading_day, pipeline, trade_no, seq, client_order_id, body FROM oms.event
WHERE type IN ('OrderPlaced', 'ReplaceRequested')
    AND (body ->> 'role' = 'STOP' OR body ->> 'order_type' IN ('STOP', 'STOP_LIMIT'))
    AND body ?| array['group', 'oca', 'oca_group', 'oco', 'order_list', 'order_list_id', 'parent_id']
