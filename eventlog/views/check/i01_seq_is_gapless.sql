-- I01: per account the numbers are 1..n without gap or repeat, and the head stands at n.
SELECT shard, account, trading_day, seq, what FROM oms.v_seq_gap
