"""The demo's day: prices nobody traded, made so that everything that can happen to an order happens to one.

The tape is a pure function of nothing: every run reads the same quotes, bars, halts and requests, so an
interrupted demo finds its place again. Prices follow straight lines between key frames with a small wiggle.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from heapq import merge
from operator import itemgetter
from typing import Final

from msgspec import Struct

from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import (
    Delay,
    FillAfterCancel,
    FillOnly,
    NoFillAfterTrigger,
    Reject,
    Repeat,
    Script,
    Swap,
)
from oms.calendar import session
from oms.events.base import Event, Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.events.session import DayRolled, InstrumentDefined, SessionOpened, VenueStatus, VenueStatusChanged
from oms.events.strategy import EntryRequested, ExitRequested
from oms.values import SECOND, Micros, PositionSide, Role

DAY: Final = date(2026, 3, 9)
MINUTE: Final = 60 * SECOND
TICK: Final = Decimal("0.01")
FORCED_CLOSE: Final = ((22490, 22530), (23090, 23110))
"""Seconds around both phases of the forced close, which needs fresh prices to lean on."""
IDLE_STEP: Final = 60
"""Seconds between quotes where nothing is under way."""
SAMPLE_STEP: Final = 5
"""Seconds between the prices that a bar is made of, where no quotes are."""


class Entry(Struct, frozen=True):
    """A request of the demo's strategy: seconds after the open, then the terms."""

    at: int
    side: PositionSide
    quantity: int
    ideal: str
    zone_max: str
    stop: str
    key_level: str | None = None


class Stock(Struct, frozen=True, kw_only=True):
    """One instrument's day: price key frames (seconds after the open, price), requests, halts, silences."""

    name: str
    frames: tuple[tuple[int, str], ...]
    entry: Entry
    busy: tuple[int, int]
    exit_at: int | None = None
    halt: tuple[int, int] | None = None
    silent: tuple[int, int] | None = None


STOCKS: Final = (
    Stock(
        name="AAPL",
        frames=(
            (0, "186.60"),
            (1180, "187.24"),
            (1205, "187.12"),
            (1500, "188.30"),
            (1800, "188.80"),
            (1950, "188.45"),
            (2300, "189.30"),
            (2450, "188.95"),
            (3100, "190.40"),
            (3700, "188.60"),
            (23400, "188.20"),
        ),
        entry=Entry(1190, PositionSide.LONG, 150, "187.20", "187.30", "186.20", "188.70"),
        busy=(1180, 3800),
    ),
    Stock(
        name="MSFT",
        frames=(
            (0, "420.20"),
            (1500, "421.04"),
            (1510, "420.90"),
            (1700, "421.60"),
            (2000, "418.40"),
            (23400, "417.80"),
        ),
        entry=Entry(1502, PositionSide.LONG, 20, "421.00", "421.20", "419.00"),
        busy=(1495, 2100),
    ),
    Stock(
        name="NVDA",
        frames=((0, "902.00"), (23400, "905.00")),
        entry=Entry(1800, PositionSide.LONG, 10, "902.40", "902.90", "898.00"),
        busy=(1795, 1830),
    ),
    Stock(
        name="TSLA",
        frames=(
            (0, "249.20"),
            (2095, "250.30"),
            (2130, "250.40"),
            (2700, "251.30"),
            (3000, "251.10"),
            (23400, "250.00"),
        ),
        entry=Entry(2100, PositionSide.LONG, 40, "250.00", "250.06", "248.80"),
        busy=(2090, 3100),
        exit_at=2900,
    ),
    Stock(
        name="AMZN",
        frames=(
            (0, "180.90"),
            (2400, "179.94"),
            (2420, "180.06"),
            (3000, "178.40"),
            (3600, "179.20"),
            (22000, "179.40"),
            (23400, "179.60"),
        ),
        entry=Entry(2410, PositionSide.SHORT, 60, "180.00", "179.90", "181.50"),
        busy=(2400, 3650),
    ),
    Stock(
        name="META",
        frames=(
            (0, "610.50"),
            (3000, "612.05"),
            (3012, "611.90"),
            (3200, "613.00"),
            (3301, "612.60"),
            (3599, "612.60"),
            (3600, "607.80"),
            (3700, "607.20"),
            (23400, "606.00"),
        ),
        entry=Entry(3002, PositionSide.LONG, 15, "612.00", "612.30", "609.00"),
        busy=(2995, 3720),
        halt=(3300, 3600),
    ),
    Stock(
        name="ORCL",
        frames=(
            (0, "139.40"),
            (4805, "140.02"),
            (4812, "139.90"),
            (5400, "140.60"),
            (20000, "141.10"),
            (23400, "140.90"),
        ),
        entry=Entry(4806, PositionSide.LONG, 100, "140.00", "140.10", "138.00"),
        busy=(4800, 4900),
    ),
    Stock(
        name="GOOG",
        frames=(
            (0, "165.90"),
            (3605, "165.52"),
            (3612, "165.40"),
            (4000, "166.60"),
            (4300, "167.60"),
            (4700, "166.20"),
            (23400, "166.00"),
        ),
        entry=Entry(3606, PositionSide.LONG, 80, "165.50", "165.60", "164.50"),
        busy=(3600, 4800),
        silent=(3607, 3618),
    ),
)

