"""Sessions of a market by date, from tables that ship with the package.

A table holds only the days that differ from the rule of its calendar; `SessionOpened` records the times that were
used, so a logged day never depends on a later table. Times in the tables are wall clock of the market and become
UTC here, which is where a change of the clocks is dealt with. Late openings and halts inside a session are not
in the table: they arrive as status of the venue. C-35, F15.
"""

import csv
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from oms.errors import InputError
from oms.values import Micros

ALWAYS_OPEN: Final = "24/7"
"""Calendar of a market that never closes; it has no sessions."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Session(Struct, frozen=True, gc=False, kw_only=True):
    """One trading day in UTC. Pre-market runs from `pre_open_at` to `open_at`, post-market from `close_at` on."""

    calendar: str
    session_date: date
    pre_open_at: Micros
    open_at: Micros
    close_at: Micros
    post_close_at: Micros


class _Hours(Struct, frozen=True, gc=False):
    """Wall-clock times of one day."""

    pre_open: time
    open: time
    close: time
    post_close: time


class _Calendar(Struct, frozen=True, gc=False):
    """The rule: which weekdays (Monday 0), which hours, and the years that the table covers."""

    zone: str
    weekdays: tuple[int, ...]
    hours: _Hours
    table: str
    first: date
    last: date


_CALENDARS: Final = {
    "XNYS": _Calendar(
        "America/New_York",
        (0, 1, 2, 3, 4),
        _Hours(time(4), time(9, 30), time(16), time(20)),
        "xnys.csv",
        date(2000, 1, 1),
        date(2030, 12, 31),
    ),
}

CALENDARS: Final = (*_CALENDARS, ALWAYS_OPEN)
"""Every calendar that can be asked for."""


def session(calendar: str, day: date) -> Session | None:
    """The session of `day`, or None where the market is closed or never closes.

    Raises InputError for a calendar that is not known and for a day outside its table: not knowing whether a
    market is open is not the same as knowing that it is closed.
    """
    if calendar == ALWAYS_OPEN:
        return None
    rule = _rule(calendar)
    if not rule.first <= day <= rule.last:
        raise InputError(
            "OMS-K002",
            "A day is outside the session table",
            where=f"calendar {calendar}, {day}",
            why=f"the table runs from {rule.first} to {rule.last}",
            hint="install a newer release, or give the session's times yourself",
        )
    if day.weekday() not in rule.weekdays:
        return None
    hours = _exceptions(calendar).get(day, rule.hours)
    if hours is None:
        return None
    zone = ZoneInfo(rule.zone)
    return Session(
        calendar=calendar,
        session_date=day,
        pre_open_at=_utc(day, hours.pre_open, zone),
        open_at=_utc(day, hours.open, zone),
        close_at=_utc(day, hours.close, zone),
        post_close_at=_utc(day, hours.post_close, zone),
    )


def session_date(calendar: str, at: Micros) -> date | None:
    """The date by the market's own wall clock; None for a market without one."""
    if calendar == ALWAYS_OPEN:
        return None
    return (_EPOCH + timedelta(microseconds=at)).astimezone(ZoneInfo(_rule(calendar).zone)).date()


def last_day(calendar: str) -> date | None:
    """The last day that the table covers; None for a market that needs no table."""
    return None if calendar == ALWAYS_OPEN else _rule(calendar).last


def _rule(calendar: str) -> _Calendar:
    rule = _CALENDARS.get(calendar)
    if rule is None:
        why = f"the calendars are {', '.join(CALENDARS)}"
        raise InputError("OMS-K001", f"Unknown calendar  {calendar}", why=why)
    return rule


@cache
def _exceptions(calendar: str) -> Mapping[date, _Hours | None]:
    """The days of the table; None where the market is closed."""
    text = files("oms").joinpath("calendars", _rule(calendar).table).read_text(encoding="utf-8")
    return {date.fromisoformat(row["date"]): _hours(row) for row in csv.DictReader(text.splitlines())}


def _hours(row: dict[str, str]) -> _Hours | None:
    if not row["open"]:
        return None
    return _Hours(*(time.fromisoformat(row[name]) for name in ("pre_open", "open", "close", "post_close")))


def _utc(day: date, clock: time, zone: ZoneInfo) -> Micros:
    return (datetime.combine(day, clock, tzinfo=zone) - _EPOCH) // _MICROSECOND
