-- I77: every decision about a trade was made under a configuration that the log holds.
SELECT shard, account, trading_day, pipeline, trade_no, seq, body ->> 'config_sha256' AS config_sha256
FROM oms.event AS accepted WHERE type = 'EntryAccepted' AND NOT EXISTS (
    SELECT 1 FROM oms.event AS activated WHERE activated.type = 'ConfigActivated' AND activated.shard = accepted.shard
        AND activated.account = accepted.account AND activated.seq < accepted.seq
        AND activated.body ->> 'config_sha256' = accepted.body ->> 'config_sha256')
