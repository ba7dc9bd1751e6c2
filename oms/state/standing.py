"""How an order stands by its numbers: the state and the open quantity that follow from what has executed."""

from decimal import Decimal

from msgspec.structs import replace

from oms.state.oddities import Result, gap
from oms.state.order import (
    ENDED_STATES,
    FILLED,
    PARTIAL_FILLED,
    TABLE,
    Order,
    Outcome,
    Trigger,
)
from oms.values import ZERO, Micros, OrderStatus

FILL_ALL, FILL_PART, ANOMALY = Trigger.FILL_ALL, Trigger.FILL_PART, Outcome.ANOMALY


def status_of(order: Order, filled: Decimal, quantity: Decimal) -> OrderStatus:
    """The state that follows from the filled quantity."""
    status = order.status
    if filled >= quantity:
        trigger = FILL_ALL
    elif status is FILLED and order.cancel_cause is not None:
        trigger = Trigger.CANCEL_AGAIN
    elif filled > ZERO:
        trigger = Trigger.REOPEN if status is FILLED else FILL_PART
    elif status in (PARTIAL_FILLED, FILLED):
        trigger = Trigger.REOPEN_EMPTY
    else:
        return status
    outcome, moved = TABLE[status, trigger]
    assert outcome is not ANOMALY, (status, trigger)
    return moved


def leaves_of(status: OrderStatus, quantity: Decimal, executed: Decimal, reported: Decimal | None) -> Decimal:
    """What can still execute; never more than what is not executed, whatever is reported."""
    if status in ENDED_STATES:
        return ZERO
    unfilled = quantity - executed if quantity > executed else ZERO
    return unfilled if reported is None or reported > unfilled else reported


def ended_at_of(order: Order, status: OrderStatus, now: Micros) -> Micros | None:
    """When the order ended, if it has."""
    if status not in ENDED_STATES:
        return None
    return now if order.ended_at is None else order.ended_at


def counted(order: Order, cumulative: Decimal | None, leaves: Decimal | None, now: Micros) -> Result:
    """Take the broker's totals, and settle what follows from them and from the terms of the order."""
    total = order.total if cumulative is None else max(order.total, cumulative)
    status = status_of(order, order.filled, order.quantity) if order.filled > ZERO else order.status
    left = leaves_of(status, order.quantity, max(order.filled, total), leaves)
    if total == order.total and status is order.status and left == order.leaves:
        return order, ()
    ended_at = order.ended_at if status is order.status else ended_at_of(order, status, now)
    changed = replace(order, total=total, status=status, leaves=left, ended_at=ended_at)
    return changed, gap(order, changed)


def reinstated(order: Order) -> Order:
    """An end that we assumed never was: the order is as live as its fills leave it."""
    status = TABLE[order.status, Trigger.REINSTATE][1]
    if order.filled > ZERO:
        status = TABLE[status, Trigger.FILL_PART][1]
    return replace(
        order,
        status=status,
        leaves=leaves_of(status, order.quantity, max(order.filled, order.total), None),
        assumed=False,
        ended_at=None,
        cancel_cause=None,
    )
