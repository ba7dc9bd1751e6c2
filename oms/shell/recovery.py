"""Recovery: fold what was logged. It never decides again."""

from collections.abc import Iterable

from eventlog.envelope import Envelope
from eventlog.log import EventLog
from oms.book import Book
from oms.shell.record import event_of


def recover(log: EventLog, account: str, until: int | None = None) -> Book:
    """The state of an account as of a log position (default: its end), with all deadlines scheduled.

    Raises UnknownEvent for an event of an unknown type or version: nothing is ever skipped.
    """
    return fold_rows(Book(), log.read(account, 0, until))


def fold_rows(book: Book, rows: Iterable[Envelope]) -> Book:
    """Move the book over these rows, all of them committed, and schedule its deadlines anew."""
    fold = book.fold
    for row in rows:
        fold(event_of(row), row.logical_time, row.seq, row.pipeline)
    book.commit()
    book.reschedule()
    return book
