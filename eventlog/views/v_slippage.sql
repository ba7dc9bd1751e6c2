-- Slippage of every trade: fill against the price meant, entry and exit, and the mean of the last 5 and 10 trades of
-- the instrument. As a fraction of the price meant (0.001 is 0.1 %), positive where we did worse.
WITH fills AS (
    SELECT shard, account, pipeline, trade_no,
        sum(slippage * quantity) FILTER (WHERE role = 'ENTRY') AS amount_entry,
        sum(intent_price * quantity) FILTER (WHERE role = 'ENTRY' AND slippage IS NOT NULL) AS meant_entry,
        sum(slippage * quantity) FILTER (WHERE role <> 'ENTRY') AS amount_exit,
        sum(intent_price * quantity) FILTER (WHERE role <> 'ENTRY' AND slippage IS NOT NULL) AS meant_exit,
        count(*) FILTER (WHERE slippage IS NULL) AS fills_without_intent
    FROM oms.v_fill WHERE trade_no IS NOT NULL GROUP BY shard, account, pipeline, trade_no
),
rates AS (
    SELECT trade.shard, trade.account, trade.trading_day, trade.pipeline, trade.trade_no, trade.side, trade.first_seq,
        trade.ended_seq, fills.amount_entry, fills.amount_exit,
        fills.amount_entry / nullif(fills.meant_entry, 0) AS slippage_entry,
        fills.amount_exit / nullif(fills.meant_exit, 0) AS slippage_exit, fills.fills_without_intent
    FROM oms.v_trade AS trade JOIN fills USING (shard, account, pipeline, trade_no)
)
SELECT shard, account, trading_day, pipeline, trade_no, side, amount_entry, amount_exit,
    round(slippage_entry, 8) AS slippage_entry, round(slippage_exit, 8) AS slippage_exit,
    round(avg(slippage_entry) OVER (PARTITION BY shard, account, pipeline ORDER BY trade_no ROWS 4 PRECEDING), 8)
        AS slippage_entry_5,
    round(avg(slippage_entry) OVER (PARTITION BY shard, account, pipeline ORDER BY trade_no ROWS 9 PRECEDING), 8)
        AS slippage_entry_10,
    fills_without_intent, first_seq, ended_seq
FROM rates
