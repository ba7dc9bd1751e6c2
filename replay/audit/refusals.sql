-- Which requests of strategies, decisions and commands were refused, by whom and why?
SELECT account, trading_day, pipeline, trade_no, client_order_id, seq, type,
    coalesce(body ->> 'code', body ->> 'limit', reason, body ->> 'failed_policy') AS why,
    coalesce(body ->> 'text', body ->> 'winner_policy', '') AS text
FROM oms.event
WHERE type IN ('IntentRefused', 'DecisionRefused', 'DecisionFailed', 'CommandRefused', 'CommandExpired', 'OrderRejected',
    'CancelRejected', 'ReplaceRejected')
ORDER BY account, seq
