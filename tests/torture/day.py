"""A short, busy day for a writer that dies often: forty minutes in which every kind of order comes to its end.

Partial entry and staged targets, a stop-limit that falls back to market, a refused entry, a late fill after a
cancel, messages that repeat and swap, a halt, a stop that is rejected once, and what the forced close has to close.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from heapq import merge
from operator import attrgetter
from typing import Final

from msgspec import Struct

from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated.script import FillAfterCancel, FillOnly, NoFillAfterTrigger, Reject, Repeat, Swap
from oms.events.base import Event, Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.events.session import DayRolled, InstrumentDefined, SessionOpened, VenueStatus, VenueStatusChanged
from oms.events.strategy import EntryRequested, ExitRequested
from oms.values import SECOND, Micros, PositionSide, Role

DAY: Final = date(2026, 3, 9)
TICK: Final = Decimal("0.01")
START: Final[Micros] = (
    datetime(2026, 3, 9, 14, 30, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
) // timedelta(microseconds=1)
LENGTH: Final = 2400
REPEATED: Final = "AMZN"
"""This stock's feed tells every bar twice, so that batches are refused."""
FORCED_CLOSE: Final = ((1498, 1506), (2098, 2106))
"""Seconds around both phases of the forced close, which needs fresh prices to lean on."""


class Stock(Struct, frozen=True, kw_only=True):
    """One instrument: price key frames (second, cents), one request, the seconds with quotes, and what happens."""

    name: str
    frames: tuple[tuple[int, int], ...]
    at: int
    quantity: int
    stop: str
    side: PositionSide = PositionSide.LONG
    until: int
    key_level: str | None = None
    exit_at: int | None = None
    halt: tuple[int, int] | None = None


STOCKS: Final = (
    Stock(
        name="AAPL",
        frames=(
            (0, 18720),
            (930, 18720),
            (960, 18830),
            (985, 18880),
            (1000, 18850),
            (1020, 18930),
            (1040, 18860),
        ),
        at=906,
        quantity=150,
        stop="186.20",
        until=1050,
        key_level="188.70",
    ),
    Stock(
        name="MSFT",
        frames=((0, 42100), (930, 42100), (945, 42160), (960, 41850)),
        at=911,
        quantity=20,
        stop="419.00",
        until=980,
    ),
    Stock(name="NVDA", frames=((0, 90240),), at=915, quantity=10, stop="898.00", until=925),
    Stock(
        name="TSLA",
        frames=((0, 25000), (921, 25000), (923, 25030), (970, 25060)),
        at=920,
        quantity=40,
        stop="248.80",
        until=980,
        exit_at=970,
    ),
    Stock(
        name="AMZN",
        frames=((0, 18000), (930, 18000), (970, 17840), (1000, 17930)),
        at=902,
        quantity=60,
        stop="181.50",
        side=PositionSide.SHORT,
        until=1010,
    ),
    Stock(
        name="META",
        frames=((0, 61200), (930, 61210), (965, 61250), (966, 60780), (990, 60720)),
        at=908,
        quantity=15,
        stop="609.00",
        until=990,
        halt=(940, 965),
    ),
    Stock(name="ORCL", frames=((0, 14000), (2000, 14060)), at=918, quantity=100, stop="138.00", until=930),
    Stock(
        name="GOOG",
        frames=((0, 16550), (930, 16550), (960, 16660), (985, 16760), (1010, 16620)),
        at=913,
        quantity=80,
        stop="164.50",
        until=1020,
    ),
)

BROKER: Final = BrokerSettings(
    seed=7,
    fill_model="realistic",
    script=(
        Misbehave(when=When(role=Role.ENTRY, instrument="AAPL"), what=FillOnly(quantity=Decimal(120))),
        Misbehave(when=When(role=Role.STOP, instrument="MSFT"), what=NoFillAfterTrigger()),
        Misbehave(when=When(role=Role.ENTRY, instrument="NVDA"), what=Reject(text="not enough buying power")),
        Misbehave(when=When(role=Role.ENTRY, instrument="TSLA"), what=FillAfterCancel(quantity=Decimal(25))),
        Misbehave(when=When(role=Role.ENTRY, instrument="AMZN"), what=Repeat(message="OrderFilled")),
        Misbehave(when=When(role=Role.ENTRY, instrument="AMZN"), what=Swap(message="OrderAccepted")),
        Misbehave(when=When(role=Role.TARGET, instrument="AMZN", nth=1), what=FillOnly(quantity=Decimal(9))),
        Misbehave(when=When(role=Role.STOP, instrument="GOOG", nth=1), what=Reject(text="risk system busy")),
    ),
)


