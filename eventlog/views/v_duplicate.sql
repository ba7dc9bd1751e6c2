-- Reports of executions that were news under another key and changed nothing: the broker told them twice. (A second
-- message under the same key is dropped before the log and counted by the writer.)
SELECT again.shard, again.account, again.trading_day, again.seq, again.logical_time, again.pipeline,
    again.client_order_id, again.type, again.reported_as AS execution, again.revision, again.quantity, again.price,
    (SELECT min(before.seq) FROM oms.v_execution AS before WHERE before.shard = again.shard
        AND before.account = again.account AND before.pipeline = again.pipeline
        AND before.client_order_id = again.client_order_id AND before.counted
        AND (before.execution = again.execution OR before.cumulative = again.cumulative)) AS first_seq
FROM oms.v_execution AS again WHERE NOT again.counted
