-- I79: in the order of the log logical time and trading day never go back.
SELECT shard, account, trading_day, seq, logical_time
FROM (
    SELECT shard, account, trading_day, seq, logical_time,
        lag(logical_time) OVER history AS time_before, lag(trading_day) OVER history AS day_before
    FROM oms.event WINDOW history AS (PARTITION BY shard, account ORDER BY seq)
) AS followed WHERE logical_time < time_before OR trading_day < day_before
