"""The event log: events, heads, leases, inbox, outbox, evidence, caches and registries."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = [
    """CREATE TABLE oms.event (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        trading_day date NOT NULL,
        cause_seq bigint NOT NULL,
        kind text NOT NULL,
        type text NOT NULL,
        version smallint NOT NULL,
        pipeline text,
        trade_no integer,
        client_order_id text,
        broker_order_id text,
        reason text,
        event_time timestamptz,
        received_at timestamptz,
        logical_time timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        source text,
        dedupe_key text,
        body jsonb NOT NULL,
        chain bytea NOT NULL,
        PRIMARY KEY (shard, account, seq, trading_day),
        CONSTRAINT event_kind CHECK (kind IN ('I', 'D'))
    ) PARTITION BY RANGE (trading_day)""",
    """CREATE TABLE oms.account_head (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        chain bytea NOT NULL,
        epoch bigint NOT NULL,
        logical_time timestamptz,
        trading_day date,
        PRIMARY KEY (shard, account)
    )""",
    """CREATE TABLE oms.account_lease (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        owner text NOT NULL,
        epoch bigint NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (shard, account)
    )""",
    """CREATE TABLE oms.inbox (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        dedupe_key text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        body_hash bytea NOT NULL,
        PRIMARY KEY (shard, account, source, dedupe_key)
    )""",
    """CREATE TABLE oms.outbox (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        priority smallint NOT NULL,
        client_order_id text NOT NULL,
        pipeline text NOT NULL,
        body jsonb NOT NULL,
        PRIMARY KEY (shard, account, seq)
    )""",
    """CREATE TABLE oms.raw_frame (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        frame bytea NOT NULL,
        PRIMARY KEY (shard, account, seq)
    )""",
    """CREATE TABLE oms.snapshot (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        fold_version integer NOT NULL,
        seq bigint NOT NULL,
        chain bytea NOT NULL,
        digest bytea NOT NULL,
        body bytea NOT NULL,
        saved_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (shard, account, fold_version, seq)
    )""",
    """CREATE TABLE oms.day_seal (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        trading_day date NOT NULL,
        first_seq bigint NOT NULL,
        last_seq bigint NOT NULL,
        chain bytea NOT NULL,
        recorded_digest bytea NOT NULL,
        sealed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (shard, account, trading_day)
    )""",
    """CREATE TABLE oms.reader_cursor (
        shard smallint NOT NULL,
        account text COLLATE "C" NOT NULL,
        reader text COLLATE "C" NOT NULL,
        seq bigint NOT NULL,
        chain bytea NOT NULL,
        moved_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (shard, account, reader)
    )""",
    """CREATE TABLE oms.config_version (
        config_sha256 text COLLATE "C" PRIMARY KEY,
        body text NOT NULL,
        first_seen timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE TABLE oms.code_version (
        code_sha256 text COLLATE "C" PRIMARY KEY,
        body jsonb NOT NULL,
        first_seen timestamptz NOT NULL DEFAULT now()
    )""",
    """CREATE TABLE oms.event_type (
        type text COLLATE "C" NOT NULL,
        version smallint NOT NULL,
        kind text NOT NULL,
        meaning text NOT NULL,
        PRIMARY KEY (type, version),
        CONSTRAINT event_type_kind CHECK (kind IN ('I', 'D'))
    )""",
]


def upgrade() -> None:
    """Create the tables, one statement at a time."""
    for statement in TABLES:
        op.execute(statement)
