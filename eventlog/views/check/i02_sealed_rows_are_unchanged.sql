-- I02: the last row of a sealed day still stands where the seal says, with the link that the seal holds; where that
-- day was archived, it is in the archive (`oms verify --archive`).
SELECT seal.shard, seal.account, seal.trading_day, seal.last_seq AS seq,
    CASE WHEN event.seq IS NULL THEN 'missing' ELSE 'another link' END AS what
FROM oms.day_seal AS seal
LEFT JOIN oms.event ON event.shard = seal.shard AND event.account = seal.account AND event.seq = seal.last_seq
    AND event.trading_day = seal.trading_day
WHERE event.chain IS DISTINCT FROM seal.chain
    AND NOT EXISTS (SELECT 1 FROM oms.v_archived AS archived WHERE archived.shard = seal.shard
        AND archived.account = seal.account AND archived.archived_seq >= seal.last_seq)
