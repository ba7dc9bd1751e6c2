-- Numbers that are missing from the log or stand in it twice, and logs that end before or behind their head.
SELECT shard, account, trading_day, seq, seq_before, CASE WHEN seq = seq_before THEN 'twice' ELSE 'missing before' END AS what
FROM (
    SELECT shard, account, trading_day, seq,
        coalesce(lag(seq) OVER (PARTITION BY shard, account ORDER BY seq, trading_day), archived_seq, 0) AS seq_before
    FROM oms.event LEFT JOIN oms.v_archived USING (shard, account)
) AS followed WHERE seq <> seq_before + 1
UNION ALL
SELECT head.shard, head.account, head.trading_day, head.seq, coalesce(last.seq, 0),
    CASE WHEN coalesce(last.seq, 0) < head.seq THEN 'missing at the end' ELSE 'behind the head' END
FROM oms.account_head AS head
LEFT JOIN (SELECT shard, account, max(seq) AS seq FROM oms.event GROUP BY shard, account) AS last USING (shard, account)
WHERE coalesce(last.seq, 0) <> head.seq
