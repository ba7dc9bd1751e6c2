-- I57: every market order carries one reason of the closed list in force and earlier events that make it true.
SELECT market.shard, market.account, market.trading_day, market.pipeline, market.trade_no, market.seq, market.reason,
    market.evidence
FROM oms.v_market_order AS market
LEFT JOIN oms.v_config_timeline AS config ON config.shard = market.shard AND config.account = market.account
    AND market.seq BETWEEN config.from_seq AND coalesce(config.until_seq, market.seq)
LEFT JOIN oms.event AS activated ON activated.shard = market.shard AND activated.account = market.account
    AND activated.seq = config.from_seq
WHERE market.reason IS NULL OR jsonb_array_length(market.evidence) = 0
    OR coalesce(NOT activated.body #> '{settings,market_orders,allowed_reasons}' ? market.reason, true)
    OR EXISTS (SELECT 1 FROM jsonb_array_elements_text(market.evidence) AS fact
        WHERE fact::bigint < 1 OR fact::bigint >= market.seq)
