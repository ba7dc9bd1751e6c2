-- I36: the stop level of a trade never moves away from the market.
SELECT shard, account, trading_day, pipeline, trade_no, seq, level_before, level
FROM (
    SELECT moved.shard, moved.account, moved.trading_day, moved.pipeline, moved.trade_no, moved.seq,
        (moved.body ->> 'level')::numeric AS level, trade.body ->> 'side' AS side,
        lag((moved.body ->> 'level')::numeric) OVER (
            PARTITION BY moved.shard, moved.account, moved.trade_no ORDER BY moved.seq) AS level_before
    FROM oms.event AS moved
    JOIN oms.event AS trade ON trade.type = 'EntryAccepted' AND trade.shard = moved.shard
        AND trade.account = moved.account AND trade.trade_no = moved.trade_no
    WHERE moved.type = 'StopMoved'
) AS levels
WHERE CASE side WHEN 'LONG' THEN level < level_before ELSE level > level_before END
