"""What a round trip costs, and the price from which a trade no longer loses. C-04; BB-009, OD-065.

The break-even price is rounded to the tick in the direction in which the trade earns more, so that a stop
resting there never gives back the offset it stands for.
"""

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from oms.values import LONG, ONE, SIGN_OF, ZERO, PositionSide, round_down_to_tick, round_up_to_tick


class BreakEvenMode(Enum):
    """How far beyond the entry price the break-even price lies."""

    NONE = "none"
    PCT = "pct"
    TICKS = "ticks"
    ROUND_TRIP_COST = "round_trip_cost"


class Fees(Struct, frozen=True, gc=False, kw_only=True):
    """What one order costs: money per unit, a fraction of the value, and money per order. None is negative."""

    per_unit: Decimal = ZERO
    pct: Decimal = ZERO
    per_order: Decimal = ZERO


def round_trip_cost(price_entry: Decimal, quantity: Decimal, side: PositionSide, fees: Fees) -> Decimal:
    """Fees of entry and exit per unit, with the exit at the price that just pays for both; never negative.

    A fraction of the value is charged on two different prices, so the exit price is solved for, not assumed
    equal to the entry. Without a position the cost is zero.
    """
    if quantity <= ZERO or price_entry <= ZERO:
        return ZERO
    sign = SIGN_OF[side]
    fixed = 2 * (fees.per_unit + fees.per_order / quantity)
    # exit - sign * pct * exit = entry + sign * (pct * entry + fixed)
    share = ONE - sign * fees.pct
    if share <= ZERO:
        return ZERO
    price_exit = (price_entry + sign * (fees.pct * price_entry + fixed)) / share
    return sign * (price_exit - price_entry)


def break_even_price(
    price_entry: Decimal, side: PositionSide, mode: BreakEvenMode, amount: Decimal, tick: Decimal
) -> Decimal:
    """The stop price at which the trade is even, on the tick.

    `amount` is a fraction for PCT, a number of ticks for TICKS, money per unit for ROUND_TRIP_COST (see
    `round_trip_cost`), and unused for NONE. Long rounds up, short rounds down.
    """
    if mode is BreakEvenMode.ROUND_TRIP_COST:
        offset = amount
    elif mode is BreakEvenMode.PCT:
        offset = price_entry * amount
    elif mode is BreakEvenMode.TICKS:
        offset = amount * tick
    else:
        offset = ZERO
    price = price_entry + SIGN_OF[side] * offset
    return round_up_to_tick(price, tick) if side is LONG else round_down_to_tick(price, tick)
