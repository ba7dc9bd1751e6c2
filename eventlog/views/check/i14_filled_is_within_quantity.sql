-- I14: no order is filled below zero or beyond its quantity, unless that was alerted.
SELECT history.shard, history.account, history.trading_day, history.pipeline, history.seq, history.client_order_id,
    history.quantity, history.filled
FROM oms.v_order_history AS history
WHERE history.filled < 0 OR (history.filled > history.quantity AND NOT EXISTS (
    SELECT 1 FROM oms.event AS alert WHERE alert.type = 'Alerted' AND alert.shard = history.shard
        AND alert.account = history.account AND alert.client_order_id = history.client_order_id
        AND alert.body ->> 'code' = 'overfill' AND alert.seq <= history.seq + 100))