def tape() -> list[Stamped]:
    """Everything that reaches the system from outside but the broker, in time order; all but quotes have keys."""
    records = [_stamped(event, START) for stock in STOCKS for event in _definitions(stock)]
    records += merge(*map(_day_of, STOCKS), key=attrgetter("logical_time"))
    records.append(_stamped(DayRolled(trading_day=DAY + timedelta(days=1)), START + 2 * LENGTH * SECOND))
    return records


def wanted() -> dict[str, Decimal]:
    """What the strategy asked for, by instrument."""
    return {stock.name: Decimal(stock.quantity) for stock in STOCKS}


def inputs() -> tuple[str, ...]:
    """The keys of everything that has to be in the log once."""
    return tuple(dict.fromkeys(record.dedupe_key for record in tape() if record.dedupe_key is not None))


def _definitions(stock: Stock) -> Iterator[Event]:
    yield InstrumentDefined(
        instrument=stock.name, symbol=stock.name, currency="USD", tick=TICK, lot=Decimal(1), calendar="XNYS"
    )
    yield SessionOpened(
        instrument=stock.name,
        calendar="XNYS",
        session_date=DAY,
        open_at=START,
        close_at=START + LENGTH * SECOND,
    )


def _day_of(stock: Stock) -> Iterator[Stamped]:
    quoted = set(range(0, LENGTH + 1, 60))
    for first, last in ((stock.at - 3, stock.until), *FORCED_CLOSE):
        quoted.update(range(first, last + 1))
    if stock.halt is not None:
        quoted.difference_update(range(*stock.halt))
    for second in sorted(quoted | {stock.exit_at or 0, *(stock.halt or ())}):
        at = START + second * SECOND
        yield from _acts(stock, second, at)
        if second and second % 60 == 0:
            bar = _stamped(_bar(stock, second, at), at)
            yield from (bar, bar) if stock.name == REPEATED else (bar,)


def _acts(stock: Stock, second: int, at: Micros) -> Iterator[Stamped]:
    """At one instant a halt comes before the quote, the quote before a request."""
    halted = stock.halt is not None and stock.halt[0] <= second < stock.halt[1]
    if stock.halt is not None and second in stock.halt:
        status = VenueStatus.HALTED if second == stock.halt[0] else VenueStatus.TRADING
        yield _stamped(VenueStatusChanged(instrument=stock.name, status=status), at)
    if not halted:
        price = price_at(stock, second)
        quote = QuoteReported(instrument=stock.name, bid=price - TICK, ask=price + TICK, received_at=at)
        yield Stamped(event=quote, logical_time=at, received_at=at)
    if second == stock.at:
        yield _wish(_entry(stock), at)
    if second == stock.exit_at:
        wish = ExitRequested(
            instrument=stock.name, strategy="torture", intent_id=f"{stock.name}-exit", reason="SIGNAL_GONE"
        )
        yield _wish(wish, at)


def price_at(stock: Stock, second: int) -> Decimal:
    """The middle of the quote: the line between two key frames in whole ticks, and one tick of wiggle."""
    index = bisect_right(stock.frames, second, key=lambda frame: frame[0]) - 1
    start, low = stock.frames[index]
    end, high = stock.frames[min(index + 1, len(stock.frames) - 1)]
    ticks = low + ((high - low) * (second - start) // (end - start) if end > start else 0)
    return Decimal(ticks + (second * 2_654_435_761 >> 7) % 3 - 1).scaleb(-2)


def _entry(stock: Stock) -> EntryRequested:
    ideal = Decimal(stock.frames[0][1]).scaleb(-2)
    zone = Decimal("0.10") if stock.name != "TSLA" else Decimal("0.04")
    return EntryRequested(
        instrument=stock.name,
        strategy="torture",
        intent_id=f"{stock.name}-1",
        side=stock.side,
        quantity=Decimal(stock.quantity),
        ideal=ideal,
        zone_max=ideal + (zone if stock.side is PositionSide.LONG else -zone),
        stop=Decimal(stock.stop),
        key_level=Decimal(stock.key_level) if stock.key_level is not None else None,
    )


def _wish(event: EntryRequested | ExitRequested, at: Micros) -> Stamped:
    return Stamped(event=event, logical_time=at, source="strategy:torture", dedupe_key=event.intent_id)


def _bar(stock: Stock, second: int, at: Micros) -> BarClosed:
    prices = [price_at(stock, one) for one in range(second - 60, second + 1, 5)]
    return BarClosed(
        instrument=stock.name,
        open_at=at - 60 * SECOND,
        end_at=at,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=Decimal(1000),
    )


def _stamped(event: Event, at: Micros) -> Stamped:
    name = getattr(event, "instrument", "account")
    key = f"{name}:{type(event).__name__}:{at}"
    return Stamped(event=event, logical_time=at, received_at=at, source="tape", dedupe_key=key)
