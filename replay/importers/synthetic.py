"""Quotes on a stated path through a bar, for data that has bars only, of trades or of quotes.

Inside a bar the order of high and low is unknown. A backtest that picks the kind one deceives its owner, so the
path goes to the extreme that hurts the open position first. The quotes say of themselves that they are made.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Final, Literal, overload

from oms.events.base import Stamped
from oms.events.market import BarClosed, Prices, QuoteReported
from oms.values import SECOND, ZERO, Micros, round_down_to_tick, round_up_to_tick
from replay.importers.rows import tick_record

NAME: Final = "synthetic"

Adverse = Literal["low", "high"]


def adverse_to(position: Decimal) -> Adverse:
    """The extreme that comes first for a signed position: the low for long and for flat, the high for short."""
    return "high" if position < ZERO else "low"


def path(
    bar: BarClosed, adverse: Adverse, spread: Decimal, step_us: Micros = SECOND, tick: Decimal | None = None
) -> Iterator[Stamped]:
    """Quotes from the bar's start up to, not including, its end: open, adverse extreme, other extreme, close.

    Each of the four holds for a quarter of the bar and is repeated every `step_us`, so that it stays fresh. A bar
    that carries its quotes is followed through those, both sides in step, and a side it lacks is missing. Through
    any other, half the spread lies on each side of the price; with a `tick` both sides move out to it, so the
    spread is never narrower than asked, and a side that would not be above zero is missing.
    """
    sides: list[tuple[Decimal | None, Decimal | None]]
    if bar.bid is None and bar.ask is None:
        sides = [_sides(price, spread, tick) for price in _course(bar, adverse)]
    else:
        sides = list(zip(_course(bar.bid, adverse), _course(bar.ask, adverse), strict=True))
    span = bar.end_at - bar.open_at
    starts = [bar.open_at + span * quarter // len(sides) for quarter in range(len(sides) + 1)]
    for (bid, ask), (start, end) in zip(sides, pairwise(starts), strict=True):
        for at in range(start, end, step_us):
            quote = QuoteReported(instrument=bar.instrument, bid=bid, ask=ask, received_at=at, synthetic=True)
            yield tick_record(quote, NAME)


@overload
def _course(prices: BarClosed, adverse: Adverse) -> tuple[Decimal, ...]: ...


@overload
def _course(prices: Prices | None, adverse: Adverse) -> tuple[Decimal | None, ...]: ...


def _course(prices: BarClosed | Prices | None, adverse: Adverse) -> tuple[Decimal | None, ...]:
    """The four prices of a path, in their order; None four times for a side without a quote."""
    if prices is None:
        return (None,) * 4
    first, second = (prices.low, prices.high) if adverse == "low" else (prices.high, prices.low)
    return prices.open, first, second, prices.close


def _sides(price: Decimal, spread: Decimal, tick: Decimal | None) -> tuple[Decimal | None, Decimal]:
    bid, ask = price - spread / 2, price + spread / 2
    if tick is not None:
        bid, ask = round_down_to_tick(bid, tick), round_up_to_tick(ask, tick)
    return (bid if bid > ZERO else None), ask
