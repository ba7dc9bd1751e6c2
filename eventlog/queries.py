"""The reading statements of the log, whole, so that each can be pasted into psql.

Times come as PostgreSQL counts them, in microseconds since 2000; `body::text` is the canonical text.
"""

HEADS = """
SELECT account, seq, chain, epoch, logical_time, trading_day FROM oms.account_head ORDER BY account
"""

HEAD = """
SELECT account, seq, chain, epoch, logical_time, trading_day FROM oms.account_head
WHERE shard = %s AND account = %s
"""

# Waits until an older statement on this head has ended.
HEAD_FOR_UPDATE = """
SELECT seq, chain, epoch FROM oms.account_head WHERE shard = %s AND account = %s FOR UPDATE
"""

INBOX = """
SELECT seq, body_hash FROM oms.inbox
WHERE shard = %s AND account = %s AND source = %s AND dedupe_key = %s
"""

EVENTS = """
SELECT seq, cause_seq, kind, type, version, trading_day, logical_time, body::text, pipeline, trade_no,
    client_order_id, broker_order_id, reason, event_time, received_at, source, dedupe_key
FROM oms.event WHERE shard = %s AND account = %s AND seq > %s AND seq <= %s
ORDER BY seq, trading_day LIMIT %s
"""

STORED = """
SELECT seq, cause_seq, kind, type, version, trading_day, logical_time, body::text, pipeline, trade_no,
    client_order_id, broker_order_id, reason, event_time, received_at, source, dedupe_key, chain,
    (SELECT frame FROM oms.raw_frame
     WHERE raw_frame.shard = event.shard AND raw_frame.account = event.account AND raw_frame.seq = event.seq)
FROM oms.event WHERE shard = %s AND account = %s AND seq > %s AND seq <= %s
ORDER BY seq, trading_day LIMIT %s
"""

RAW_FRAME = """
SELECT frame FROM oms.raw_frame WHERE shard = %s AND account = %s AND seq = %s
"""

CONFIG = """
SELECT body FROM oms.config_version WHERE config_sha256 = %s
"""

LAST_SEQ = """
SELECT coalesce(max(seq), 0) FROM oms.event WHERE shard = %s AND account = %s
"""

OUTBOX = """
SELECT seq, priority, client_order_id, pipeline, body::text FROM oms.outbox
WHERE shard = %s AND account = %s ORDER BY priority, seq
"""

SAVE_SNAPSHOT = """
INSERT INTO oms.snapshot (shard, account, fold_version, seq, chain, digest, body)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

# A snapshot is a hint: one whose link is not the log's own at that row is passed over.
SNAPSHOT = """
SELECT account, seq, chain, fold_version, digest, body FROM oms.snapshot
WHERE shard = %s AND account = %s AND fold_version = %s AND seq <= %s AND EXISTS (
    SELECT 1 FROM oms.event WHERE event.shard = snapshot.shard AND event.account = snapshot.account
    AND event.seq = snapshot.seq AND event.chain = snapshot.chain)
ORDER BY seq DESC LIMIT 1
"""

# The owner's broom: the writer may not delete, and more than a few are of no use.
PRUNE_SNAPSHOTS = """
DELETE FROM oms.snapshot USING (
    SELECT shard, account, fold_version, seq,
        row_number() OVER (PARTITION BY shard, account, fold_version ORDER BY seq DESC) AS age
    FROM oms.snapshot
) AS aged
WHERE snapshot.shard = aged.shard AND snapshot.account = aged.account AND aged.age > %s
    AND snapshot.fold_version = aged.fold_version AND snapshot.seq = aged.seq
"""

# Months: (the table is there, it is part of the log), and whether its rows left the database.

MONTH = """
SELECT to_regclass(%(table)s) IS NOT NULL,
    EXISTS (SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%(table)s) AND inhparent = 'oms.event'::regclass)
