-- Which writer and which program governed which events?
SELECT account, trading_day, from_seq, until_seq, from_at, recorded_at, epoch, code_sha256, python, dependencies_sha256
FROM oms.v_writer_timeline ORDER BY account, from_seq
