"""What an append means, before any store: both logs check, number and link a batch with this code."""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec import Struct

from eventlog.canon import require_canonical
from eventlog.chain import account_piece, link, row_pieces
from eventlog.envelope import Envelope, Head, InboxKey, OutboxRow, StepRecord
from eventlog.errors import Unstorable

# The years 1 to 9999, which every reader of the log can express.
TIME_FIRST, TIME_LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
# An index entry of PostgreSQL ends at about 2,700 bytes.
ACCOUNT_LIMIT_BYTES = 256
KEY_LIMIT_BYTES = 1024
CONFIG_EVENT = "ConfigActivated"


class Batch(Struct, frozen=True, gc=False):
    """A checked batch: rows in order with their links, and what changes beside them.

    A command whose outcome stands in the same batch is in neither `outbox` nor `outbox_done`.
    """

    before: Head
    after: Head
    rows: list[Envelope]
    pieces: list[tuple[bytes, ...]]
    links: list[bytes]
    inbox: list[tuple[InboxKey, int]]
    outbox: dict[int, OutboxRow]
    outbox_done: list[int]
    raw: dict[int, bytes]
    configs: dict[str, str]


def prepare(head: Head, steps: Sequence[StepRecord]) -> Batch:
    """Check and link the steps that follow `head`. Raises Unstorable for data, ValueError for misuse."""
    batch = Batch(head, head, [], [], [], [], {}, [], {}, {})
    expected = head.seq + 1
    for step in steps:
        _require_numbered(step, expected)
        try:
            body = _check_step(step)
            _add_rows(batch, head, step)
        except (struct.error, UnicodeError, OverflowError) as error:
            raise Unstorable(
                f"a value of step {expected} does not fit its column: {error}", seq=expected
            ) from error
        _check_raw(step, body, expected)
        _add_beside(batch, step, expected)
        expected += len(step.events)
    last = batch.rows[-1]
    after = Head(head.account, last.seq, batch.links[-1], head.epoch, last.logical_time, last.trading_day)
    return Batch(
        head, after, batch.rows, batch.pieces, batch.links, batch.inbox, batch.outbox, batch.outbox_done,
        batch.raw, batch.configs,
    )  # fmt: skip


def require_account(account: str) -> None:
    """Refuse an account id that no key can hold."""
    if not account or "\0" in account or len(account.encode(errors="replace")) > ACCOUNT_LIMIT_BYTES:
        raise ValueError(
            f"an account id has 1 to {ACCOUNT_LIMIT_BYTES} bytes and no U+0000: {account[:80]!r}"
        )


def named_hash(body: dict[str, Any], name: str) -> str | None:
    """The SHA-256 that a body names at its top level, as `->>` would print it."""
    value = body.get(name)
    return value if isinstance(value, str) else None


def _require_numbered(step: StepRecord, expected: int) -> None:
    for number, row in enumerate(step.events):
        kind = "D" if number else "I"
        if row.seq != expected + number or row.cause_seq != expected or row.kind != kind:
            raise ValueError(
                f"row {row.seq} (cause {row.cause_seq}, kind {row.kind}) must be row {expected + number} "
                f"(cause {expected}, kind {kind}): a step is one input and then its decisions, without a gap"
            )
    if not step.events:
        raise ValueError(f"step {expected} has no input")
    decisions = range(expected + 1, expected + len(step.events))
    if any(command.seq not in decisions for command in step.outbox):
        raise ValueError(f"step {expected} sends a command that none of its decisions made")


def _check_step(step: StepRecord) -> dict[str, Any]:
    body = require_canonical(step.events[0].body)
    for row in step.events[1:]:
        require_canonical(row.body)
    for command in step.outbox:
        require_canonical(command.body)
    for row in step.events:
        for time in (row.logical_time, row.event_time, row.received_at):
            if time is not None and not TIME_FIRST <= time <= TIME_LAST:
                raise OverflowError(f"the time {time} is outside the years 1 to 9999")
    key = step.inbox
    if key and max(len(key.source.encode()), len(key.dedupe_key.encode())) > KEY_LIMIT_BYTES:
        raise OverflowError(f"an inbox key is longer than {KEY_LIMIT_BYTES} bytes")
    return body


def _add_rows(batch: Batch, head: Head, step: StepRecord) -> None:
    account = account_piece(head.account)
    previous = batch.links[-1] if batch.links else head.chain
    for row in step.events:
        try:
            pieces = row_pieces(row)
        except ValueError as error:
            raise Unstorable(f"row {row.seq}: {error}", seq=row.seq) from error
        previous = link(previous, account, pieces)
        batch.rows.append(row)
        batch.pieces.append(pieces)
        batch.links.append(previous)


def _check_raw(step: StepRecord, body: dict[str, Any], seq: int) -> None:
    named = named_hash(body, "raw_sha256")
    given = None if step.raw is None else sha256(step.raw).hexdigest()
    if named != given:
        raise Unstorable(
            f"step {seq}: the body names raw_sha256 {named}, the raw frame has {given}; evidence needs both",
            seq=seq,
        )


def _add_beside(batch: Batch, step: StepRecord, seq: int) -> None:
    if step.inbox:
        batch.inbox.append((step.inbox, seq))
    for done in step.outbox_done:
        # One statement cannot delete what it inserts itself.
        if batch.outbox.pop(done, None) is None:
            batch.outbox_done.append(done)
    for command in step.outbox:
        batch.outbox[command.seq] = command
    if step.raw is not None:
        batch.raw[seq] = step.raw
    if step.config is not None:
        batch.configs[config_name(step.config)] = step.config


def config_name(text: str) -> str:
    """The name of a configuration: the SHA-256 of its text in lower-case hex."""
    if "\0" in text:
        raise Unstorable("a configuration holds U+0000, which no database text can")
    try:
        return sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise Unstorable("a configuration holds half a surrogate pair") from error
