-- When did a position have no confirmed broker stop for all of it, for how long, and was that alerted?
SELECT account, trading_day, pipeline, trade_no, from_seq, until_seq, from_at, until_at, seconds, uncovered_most,
    naked_alert_seq
FROM oms.v_stop_coverage ORDER BY account, from_seq
