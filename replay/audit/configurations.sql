-- Which configuration governed which events?
SELECT account, trading_day, from_seq, until_seq, from_at, config_sha256, profile, apply_to_open, policies
FROM oms.v_config_timeline ORDER BY account, from_seq
