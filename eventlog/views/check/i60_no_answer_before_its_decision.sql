-- I60: nothing about an order of ours was heard before the decision to place it was durable.
SELECT report.shard, report.account, report.trading_day, report.pipeline, report.seq, report.client_order_id, report.type
FROM oms.v_report AS report
JOIN oms.event AS placed ON placed.type = 'OrderPlaced' AND placed.shard = report.shard
    AND placed.account = report.account AND placed.client_order_id = report.client_order_id
WHERE report.seq < placed.seq OR report.recorded_at < placed.recorded_at
