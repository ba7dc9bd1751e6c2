-- Which configuration governed which range of events.
SELECT shard, account, trading_day, seq AS from_seq,
    lead(seq) OVER (PARTITION BY shard, account ORDER BY seq) - 1 AS until_seq, logical_time AS from_at,
    body ->> 'config_sha256' AS config_sha256, body ->> 'profile' AS profile,
    coalesce((body ->> 'apply_to_open')::boolean, false) AS apply_to_open,
    body #> '{settings,policies,enabled}' AS policies
FROM oms.event WHERE type = 'ConfigActivated'
