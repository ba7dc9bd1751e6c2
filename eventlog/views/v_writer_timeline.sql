-- Which writer, program and Python governed which range of events.
SELECT shard, account, trading_day, seq AS from_seq,
    lead(seq) OVER (PARTITION BY shard, account ORDER BY seq) - 1 AS until_seq, logical_time AS from_at, recorded_at,
    (body ->> 'epoch')::bigint AS epoch, body ->> 'code' AS code_sha256, body ->> 'python' AS python,
    body ->> 'dependencies' AS dependencies_sha256
FROM oms.event WHERE type = 'WriterStarted'
