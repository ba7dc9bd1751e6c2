-- I76: every act of an operator says who and why.
SELECT shard, account, trading_day, seq, body FROM oms.event
WHERE type = 'OperatorCommanded' AND (coalesce(body ->> 'principal', '') = '' OR coalesce(body ->> 'reason', '') = '')
