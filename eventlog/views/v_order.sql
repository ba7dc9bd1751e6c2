-- Every order as it stands at the end of the log: what was asked, what became of it, who replaced whom.
WITH placed AS (
    SELECT shard, account, trading_day, seq, logical_time, pipeline, trade_no, client_order_id, reason, body
    FROM oms.v_dealing WHERE type = 'OrderPlaced'
),
newest AS (
    SELECT DISTINCT ON (shard, account, pipeline, client_order_id) *
    FROM oms.v_order_history
    ORDER BY shard, account, pipeline, client_order_id, seq DESC
),
first_seen AS (
    SELECT shard, account, pipeline, client_order_id, min(seq) AS seq, min(trading_day) AS trading_day,
        min(logical_time) AS logical_time,
        count(*) FILTER (WHERE type = 'ReplaceRequested') AS replaces,
        count(*) FILTER (WHERE type = 'CancelRequested') AS cancels,
        count(*) FILTER (WHERE type = 'QueryRequested') AS queries,
        array_agg(body ->> 'wire_id' ORDER BY seq) FILTER (WHERE type = 'ReplaceRequested') AS replaced_by,
        (array_agg(body ->> 'order_type' ORDER BY seq DESC) FILTER (
            WHERE type = 'OrderReplaced' AND body ? 'order_type'))[1] AS order_type_replaced,
        (array_agg(body ->> 'price_limit' ORDER BY seq DESC) FILTER (
            WHERE type = 'OrderReplaced' AND body ? 'price_limit'))[1] AS price_limit_replaced,
        (array_agg(body ->> 'price_stop' ORDER BY seq DESC) FILTER (
            WHERE type = 'OrderReplaced' AND body ? 'price_stop'))[1] AS price_stop_replaced,
        min(body ->> 'side') FILTER (WHERE kind = 'I') AS side_reported
    FROM oms.v_order_history GROUP BY shard, account, pipeline, client_order_id
)
SELECT newest.shard, newest.account, first_seen.trading_day, newest.pipeline, placed.trade_no, newest.client_order_id,
    placed.body ->> 'role' AS role, coalesce(placed.body ->> 'side', first_seen.side_reported) AS side,
    coalesce(first_seen.order_type_replaced, placed.body ->> 'order_type') AS order_type,
    placed.body ->> 'time_in_force' AS time_in_force, newest.status, newest.quantity, newest.filled, newest.leaves,
    CASE WHEN newest.filled > 0 THEN newest.value / newest.filled END AS price_average,
    coalesce(first_seen.price_limit_replaced, placed.body ->> 'price_limit')::numeric AS price_limit,
    coalesce(first_seen.price_stop_replaced, placed.body ->> 'price_stop')::numeric AS price_stop,
    (placed.body ->> 'quantity')::numeric AS quantity_placed, (placed.body ->> 'rung')::int AS rung, placed.reason,
    placed.body ->> 'policy' AS policy, placed.seq IS NULL AS is_external, first_seen.seq AS first_seq,
    newest.seq AS last_seq, first_seen.logical_time AS placed_at, newest.logical_time AS last_at,
    first_seen.replaces, first_seen.cancels, first_seen.queries, first_seen.replaced_by
FROM newest
JOIN first_seen USING (shard, account, pipeline, client_order_id)
LEFT JOIN placed ON placed.shard = newest.shard AND placed.account = newest.account
    AND placed.client_order_id = newest.client_order_id
