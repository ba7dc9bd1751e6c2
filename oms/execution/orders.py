"""Builders of order decisions. Ids are left empty here: the step fills them from the log position."""

from decimal import Decimal

from oms.events.decisions import (
    CancelRequested,
    CloseRequested,
    OrderPlaced,
    QueryRequested,
    ReplaceRequested,
)
from oms.state.order import Order
from oms.state.trade import Trade
from oms.state.venue import way_out
from oms.values import BUY_OF, Micros, OrderType, Role, Side, TimeInForce


def entry_side(trade: Trade) -> Side:
    """The side that enlarges the position of the trade."""
    return BUY_OF[trade.side]


exit_side = way_out


def place(
    trade: Trade,
    role: Role,
    quantity: Decimal,
    order_type: OrderType,
    *,
    policy: str,
    price_limit: Decimal | None = None,
    price_stop: Decimal | None = None,
    rung: int | None = None,
    valid_until: Micros | None = None,
    reason: str = "",
    evidence: tuple[int, ...] = (),
) -> OrderPlaced:
    """A new order of a trade. Stops are good till cancelled, so that they outlive us (OD-037)."""
    return OrderPlaced(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        client_order_id="",
        role=role,
        side=entry_side(trade) if role is Role.ENTRY else exit_side(trade),
        quantity=quantity,
        order_type=order_type,
        time_in_force=TimeInForce.GTC if role is Role.STOP else TimeInForce.DAY,
        price_limit=price_limit,
        price_stop=price_stop,
        rung=rung,
        valid_until=valid_until,
        reason=reason,
        evidence=evidence,
        policy=policy,
    )


def change(
    order: Order,
    quantity: Decimal,
    *,
    policy: str,
    order_type: OrderType | None = None,
    price_limit: Decimal | None = None,
    price_stop: Decimal | None = None,
    valid_until: Micros | None = None,
    reason: str = "",
    evidence: tuple[int, ...] = (),
) -> ReplaceRequested:
    """New terms for a working order. `quantity` is the whole order quantity, what is filled included."""
    assert order.trade_no is not None
    return ReplaceRequested(
        instrument=order.instrument,
        trade_no=order.trade_no,
        client_order_id=order.client_order_id,
        wire_id="",
        orig_wire_id=order.wire_id,
        broker_order_id=order.broker_order_id,
        quantity=quantity,
        order_type=order_type or order.order_type,
        price_limit=price_limit,
        price_stop=price_stop,
        valid_until=valid_until,
        reason=reason,
        evidence=evidence,
        policy=policy,
    )


def cancel(order: Order, *, policy: str, reason: str) -> CancelRequested:
    """Give an order up."""
    assert order.trade_no is not None
    return CancelRequested(
        instrument=order.instrument,
        trade_no=order.trade_no,
        client_order_id=order.client_order_id,
        wire_id="",
        orig_wire_id=order.wire_id,
        broker_order_id=order.broker_order_id,
        reason=reason,
        policy=policy,
    )


def query(order: Order, *, policy: str, reason: str) -> QueryRequested:
    """Ask what became of an order."""
    return QueryRequested(
        instrument=order.instrument,
        trade_no=order.trade_no or 0,
        client_order_id=order.client_order_id,
        wire_id=order.pending[-1].wire_id if order.pending else order.wire_id,
        reason=reason,
        policy=policy,
    )


def close(
    trade: Trade, reason: str, priority: int, *, market: bool, evidence: tuple[int, ...], policy: str
) -> CloseRequested:
    """The wish to close a trade, at market or by limits; `evidence`: the log positions that make the reason true."""
    return CloseRequested(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        reason=reason,
        priority=priority,
        market=market,
        evidence=evidence,
        policy=policy,
    )
