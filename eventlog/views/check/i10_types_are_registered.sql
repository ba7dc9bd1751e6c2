-- I10: every type and version in the log is registered with the schema of its body, as an input or a decision.
SELECT event.shard, event.account, min(event.trading_day) AS trading_day, min(event.seq) AS seq, event.type,
    event.version, event.kind, count(*) AS events
FROM oms.event
WHERE NOT EXISTS (
    SELECT 1 FROM oms.event_type AS known
    WHERE known.type = event.type AND known.version = event.version AND known.kind = event.kind
)
GROUP BY event.shard, event.account, event.type, event.version, event.kind
