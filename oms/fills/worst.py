"""What a careful plan survives: limits fill only when traded through, the rest pays adverse slippage."""

from typing import Final

from oms.fills.base import (
    Fill,
    Market,
    Working,
    best_traded,
    capped,
    has_quote,
    is_within,
    slipped,
    takes,
    touch,
    worse,
)
from oms.values import SIGN_OF_SIDE

SLIPPAGE_TICKS: Final = 3


def fill(order: Working, market: Market, draw: int) -> Fill | None:
    """Takers pay the worse of quote and print plus slippage; resting limits need one tick beyond."""
    price = takes(order, market)
    if price is not None:
        if has_quote(market) and market.first is not None:
            price = worse(order.side, price, market.first)
        return Fill(order.leaves, capped(order, slipped(order.side, price, SLIPPAGE_TICKS, market)))
    limit = order.price_limit
    if limit is None:
        return None
    beyond = limit - SIGN_OF_SIDE[order.side] * market.tick
    reached = (touch(order.side, market), best_traded(order.side, market))
    if any(price is not None and is_within(order.side, price, beyond) for price in reached):
        return Fill(order.leaves, limit)
    return None
