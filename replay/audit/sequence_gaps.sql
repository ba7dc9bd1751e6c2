-- Is any event missing, or in the log twice?
SELECT account, trading_day, seq, seq_before, what FROM oms.v_seq_gap ORDER BY account, seq
