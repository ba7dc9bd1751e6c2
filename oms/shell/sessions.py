"""Where a trading day begins and ends for an instrument: from its calendar, or from a given time of the UTC day."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from oms.calendar import session
from oms.events.base import Event
from oms.events.session import DayRolled, SessionOpened
from oms.values import Micros

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sessions:
    """Yields `DayRolled` and `SessionOpened` as time reaches a new day. One instrument, one account."""

    def __init__(
        self, instrument: str, calendar: str | None, zone: str, close_utc: time | None = None
    ) -> None:
        self._instrument = instrument
        self._calendar = calendar
        self._zone = ZoneInfo(zone if calendar else "UTC")
        self._close_utc = close_utc
        self.day: date | None = None
        self.close_at: Micros | None = None

    def day_of(self, at: Micros) -> date:
        """The account's day of an instant, in the zone of its market."""
        return (_EPOCH + timedelta(microseconds=at)).astimezone(self._zone).date()

    def reach(self, at: Micros) -> Iterator[Event]:
        """What opens by the time `at`; empty while the day is the same."""
        day = self.day_of(at)
        if day == self.day:
            return
        if self.day is not None:
            yield DayRolled(trading_day=day)
        self.day = day
        opened = self._session(day)
        self.close_at = opened.close_at if opened is not None else None
        if opened is not None:
            yield opened

    def _session(self, day: date) -> SessionOpened | None:
        if self._calendar is not None:
            found = session(self._calendar, day)
            if found is None:
                return None
            return SessionOpened(
                instrument=self._instrument,
                calendar=found.calendar,
                session_date=day,
                pre_open_at=found.pre_open_at,
                open_at=found.open_at,
                close_at=found.close_at,
            )
        if self._close_utc is None:
            return None
        return SessionOpened(
            instrument=self._instrument,
            calendar="given",
            session_date=day,
            open_at=_micros(datetime.combine(day, time(0), UTC)),
            close_at=_micros(datetime.combine(day, self._close_utc, UTC)),
        )


def _micros(moment: datetime) -> Micros:
    return (moment - _EPOCH) // timedelta(microseconds=1)
