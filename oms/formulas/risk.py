"""Multiples of the risk taken, and how a position is split into tranches. OD-043..OD-050, C-12."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from enum import Enum

from oms.values import ONE, SIGN_OF, ZERO, PositionSide


class SizeClass(Enum):
    """Which ladder a position gets, by its intended value."""

    COMPACT = "compact"
    STANDARD = "standard"
    FULL = "full"


def risk_per_unit(price_entry: Decimal, price_stop: Decimal, side: PositionSide) -> Decimal:
    """1R: what one unit loses from entry to stop. Zero where the stop is not on the losing side."""
    return max(ZERO, SIGN_OF[side] * (price_entry - price_stop))


def r_multiple_price(price_entry: Decimal, r: Decimal, k: Decimal, side: PositionSide) -> Decimal:
    """The price at which the trade has earned `k` times its risk `r` per unit; not rounded."""
    return price_entry + SIGN_OF[side] * k * r


def r_multiple(price_entry: Decimal, price: Decimal, r: Decimal, side: PositionSide) -> Decimal | None:
    """How many times its risk the trade has earned at `price`; None where it took no risk."""
    return SIGN_OF[side] * (price - price_entry) / r if r > ZERO else None


def size_class(value: Decimal, threshold_low: Decimal, threshold_high: Decimal) -> SizeClass:
    """The ladder for a position of `value`. Both thresholds themselves belong to the middle class."""
    if value < threshold_low:
        return SizeClass.COMPACT
    return SizeClass.FULL if value > threshold_high else SizeClass.STANDARD


def allocate(quantity: Decimal, pcts: Sequence[Decimal], lot: Decimal) -> tuple[Decimal, ...]:
    """Split `quantity` into one tranche per fraction; the sum is exact and no tranche is negative.

    The last tranche is the runner: its share is what the others leave, whatever its own fraction says. Whole
    lots are given by largest remainder (of equal remainders the earlier tranche), so each tranche is within one
    lot of its exact share; a rest smaller than a lot goes to the runner. A tranche may be zero: it is not sent.
    """
    if not pcts:
        return ()
    held = max(ZERO, quantity)
    spare = lots = (held / lot).to_integral_value(ROUND_DOWN)
    whole, short = list[Decimal](), list[tuple[Decimal, int]]()
    for index, share in enumerate(_shares(lots, pcts)):
        count = share.to_integral_value(ROUND_DOWN)
        spare -= count
        whole.append(count)
        short.append((count - share, index))
    if spare:
        short.sort()
        for _, index in short[: int(spare)]:
            whole[index] += ONE
    tranches = [count * lot for count in whole]
    tranches[-1] += held - lots * lot
    return tuple(tranches)


def _shares(lots: Decimal, pcts: Sequence[Decimal]) -> list[Decimal]:
    """Exact shares in lots. Fractions beyond the whole are cut where the position is used up."""
    shares: list[Decimal] = []
    left = lots
    for pct in pcts[:-1]:
        share = lots * pct
        if share > left:
            share = left
        elif share < ZERO:
            share = ZERO
        shares.append(share)
        left -= share
    return [*shares, left]
