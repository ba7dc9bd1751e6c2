"""Executions of an order: each counts once, at its highest revision, whatever the order's state.

A fill under a new id is the same fill only if the stretch of the broker's count that it covers is already
covered by fills reported since the last bust or quantity correction (architecture 6). Price and time alone
never make two fills one.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms.events.broker import ExecutionBusted, ExecutionCorrected, OrderFilled
from oms.state.order import (
    CANCELED,
    FILLED,
    PARTIAL_FILLED,
    REJECTED,
    TABLE,
    Anomaly,
    Execution,
    Order,
    Outcome,
    Pending,
    PendingKind,
    Trigger,
)
from oms.values import ZERO, Micros

Result = tuple[Order, tuple[Anomaly, ...]]


def fill(order: Order, event: OrderFilled, now: Micros, seq: int) -> Result:
    """Book one execution report."""
    known = _find(order, event.execution)
    if known is not None:
        if event.revision <= known.revision:
            return order, ()
        return _restate(order, event, event.quantity, event.price, now, seq)
    if event.quantity <= ZERO:
        return order, (_anomaly(order, "fill_without_quantity", f"execution {event.execution}"),)
    if event.side is not order.side:
        # Never booked silently: the order and the report contradict each other, the query decides.
        text = f"execution {event.execution} says {event.side.value}, the order says {order.side.value}"
        return order, (_anomaly(order, "wrong_side", text, event.quantity, wants_query=True),)
    before, after = _interval(event.cumulative, event.quantity)
    covered = _covered(order, before, after)
    if covered is not None and covered == event.quantity:
        return order, ()
    execution = Execution(
        root=event.execution,
        revision=event.revision,
        quantity=event.quantity,
        price=event.price,
        at=now,
        seq=seq,
        cum_before=before,
        cum_after=after,
    )
    anomalies = _fill_anomalies(order, event)
    if covered:
        text = f"execution {event.execution} repeats {covered} of {event.quantity}"
        anomalies = (*anomalies, _anomaly(order, "fill_overlap", text, covered, wants_query=True))
    order = replace(order, executions=(*order.executions, execution))
    return _settled(order, event.cumulative, event.leaves, now, anomalies)


def correct(order: Order, event: ExecutionCorrected, now: Micros, seq: int) -> Result:
    """Restate an execution; quantity and price are whole values."""
    known = _find(order, event.execution)
    if known is not None and event.revision <= known.revision:
        return order, ()
    return _restate(order, event, event.quantity, event.price, now, seq)


def bust(order: Order, event: ExecutionBusted, now: Micros, seq: int) -> Result:
    """Take an execution back: it stays on record with quantity zero."""
    known = _find(order, event.execution)
    if known is not None and event.revision <= known.revision:
        return order, ()
    price = known.price if known is not None else ZERO
    return _restate(order, event, ZERO, price, now, seq)


def _restate(
    order: Order,
    event: OrderFilled | ExecutionCorrected | ExecutionBusted,
    quantity: Decimal,
    price: Decimal,
    now: Micros,
    seq: int,
) -> Result:
    """Put a higher revision in the place of an execution (or on record before its first report)."""
    known = _find(order, event.execution)
    same_quantity = known is not None and known.quantity == quantity
    new = Execution(
        root=event.execution,
        revision=event.revision,
        quantity=quantity,
        price=price,
        at=known.at if known is not None else now,
        seq=seq,
        cum_before=known.cum_before if known is not None and same_quantity else None,
        cum_after=known.cum_after if known is not None and same_quantity else None,
        comparable=known.comparable if known is not None and same_quantity else False,
    )
    others = order.executions if known is None else tuple(x for x in order.executions if x is not known)
    if same_quantity:
        return _settled(replace(order, executions=(*others, new)), event.cumulative, event.leaves, now, ())
    # The broker's count has shifted: older stretches of it no longer compare with new ones.
    executions = (*(replace(x, comparable=False) if x.comparable else x for x in others), new)
    anomalies: tuple[Anomaly, ...] = ()
    if event.cumulative is None:
        anomalies = (_anomaly(order, "restated_without_totals", event.execution, wants_query=True),)
    leaves = ZERO if event.leaves is None and order.status is FILLED else event.leaves
    order = replace(order, executions=executions, total=ZERO)
    return _settled(order, event.cumulative, leaves, now, anomalies)


def _settled(
    order: Order,
    cumulative: Decimal | None,
    leaves: Decimal | None,
    now: Micros,
    anomalies: tuple[Anomaly, ...],
) -> Result:
    """Recompute what follows from the executions: quantity, value, state, leaves, what is missing."""
    was_overfilled = order.filled > order.quantity
    filled = sum((one.quantity for one in order.executions), ZERO)
    value = sum((one.quantity * one.price for one in order.executions), ZERO)
    first = order.first_fill_at if order.first_fill_at is not None or filled == ZERO else now
    missing = order.missing
    order = replace(order, filled=filled, value=value, first_fill_at=first, pending=_answered(order))
    order = settle_status(order, now)
    order = replace(order, leaves=leaves_of(order, leaves))
    order, gaps = note_total(order, cumulative, missing)
    if filled > order.quantity and not was_overfilled:
        excess = filled - order.quantity
        anomalies = (*anomalies, _anomaly(order, "overfill", "filled beyond its quantity", excess))
    return order, (*anomalies, *gaps)


def note_total(order: Order, cumulative: Decimal | None, missing: Decimal) -> Result:
    """Remember the broker's total; what grows `missing` (its value before) is an anomaly and wants a query."""
    if cumulative is not None and cumulative > order.total:
        order = replace(order, total=cumulative)
    if order.missing <= missing:
        return order, ()
    text = f"the broker counts {order.total}, we have seen {order.filled}"
    return order, (_anomaly(order, "gap_detected", text, order.missing, wants_query=True),)


