-- When did a pipeline send too much for what got filled, by which metric, and for how long?
SELECT account, trading_day, pipeline, metric, effect, value_entered, value_left, sent_entered, filled_entered,
    reason_left, from_seq, until_seq, from_at, until_at, seconds
FROM oms.v_degradation ORDER BY account, from_seq
