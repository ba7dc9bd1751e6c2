-- How far apart were the clocks of each source, and did any jump?
SELECT account, trading_day, source, type, rows, receipt_shortest, receipt_longest, receipt_over_50_ms, queue_longest,
    queue_over_1_ms, jump_longest, first_seq, last_seq
FROM oms.v_clock ORDER BY account, source, type
