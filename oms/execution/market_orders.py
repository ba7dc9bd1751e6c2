"""The only place a market order can come from. It demands a reason of the profile's closed list and evidence.

Outside the phases in which the venue takes market orders, a limit with a collar stands in for it
(architecture 6; OD-023..029).
"""

from decimal import Decimal
from typing import Final

from oms.events.decisions import OrderPlaced, ReplaceRequested
from oms.execution import orders
from oms.state.order import Order
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import (
    ONE,
    MarketReason,
    OrderType,
    Role,
    Side,
    round_down_to_tick,
    round_up_to_tick,
)

REASONS: Final = frozenset(value for name, value in vars(MarketReason).items() if name.isupper())


class MarketOrderRefused(Exception):
    """A market order was asked for without a permitted reason or without evidence."""


def exit_at_market(
    view: View, trade: Trade, quantity: Decimal, *, policy: str, reason: str, evidence: tuple[int, ...]
) -> OrderPlaced:
    """A new exit at market, or its stand-in. Raises MarketOrderRefused."""
    order_type, limit = _terms(view, trade, reason, evidence)
    return orders.place(
        trade,
        Role.EXIT,
        quantity,
        order_type,
        price_limit=limit,
        policy=policy,
        reason=reason,
        evidence=evidence,
    )


def turn_to_market(
    view: View, trade: Trade, order: Order, quantity: Decimal, *, policy: str, reason: str, evidence: tuple[int, ...]
) -> ReplaceRequested:
    """Turn a resting stop or exit into a market order, or its stand-in. Raises MarketOrderRefused."""
    order_type, limit = _terms(view, trade, reason, evidence)
    return orders.change(
        order,
        quantity,
        order_type=order_type,
        price_limit=limit,
        policy=policy,
        reason=reason,
        evidence=evidence,
    )


def _terms(
    view: View, trade: Trade, reason: str, evidence: tuple[int, ...]
) -> tuple[OrderType, Decimal | None]:
    if reason not in REASONS or reason not in view.settings_of(trade).market_orders.allowed_reasons:
        raise MarketOrderRefused(f"reason {reason!r} does not permit a market order")
    if not evidence:
        raise MarketOrderRefused(f"reason {reason!r} came without evidence")
    if view.market.is_regular(view.now):
        return OrderType.MARKET, None
    limit = collared(view, trade, orders.exit_side(trade))
    # Without any price to lean on there is nothing to put a collar on; the venue will say what it thinks.
    return (OrderType.LIMIT, limit) if limit is not None else (OrderType.MARKET, None)


def collared(view: View, trade: Trade, side: Side) -> Decimal | None:
    """A marketable limit: the far side of the newest quote plus a collar, on the tick."""
    price = view.market.exit_price(side) or view.market.last
    if price is None:
        return None
    collar = view.settings_of(trade).exit.collar_pct
    if side is Side.SELL:
        return round_down_to_tick(price * (ONE - collar), view.tick)
    return round_up_to_tick(price * (ONE + collar), view.tick)
