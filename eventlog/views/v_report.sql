-- Every row about an order, ours or the broker's, with the order's own id (`X:` before the id of a foreign order).
SELECT event.shard, event.account, event.trading_day, event.seq, event.cause_seq, event.kind, event.type,
    event.logical_time, event.event_time, event.received_at, event.recorded_at, event.pipeline,
    event.client_order_id AS wire_id,
    CASE WHEN event.kind = 'D' THEN event.client_order_id
        ELSE coalesce(by_client.client_order_id, by_broker.client_order_id, former.client_order_id,
            'X:' || coalesce(event.broker_order_id, event.client_order_id))
    END AS client_order_id,
    event.body
FROM oms.v_dealing AS event
LEFT JOIN oms.v_alias AS by_client ON event.kind = 'I' AND by_client.shard = event.shard
    AND by_client.account = event.account AND by_client.pipeline = event.pipeline
    AND by_client.alias = event.client_order_id
LEFT JOIN oms.v_alias AS by_broker ON event.kind = 'I' AND by_broker.shard = event.shard
    AND by_broker.account = event.account AND by_broker.pipeline = event.pipeline
    AND by_broker.alias = event.broker_order_id
LEFT JOIN oms.v_alias AS former ON event.kind = 'I' AND former.shard = event.shard
    AND former.account = event.account AND former.pipeline = event.pipeline
    AND former.alias = event.body ->> 'orig_client_order_id'
WHERE event.type IN (
    'OrderPlaced', 'ReplaceRequested', 'CancelRequested', 'QueryRequested', 'RepriceSkipped', 'OrderAccepted',
    'OrderRejected', 'OrderTriggered', 'OrderFilled', 'ExecutionCorrected', 'ExecutionBusted', 'OrderCanceled',
    'CancelRejected', 'OrderReplaced', 'ReplaceRejected', 'OrderStatusReported', 'OrderUnknown', 'CommandFailed',
    'CommandRefused', 'CommandExpired', 'ExecutionJudged'
)
