-- I55: no entry was accepted beyond the sizes, or alone beyond the day's loss, of the configuration it was accepted under.
WITH entry AS (
    SELECT accepted.shard, accepted.account, accepted.trading_day, accepted.pipeline, accepted.trade_no, accepted.seq,
        (accepted.body ->> 'quantity')::numeric AS quantity, (accepted.body ->> 'ideal')::numeric AS price,
        abs((accepted.body ->> 'ideal')::numeric - (accepted.body ->> 'stop')::numeric) AS loss,
        accepted.body ->> 'parent_trade_no' IS NULL AS is_first,
        coalesce((defined.body ->> 'multiplier')::numeric, 1) AS multiplier,
        activated.body -> 'settings' AS settings,
        row_number() OVER (
            PARTITION BY accepted.shard, accepted.account, accepted.seq ORDER BY defined.seq DESC, activated.seq DESC
        ) AS newest
    FROM oms.event AS accepted
    JOIN oms.event AS defined ON defined.type = 'InstrumentDefined' AND defined.shard = accepted.shard
        AND defined.account = accepted.account AND defined.pipeline = accepted.pipeline AND defined.seq < accepted.seq
    JOIN oms.event AS activated ON activated.type = 'ConfigActivated' AND activated.shard = accepted.shard
        AND activated.account = accepted.account AND activated.seq < accepted.seq
        AND activated.body ->> 'config_sha256' = accepted.body ->> 'config_sha256'
    WHERE accepted.type = 'EntryAccepted'
)
SELECT shard, account, trading_day, pipeline, trade_no, seq, quantity, quantity * price * multiplier AS value,
    quantity * loss * multiplier AS at_risk
FROM entry
WHERE newest = 1 AND (
    quantity > (settings #>> '{gate,max_order_quantity}')::numeric
    OR quantity * price * multiplier > (settings #>> '{gate,max_order_value}')::numeric
    OR is_first AND quantity * price * multiplier
        > (settings #>> '{risk,max_position_pct}')::numeric * (settings #>> '{account,day_capital}')::numeric
    OR quantity * loss * multiplier > (settings #>> '{risk,daily_loss_limit}')::numeric + greatest(0, (
        SELECT sum(greatest((closed.body ->> 'pnl_change')::numeric, 0)) FROM oms.event AS closed
        WHERE closed.type = 'TradeClosed' AND closed.shard = entry.shard AND closed.account = entry.account
            AND closed.trading_day = entry.trading_day AND closed.seq < entry.seq
    )) AND NOT EXISTS (
        -- What an open trade has earned so far is in the day's budget too.
        SELECT 1 FROM oms.event AS other WHERE other.type = 'EntryAccepted' AND other.shard = entry.shard
            AND other.account = entry.account AND other.seq < entry.seq AND NOT EXISTS (
                SELECT 1 FROM oms.event AS ended WHERE ended.type IN ('TradeClosed', 'EntryAbandoned')
                    AND ended.shard = other.shard AND ended.account = other.account
                    AND ended.trade_no = other.trade_no AND ended.seq < entry.seq)
    )
)
