-- Repricing by order: cycles used with and without a request, spacing, whether the limit of the zone was reached,
-- and whether the entry was abandoned.
WITH cycles AS (
    SELECT event.shard, event.account, event.trading_day, event.pipeline, event.client_order_id, event.seq, event.type,
        event.logical_time, event.reason, event.body,
        event.logical_time - lag(event.logical_time) OVER (
            PARTITION BY event.shard, event.account, event.client_order_id ORDER BY event.seq) AS spacing
    FROM oms.v_dealing AS event WHERE event.type IN ('OrderPlaced', 'ReplaceRequested', 'RepriceSkipped')
)
SELECT placed.shard, placed.account, placed.trading_day, placed.pipeline, placed.trade_no, placed.client_order_id,
    placed.body ->> 'role' AS role, count(*) FILTER (WHERE cycles.type = 'ReplaceRequested') AS repriced,
    count(*) FILTER (WHERE cycles.type = 'RepriceSkipped') AS skipped,
    string_agg(DISTINCT cycles.reason, ', ' ORDER BY cycles.reason)
        FILTER (WHERE cycles.type = 'RepriceSkipped') AS skipped_because,
    min(extract(epoch FROM cycles.spacing)) AS seconds_shortest, max(extract(epoch FROM cycles.spacing)) AS seconds_longest,
    (placed.body ->> 'price_limit')::numeric AS price_first,
    (array_agg((cycles.body ->> 'price_limit')::numeric ORDER BY cycles.seq DESC)
        FILTER (WHERE cycles.body ? 'price_limit'))[1] AS price_last,
    (trade.body ->> 'zone_max')::numeric AS zone_max,
    coalesce(bool_or((cycles.body ->> 'price_limit')::numeric = (trade.body ->> 'zone_max')::numeric), false)
        AS reached_zone_max,
    bool_or(abandoned.seq IS NOT NULL) AS is_abandoned, placed.seq AS first_seq, max(cycles.seq) AS last_seq
FROM oms.v_dealing AS placed
JOIN cycles USING (shard, account, client_order_id)
LEFT JOIN oms.v_dealing AS trade ON trade.type = 'EntryAccepted' AND trade.shard = placed.shard
    AND trade.account = placed.account AND trade.trade_no = placed.trade_no
LEFT JOIN oms.v_dealing AS abandoned ON abandoned.type = 'EntryAbandoned' AND abandoned.shard = placed.shard
    AND abandoned.account = placed.account AND abandoned.trade_no = placed.trade_no
WHERE placed.type = 'OrderPlaced' AND placed.body ->> 'role' IN ('ENTRY', 'EXIT')
GROUP BY placed.shard, placed.account, placed.trading_day, placed.pipeline, placed.trade_no, placed.client_order_id,
    placed.body, placed.seq, trade.body
HAVING count(*) > 1
