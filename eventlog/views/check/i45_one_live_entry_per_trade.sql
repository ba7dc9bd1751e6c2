-- I45: while an entry order can still fill, no second one of the same trade is placed.
WITH ended AS (
    SELECT shard, account, client_order_id, min(seq) AS seq FROM oms.v_order_history
    WHERE status IN ('FILLED', 'CANCELED', 'REJECTED') GROUP BY shard, account, client_order_id
),
entries AS (
    SELECT placed.shard, placed.account, placed.trading_day, placed.pipeline, placed.trade_no, placed.seq,
        placed.client_order_id, coalesce(ended.seq, 9223372036854775807) AS ended_seq
    FROM oms.event AS placed LEFT JOIN ended USING (shard, account, client_order_id)
    WHERE placed.type = 'OrderPlaced' AND placed.body ->> 'role' = 'ENTRY'
)
SELECT second.shard, second.account, second.trading_day, second.pipeline, second.trade_no, second.seq,
    first.client_order_id AS first_order, second.client_order_id AS second_order
FROM entries AS first JOIN entries AS second ON second.shard = first.shard AND second.account = first.account
    AND second.trade_no = first.trade_no AND second.seq > first.seq AND second.seq < first.ended_seq
