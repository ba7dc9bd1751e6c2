"""The statement of an append, or of a part of it, and its parameters in PostgreSQL's binary format.

Every INSERT selects from the row that the head update returned: a head that does not match stores nothing.
The fields that the chain hashed are the wire format already, so they are sent as they are: one by one for a
single step, which is fastest there, or joined to one array per column for a batch.
"""

from collections.abc import Sequence
from functools import cache
from struct import pack

from msgspec import Struct, structs

from eventlog.batch import Batch, Pieces
from eventlog.chain import (
    COLUMNS,
    NULL,
    bytes_piece,
    fresh_text_piece,
    seq_piece,
)
from eventlog.envelope import StepRecord, shard_of

TYPES = {
    "seq": "int8", "trading_day": "date", "cause_seq": "int8", "version": "int2", "trade_no": "int4",
    "event_time": "timestamptz", "received_at": "timestamptz", "logical_time": "timestamptz", "chain": "bytea",
    "priority": "int2", "body_hash": "bytea", "frame": "bytea",
}  # fmt: skip
OIDS = {"text": 25, "int8": 20, "int4": 23, "int2": 21, "date": 1082, "timestamptz": 1184, "bytea": 17}
EVENT = (*COLUMNS, "chain")
INBOX = ("source", "dedupe_key", "seq", "body_hash")
OUTBOX = ("seq", "priority", "client_order_id", "pipeline", "body")
RAW = ("seq", "frame")
CONFIG = ("config_sha256", "body")
DONE = ("seq",)
PLAIN_EVENTS = 8
PLAIN_COMMANDS = 4

HEAD = """WITH head AS (
    UPDATE oms.account_head
    SET seq = $6::int8, chain = $7::bytea, logical_time = $8::timestamptz, trading_day = $9::date
    WHERE shard = $1::int2 AND account = $2::text AND seq = $3::int8 AND chain = $4::bytea AND epoch = $5::int8
    RETURNING shard, account)"""
HEAD_PARAMETERS = 9
# What stands before each link in an array of them: its length.
_LINK = bytes_piece(bytes(32))[:4]


class Shape(Struct, frozen=True):
    """Which statement: how many rows stand as plain parameters (0: as arrays), and which tables it touches."""

    events: int
    inbox: bool
    commands: int
    done: bool
    raw: bool
    config: bool
    plain: bool
    is_part: bool = False
    """Of several in one transaction: where the head does not match it fails, so that no other part is stored either."""

    def in_arrays(self) -> "Shape":
        """The general form, of which there are few."""
        return structs.replace(self, events=0, commands=min(self.commands, 1), plain=False)


def shape_of(batch: Batch) -> Shape:
    """The fastest statement for this batch."""
    shape = Shape(
        events=len(batch.rows),
        inbox=bool(batch.inbox),
        commands=len(batch.outbox),
        done=bool(batch.outbox_done),
        raw=bool(batch.raw),
        config=bool(batch.configs),
        plain=True,
    )
    is_small = shape.events <= PLAIN_EVENTS and shape.commands <= PLAIN_COMMANDS and len(batch.inbox) <= 1
    return shape if is_small else shape.in_arrays()


def shape_of_part(steps: Sequence[StepRecord]) -> Shape:
    """The statement for a part, before it is prepared; a table it names may in the end get no row."""
    return Shape(
        events=0,
        inbox=any(step.inbox is not None for step in steps),
        commands=int(any(step.outbox for step in steps)),
        done=any(step.outbox_done for step in steps),
        raw=any(step.raw is not None for step in steps),
        config=any(step.config is not None for step in steps),
        plain=False,
        is_part=True,
    )


