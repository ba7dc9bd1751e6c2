"""What usually happens: taking liquidity costs the spread and a tick; resting limits wait to be reached."""

from typing import Final

from oms.fills.base import (
    Fill,
    Market,
    Working,
    best_traded,
    capped,
    is_within,
    part_of,
    slipped,
    takes,
    touch,
)

SLIPPAGE_TICKS: Final = 1
PARTS: Final = 4
"""A limit that the opposite side only just reaches fills in quarters of what is left."""


def fill(order: Working, market: Market, draw: int) -> Fill | None:
    """Takers pay the touch plus slippage; resting limits fill at their limit, in parts while only touched."""
    price = takes(order, market)
    if price is not None:
        return Fill(order.leaves, capped(order, slipped(order.side, price, SLIPPAGE_TICKS, market)))
    limit = order.price_limit
    if limit is None:
        return None
    quoted = touch(order.side, market)
    reached = [price for price in (quoted, best_traded(order.side, market)) if price is not None]
    if any(price != limit and is_within(order.side, price, limit) for price in reached):
        return Fill(order.leaves, limit)
    if quoted == limit:
        return Fill(part_of(order.leaves, market.lot, draw, PARTS), limit)
    return None
