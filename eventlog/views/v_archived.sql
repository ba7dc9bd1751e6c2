-- Where what was archived of each account ends: the last number and link that left the database.
SELECT DISTINCT ON (shard, account) shard, account, last_seq AS archived_seq, chain AS archived_chain
FROM oms.archived_month ORDER BY shard, account, last_seq DESC