@cache
def append_sql(shape: Shape) -> str:
    """The text of the statement; it returns one row if the head matched and everything is stored.

    Otherwise it returns no row, or divides by zero if it is a part.
    """
    parts, used = [HEAD], HEAD_PARAMETERS
    wanted: list[tuple[str, str, tuple[str, ...], int]] = [("events", "event", EVENT, shape.events)]
    if shape.inbox:
        wanted.append(("received", "inbox", INBOX, int(shape.plain)))
    if shape.commands:
        wanted.append(("commands", "outbox", OUTBOX, shape.commands if shape.plain else 0))
    if shape.raw:
        wanted.append(("frames", "raw_frame", RAW, 0))
    for name, table, columns, rows in wanted:
        source = _values(columns, rows, used) if rows else _arrays(columns, used)
        used += max(rows, 1) * len(columns)
        fields = ", ".join(columns)
        parts.append(
            f"{name} AS (INSERT INTO oms.{table} (shard, account, {fields}) "
            f"SELECT head.shard, head.account, {_selected(columns)} FROM head, {source} AS r ({fields}))"
        )
    if shape.done:
        parts.append(
            "done AS (DELETE FROM oms.outbox USING head WHERE outbox.shard = head.shard "
            f"AND outbox.account = head.account AND outbox.seq = ANY (${used + 1}::int8[]))"
        )
        used += 1
    if shape.config:
        parts.append(
            "configs AS (INSERT INTO oms.config_version (config_sha256, body) SELECT r.config_sha256, r.body "
            f"FROM head, {_arrays(CONFIG, used)} AS r (config_sha256, body) ON CONFLICT DO NOTHING)"
        )
    return ", ".join(parts) + (" SELECT 1 / count(*) FROM head" if shape.is_part else " SELECT 1 FROM head")


def append_parameters(batch: Batch, shape: Shape) -> list[bytes | None]:
    """The parameters of `append_sql(shape)`, all binary."""
    inbox, outbox = batch.inbox_pieces, list(batch.outbox_pieces.values())
    parameters = _head_parameters(batch)
    if shape.plain:
        for pieces, link in zip(batch.pieces, batch.links, strict=True):
            parameters += [None if piece == NULL else piece[4:] for piece in pieces]
            parameters.append(link)
    else:
        parameters += _joined(COLUMNS, batch.pieces)
        parameters.append(_array("chain", len(batch.links), _LINK + _LINK.join(batch.links)))
    if shape.inbox:
        parameters += _flat(inbox) if shape.plain else _joined(INBOX, inbox)
    if shape.commands:
        parameters += _flat(outbox) if shape.plain else _joined(OUTBOX, outbox)
    if shape.raw:
        parameters += _joined(RAW, [(seq_piece(seq), bytes_piece(frame)) for seq, frame in batch.raw.items()])
    if shape.done:
        parameters += _joined(DONE, [(seq_piece(seq),) for seq in batch.outbox_done])
    if shape.config:
        parameters += _joined(
            CONFIG, [(fresh_text_piece(n), fresh_text_piece(t)) for n, t in batch.configs.items()]
        )
    return parameters


def _head_parameters(batch: Batch) -> list[bytes | None]:
    before, after, last = batch.before, batch.after, batch.pieces[-1]
    return [
        pack(">h", shard_of(before.account)),
        before.account.encode(),
        pack(">q", before.seq),
        before.chain,
        pack(">q", before.epoch),
        pack(">q", after.seq),
        after.chain,
        last[COLUMNS.index("logical_time")][4:],
        last[COLUMNS.index("trading_day")][4:],
    ]


def _type(column: str) -> str:
    return TYPES.get(column, "text")


def _selected(columns: tuple[str, ...]) -> str:
    return ", ".join(f"r.{name}::jsonb" if name == "body" else f"r.{name}" for name in columns)


def _values(columns: tuple[str, ...], rows: int, used: int) -> str:
    lines = []
    for row in range(rows):
        first = used + 1 + row * len(columns)
        lines.append("(" + ", ".join(f"${first + i}::{_type(name)}" for i, name in enumerate(columns)) + ")")
    return f"(VALUES {', '.join(lines)})"


def _arrays(columns: tuple[str, ...], used: int) -> str:
    # One unnest per column: a single one for all of them would first copy every row into a store of its own.
    lists = (f"unnest(${used + 1 + i}::{_type(name)}[])" for i, name in enumerate(columns))
    return f"(SELECT {', '.join(lists)})"


def _flat(rows: list[Pieces]) -> list[bytes | None]:
    return [None if piece == NULL else piece[4:] for row in rows for piece in row]


def _joined(columns: tuple[str, ...], rows: list[Pieces]) -> list[bytes | None]:
    joined = map(b"".join, zip(*rows, strict=True)) if rows else [b""] * len(columns)
    return [_array(name, len(rows), pieces) for name, pieces in zip(columns, joined, strict=True)]


def _array(column: str, length: int, pieces: bytes) -> bytes:
    # One dimension, NULLs allowed, the element type, the length, counted from 1; then the elements.
    return pack(">iiiii", 1, 1, OIDS[_type(column)], length, 1) + pieces
