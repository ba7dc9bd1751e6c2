-- Every report of an execution and what it changed: each execution counts once, at its highest revision, and a fill
-- under a new id whose stretch of the broker's count is already covered is no news. `counted` is false for those.
WITH placed AS (
    SELECT shard, account, client_order_id, body ->> 'side' AS side FROM oms.event WHERE type = 'OrderPlaced'
),
reported AS (
    SELECT report.shard, report.account, report.trading_day, report.seq, report.type, report.logical_time,
        report.pipeline, report.client_order_id, report.wire_id, report.body ->> 'execution' AS execution,
        coalesce((report.body ->> 'revision')::int, 0) AS revision,
        CASE report.type WHEN 'ExecutionBusted' THEN 0 ELSE (report.body ->> 'quantity')::numeric END AS quantity,
        (report.body ->> 'price')::numeric AS price,
        (report.body ->> 'cumulative')::numeric AS cumulative,
        coalesce(placed.side, report.body ->> 'side', 'BUY') AS side,
        report.type <> 'OrderFilled' OR (
            (report.body ->> 'quantity')::numeric > 0
            AND report.body ->> 'side' = coalesce(placed.side, report.body ->> 'side')
        ) AS is_sound
    FROM oms.v_report AS report
    LEFT JOIN placed USING (shard, account, client_order_id)
    WHERE report.type IN ('OrderFilled', 'ExecutionCorrected', 'ExecutionBusted')
),
newest AS (
    SELECT *,
        is_sound AND revision > coalesce(max(revision) FILTER (WHERE is_sound) OVER earlier, -1) AS is_newer,
        count(*) FILTER (WHERE is_sound) OVER earlier = 0 AS is_first
    FROM reported
    WINDOW earlier AS (
        PARTITION BY shard, account, pipeline, client_order_id, execution ORDER BY seq
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
epochs AS (
    -- A bust or a corrected quantity shifts the broker's count: older stretches no longer compare with new ones.
    SELECT *,
        count(*) FILTER (WHERE is_newer AND (type <> 'OrderFilled' OR NOT is_first)) OVER (
            PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq
        ) AS epoch,
        CASE WHEN is_newer AND is_first AND type = 'OrderFilled' AND cumulative >= quantity
            THEN numrange(cumulative - quantity, cumulative) END AS stretch
    FROM newest
),
judged AS (
    SELECT *,
        is_newer AND NOT coalesce(stretch <@ range_agg(stretch) OVER (
            PARTITION BY shard, account, pipeline, client_order_id, epoch ORDER BY seq
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), false) AS counted
    FROM epochs
),
priced AS (
    SELECT *,
        -- A bust names no price; the execution keeps the one it had.
        coalesce(price, lag(price) OVER same, 0) AS price_now,
        lag(quantity, 1, 0::numeric) OVER same AS quantity_before,
        coalesce(lag(price) OVER same, 0) AS price_before
    FROM judged
    WINDOW same AS (PARTITION BY shard, account, pipeline, client_order_id, execution, counted ORDER BY seq)
)
SELECT shard, account, trading_day, seq, type, logical_time, pipeline, client_order_id, wire_id, execution, revision,
    side, quantity, price_now AS price, cumulative, counted,
    CASE WHEN counted THEN quantity - quantity_before ELSE 0 END AS quantity_change,
    CASE WHEN counted THEN quantity * price_now - quantity_before * price_before ELSE 0 END AS value_change
FROM priced
