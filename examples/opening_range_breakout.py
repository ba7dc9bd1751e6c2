"""Opening range breakout, a strategy for the embedding interface.

The first minutes of a session make a range. A bar that closes beyond it asks for a trade in its direction, with the
stop beyond the other side or a multiple of the average true range away. A bar that closes back through the middle
of the range asks for the exit. Everything between (order types, repricing, targets, trailing, forced close) is the
business of the order management system.

| data | range | bars |
|---|---|---|
| `csv` | first 5 minutes | as in the file |
| `index-minute` | first 30 minutes | 1 minute |
| `lean` equity | first 15 minutes | 1 minute or 1 second |
| `lean-crypto` | first 60 minutes of the UTC day | 1 minute |
| `binance-raw` | first 60 seconds of the UTC day or of the capture | 10 seconds, built from prints |

The strategy remembers the range itself, so after a restart in mid-session it asks for nothing until the next one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from oms.events.base import Event
from oms.events.market import BarClosed
from oms.events.strategy import EntryRequested, ExitRequested
from oms.formulas.indicators import Atr
from oms.values import (
    SECOND,
    ZERO,
    Micros,
    PositionSide,
    round_down_to_lot,
    round_down_to_tick,
    round_up_to_tick,
)

NAME: Final = "opening_range_breakout"
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Settings(Struct, frozen=True, kw_only=True):
    """What can be chosen. `value` is the intended value of a position in the quote currency."""

    range_us: Micros = 5 * MINUTE
    zone_ticks: int = 5
    value: Decimal = Decimal(10_000)
    trades_per_session: int = 2
    stop: Literal["range", "atr"] = "range"
    atr_length: int = 14
    atr_factor: Decimal = Decimal(2)
    quiet_before_close_us: Micros = 30 * MINUTE


SETTINGS: Final = {
    "csv": Settings(),
    "index-minute": Settings(range_us=30 * MINUTE, value=Decimal(100_000)),
    "lean": Settings(range_us=15 * MINUTE),
    "lean-crypto": Settings(range_us=60 * MINUTE, zone_ticks=50, value=Decimal(50_000)),
    "binance-raw": Settings(range_us=60 * SECOND, zone_ticks=50, value=Decimal(50_000)),
}
"""Settings by format of the data; `lean-crypto` is `lean` with its market set to crypto."""


class View(Protocol):
    """What the strategy may see; nothing in it can be changed."""

    @property
    def now(self) -> Micros:
        """Logical time."""

    def position(self, instrument: str) -> Decimal:
        """Signed quantity held."""

    def open_trades(self, instrument: str) -> tuple[Any, ...]:
        """Trades that are not closed, those still looking for their entry included."""

    def session(self, instrument: str) -> Any:
        """Times of the present session (`open_at`, `close_at`), or None for a market that never closes."""

    def instrument(self, instrument: str) -> Any:
        """`tick` and `lot`."""


class _Range:
    """What is remembered of one instrument in one session."""

    def __init__(self, start: Micros, end: Micros) -> None:
        self.start = start
        self.end = end
        self.high: Decimal | None = None
        self.low: Decimal | None = None
        self.close = ZERO
        self.entries = 0
        self.exit_asked = False

    def extend(self, bar: BarClosed) -> None:
        """Count a bar of the opening range."""
        self.high = bar.high if self.high is None else max(self.high, bar.high)
        self.low = bar.low if self.low is None else min(self.low, bar.low)
        self.close = bar.close


class OpeningRangeBreakout:
    """Deterministic: the same events and views give the same requests."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or SETTINGS["csv"]
        self._ranges: dict[str, _Range] = {}
        self._atr: dict[str, Atr] = {}

    def on_event(self, event: Event, view: View) -> Iterable[EntryRequested | ExitRequested]:
        """Look at what happened and ask for what is wanted. Only bars matter."""
        if not isinstance(event, BarClosed):
            return ()
        name = event.instrument
        self._atr[name] = self._atr.get(name, Atr(length=self.settings.atr_length)).update(event)
        session = view.session(name)
        opened = self._range_of(event, session)
        if opened is None:
            return ()
        if event.end_at <= opened.end:
            opened.extend(event)
            return ()
        if opened.high is None or opened.low is None:
            return ()
        before, opened.close = opened.close, event.close
        if view.position(name) != ZERO:
            return self._exit(event, opened, opened.high, opened.low, view)
        if view.open_trades(name):
            return ()
        opened.exit_asked = False
        if opened.entries >= self.settings.trades_per_session or self._too_late(event, session):
            return ()
        if before <= opened.high < event.close:
            return self._entry(event, opened, PositionSide.LONG, opened.low, view)
        if before >= opened.low > event.close:
            return self._entry(event, opened, PositionSide.SHORT, opened.high, view)
        return ()

    def _range_of(self, bar: BarClosed, session: Any) -> _Range | None:
        """The range of the bar's session; None for a bar outside the session."""
        opened = self._ranges.get(bar.instrument)
        if session is not None and session.open_at is not None and session.close_at is not None:
            if bar.open_at < session.open_at or bar.end_at > session.close_at:
                return None
            start = session.open_at
            fresh = opened is None or opened.start != start
        else:
            # Without sessions a range begins with the first bar of each UTC day.
            start = bar.open_at
            fresh = opened is None or opened.start // DAY != start // DAY
        if fresh:
            opened = self._ranges[bar.instrument] = _Range(start, start + self.settings.range_us)
        return opened

    def _too_late(self, bar: BarClosed, session: Any) -> bool:
        close_at = session.close_at if session is not None else None
        return close_at is not None and bar.end_at > close_at - self.settings.quiet_before_close_us

    def _entry(
        self, bar: BarClosed, opened: _Range, side: PositionSide, far: Decimal, view: View
    ) -> tuple[EntryRequested, ...]:
        """A request at the bar's close; none where no stop or no quantity makes sense."""
        tick, lot = view.instrument(bar.instrument).tick, view.instrument(bar.instrument).lot
        reach = self._atr[bar.instrument].value
        if self.settings.stop == "atr" and reach is None:
            return ()
        long = side is PositionSide.LONG
        away = round_down_to_tick if long else round_up_to_tick
        sign = 1 if long else -1
        ideal = away(bar.close, tick)
        distance = (
            self.settings.atr_factor * reach if self.settings.stop == "atr" and reach is not None else ZERO
        )
        stop = away(ideal - sign * distance, tick) if distance else away(far, tick) - sign * tick
        quantity = round_down_to_lot(self.settings.value / ideal, lot) if ideal > ZERO else ZERO
        if quantity <= ZERO or stop <= ZERO or sign * (ideal - stop) <= ZERO:
            return ()
        opened.entries += 1
        return (
            EntryRequested(
                instrument=bar.instrument,
                strategy=NAME,
                intent_id=self._intent(bar.instrument, opened),
                side=side,
                quantity=quantity,
                ideal=ideal,
                zone_max=ideal + sign * self.settings.zone_ticks * tick,
                stop=stop,
            ),
        )

    def _exit(
        self, bar: BarClosed, opened: _Range, high: Decimal, low: Decimal, view: View
    ) -> tuple[ExitRequested, ...]:
        """One request for each trade, when the market is back beyond the middle of the range."""
        sign = 1 if view.position(bar.instrument) > ZERO else -1
        if opened.exit_asked or sign * (bar.close - (high + low) / 2) >= ZERO:
            return ()
        opened.exit_asked = True
        intent = f"{self._intent(bar.instrument, opened)}:exit"
        return (
            ExitRequested(
                instrument=bar.instrument, strategy=NAME, intent_id=intent, reason="failed_breakout"
            ),
        )

    def _intent(self, instrument: str, opened: _Range) -> str:
        day = (_EPOCH + timedelta(microseconds=opened.start)).date()
        return f"{instrument}:{day}:{opened.entries}"
