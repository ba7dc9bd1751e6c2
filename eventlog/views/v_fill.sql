-- Every execution once, at its highest revision, busted ones left out; with its order, its fees and the price meant.
-- `intent_price`: the ideal of an entry, the trigger of a stop, the limit of a target or exit; of a market order the
-- stop level in force when it was decided. `slippage` is per unit in price, positive where we did worse than meant.
WITH newest AS (
    SELECT DISTINCT ON (shard, account, pipeline, client_order_id, execution) *
    FROM oms.v_execution WHERE counted
    ORDER BY shard, account, pipeline, client_order_id, execution, seq DESC
),
first_reported AS (
    SELECT shard, account, pipeline, client_order_id, execution, min(seq) AS seq, min(logical_time) AS logical_time,
        min(trading_day) AS trading_day
    FROM oms.v_execution WHERE counted GROUP BY shard, account, pipeline, client_order_id, execution
),
requests AS (
    SELECT shard, account, pipeline, client_order_id, seq, body,
        max(seq) FILTER (WHERE type IN ('OrderPlaced', 'ReplaceRequested')) OVER (
            PARTITION BY shard, account, pipeline, client_order_id ORDER BY seq) AS request_seq
    FROM oms.v_report
),
orders AS (
    SELECT shard, account, client_order_id, trade_no, body ->> 'role' AS role FROM oms.v_dealing WHERE type = 'OrderPlaced'
),
trades AS (
    SELECT shard, account, trade_no, (body ->> 'ideal')::numeric AS ideal, body ->> 'side' AS side
    FROM oms.v_dealing WHERE type = 'EntryAccepted'
),
levels AS (
    SELECT shard, account, trade_no, seq, (body ->> 'level')::numeric AS level,
        lead(seq) OVER (PARTITION BY shard, account, trade_no ORDER BY seq) AS until_seq
    FROM oms.v_dealing WHERE type = 'StopMoved'
),
names AS (
    -- What a fee names may be the second id of an execution; the newest word counts.
    SELECT DISTINCT ON (shard, account, pipeline, reported_as) shard, account, pipeline, reported_as, execution
    FROM oms.v_execution ORDER BY shard, account, pipeline, reported_as, seq DESC
),
fees AS (
    SELECT event.shard, event.account, event.pipeline,
        coalesce(named.execution, event.body ->> 'execution') AS execution,
        sum((fee ->> 'amount')::numeric) AS fees, min(fee ->> 'currency') AS currency
    FROM oms.v_dealing AS event CROSS JOIN jsonb_array_elements(event.body -> 'fees') AS fee
    LEFT JOIN names AS named ON named.shard = event.shard AND named.account = event.account
        AND named.pipeline = event.pipeline AND named.reported_as = event.body ->> 'execution'
    WHERE event.type = 'FeeReported'
    GROUP BY event.shard, event.account, event.pipeline, coalesce(named.execution, event.body ->> 'execution')
),
joined AS (
    SELECT newest.shard, newest.account, first_reported.trading_day, newest.pipeline, orders.trade_no,
        newest.client_order_id, orders.role, newest.execution, newest.revision, newest.side, newest.quantity,
        newest.price, fees.fees, fees.currency AS fees_currency, first_reported.seq, newest.seq AS last_seq,
        first_reported.logical_time, asked.seq AS request_seq, asked.body ->> 'order_type' AS order_type,
        asked.reason,
        CASE
            WHEN orders.role = 'ENTRY' THEN trades.ideal
            WHEN asked.body ->> 'order_type' = 'MARKET' THEN levels.level
            WHEN asked.body ->> 'order_type' IN ('STOP', 'STOP_LIMIT') THEN (asked.body ->> 'price_stop')::numeric
            ELSE (asked.body ->> 'price_limit')::numeric
        END AS intent_price
    FROM newest
    JOIN first_reported USING (shard, account, pipeline, client_order_id, execution)
    LEFT JOIN orders USING (shard, account, client_order_id)
    LEFT JOIN trades ON trades.shard = newest.shard AND trades.account = newest.account
        AND trades.trade_no = orders.trade_no
    LEFT JOIN requests ON requests.shard = newest.shard AND requests.account = newest.account
        AND requests.seq = first_reported.seq
    LEFT JOIN oms.v_dealing AS asked ON asked.shard = newest.shard AND asked.account = newest.account
        AND asked.seq = requests.request_seq AND asked.type IN ('OrderPlaced', 'ReplaceRequested')
    LEFT JOIN levels ON levels.shard = newest.shard AND levels.account = newest.account
        AND levels.trade_no = orders.trade_no AND levels.seq < asked.seq
        AND asked.seq < coalesce(levels.until_seq, 9223372036854775807)
    LEFT JOIN fees ON fees.shard = newest.shard AND fees.account = newest.account
        AND fees.pipeline = newest.pipeline AND fees.execution = newest.execution
    WHERE newest.quantity > 0
)
SELECT joined.*,
    CASE side WHEN 'BUY' THEN price - intent_price ELSE intent_price - price END AS slippage
FROM joined
