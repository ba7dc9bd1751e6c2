"""The displayed book as a help for the price of an entry, and for nothing else. Live only, off by default. OD-110.

It never makes an entry, a size, a stop or a target: the last cycle of an entry may go as deep into the book as its
quantity needs, inside its zone like any other price, and the request names the book as its evidence.
"""

from decimal import Decimal

from oms.events.market import DepthLevel
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, PositionSide


def deep_price(view: View, side: PositionSide, quantity: Decimal) -> Decimal | None:
    """The price up to which the book displays `quantity`, or its last one if it displays less.

    None where the settings do not use the book, and where it is too old, crossed, or one-sided.
    """
    depth = view.market.depth
    if depth is None or view.settings.depth.use == "off" or not depth.bids or not depth.asks:
        return None
    if view.now - depth.received_at > view.settings.market_data.stale_quote_ms * MILLISECOND:
        return None
    if depth.bids[0].price > depth.asks[0].price:
        return None
    return _covering(depth.asks if side is PositionSide.LONG else depth.bids, quantity)


def _covering(levels: tuple[DepthLevel, ...], quantity: Decimal) -> Decimal:
    shown = ZERO
    for level in levels:
        shown += level.quantity
        if shown >= quantity:
            return level.price
    return levels[-1].price
