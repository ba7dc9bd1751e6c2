"""Instants as people write and read them: always UTC, so that nobody has to guess."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from oms.errors import UsageProblem
from oms.values import Micros

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def shown_time(at: Micros) -> str:
    """`2026-03-09 14:30:05.250 UTC`."""
    return f"{_moment(at):%Y-%m-%d} {shown_clock(at)} UTC"


def shown_clock(at: Micros) -> str:
    """`14:30:05.250`, in microseconds only where milliseconds would lie."""
    digits = 6 if at % 1000 else 3
    return f"{_moment(at):%H:%M:%S.%f}"[: 9 + digits]


def day_of(text: str) -> date | None:
    """The day that a text names as YYYY-MM-DD, or None if it is something else."""
    try:
        return date.fromisoformat(text) if len(text) == len("2026-03-09") else None
    except ValueError:
        return None


def parse_place(text: str, day: date | None) -> tuple[int | None, Micros | None]:
    """(seq, None) for a number; (None, time) for HH:MM[:SS[.ffffff]] on `day`, or for an ISO time.

    A time without an offset is UTC. Raises UsageProblem.
    """
    if text.isdecimal():
        return int(text), None
    try:
        if len(text) > 5 and text[4] == "-":
            moment = datetime.fromisoformat(text)
        elif day is not None:
            moment = datetime.fromisoformat(f"{day}T{text}")
        else:
            raise ValueError(text)
    except ValueError:
        raise UsageProblem(
            "OMS-R010",
            f"Neither an event number nor a time  {text}",
            hint="--until 1200, --until 14:30:05 (UTC on that day), or --until 2026-03-09T14:30:05+00:00",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return None, (moment - _EPOCH) // _MICROSECOND


def _moment(at: Micros) -> datetime:
    return _EPOCH + at * _MICROSECOND