SCRIPT: Final[Script] = (
    Misbehave(when=When(role=Role.ENTRY, instrument="AAPL"), what=FillOnly(quantity=Decimal(120))),
    Misbehave(when=When(role=Role.STOP, instrument="MSFT"), what=NoFillAfterTrigger()),
    Misbehave(when=When(role=Role.ENTRY, instrument="NVDA"), what=Reject(text="not enough buying power")),
    Misbehave(when=When(role=Role.ENTRY, instrument="TSLA"), what=FillAfterCancel(quantity=Decimal(25))),
    Misbehave(when=When(role=Role.ENTRY, instrument="AMZN"), what=Repeat(message="OrderFilled")),
    Misbehave(when=When(role=Role.ENTRY, instrument="AMZN"), what=Swap(message="OrderAccepted")),
    Misbehave(when=When(role=Role.TARGET, instrument="AMZN", nth=1), what=FillOnly(quantity=Decimal(9))),
    Misbehave(when=When(role=Role.ENTRY, instrument="GOOG"), what=Delay(ms=4000, message="OrderFilled")),
    Misbehave(when=When(role=Role.STOP, instrument="GOOG", nth=1), what=Reject(text="risk system busy")),
    Misbehave(when=When(role=Role.STOP, instrument="GOOG", nth=2), what=Reject(text="risk system busy")),
)


def times() -> tuple[Micros, Micros, Micros]:
    """(pre-market open, open, close) of the demo's day."""
    found = session("XNYS", DAY)
    assert found is not None, "the demo's day is a trading day"
    return found.pre_open_at, found.open_at, found.close_at


def tape() -> Iterator[Stamped]:
    """Everything that reaches the system from outside but the broker, in time order, each with a fixed key."""
    start, opened, closed = times()
    for stock in STOCKS:
        yield _stamped(
            InstrumentDefined(
                instrument=stock.name,
                symbol=stock.name,
                currency="USD",
                tick=TICK,
                lot=Decimal(1),
                calendar="XNYS",
            ),
            start,
        )
        yield _stamped(
            SessionOpened(
                instrument=stock.name,
                calendar="XNYS",
                session_date=DAY,
                pre_open_at=start,
                open_at=opened,
                close_at=closed,
            ),
            start,
        )
    # At one instant a halt comes before the quote, the quote before the request, the bar last.
    yield from merge(*(_day_of(stock, opened, closed) for stock in STOCKS), key=lambda one: one.logical_time)
    yield _stamped(DayRolled(trading_day=DAY + timedelta(days=1)), closed + 4 * 60 * MINUTE)