def settle_status(order: Order, now: Micros) -> Order:
    """The state that follows from the filled quantity."""
    if order.filled >= order.quantity:
        trigger = Trigger.FILL_ALL
    elif order.status is FILLED and order.cancel_cause is not None:
        trigger = Trigger.CANCEL_AGAIN
    elif order.filled == ZERO:
        if order.status not in (PARTIAL_FILLED, FILLED):
            return order
        trigger = Trigger.REOPEN_EMPTY
    elif order.status is FILLED:
        trigger = Trigger.REOPEN
    else:
        trigger = Trigger.FILL_PART
    outcome, status = TABLE[order.status, trigger]
    assert outcome is not Outcome.ANOMALY, (order.status, trigger)
    if status not in (FILLED, CANCELED, REJECTED):
        return replace(order, status=status, ended_at=None)
    return replace(order, status=status, ended_at=now if order.ended_at is None else order.ended_at)


def leaves_of(order: Order, reported: Decimal | None) -> Decimal:
    """What can still execute; never more than the unfilled quantity, whatever is reported."""
    if order.status in (FILLED, CANCELED, REJECTED):
        return ZERO
    unfilled = max(order.quantity - order.filled, ZERO)
    return unfilled if reported is None else min(reported, unfilled)


def _answered(order: Order) -> tuple[Pending, ...]:
    """A fill proves that the broker has the order."""
    return tuple(pending for pending in order.pending if pending.kind is not PendingKind.SUBMIT)


def _fill_anomalies(order: Order, event: OrderFilled) -> tuple[Anomaly, ...]:
    if order.status not in (CANCELED, REJECTED) or event.quantity <= order.missing:
        return ()
    text = f"execution {event.execution} after {order.status.value}"
    return (_anomaly(order, "late_fill", text, event.quantity),)


def _find(order: Order, root: str) -> Execution | None:
    for execution in order.executions:
        if execution.root == root:
            return execution
    return None


def _interval(cumulative: Decimal | None, quantity: Decimal) -> tuple[Decimal | None, Decimal | None]:
    if cumulative is None or cumulative < quantity:
        return None, None
    return cumulative - quantity, cumulative


def _covered(order: Order, before: Decimal | None, after: Decimal | None) -> Decimal | None:
    """How much of (before, after] earlier comparable fills already cover; None if it cannot be told."""
    if before is None or after is None:
        return None
    covered = ZERO
    for one in order.executions:
        if one.comparable and one.quantity > ZERO and one.cum_before is not None and one.cum_after is not None:
            covered += max(min(after, one.cum_after) - max(before, one.cum_before), ZERO)
    return covered


def _anomaly(
    order: Order, code: str, text: str, quantity: Decimal | None = None, *, wants_query: bool = False
) -> Anomaly:
    return Anomaly(
        code=code,
        text=text,
        quantity=quantity,
        client_order_id=order.client_order_id,
        trade_no=order.trade_no,
        wants_query=wants_query,
    )
