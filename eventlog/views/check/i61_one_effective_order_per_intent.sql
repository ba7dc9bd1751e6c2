-- I61: an intent is accepted once, and at most one of its entry orders executes at a time.
SELECT shard, account, min(trading_day) AS trading_day, max(seq) AS seq, body ->> 'strategy' AS strategy,
    body ->> 'intent_id' AS intent_id, count(*) AS times
FROM oms.event WHERE type = 'EntryAccepted'
GROUP BY shard, account, body ->> 'strategy', body ->> 'intent_id' HAVING count(*) > 1
