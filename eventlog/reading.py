"""Reading rows in blocks: bounded memory whatever the length, every row checked against the one before."""

from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache
from typing import Any, Protocol

from msgspec import Struct

from eventlog.chain import EPOCH_ORDINAL, EPOCH_US
from eventlog.envelope import Envelope, Head
from eventlog.errors import LogCorrupt, UnknownAccount
from eventlog.log import StoredRow

BLOCK_ROWS = 4096
Row = tuple[Any, ...]
Block = Callable[[int, int], list[Row]]


class Stored(Struct, frozen=True, gc=False):
    """A row as stored: with its chain link and, for an input that has one, the broker's exact bytes."""

    envelope: Envelope
    chain: bytes
    raw: bytes | None


class Earlier(Protocol):
    """Where rows are that left the database."""

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[StoredRow]:
        """Rows with after < seq <= until in seq order, all of them."""


def archived(
    earlier: Earlier, account: str, after: int, last: int, boundary: int, link: bytes
) -> Iterator[StoredRow]:
    """Rows of an archive; the one at `boundary` must have the link that the rows of the database follow from."""
    for row in earlier.read(account, after, last):
        if row.envelope.seq == boundary and row.chain != link:
            raise LogCorrupt(
                f"account {account}: the archive ends otherwise at row {boundary} than the database says",
                seq=boundary, what="link",
            )  # fmt: skip
        yield row


def last_of(account: str, head: Head | None, until: int | None) -> int:
    """Where a read ends. Raises UnknownAccount."""
    if head is None:
        raise UnknownAccount(f"there is no account {account} in this log; heads() lists those there are")
    return head.seq if until is None else min(head.seq, until)


def contiguous(account: str, block: Block, after: int, last: int) -> Iterator[Row]:
    """Rows after < seq <= last; `block(after, last)` fetches the next few. Raises LogCorrupt at a hole."""
    while after < last:
        rows = block(after, last)
        if not rows:
            raise missing(account, after + 1)
        for row in rows:
            after += 1
            if row[0] != after:
                raise missing(account, min(after, row[0]))
            yield row


def missing(account: str, seq: int) -> LogCorrupt:
    """The error for a row that is not there, or there twice."""
    return LogCorrupt(f"account {account}: row {seq} is missing or stands twice; verify the chain", seq=seq)


def envelope(row: Row) -> Envelope:
    """An envelope from the fields of queries.EVENTS, whose days and times count from 2000."""
    (seq, cause_seq, kind, type_, version, trading_day, logical_time, body, pipeline, trade_no, client_order_id,
     broker_order_id, reason, event_time, received_at, source, dedupe_key) = row  # fmt: skip
    return Envelope(
        seq, cause_seq, kind, type_, version, _day(trading_day, seq), logical_time + EPOCH_US, body, pipeline, trade_no,
        client_order_id, broker_order_id, reason,
        None if event_time is None else event_time + EPOCH_US,
        None if received_at is None else received_at + EPOCH_US,
        source, dedupe_key,
    )  # fmt: skip


def head(row: Row) -> Head:
    """A head from the fields of queries.HEAD."""
    account, seq, chain, epoch, logical_time, trading_day = row
    time = None if logical_time is None else logical_time + EPOCH_US
    return Head(account, seq, chain, epoch, time, None if trading_day is None else _day(trading_day, seq))


def _day(days: int, seq: int) -> date:
    try:
        return _calendar_day(days)
    except (ValueError, OverflowError):
        # Never written by an append; the row was changed, so its link cannot fit either.
        raise LogCorrupt(f"row {seq} has a trading day outside the calendar", seq=seq, what="link") from None


@lru_cache(4096)
def _calendar_day(days: int) -> date:
    return date.fromordinal(days + EPOCH_ORDINAL)
