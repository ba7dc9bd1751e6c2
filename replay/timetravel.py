"""Time travel: the state of an account at any event, at any instant, at the end of any day.

Logical time and trading day never decrease along the log, so a place is found by halving, not by reading.
An instant means all that was logged up to and including it: what the system knew then.
"""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Final

from eventlog.envelope import Envelope
from eventlog.errors import UnknownAccount
from eventlog.log import EventLog
from oms.book import Book
from oms.errors import DomainProblem
from oms.values import Micros
from replay.moments import shown_time
from replay.rebuild import Progress, rebuild

SHOWN_DAYS: Final = 6


def state_at(
    log: EventLog,
    account: str,
    *,
    seq: int | None = None,
    time: Micros | None = None,
    day: date | None = None,
    progress: Progress | None = None,
) -> Book:
    """The state at the earliest of the given places; without one, at the end.

    `seq`: right after that event. `time`: after the last event at or before it. `day`: at the end of that trading
    day. Raises DomainProblem for a place that the log does not have.
    """
    return rebuild(log, account, place(log, account, seq=seq, time=time, day=day), progress)


def place(
    log: EventLog,
    account: str,
    *,
    seq: int | None = None,
    time: Micros | None = None,
    day: date | None = None,
) -> int:
    """The seq of the earliest of the given places; without one, that of the last event."""
    last = _last(log, account)
    places = [last]
    if day is not None:
        places.append(_end_of_day(log, account, last, day))
    if time is not None:
        places.append(_at_time(log, account, last, time))
    if seq is not None:
        places.append(_at_seq(account, last, seq))
    return min(places)


def days(log: EventLog, account: str) -> Iterator[tuple[date, int, int]]:
    """(trading day, first seq, last seq) of every day that the log has, oldest first."""
    last = _last(log, account)
    first = 1
    while first <= last:
        day = row_at(log, account, first).trading_day
        end = _last_of(log, account, last, day)
        yield day, first, end
        first = end + 1


def row_at(log: EventLog, account: str, seq: int) -> Envelope:
    """One row. Raises DomainProblem if the log has none there."""
    row = next(iter(log.read(account, seq - 1, seq)), None)
    if row is None or seq < 1:
        raise DomainProblem("OMS-R004", f"There is no event {seq}", where=f"account {account}")
    return row


def _last(log: EventLog, account: str) -> int:
    head = log.head(account)
    if head is None:
        raise UnknownAccount(f"there is no account {account} in this log")
    if head.seq == 0:
        raise DomainProblem("OMS-R002", "The account has no events yet", where=f"account {account}")
    return head.seq


def _after(log: EventLog, account: str, last: int, holds: Callable[[Envelope], bool]) -> int:
    """The last row for which `holds` is true; it is true for a first part of the log and false for the rest."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        if holds(row_at(log, account, middle)):
            low = middle
        else:
            high = middle - 1
    return low


def _last_of(log: EventLog, account: str, last: int, day: date) -> int:
    return _after(log, account, last, lambda row: row.trading_day <= day)


def _end_of_day(log: EventLog, account: str, last: int, day: date) -> int:
    end = _last_of(log, account, last, day)
    if end == 0 or row_at(log, account, end).trading_day != day:
        there = [str(one) for one, _, _ in days(log, account)]
        raise DomainProblem(
            "OMS-R003",
            f"The log has no events of {day}",
            where=f"account {account}",
            why="it has "
            + (", ".join(there) if len(there) <= 6 else f"{there[0]} .. {there[-1]}, {len(there)} days"),
            hint=f"python3 -m oms replay {there[-1]}",
        )
    return end


def _at_time(log: EventLog, account: str, last: int, time: Micros) -> int:
    end = _after(log, account, last, lambda row: row.logical_time <= time)
    first, final = row_at(log, account, 1).logical_time, row_at(log, account, last).logical_time
    if end == 0 or time > final:
        raise DomainProblem(
            "OMS-R005",
            f"{shown_time(time)} is {'before the first' if end == 0 else 'beyond the last'} event",
            where=f"account {account}",
            why=f"the log runs from {shown_time(first)} to {shown_time(final)}",
            hint="give a time inside, or leave --until out",
        )
    return end


def _at_seq(account: str, last: int, seq: int) -> int:
    if not 1 <= seq <= last:
        raise DomainProblem(
            "OMS-R004",
            f"There is no event {seq}",
            where=f"account {account}",
            why=f"the log has the events 1 to {last}",
            hint="give one of them, or leave --until out",
        )
    return seq
