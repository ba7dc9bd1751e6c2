"""Return on the margin of a position, and the price that earns a wanted return. CH-069, CH-071."""

from decimal import Decimal

from oms.values import SIGN_OF, ZERO, PositionSide


def roe(pnl_unrealised: Decimal, margin: Decimal) -> Decimal | None:
    """Return on equity as a fraction of the margin held; None without margin."""
    return pnl_unrealised / margin if margin > ZERO else None


def price_for_roe(
    price_entry: Decimal, leverage: Decimal, wanted: Decimal, side: PositionSide
) -> Decimal | None:
    """The price at which the return on margin is `wanted` (a fraction), before fees; None without leverage."""
    return price_entry * (1 + SIGN_OF[side] * wanted / leverage) if leverage > ZERO else None
