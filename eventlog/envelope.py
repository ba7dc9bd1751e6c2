"""The shapes that cross the border of the event log.

The log knows no orders: it stores steps (one input and its decisions) as rows, in order, once. Whoever
calls it has already made the body text canonical and the times whole microseconds.
"""

from datetime import date
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from msgspec import Struct

Kind = Literal["I", "D"]


class Envelope(Struct, frozen=True, gc=False):
    """One event row, without what the log itself fills in (shard, account, recorded_at, chain).

    Times are microseconds since 1970-01-01 UTC. `body` is canonical JSON text: exactly what PostgreSQL
    prints for `body::text`. `cause_seq` of an input is its own seq.
    """

    seq: int
    cause_seq: int
    kind: Kind
    type: str
    version: int
    trading_day: date
    logical_time: int
    body: str
    pipeline: str | None = None
    trade_no: int | None = None
    client_order_id: str | None = None
    broker_order_id: str | None = None
    reason: str | None = None
    event_time: int | None = None
    received_at: int | None = None
    source: str | None = None
    dedupe_key: str | None = None


class InboxKey(Struct, frozen=True, gc=False):
    """The once-only key of an outside input. `body_hash` covers its economic fields only."""

    source: str
    dedupe_key: str
    body_hash: bytes


class OutboxRow(Struct, frozen=True, gc=False):
    """A command that waits for its outcome; `seq` is its decision, lower `priority` leaves first."""

    seq: int
    priority: int
    client_order_id: str
    pipeline: str
    body: str


class StepRecord(Struct, frozen=True, gc=False):
    """One input (events[0]) and all its decisions, stored whole or not at all.

    `outbox_done` names decision seqs whose outcome this step logs: their outbox rows go. `raw` is the
    broker's exact frame; its SHA-256 stands in the input's body as `raw_sha256`. `config` is a resolved
    configuration text to keep under its SHA-256 (lower-case hex). `is_own` says that an encoder whose text
    is canonical by construction wrote all bodies, of values that hold what their types promise, so that only U+0000 is
    looked for in them.
    """

    events: tuple[Envelope, ...]
    inbox: InboxKey | None = None
    outbox: tuple[OutboxRow, ...] = ()
    outbox_done: tuple[int, ...] = ()
    raw: bytes | None = None
    config: str | None = None
    is_own: bool = False


class Head(Struct, frozen=True, gc=False):
    """Where an account's log ends, and the epoch of the writer that may extend it. Empty log: seq 0."""

    account: str
    seq: int
    chain: bytes
    epoch: int
    logical_time: int | None = None
    trading_day: date | None = None


class Snapshot(Struct, frozen=True, gc=False):
    """A cached fold: a hint that may be dropped at any time, never a source of truth."""

    account: str
    seq: int
    chain: bytes
    fold_version: int
    digest: bytes
    body: bytes


@lru_cache(256)
def shard_of(account: str) -> int:
    """First 12 bits of SHA-256(account id): the unit of lease and distribution, 0..4095."""
    digest = sha256(account.encode()).digest()
    return digest[0] << 4 | digest[1] >> 4
