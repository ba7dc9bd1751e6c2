-- What the clocks say of each source: event to receipt to logical time, in seconds, and every suspected jump.
SELECT shard, account, trading_day, coalesce(source, 'none') AS source, type, count(*) AS rows,
    min(extract(epoch FROM received_at - event_time)) AS receipt_shortest,
    max(extract(epoch FROM received_at - event_time)) AS receipt_longest,
    count(*) FILTER (WHERE abs(extract(epoch FROM received_at - event_time)) > 0.05) AS receipt_over_50_ms,
    max(extract(epoch FROM logical_time - received_at)) AS queue_longest,
    count(*) FILTER (WHERE extract(epoch FROM logical_time - received_at) > 0.001) AS queue_over_1_ms,
    max(abs(((body ->> 'wall')::bigint - (body ->> 'expected')::bigint) / 1000000.0)) FILTER (WHERE type = 'ClockSuspect')
        AS jump_longest,
    min(seq) AS first_seq, max(seq) AS last_seq
FROM oms.event WHERE kind = 'I'
GROUP BY shard, account, trading_day, coalesce(source, 'none'), type
