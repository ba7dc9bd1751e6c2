-- I11: every decision names the input of its own step, which stands before it with no other input between.
SELECT shard, account, trading_day, seq, cause_seq
FROM (
    SELECT shard, account, trading_day, seq, cause_seq,
        max(seq) FILTER (WHERE kind = 'I') OVER (PARTITION BY shard, account ORDER BY seq) AS input_seq
    FROM oms.event
) AS stepped WHERE cause_seq IS DISTINCT FROM input_seq
