"""The only place a market order can come from. It demands a reason of the profile's closed list and evidence.

Outside the phases in which the venue takes market orders, and for a listed reason that the profile does not permit,
a limit with a collar stands in for it (architecture 6; OD-023..029): a position is never left alone over its form.
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
    ZERO,
    MarketReason,
    OrderType,
    Role,
    Side,
    round_down_to_tick,
    round_up_to_tick,
)

REASONS: Final = frozenset(value for name, value in vars(MarketReason).items() if name.isupper())


class MarketOrderRefused(Exception):
    """A market order was asked for without a listed reason or without evidence."""


def exit_at_market(
    view: View, trade: Trade, quantity: Decimal, *, policy: str, reason: str, evidence: tuple[int, ...]
) -> OrderPlaced:
    """A new exit at market, or its stand-in. Raises MarketOrderRefused."""
    order_type, limit = terms(view, trade, reason=reason, evidence=evidence)
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
    view: View,
    trade: Trade,
    order: Order,
    quantity: Decimal,
    *,
    policy: str,
    reason: str,
    evidence: tuple[int, ...],
) -> ReplaceRequested:
    """Turn a resting stop or exit into a market order, or its stand-in. Raises MarketOrderRefused."""
    order_type, limit = terms(view, trade, reason=reason, evidence=evidence)
    return orders.change(
        order,
        quantity,
        order_type=order_type,
        price_limit=limit,
        policy=policy,
        reason=reason,
        evidence=evidence,
    )


def has_terms(view: View, trade: Trade, reason: str) -> bool:
    """Whether "at market" means anything now: what the profile does not permit needs a price to put a collar on."""
    return _is_permitted(view, trade, reason) or collared(view, trade, orders.exit_side(trade)) is not None


def waits_for_price(view: View, trade: Trade) -> bool:
    """Whether a close at market cannot leave: it is not permitted, and nothing tells where to put a limit."""
    close = trade.close
    if close is None or not close.market or view.live(trade.exits):
        return False
    return not has_terms(view, trade, close.reason)


def _is_permitted(view: View, trade: Trade, reason: str) -> bool:
    return reason in view.settings_of(trade).market_orders.allowed_reasons


def terms(
    view: View, trade: Trade, *, reason: str, evidence: tuple[int, ...]
) -> tuple[OrderType, Decimal | None]:
    """Order type and limit price that "at market" means now. Raises MarketOrderRefused."""
    if reason not in REASONS:
        raise MarketOrderRefused(f"reason {reason!r} does not permit a market order")
    if not evidence:
        raise MarketOrderRefused(f"reason {reason!r} came without evidence")
    permitted = _is_permitted(view, trade, reason)
    if permitted and view.takes_market_orders():
        return OrderType.MARKET, None
    limit = collared(view, trade, orders.exit_side(trade))
    if limit is None and not permitted:
        raise MarketOrderRefused(f"the profile does not permit {reason!r} and there is no price for a collar")
    # Without any price to lean on there is nothing to put a collar on; the venue will say what it thinks.
    return (OrderType.LIMIT, limit) if limit is not None else (OrderType.MARKET, None)


def collared(view: View, trade: Trade, side: Side) -> Decimal | None:
    """A marketable limit: the far side of the newest quote plus a collar, on the tick."""
    price = view.market.exit_price(side) or view.market.last
    if price is None:
        return None
    collar = view.settings_of(trade).exit.collar_pct
    if side is Side.SELL:
        limit = round_down_to_tick(price * (ONE - collar), view.tick)
        # A bid of one tick leaves nothing below it.
        return limit if limit > ZERO else None
    return round_up_to_tick(price * (ONE + collar), view.tick)
