-- I03: the chain computed again is the stored one, down to raw frames and configurations.
SELECT shard, account, (SELECT max(head.trading_day) FROM oms.account_head AS head
        WHERE head.shard = checked.shard AND head.account = checked.account) AS trading_day,
    first_bad_seq AS seq, what
FROM oms.chain_check AS checked WHERE first_bad_seq IS NOT NULL
