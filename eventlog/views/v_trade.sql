-- Every trade: what was meant, what its fills made of it, and what its close said. Sums here are of the fills.
WITH accepted AS (
    SELECT shard, account, trading_day, seq, logical_time, pipeline, trade_no, body FROM oms.v_dealing
    WHERE type = 'EntryAccepted'
),
sums AS (
    SELECT shard, account, trade_no,
        sum(quantity) FILTER (WHERE role = 'ENTRY') AS entered,
        sum(quantity * price) FILTER (WHERE role = 'ENTRY') AS value_entered,
        sum(CASE side WHEN 'BUY' THEN -quantity ELSE quantity END) FILTER (WHERE role <> 'ENTRY') AS sold,
        sum(CASE side WHEN 'BUY' THEN -quantity * price ELSE quantity * price END) FILTER (WHERE role <> 'ENTRY')
            AS value_sold,
        sum(fees) AS fees, min(logical_time) AS first_fill_at, max(logical_time) AS last_fill_at, count(*) AS fills
    FROM oms.v_fill WHERE trade_no IS NOT NULL GROUP BY shard, account, trade_no
),
ended AS (
    SELECT DISTINCT ON (shard, account, trade_no) shard, account, trade_no, seq, logical_time, type, reason, body
    FROM oms.v_dealing WHERE type IN ('TradeClosed', 'EntryAbandoned')
    ORDER BY shard, account, trade_no, seq DESC
),
instruments AS (
    SELECT DISTINCT ON (shard, account, pipeline) shard, account, pipeline,
        coalesce((body ->> 'multiplier')::numeric, 1) AS multiplier
    FROM oms.v_dealing WHERE type = 'InstrumentDefined' ORDER BY shard, account, pipeline, seq DESC
),
joined AS (
    SELECT accepted.*, coalesce(entered, 0) AS entered,
        coalesce(CASE accepted.body ->> 'side' WHEN 'LONG' THEN sold ELSE -sold END, 0) AS exited,
        coalesce(value_entered, 0) AS value_entered,
        coalesce(CASE accepted.body ->> 'side' WHEN 'LONG' THEN value_sold ELSE -value_sold END, 0) AS value_exited,
        CASE accepted.body ->> 'side' WHEN 'LONG' THEN 1 ELSE -1 END AS sign,
        coalesce(sums.fees, 0) AS fees, first_fill_at, last_fill_at, coalesce(fills, 0) AS fills,
        coalesce(multiplier, 1) AS multiplier,
        ended.seq AS ended_seq, ended.logical_time AS ended_at, ended.type AS ended_type, ended.reason,
        ended.body AS ended_body
    FROM accepted
    LEFT JOIN sums USING (shard, account, trade_no)
    LEFT JOIN ended USING (shard, account, trade_no)
    LEFT JOIN instruments USING (shard, account, pipeline)
)
SELECT shard, account, trading_day, pipeline, trade_no, body ->> 'strategy' AS strategy, body ->> 'side' AS side,
    CASE ended_type WHEN 'TradeClosed' THEN 'closed' WHEN 'EntryAbandoned' THEN 'abandoned' ELSE 'open' END AS status,
    reason, (body ->> 'quantity')::numeric AS quantity, entered, exited, entered - exited AS held,
    (body ->> 'ideal')::numeric AS ideal, (body ->> 'stop')::numeric AS stop_initial,
    CASE WHEN entered > 0 THEN value_entered / entered END AS price_entry,
    CASE WHEN exited > 0 THEN value_exited / exited END AS price_exit,
    CASE WHEN entered = exited AND entered > 0 THEN (value_exited - value_entered) * sign * multiplier END AS pnl,
    fees, (ended_body ->> 'pnl')::numeric AS pnl_reported, (ended_body ->> 'r')::numeric AS r_reported,
    (ended_body ->> 'quantity')::numeric AS quantity_reported,
    fills, seq AS first_seq, ended_seq, logical_time AS accepted_at, first_fill_at, last_fill_at, ended_at
FROM joined
