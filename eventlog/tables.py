"""The tables, declared once. Migrations create them; a test proves that both say the same.

Every key of an account's table starts with `shard`, there are no triggers, sequences, functions or
extensions, and only `account_head`, `account_lease` and `outbox` ever change: the same schema runs on one
server or spread over many. `event_type`, `config_version` and `code_version` belong to no account.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

SCHEMA = "oms"

# Keys sort by bytes: other collations change with the operating system and would corrupt their indexes.
KEY_TEXT = Text(collation="C")

Kind = TypeEngine[Any] | type[TypeEngine[Any]]
metadata = MetaData(schema=SCHEMA)


def _need(name: str, kind: Kind) -> Column[Any]:
    return Column(name, kind, nullable=False)


def _may(name: str, kind: Kind) -> Column[Any]:
    return Column(name, kind, nullable=True)


def _instant() -> DateTime:
    return DateTime(timezone=True)


def _now(name: str) -> Column[Any]:
    return Column(name, _instant(), nullable=False, server_default=text("now()"))


def _key(*names: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint(*names)


event = Table(
    "event",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("seq", BigInteger),
    _need("trading_day", Date),
    _need("cause_seq", BigInteger),
    _need("kind", Text),
    _need("type", Text),
    _need("version", SmallInteger),
    _may("pipeline", Text),
    _may("trade_no", Integer),
    _may("client_order_id", Text),
    _may("broker_order_id", Text),
    _may("reason", Text),
    _may("event_time", _instant()),
    _may("received_at", _instant()),
    _need("logical_time", _instant()),
    _now("recorded_at"),
    _may("source", Text),
    _may("dedupe_key", Text),
    _need("body", JSONB),
    _need("chain", LargeBinary),
    # A partitioned key must hold the partition column; that seq alone is unique is the head's doing.
    _key("shard", "account", "seq", "trading_day"),
    CheckConstraint("kind IN ('I', 'D')", name="event_kind"),
    postgresql_partition_by="RANGE (trading_day)",
)

account_head = Table(
    "account_head",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("seq", BigInteger),
    _need("chain", LargeBinary),
    _need("epoch", BigInteger),
    _may("logical_time", _instant()),
    _may("trading_day", Date),
    _key("shard", "account"),
)

account_lease = Table(
    "account_lease",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("owner", Text),
    _need("epoch", BigInteger),
    _need("expires_at", _instant()),
    _key("shard", "account"),
)

inbox = Table(
    "inbox",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("source", KEY_TEXT),
    _need("dedupe_key", KEY_TEXT),
    _need("seq", BigInteger),
    _need("body_hash", LargeBinary),
    _key("shard", "account", "source", "dedupe_key"),
)

outbox = Table(
    "outbox",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("seq", BigInteger),
    _need("priority", SmallInteger),
    _need("client_order_id", Text),
    _need("pipeline", Text),
    _need("body", JSONB),
    _key("shard", "account", "seq"),
)

raw_frame = Table(
    "raw_frame",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("seq", BigInteger),
    _need("frame", LargeBinary),
    _key("shard", "account", "seq"),
)

snapshot = Table(
    "snapshot",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("fold_version", Integer),
    _need("seq", BigInteger),
    _need("chain", LargeBinary),
    _need("digest", LargeBinary),
    _need("body", LargeBinary),
    _now("saved_at"),
    _key("shard", "account", "fold_version", "seq"),
)

day_seal = Table(
    "day_seal",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("trading_day", Date),
    _need("first_seq", BigInteger),
    _need("last_seq", BigInteger),
    _need("chain", LargeBinary),
    # Binds recorded_at, which the chain cannot hold.
    _need("recorded_digest", LargeBinary),
    _now("sealed_at"),
    _may("state_digest", LargeBinary),
    _may("fold_version", Integer),
    _key("shard", "account", "trading_day"),
    CheckConstraint("(state_digest IS NULL) = (fold_version IS NULL)", name="day_seal_state"),
)

archived_month = Table(
    "archived_month",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("month", Date),
    _need("first_seq", BigInteger),
    _need("last_seq", BigInteger),
    # The link of the first row names a journal; that of the last is what the rows that stay follow from.
    _need("first_chain", LargeBinary),
    _need("chain", LargeBinary),
    _now("archived_at"),
    _key("shard", "account", "month"),
)

reader_cursor = Table(
    "reader_cursor",
    metadata,
    _need("shard", SmallInteger),
    _need("account", KEY_TEXT),
    _need("reader", KEY_TEXT),
    _need("seq", BigInteger),
    _need("chain", LargeBinary),
    _now("moved_at"),
    _key("shard", "account", "reader"),
)

config_version = Table(
    "config_version",
    metadata,
    _need("config_sha256", KEY_TEXT),
    # Text, not jsonb: its SHA-256 must stay the name of exactly these bytes.
    _need("body", Text),
    _now("first_seen"),
    _key("config_sha256"),
)

code_version = Table(
    "code_version",
    metadata,
    _need("code_sha256", KEY_TEXT),
    _need("body", JSONB),
    _now("first_seen"),
    _key("code_sha256"),
)

event_type = Table(
    "event_type",
    metadata,
    _need("type", KEY_TEXT),
    _need("version", SmallInteger),
    _need("kind", Text),
    _need("meaning", Text),
    _need("body_schema", JSONB),
    _key("type", "version"),
    CheckConstraint("kind IN ('I', 'D')", name="event_type_kind"),
)
