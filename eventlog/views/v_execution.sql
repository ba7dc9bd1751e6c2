-- Every report of an execution and what it changed: each execution counts once, at its highest revision, and one that is
-- told again under another id is no news. `counted` is false for those; which they are, and that one counts after all, the
-- log itself says (ExecutionJudged). `execution` is the id on record, `reported_as` the id in the report.
WITH placed AS (
    SELECT shard, account, client_order_id, body ->> 'side' AS side FROM oms.v_dealing WHERE type = 'OrderPlaced'
),
sides AS (
    -- Of an order that is not ours the first report that names one.
    SELECT DISTINCT ON (shard, account, pipeline, client_order_id) shard, account, pipeline, client_order_id,
        body ->> 'side' AS side
    FROM oms.v_report WHERE client_order_id LIKE 'X:%' AND body ->> 'side' IS NOT NULL
    ORDER BY shard, account, pipeline, client_order_id, seq
),
verdicts AS MATERIALIZED (
    -- Few, so that looking one up costs next to nothing.
    SELECT shard, account, pipeline, client_order_id, seq, cause_seq, body ->> 'execution' AS execution,
        body ->> 'of' AS original, coalesce((body ->> 'counted')::boolean, false) AS counted
    FROM oms.v_dealing WHERE type = 'ExecutionJudged'
),
told AS (
    SELECT report.*, report.body ->> 'execution' AS execution FROM oms.v_report AS report
    WHERE report.type IN ('OrderFilled', 'ExecutionCorrected', 'ExecutionBusted')
        OR report.type = 'ExecutionJudged' AND report.body ->> 'counted' = 'true'
),
reported AS (
    SELECT told.shard, told.account, told.trading_day, told.seq, told.type, told.logical_time, told.pipeline,
        told.client_order_id, told.wire_id, told.execution AS reported_as,
        coalesce(named.original, told.execution) AS execution,
        coalesce((told.body ->> 'revision')::int, 0) AS revision,
        CASE told.type WHEN 'ExecutionBusted' THEN 0 ELSE (told.body ->> 'quantity')::numeric END AS quantity,
        (told.body ->> 'price')::numeric AS price,
        (told.body ->> 'cumulative')::numeric AS cumulative,
        coalesce(placed.side, told.body ->> 'side', sides.side, 'BUY') AS side,
        told.type <> 'OrderFilled' OR (
            (told.body ->> 'quantity')::numeric > 0
            AND told.body ->> 'side' = coalesce(placed.side, told.body ->> 'side')
            -- One that lies across several on record is none of them, and no other.
            AND NOT EXISTS (
                SELECT 1 FROM verdicts WHERE verdicts.shard = told.shard AND verdicts.account = told.account
                    AND verdicts.cause_seq = told.seq AND verdicts.execution = told.execution
                    AND verdicts.original IS NULL AND NOT verdicts.counted
            )
        ) AS is_sound
    FROM told
    LEFT JOIN placed USING (shard, account, client_order_id)
    LEFT JOIN sides ON sides.shard = told.shard AND sides.account = told.account
        AND sides.pipeline = told.pipeline AND sides.client_order_id = told.client_order_id
    LEFT JOIN LATERAL (
        -- What was last said of this id before, or, of a bust that came before its fill, what was said first.
        SELECT original FROM verdicts
        WHERE verdicts.shard = told.shard AND verdicts.account = told.account AND verdicts.pipeline = told.pipeline
            AND verdicts.execution = told.execution AND (verdicts.original IS NOT NULL OR verdicts.counted)
            AND (verdicts.client_order_id = told.client_order_id OR told.client_order_id LIKE 'X:%')
            AND told.type <> 'ExecutionJudged'
        ORDER BY verdicts.cause_seq > told.seq,
            CASE WHEN verdicts.cause_seq > told.seq THEN verdicts.seq ELSE -verdicts.seq END
        LIMIT 1
    ) AS named ON true
),
judged AS (
    SELECT *, is_sound AND revision > coalesce(max(revision) FILTER (WHERE is_sound) OVER earlier, -1) AS counted
    FROM reported
    WINDOW earlier AS (
        PARTITION BY shard, account, pipeline, client_order_id, execution ORDER BY seq
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
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
SELECT shard, account, trading_day, seq, type, logical_time, pipeline, client_order_id, wire_id, execution, reported_as,
    revision, side, quantity, price_now AS price, cumulative, counted,
    CASE WHEN counted THEN quantity - quantity_before ELSE 0 END AS quantity_change,
    CASE WHEN counted THEN quantity * price_now - quantity_before * price_before ELSE 0 END AS value_change
FROM priced
