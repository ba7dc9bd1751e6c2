-- I47: the shares of a ladder are positive and make one; quantities are positive and in whole lots.
SELECT shard, account, trading_day, pipeline, trade_no, seq, 'ladder' AS what FROM oms.event
WHERE type = 'EntryAccepted' AND (
    (SELECT sum((rung ->> 'pct')::numeric) FROM jsonb_array_elements(body -> 'rungs') AS rung) <> 1
    OR EXISTS (SELECT 1 FROM jsonb_array_elements(body -> 'rungs') AS rung WHERE (rung ->> 'pct')::numeric <= 0))
UNION ALL
SELECT request.shard, request.account, request.trading_day, request.pipeline, request.trade_no, request.seq, 'quantity'
FROM oms.event AS request
JOIN (
    SELECT DISTINCT ON (shard, account, pipeline) shard, account, pipeline, (body ->> 'lot')::numeric AS lot
    FROM oms.event WHERE type = 'InstrumentDefined' ORDER BY shard, account, pipeline, seq DESC
) AS instrument USING (shard, account, pipeline)
WHERE request.type IN ('OrderPlaced', 'ReplaceRequested')
    AND ((request.body ->> 'quantity')::numeric <= 0 OR mod((request.body ->> 'quantity')::numeric, instrument.lot) <> 0)