def _day_of(stock: Stock, opened: Micros, closed: Micros) -> Iterator[Stamped]:
    last = (closed - opened) // SECOND
    quoted = _quoted(stock, last)
    prices: list[Decimal] = []
    for second in sorted(quoted.union(range(0, last + 1, SAMPLE_STEP))):
        at = opened + second * SECOND
        price = price_at(stock, second)
        prices.append(price)
        yield from _acts(stock, second, at)
        if second in quoted:
            quote = QuoteReported(instrument=stock.name, bid=price - TICK, ask=price + TICK, received_at=at)
            yield _stamped(quote, at, keyed=False)
        if second == stock.entry.at:
            yield _request(stock, at)
        if second and second % 60 == 0:
            yield _stamped(_bar(stock, prices, at), at)
            prices = [price]


def _acts(stock: Stock, second: int, at: Micros) -> Iterator[Stamped]:
    if stock.halt is not None and second in stock.halt:
        status = VenueStatus.HALTED if second == stock.halt[0] else VenueStatus.TRADING
        yield _stamped(VenueStatusChanged(instrument=stock.name, status=status), at)
    if second == stock.exit_at:
        event = ExitRequested(
            instrument=stock.name, strategy="demo", intent_id=f"{stock.name}-exit", reason="SIGNAL_GONE"
        )
        yield Stamped(event=event, logical_time=at, source="strategy:demo", dedupe_key=event.intent_id)


def _quoted(stock: Stock, last: int) -> set[int]:
    """The seconds that have a quote: all of the busy ones, a few of the others, none in a halt or a silence."""
    found = set(range(0, last + 1, IDLE_STEP))
    for start, end in (stock.busy, *FORCED_CLOSE):
        found.update(range(start, end + 1))
    for start, end in filter(None, (stock.halt, stock.silent)):
        found.difference_update(range(start, end))
    return found


def price_at(stock: Stock, second: int) -> Decimal:
    """The middle of the quote: the line between two key frames in whole ticks, and one tick of wiggle."""
    index = bisect_right(stock.frames, second, key=itemgetter(0)) - 1
    start, low = stock.frames[index]
    end, high = stock.frames[min(index + 1, len(stock.frames) - 1)]
    ticks = _ticks(low)
    if end > start:
        ticks += (_ticks(high) - ticks) * (second - start) // (end - start)
    wiggle = (second * 2_654_435_761 >> 7) % 3 - 1
    return Decimal(ticks + wiggle).scaleb(-2)


@cache
def _ticks(price: str) -> int:
    return int(Decimal(price) / TICK)


def _request(stock: Stock, at: Micros) -> Stamped:
    entry = stock.entry
    event = EntryRequested(
        instrument=stock.name,
        strategy="demo",
        intent_id=f"{stock.name}-1",
        side=entry.side,
        quantity=Decimal(entry.quantity),
        ideal=Decimal(entry.ideal),
        zone_max=Decimal(entry.zone_max),
        stop=Decimal(entry.stop),
        key_level=Decimal(entry.key_level) if entry.key_level is not None else None,
    )
    return Stamped(event=event, logical_time=at, source="strategy:demo", dedupe_key=event.intent_id)


def _bar(stock: Stock, prices: list[Decimal], end_at: Micros) -> BarClosed:
    return BarClosed(
        instrument=stock.name,
        open_at=end_at - MINUTE,
        end_at=end_at,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=Decimal(1000),
    )


def _stamped(event: Event, at: Micros, *, keyed: bool = True) -> Stamped:
    name = getattr(event, "instrument", "account")
    key = f"{name}:{type(event).__name__}:{at}" if keyed else None
    return Stamped(
        event=event, logical_time=at, received_at=at, source="tape" if keyed else None, dedupe_key=key
    )
