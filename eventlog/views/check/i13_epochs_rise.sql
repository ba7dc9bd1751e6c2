-- I13: the epochs of the writers rise, and none is beyond that of the head.
SELECT shard, account, trading_day, seq, epoch
FROM (
    SELECT event.shard, event.account, event.trading_day, event.seq, (event.body ->> 'epoch')::bigint AS epoch,
        lag((event.body ->> 'epoch')::bigint, 1, 0::bigint) OVER (
            PARTITION BY event.shard, event.account ORDER BY event.seq) AS epoch_before, head.epoch AS epoch_now
    FROM oms.event JOIN oms.account_head AS head USING (shard, account) WHERE type = 'WriterStarted'
) AS writers WHERE epoch <= epoch_before OR epoch > epoch_now
