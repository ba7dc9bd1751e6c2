"""What the broker says of an order apart from executions, and what becomes of our requests.

Statuses are idempotent. UNKNOWN is not REJECTED: an unanswered request stays pending until evidence ends it.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms.events.broker import (
    CancelCause,
    CancelRejected,
    OrderCanceled,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.events.decisions import CancelRequested, ReplaceRequested
from oms.state.fills import Result, leaves_of, note_total, settle_status
from oms.state.order import (
    CANCELED,
    LIVE_STATES,
    PARTIAL_FILLED,
    REJECTED,
    TABLE,
    Anomaly,
    Order,
    Outcome,
    Pending,
    PendingKind,
    Trigger,
)
from oms.values import ZERO, Micros, Role

_INTERMEDIATE = (ReportedStatus.PENDING_CANCEL, ReportedStatus.PENDING_REPLACE, ReportedStatus.PENDING_NEW)


def _anomaly(order: Order, code: str, text: str, *, wants_query: bool = False) -> Anomaly:
    return Anomaly(
        code=code,
        text=text,
        client_order_id=order.client_order_id,
        trade_no=order.trade_no,
        wants_query=wants_query,
    )


def _without(order: Order, kind: PendingKind, wire_id: str | None = None) -> tuple[Pending, ...]:
    """The pending set without the answered request; an unknown wire id answers the oldest of its kind."""
    matches = [one for one in order.pending if one.kind is kind]
    if not matches:
        return order.pending
    answered = next((one for one in matches if one.wire_id == wire_id), matches[0])
    return tuple(one for one in order.pending if one is not answered)


def _with_ids(order: Order, wire_id: str | None, broker_order_id: str | None) -> Order:
    if broker_order_id is not None and broker_order_id not in order.broker_ids:
        order = replace(order, broker_ids=(*order.broker_ids, broker_order_id))
    if wire_id is not None and wire_id not in order.wire_ids:
        order = replace(order, wire_ids=(*order.wire_ids, wire_id))
    return order


def acknowledged(order: Order, broker_order_id: str | None) -> Result:
    """The broker has the order."""
    order = _with_ids(order, None, broker_order_id)
    if order.status is REJECTED and order.assumed:
        # We had assumed that it never arrived; the broker knows better.
        order = replace(
            order,
            status=TABLE[REJECTED, Trigger.REINSTATE][1],
            leaves=order.quantity - order.filled,
            assumed=False,
            ended_at=None,
        )
        return order, (_anomaly(order, "reinstated", "acknowledged after it was assumed lost"),)
    outcome, status = TABLE[order.status, Trigger.ACKNOWLEDGE]
    if outcome is Outcome.ANOMALY:
        return order, (_anomaly(order, "acknowledged_after_end", order.status.value, wants_query=True),)
    pending = _without(order, PendingKind.SUBMIT)
    if status is order.status and pending is order.pending:
        return order, ()
    return replace(order, status=status, pending=pending), ()


def rejected(order: Order, text: str, now: Micros, *, assumed: bool = False) -> Result:
    """Nothing (more) of the order will execute. After a partial fill the rest is treated as cancelled."""
    outcome, status = TABLE[order.status, Trigger.REJECT]
    anomalies: tuple[Anomaly, ...] = ()
    if outcome is Outcome.ANOMALY:
        anomalies = (_anomaly(order, "rejected_out_of_turn", f"{order.status.value}: {text}", wants_query=True),)
        if order.status is not PARTIAL_FILLED:
            return order, anomalies
        status = TABLE[order.status, Trigger.CANCEL][1]
    if outcome is Outcome.IGNORE:
        return order, ()
    order = replace(
        order, status=status, leaves=ZERO, pending=(), text=text, assumed=assumed, ended_at=now, suspended=False
    )
    return order, anomalies


def triggered(order: Order, now: Micros, seq: int) -> Order:
    """The stop was elected."""
    if order.triggered_at is not None:
        return order
    return replace(order, triggered_at=now, triggered_seq=seq)


def canceled(order: Order, event: OrderCanceled, now: Micros) -> Result:
    """The order ended; what it filled stays."""
    order = _with_ids(order, None, event.broker_order_id)
    return _end(order, event.cause, event.cumulative, event.text, now)


def _end(order: Order, cause: CancelCause, cumulative: Decimal | None, text: str, now: Micros) -> Result:
    outcome, status = TABLE[order.status, Trigger.CANCEL]
    missing = order.missing
    if outcome is not Outcome.MOVE:
        return note_total(replace(order, pending=()) if order.pending else order, cumulative, missing)
    unasked = order.pending_of(PendingKind.CANCEL) is None and cause is CancelCause.UNSOLICITED
    order = replace(
        order, status=status, leaves=ZERO, pending=(), cancel_cause=cause, text=text, ended_at=now, suspended=False
    )
    anomalies: tuple[Anomaly, ...] = ()
    if unasked and order.role in (Role.STOP, Role.EXIT):
        anomalies = (_anomaly(order, "canceled_unasked", text),)
    order, gaps = note_total(order, cumulative, missing)
    return order, (*anomalies, *gaps)


def cancel_rejected(order: Order, event: CancelRejected) -> Result:
    """The cancel has no effect. Too late or unknown says two things at once: ask which."""
    pending = _without(order, PendingKind.CANCEL, event.client_order_id)
    order = replace(order, pending=pending, refusals=order.refusals + 1)
    return _refused(order, event.status, event.code)


def replace_rejected(order: Order, event: ReplaceRejected) -> Result:
    """The replace has no effect; the old terms stand."""
    pending = _without(order, PendingKind.REPLACE, event.client_order_id)
    order = replace(order, pending=pending, refusals=order.refusals + 1, text=event.text)
    return _refused(order, event.status, event.code)


def _refused(order: Order, status: ReportedStatus | None, code: RejectCode) -> Result:
    if order.status in LIVE_STATES and status not in (None, ReportedStatus.REJECTED):
        order, _ = acknowledged(order, None)
    if order.status in LIVE_STATES and code in (RejectCode.TOO_LATE, RejectCode.UNKNOWN_ORDER):
        return order, (_anomaly(order, "request_refused", code.value, wants_query=True),)
    return order, ()


def replaced(order: Order, event: OrderReplaced, now: Micros) -> Result:
    """New terms are in force, under a new wire id. More quantity reopens a filled order."""
    if order.status in (CANCELED, REJECTED):
        return order, (_anomaly(order, "replaced_after_end", order.status.value, wants_query=True),)
    asked = next((one for one in order.pending if one.wire_id == event.client_order_id), None)
    order = _with_ids(order, event.client_order_id, event.broker_order_id)
    order = replace(
        order,
        quantity=event.quantity,
        price_limit=_or(event.price_limit, asked.price_limit if asked else None, order.price_limit),
        price_stop=_or(event.price_stop, asked.price_stop if asked else None, order.price_stop),
        order_type=event.order_type or (asked.order_type if asked else None) or order.order_type,
        pending=_without(order, PendingKind.REPLACE, event.client_order_id),
        refusals=0,
    )
    order, _ = acknowledged(order, None)
    missing = order.missing
    if order.filled > ZERO:
        order = settle_status(order, now)
    order = replace(order, leaves=leaves_of(order, event.leaves))
    return note_total(order, event.cumulative, missing)


def _or(*values: Decimal | None) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def status_reported(order: Order, event: OrderStatusReported, now: Micros, seq: int) -> Result:
    """An answer to a query, a restatement or an intermediate status."""
    status = event.status
    if status is ReportedStatus.REJECTED:
        return rejected(order, "reported rejected", now)
    order, anomalies = acknowledged(order, event.broker_order_id)
    if status in (ReportedStatus.CANCELED, ReportedStatus.EXPIRED):
        cause = CancelCause.EXPIRED if status is ReportedStatus.EXPIRED else CancelCause.UNSOLICITED
        order, more = _end(order, cause, event.cumulative, "", now)
        return order, (*anomalies, *more)
    if status is ReportedStatus.DONE_FOR_DAY and event.leaves == ZERO:
        order, more = _end(order, CancelCause.DONE_FOR_DAY, event.cumulative, "", now)
        return order, (*anomalies, *more)
    order = _flagged(order, status)
    order = _resolved(order, event) if status not in _INTERMEDIATE else _marked(order, event, now, seq)
    missing = order.missing
    if event.leaves is not None and status is not ReportedStatus.FILLED:
        order = replace(order, leaves=leaves_of(order, event.leaves))
    order, gaps = note_total(order, event.cumulative, missing)
    return order, (*anomalies, *gaps)


def _flagged(order: Order, status: ReportedStatus) -> Order:
    suspended = status in (ReportedStatus.SUSPENDED, ReportedStatus.STOPPED)
    done_for_day = status is ReportedStatus.DONE_FOR_DAY
    if suspended == order.suspended and done_for_day == order.done_for_day:
        return order
    return replace(order, suspended=suspended, done_for_day=done_for_day)


def _resolved(order: Order, event: OrderStatusReported) -> Order:
    """A definite status ends the requests we asked about; a restatement brings new terms."""
    if event.client_order_id in order.wire_ids:
        pending = tuple(one for one in order.pending if one.queries == 0)
    else:
        pending = tuple(one for one in order.pending if one.wire_id != event.client_order_id)
        order = _with_ids(order, event.client_order_id if len(pending) < len(order.pending) else None, None)
    order = replace(order, pending=pending)
    if event.quantity is None or order.pending or order.status not in LIVE_STATES or event.quantity <= ZERO:
        return order
    order = replace(
        order,
        quantity=event.quantity,
        price_limit=_or(event.price_limit, order.price_limit),
        price_stop=_or(event.price_stop, order.price_stop),
        order_type=event.order_type or order.order_type,
    )
    return replace(order, leaves=leaves_of(order, event.leaves))


def _marked(order: Order, event: OrderStatusReported, now: Micros, seq: int) -> Order:
    """A pending status that nobody here asked for: somebody else did; remember it beside the state."""
    kind = {ReportedStatus.PENDING_CANCEL: PendingKind.CANCEL, ReportedStatus.PENDING_REPLACE: PendingKind.REPLACE}
    wanted = kind.get(event.status)
    if wanted is None or order.pending_of(wanted) is not None:
        return order
    wire_id = event.client_order_id or order.wire_id
    return replace(
        order, pending=(*order.pending, Pending(kind=wanted, seq=seq, wire_id=wire_id, since=now, asked_at=now))
    )


def unknown_to_broker(order: Order, event: OrderUnknown, now: Micros) -> Result:
    """A complete query found nothing: it never arrived, or it vanished. Either way it protects nobody."""
    if order.status not in LIVE_STATES or event.asked_at_seq < order.placed_seq:
        return order, ()
    if order.pending_of(PendingKind.SUBMIT) is not None and order.filled == ZERO:
        return rejected(order, event.text or "never arrived at the broker", now, assumed=True)
    order, gaps = _end(order, CancelCause.UNSOLICITED, None, "unknown to the broker", now)
    return order, gaps


def not_sent(order: Order, command_seq: int, text: str, now: Micros) -> Result:
    """A command provably never left: the request is void."""
    pending = next((one for one in order.pending if one.seq == command_seq), None)
    if pending is None:
        return order, ()
    if pending.kind is PendingKind.SUBMIT:
        return rejected(order, text, now, assumed=True)
    return replace(order, pending=tuple(one for one in order.pending if one is not pending), text=text), ()


def outcome_unknown(order: Order, command_seq: int) -> Order:
    """A command may have arrived: its fate is looked for at once."""
    pending = tuple(replace(one, unknown=True) if one.seq == command_seq else one for one in order.pending)
    return replace(order, pending=pending)


def cancel_requested(order: Order, event: CancelRequested, seq: int, now: Micros) -> Order:
    """Our cancel is on its way."""
    pending = Pending(kind=PendingKind.CANCEL, seq=seq, wire_id=event.wire_id, since=now, asked_at=now)
    return replace(order, pending=(*order.pending, pending), requested_at=now)


def replace_requested(order: Order, event: ReplaceRequested, seq: int, now: Micros) -> Order:
    """Our replace is on its way; it uses a cycle."""
    pending = Pending(
        kind=PendingKind.REPLACE,
        seq=seq,
        wire_id=event.wire_id,
        since=now,
        asked_at=now,
        quantity=event.quantity,
        price_limit=event.price_limit,
        price_stop=event.price_stop,
        order_type=event.order_type,
    )
    return replace(
        order,
        pending=(*order.pending, pending),
        cycles=order.cycles + 1,
        requested_at=now,
        reason=event.reason or order.reason,
    )


def query_requested(order: Order, now: Micros) -> Order:
    """We asked what became of the order."""
    pending = tuple(replace(one, queries=one.queries + 1, asked_at=now, unknown=False) for one in order.pending)
    return replace(order, pending=pending)
