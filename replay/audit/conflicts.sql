-- Which messages came again under the same key with other content?
SELECT account, trading_day, seq, source, dedupe_key, first_seq, first_type, first_body, text
FROM oms.v_conflict ORDER BY account, seq
