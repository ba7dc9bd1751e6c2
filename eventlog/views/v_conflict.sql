-- Messages that came again under the same key with other content. The first one stands.
SELECT conflict.shard, conflict.account, conflict.trading_day, conflict.seq, conflict.logical_time,
    conflict.body ->> 'conflict_source' AS source, conflict.body ->> 'conflict_key' AS dedupe_key,
    (conflict.body ->> 'first_seq')::bigint AS first_seq, first_one.type AS first_type, first_one.body AS first_body,
    conflict.body ->> 'text' AS text
FROM oms.event AS conflict
LEFT JOIN oms.event AS first_one ON first_one.shard = conflict.shard AND first_one.account = conflict.account
    AND first_one.seq = (conflict.body ->> 'first_seq')::bigint
WHERE conflict.type = 'DuplicateConflict'
