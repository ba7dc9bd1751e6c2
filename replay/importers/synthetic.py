"""Quotes on a stated path through a bar, for data that has bars only.

Inside a bar the order of high and low is unknown. A backtest that picks the kind one deceives its owner, so the
path goes to the extreme that hurts the open position first. The quotes say of themselves that they are made.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported
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

    Each of the four holds for a quarter of the bar and is repeated every `step_us`, so that it stays fresh. Half
    the spread lies on each side of the price; with a `tick` both sides move out to it, so the spread is never
    narrower than asked. A side that would not be above zero is missing.
    """
    first, second = (bar.low, bar.high) if adverse == "low" else (bar.high, bar.low)
    prices = (bar.open, first, second, bar.close)
    span = bar.end_at - bar.open_at
    starts = [bar.open_at + span * quarter // len(prices) for quarter in range(len(prices) + 1)]
    for price, start, end in zip(prices, starts, starts[1:], strict=False):
        bid, ask = _sides(price, spread, tick)
        for at in range(start, end, step_us):
            quote = QuoteReported(instrument=bar.instrument, bid=bid, ask=ask, received_at=at, synthetic=True)
            yield tick_record(quote, NAME)


def _sides(price: Decimal, spread: Decimal, tick: Decimal | None) -> tuple[Decimal | None, Decimal]:
    bid, ask = price - spread / 2, price + spread / 2
    if tick is not None:
        bid, ask = round_down_to_tick(bid, tick), round_up_to_tick(ask, tick)
    return (bid if bid > ZERO else None), ask
