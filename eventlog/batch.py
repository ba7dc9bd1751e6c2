"""What an append means, before any store: both logs check, number and link a batch with this code."""

import struct
from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct, structs

from eventlog.canon import NUL, decoded, require_canonical
from eventlog.chain import (
    account_piece,
    bytes_piece,
    fresh_text_piece,
    link,
    row_pieces,
    seq_piece,
    small_piece,
    text_piece,
)
from eventlog.envelope import Envelope, Head, InboxKey, OutboxRow, StepRecord
from eventlog.errors import Unstorable

# The years 1 to 9999, which every reader of the log can express.
TIME_FIRST, TIME_LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
RAW_HASH = '"raw_sha256"'
# An index entry of PostgreSQL ends at about 2,700 bytes.
ACCOUNT_LIMIT_BYTES = 256
KEY_LIMIT_BYTES = 1024


Pieces = tuple[bytes, ...]


class Batch(Struct, frozen=True, gc=False):
    """A checked batch: rows in order with their links, and what changes beside them.

    A command whose outcome stands in the same batch is in neither `outbox` nor `outbox_done`.
    """

    before: Head
    after: Head
    rows: list[Envelope]
    pieces: list[Pieces]
    links: list[bytes]
    inbox: list[tuple[InboxKey, int]]
    inbox_pieces: list[Pieces]
    outbox: dict[int, OutboxRow]
    outbox_pieces: dict[int, Pieces]
    outbox_done: list[int]
    raw: dict[int, bytes]
    configs: dict[str, str]


def prepare(head: Head, steps: Sequence[StepRecord]) -> Batch:
    """Check and link the steps that follow `head`. Raises Unstorable for data, ValueError for misuse."""
    batch = Batch(head, head, [], [], [], [], [], {}, {}, [], {}, {})
    account, expected = account_piece(head.account), head.seq + 1
    for step in steps:
        _require_numbered(step, expected)
        try:
            _require_storable(step)
            _add_rows(batch, step, account)
            _add_beside(batch, step, expected)
        except (struct.error, ValueError, OverflowError) as error:
            raise Unstorable(f"a value of step {expected} fits no column: {error}", seq=expected) from error
        expected += len(step.events)
    last = batch.rows[-1]
    after = Head(head.account, last.seq, batch.links[-1], head.epoch, last.logical_time, last.trading_day)
    return structs.replace(batch, after=after)


def require_account(account: str) -> None:
    """Refuse an account id that no key can hold."""
    if not account or "\0" in account or len(account.encode(errors="replace")) > ACCOUNT_LIMIT_BYTES:
        raise ValueError(
            f"an account id has 1 to {ACCOUNT_LIMIT_BYTES} bytes and no U+0000: {account[:80]!r}"
        )


def _require_numbered(step: StepRecord, expected: int) -> None:
    seq, kind = expected, "I"
    for row in step.events:
        if row.seq != seq or row.cause_seq != expected or row.kind != kind:
            raise ValueError(
                f"row {row.seq} (cause {row.cause_seq}, kind {row.kind}) must be row {seq} "
                f"(cause {expected}, kind {kind}): a step is one input and then its decisions, without a gap"
            )
        seq, kind = seq + 1, "D"
    if seq == expected:
        raise ValueError(f"step {expected} has no input")
    for command in step.outbox:
        if not expected < command.seq < seq:
            raise ValueError(f"step {expected} sends a command that none of its decisions made")


def _require_storable(step: StepRecord) -> None:
    is_own = step.is_own
    for row in step.events:
        if not is_own or NUL in row.body:
            require_canonical(row.body)
        _require_time(row.logical_time)
        if row.event_time is not None:
            _require_time(row.event_time)
        if row.received_at is not None:
            _require_time(row.received_at)
    for command in step.outbox:
        if not is_own or NUL in command.body:
            require_canonical(command.body)
    if step.raw is not None or RAW_HASH in step.events[0].body:
        _require_evidence(step)


def _require_evidence(step: StepRecord) -> None:
    first = step.events[0]
    named = decoded(first.body).get("raw_sha256")
    given = None if step.raw is None else sha256(step.raw).hexdigest()
    if named != given:
        raise Unstorable(
            f"step {first.seq}: its body names raw_sha256 {named}, its raw frame has {given}; evidence needs both",
            seq=first.seq,
        )


def _require_time(time: int) -> None:
    if not TIME_FIRST <= time <= TIME_LAST:
        raise OverflowError(f"the time {time} is outside the years 1 to 9999")


def _add_rows(batch: Batch, step: StepRecord, account: bytes) -> None:
    links, all_pieces = batch.links, batch.pieces
    previous = links[-1] if links else batch.before.chain
    batch.rows.extend(step.events)
    for row in step.events:
        pieces = row_pieces(row)
        previous = link(previous, account, pieces)
        all_pieces.append(pieces)
        links.append(previous)


def _add_beside(batch: Batch, step: StepRecord, seq: int) -> None:
    if step.inbox:
        batch.inbox.append((step.inbox, seq))
        batch.inbox_pieces.append(_inbox_pieces(step.inbox, seq))
    for done in step.outbox_done:
        # One statement cannot delete what it inserts itself.
        if batch.outbox.pop(done, None) is None:
            batch.outbox_done.append(done)
        else:
            del batch.outbox_pieces[done]
    for command in step.outbox:
        batch.outbox[command.seq] = command
        batch.outbox_pieces[command.seq] = _outbox_pieces(command)
    if step.raw is not None:
        batch.raw[seq] = step.raw
    if step.config is not None:
        name = sha256(fresh_text_piece(step.config)[4:]).hexdigest()
        batch.configs[name] = step.config


def _inbox_pieces(key: InboxKey, seq: int) -> Pieces:
    source, name = text_piece(key.source), fresh_text_piece(key.dedupe_key)
    if len(source) > KEY_LIMIT_BYTES + 4 or len(name) > KEY_LIMIT_BYTES + 4:
        raise OverflowError(f"an inbox key is longer than {KEY_LIMIT_BYTES} bytes")
    return source, name, seq_piece(seq), bytes_piece(key.body_hash)


def _outbox_pieces(row: OutboxRow) -> Pieces:
    return (
        seq_piece(row.seq),
        small_piece(row.priority),
        text_piece(row.client_order_id),
        text_piece(row.pipeline),
        fresh_text_piece(row.body),
    )
