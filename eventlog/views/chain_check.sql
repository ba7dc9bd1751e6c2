-- One line per account: whether its log is what was appended, computed by the server alone.
-- What was archived is not here: the first row that is follows from the last one that left.
-- Independent of the Python verifier (eventlog/verify.py); both must name the same first bad row.
--   SELECT * FROM oms.chain_check WHERE account = 'broker/environment/name';
WITH linked AS (
    SELECT shard, account, seq, kind, type, body, chain,
        coalesce(lag(seq) OVER history, archived_seq, 0) AS seq_before,
        -- Each field has its length in front as four bytes; NULL is the length -1.
        sha256(
            int4send(2) || int2send(1::int2)
            || int4send(32)
            || coalesce(lag(chain) OVER history, archived_chain,
                sha256(convert_to('oms-chain-v1' || account, 'UTF8')))
            || int4send(2) || int2send(shard)
            || int4send(octet_length(convert_to(account, 'UTF8'))) || convert_to(account, 'UTF8')
            || int4send(8) || int8send(seq)
            || int4send(4) || date_send(trading_day)
            || int4send(8) || int8send(cause_seq)
            || int4send(octet_length(convert_to(kind, 'UTF8'))) || convert_to(kind, 'UTF8')
            || int4send(octet_length(convert_to(type, 'UTF8'))) || convert_to(type, 'UTF8')
            || int4send(2) || int2send(version)
            || coalesce(int4send(octet_length(convert_to(pipeline, 'UTF8')))
                || convert_to(pipeline, 'UTF8'), int4send(-1))
            || coalesce(int4send(4) || int4send(trade_no), int4send(-1))
            || coalesce(int4send(octet_length(convert_to(client_order_id, 'UTF8')))
                || convert_to(client_order_id, 'UTF8'), int4send(-1))
            || coalesce(int4send(octet_length(convert_to(broker_order_id, 'UTF8')))
                || convert_to(broker_order_id, 'UTF8'), int4send(-1))
            || coalesce(int4send(octet_length(convert_to(reason, 'UTF8')))
                || convert_to(reason, 'UTF8'), int4send(-1))
            || coalesce(int4send(8) || timestamptz_send(event_time), int4send(-1))
            || coalesce(int4send(8) || timestamptz_send(received_at), int4send(-1))
            || int4send(8) || timestamptz_send(logical_time)
            || coalesce(int4send(octet_length(convert_to(source, 'UTF8')))
                || convert_to(source, 'UTF8'), int4send(-1))
            || coalesce(int4send(octet_length(convert_to(dedupe_key, 'UTF8')))
                || convert_to(dedupe_key, 'UTF8'), int4send(-1))
            || int4send(octet_length(convert_to(body::text, 'UTF8'))) || convert_to(body::text, 'UTF8')
        ) AS link
    FROM oms.event LEFT JOIN oms.v_archived USING (shard, account) WHERE seq > 0
    WINDOW history AS (PARTITION BY shard, account ORDER BY seq, trading_day)
),
judged AS (
    SELECT linked.shard, linked.account, linked.seq, linked.chain,
        CASE WHEN linked.seq <> seq_before + 1 THEN least(linked.seq, seq_before + 1) ELSE linked.seq END AS bad_seq,
        CASE
            WHEN linked.seq <> seq_before + 1 THEN 'row'
            WHEN linked.chain <> link THEN 'link'
            WHEN CASE WHEN kind = 'I' THEN linked.body ->> 'raw_sha256' END
                IS DISTINCT FROM encode(sha256(frame), 'hex') THEN 'raw frame'
            WHEN type = 'ConfigActivated' AND linked.body ->> 'config_sha256' IS NOT NULL
                AND linked.body ->> 'config_sha256'
                IS DISTINCT FROM encode(sha256(convert_to(config_version.body, 'UTF8')), 'hex') THEN 'configuration'
        END AS what
    FROM linked
    LEFT JOIN oms.raw_frame ON raw_frame.shard = linked.shard AND raw_frame.account = linked.account
        AND raw_frame.seq = linked.seq
    LEFT JOIN oms.config_version ON config_sha256 = linked.body ->> 'config_sha256'
),
ends AS (
    SELECT shard, account, count(*) AS rows, max(seq) AS last_seq,
        min(bad_seq) FILTER (WHERE what IS NOT NULL) AS bad_seq,
        (array_agg(what ORDER BY judged.seq) FILTER (WHERE what IS NOT NULL))[1] AS what,
        (array_agg(chain ORDER BY judged.seq DESC))[1] AS last_link
    FROM judged GROUP BY shard, account
)
SELECT shard, account, coalesce(rows, 0) AS rows,
    CASE
        WHEN ends.bad_seq IS NOT NULL THEN ends.bad_seq
        WHEN head.seq IS NULL THEN 1
        WHEN coalesce(last_seq, archived_seq, 0) <> head.seq
            THEN least(coalesce(last_seq, archived_seq, 0), head.seq) + 1
        WHEN coalesce(last_link, archived_chain, sha256(convert_to('oms-chain-v1' || account, 'UTF8'))) <> head.chain
            THEN head.seq
    END AS first_bad_seq,
    CASE
        WHEN ends.bad_seq IS NOT NULL THEN ends.what
        WHEN head.seq IS NULL OR coalesce(last_seq, archived_seq, 0) > head.seq THEN 'head'
        WHEN coalesce(last_seq, archived_seq, 0) < head.seq THEN 'row'
        WHEN coalesce(last_link, archived_chain, sha256(convert_to('oms-chain-v1' || account, 'UTF8'))) <> head.chain
            THEN 'head'
    END AS what
FROM ends FULL JOIN oms.account_head AS head USING (shard, account) LEFT JOIN oms.v_archived USING (shard, account)
