"""Rebuilding: fold what was logged, up to a place.

It decides nothing, so it shows what was, whatever the rules are now.
"""

from collections.abc import Callable
from decimal import localcontext
from typing import Final, NamedTuple

from eventlog.log import EventLog
from oms.book import Book
from oms.shell.record import event_of
from oms.shell.snapshots import newest_usable
from oms.state.digest import digest
from oms.values import CONTEXT

Progress = Callable[[int], None]

PROGRESS_EVENTS: Final = 4096


def rebuild(log: EventLog, account: str, until: int | None = None, progress: Progress | None = None) -> Book:
    """The state right after event `until` (default: the last), inside a step too; deadlines are scheduled.

    Raises UnknownAccount, LogCorrupt, and UnknownEvent for what this program does not know: nothing is skipped.
    """
    book, folded = Book(), 0
    with localcontext(CONTEXT):
        for row in log.read(account, 0, until):
            book.fold(event_of(row), row.logical_time, row.seq, row.pipeline)
            folded += 1
            if progress is not None and folded % PROGRESS_EVENTS == 0:
                progress(PROGRESS_EVENTS)
        book.reschedule()
    return book


class CachedFold(NamedTuple):
    """The snapshot that a start would begin with: its row, and whether it is the fold of the log up to there."""

    seq: int
    is_right: bool


def cached_fold(log: EventLog, account: str, until: int | None = None) -> CachedFold | None:
    """Compare that snapshot with the log; None if a start would fold everything.

    A snapshot proves by itself only that it is what its writer held. Raises what `rebuild` raises.
    """
    snapshot = newest_usable(log, account, until)
    if snapshot is None:
        return None
    book = rebuild(log, account, snapshot.seq)
    with localcontext(CONTEXT):
        return CachedFold(snapshot.seq, digest(book.account, book.pipelines) == snapshot.digest.hex())
