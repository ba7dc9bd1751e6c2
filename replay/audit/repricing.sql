-- How often was each entry and exit repriced, how fast, and did it reach the end of its zone?
SELECT account, trading_day, pipeline, trade_no, client_order_id, role, repriced, skipped, skipped_because,
    seconds_shortest, seconds_longest, price_first, price_last, zone_max, reached_zone_max, is_abandoned, first_seq
FROM oms.v_reprice ORDER BY account, first_seq
