-- Every id under which the broker may speak of an order, and the order's own id, by pipeline.
-- Own ids come from placements, wire ids from replaces and cancels, broker ids from the first report that names both.
WITH ours AS (
    SELECT shard, account, pipeline, seq, client_order_id AS alias, client_order_id FROM oms.v_dealing
    WHERE type = 'OrderPlaced'
    UNION ALL
    SELECT shard, account, pipeline, seq, body ->> 'wire_id', client_order_id FROM oms.v_dealing
    WHERE type IN ('ReplaceRequested', 'CancelRequested')
),
known AS (
    SELECT DISTINCT ON (shard, account, pipeline, alias) shard, account, pipeline, alias, client_order_id, seq
    FROM ours ORDER BY shard, account, pipeline, alias, seq
),
named AS (
    SELECT report.shard, report.account, report.pipeline, report.seq, report.broker_order_id AS alias,
        coalesce(present.client_order_id, former.client_order_id, 'X:' || report.broker_order_id) AS client_order_id
    FROM oms.v_dealing AS report
    LEFT JOIN known AS present ON present.shard = report.shard AND present.account = report.account
        AND present.pipeline = report.pipeline AND present.alias = report.client_order_id
    LEFT JOIN known AS former ON former.shard = report.shard AND former.account = report.account
        AND former.pipeline = report.pipeline AND former.alias = report.body ->> 'orig_client_order_id'
    WHERE report.kind = 'I' AND report.broker_order_id IS NOT NULL
)
SELECT shard, account, pipeline, alias, client_order_id, seq FROM known
UNION ALL
SELECT * FROM (
    SELECT DISTINCT ON (shard, account, pipeline, alias) shard, account, pipeline, alias, client_order_id, seq
    FROM named ORDER BY shard, account, pipeline, alias, (client_order_id LIKE 'X:%'), seq
) AS first_named
WHERE NOT EXISTS (
    SELECT 1 FROM known WHERE known.shard = first_named.shard AND known.account = first_named.account
    AND known.pipeline = first_named.pipeline AND known.alias = first_named.alias
)