"""

IS_ARCHIVED = """
SELECT EXISTS (SELECT 1 FROM oms.archived_month WHERE month = %s)
"""

# Where what was archived of an account ends, and the link of the account's first row.

ARCHIVED_UNTIL = """
SELECT last_seq, chain FROM oms.archived_month WHERE shard = %s AND account = %s ORDER BY last_seq DESC LIMIT 1
"""

FIRST_LINK = """
SELECT first_chain FROM oms.archived_month WHERE shard = %(shard)s AND account = %(account)s AND first_seq = 1
UNION ALL
SELECT chain FROM oms.event WHERE shard = %(shard)s AND account = %(account)s AND seq = 1
"""

# Acquiring a lease.

CREATE_HEAD = """
INSERT INTO oms.account_head (shard, account, seq, chain, epoch) VALUES (%s, %s, 0, %s, 0)
ON CONFLICT DO NOTHING
"""

CREATE_LEASE = """
INSERT INTO oms.account_lease (shard, account, owner, epoch, expires_at) VALUES (%s, %s, %s, 0, now())
ON CONFLICT DO NOTHING
"""

LEASE_FOR_UPDATE = """
SELECT owner, expires_at > now(), expires_at::text FROM oms.account_lease
WHERE shard = %s AND account = %s FOR UPDATE
"""

RAISE_EPOCH = """
UPDATE oms.account_head SET epoch = epoch + 1 WHERE shard = %s AND account = %s
RETURNING account, seq, chain, epoch, logical_time, trading_day
"""

TAKE_LEASE = """
UPDATE oms.account_lease SET owner = %s, epoch = %s, expires_at = now() + %s * interval '1 second'
WHERE shard = %s AND account = %s
"""

# The epoch names one reign: an owner may have had several, and a lease that was given back has none.
RENEW_LEASE = """
UPDATE oms.account_lease SET expires_at = now() + %s * interval '1 second'
WHERE shard = %s AND account = %s AND epoch = %s AND owner <> ''
"""

RELEASE_LEASE = """
UPDATE oms.account_lease SET owner = %s, expires_at = now()
WHERE shard = %s AND account = %s AND epoch = %s
"""

# What the session's login may do beyond appending, in words; no row if nothing. A SET ROLE can be undone, so it is
# the login that counts. Of several kinds the widest is told: a superuser may do all the rest.

EXCESS = """
WITH login AS (
    SELECT rolname AS name, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = session_user
), part AS (
    SELECT oid, oid::regclass::text AS name, relname, relowner FROM pg_class
    WHERE relnamespace IN ('oms'::regnamespace, 'oms_check'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm', 'f')
), mutable (relname, act) AS (
    VALUES ('account_head', 'UPDATE'), ('account_lease', 'UPDATE'), ('outbox', 'DELETE'), ('reader_cursor', 'UPDATE')
), found (rank, told) AS (
    SELECT 1, 'it is a superuser' FROM login WHERE rolsuper
    UNION ALL
    SELECT 2, 'it may create roles and grant itself any' FROM login
    WHERE rolcreaterole AND NOT rolsuper AND current_setting('server_version_num')::int < 160000
    UNION ALL
    SELECT 3, 'it is a member of ' || role.rolname FROM login, pg_roles AS role
    WHERE NOT login.rolsuper AND role.rolname <> login.name AND pg_has_role(login.name, role.oid, 'MEMBER')
        AND role.rolname IN ('oms_owner', 'oms_archiver', 'pg_write_all_data', 'pg_write_server_files',
            'pg_execute_server_program')
    UNION ALL
    SELECT 4, 'it can drop the database, which it owns' FROM login, pg_database
    WHERE NOT rolsuper AND datname = current_database() AND pg_has_role(login.name, datdba, 'MEMBER')
    UNION ALL
    SELECT 5, 'it owns ' || part.name FROM login, part
    WHERE NOT rolsuper AND pg_has_role(login.name, part.relowner, 'MEMBER')
    UNION ALL
    SELECT 6, 'it may create tables in the schema ' || nspname FROM login, pg_namespace
    WHERE NOT rolsuper AND nspname IN ('oms', 'oms_check') AND has_schema_privilege(login.name, oid, 'CREATE')
    UNION ALL
    SELECT 7, 'it may ' || act || ' ' || part.name
    FROM login, part, unnest(array['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS act
    WHERE NOT rolsuper AND (part.relname, act) NOT IN (SELECT relname, act FROM mutable)
        AND CASE WHEN act = 'UPDATE' THEN has_any_column_privilege(login.name, part.oid, act)
            ELSE has_table_privilege(login.name, part.oid, act) END
)
SELECT told FROM found WHERE rank = (SELECT min(rank) FROM found) ORDER BY told
"""

# What makes this server forget, or refuse, what a writer was told is stored; no row if nothing does.

FORGETFUL = """
SELECT told FROM (VALUES
    (1, pg_is_in_recovery(), 'it is a standby, which takes no rows'),
    (2, current_setting('fsync') = 'off', 'fsync is off: a power cut loses or damages any of it'),
    (3, current_setting('full_page_writes') = 'off', 'full_page_writes is off: a power cut leaves torn pages'),
    (4, current_setting('synchronous_commit') = 'off', 'synchronous_commit is off: a crash loses the last steps'),
    (5, current_setting('data_sync_retry') = 'on', 'data_sync_retry is on: a disk error is taken for success'),
    (6, current_setting('server_encoding') <> 'UTF8', 'its encoding is not UTF8')
) AS asked (rank, is_so, told) WHERE is_so ORDER BY rank
"""

# Readers and their places.

CREATE_CURSOR = """
INSERT INTO oms.reader_cursor (shard, account, reader, seq, chain) VALUES (%s, %s, %s, 0, %s)
ON CONFLICT DO NOTHING
"""

# Another process of the same reader waits here until the rows of this one are taken or given back.
CURSOR_FOR_UPDATE = """
SELECT seq, chain FROM oms.reader_cursor WHERE shard = %s AND account = %s AND reader = %s FOR UPDATE
"""

MOVE_CURSOR = """
UPDATE oms.reader_cursor SET seq = %s, chain = %s, moved_at = now()
WHERE shard = %s AND account = %s AND reader = %s
"""

CURSORS = """
SELECT account, seq, chain FROM oms.reader_cursor WHERE reader = %s ORDER BY account
"""
