"""What the broker says of an order apart from executions.

Statuses are idempotent, and never proof of an execution. An end is believed; one that we only assumed is taken
back by the first sign of life. What refers to terms that have been replaced since changes nothing.
"""

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from oms.events.broker import (
    CancelCause,
    CancelRejected,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.state import fills, requests, stretches
from oms.state.oddities import Result, anomaly, below, lowered, unasked, with_below
from oms.state.order import (
    CANCELED,
    LIVE_STATES,
    NEW,
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
from oms.state.standing import counted, reinstated
from oms.values import ZERO, Micros

DUPLICATE_ORDER: Final = "DUPLICATE_ORDER"
"""Code of a rejection that refuses a second order under an id in use (FIX OrdRejReason 6)."""

GATE: Final = "gate: "
EXPIRED: Final = "expired before it was sent"
REPEATED: Final = "repeated_entry"
"""The limit that the gate names when it refuses an entry as one too many."""
NEVER_LEFT: Final = (GATE, EXPIRED)
"""How the text of an order begins that was ended before the wire."""

INTERMEDIATE: Final = (
    ReportedStatus.PENDING_CANCEL,
    ReportedStatus.PENDING_REPLACE,
    ReportedStatus.PENDING_NEW,
)
_ENDED: Final = {
    ReportedStatus.CANCELED: CancelCause.UNSOLICITED,
    ReportedStatus.EXPIRED: CancelCause.EXPIRED,
}
_DEAD: Final = (
    ReportedStatus.FILLED,
    ReportedStatus.CANCELED,
    ReportedStatus.EXPIRED,
    ReportedStatus.REJECTED,
)


def acknowledged(order: Order, broker_order_id: str | None) -> Result:
    """The broker has the order."""
    order = _with_ids(order, None, broker_order_id)
    if order.assumed and order.status in (CANCELED, REJECTED):
        text = f"the broker has it, after it was assumed {order.status.value}"
        return reinstated(order), (anomaly(order, "reinstated", text, wants_query=True),)
    outcome, status = TABLE[order.status, Trigger.ACKNOWLEDGE]
    if outcome is Outcome.ANOMALY:
        # Late news or a rejection that was not the last word: from here on the end is in doubt, and asked for.
        text = f"acknowledged after {order.status.value}"
        doubted = replace(order, assumed=True)
        return doubted, (anomaly(order, "acknowledged_after_end", text, wants_query=True),)
    pending = requests.without_submit(order)
    if status is order.status and pending is order.pending:
        return order, ()
    return replace(order, status=status, pending=pending), ()


def _with_ids(order: Order, wire_id: str | None, broker_order_id: str | None) -> Order:
    if broker_order_id is not None and broker_order_id not in order.broker_ids:
        order = replace(order, broker_ids=(*order.broker_ids, broker_order_id))
    if wire_id is not None and wire_id not in order.wire_ids:
        order = replace(order, wire_ids=(*order.wire_ids, wire_id))
    return order


def _is_outdated(order: Order, wire_id: str | None) -> bool:
    """Whether a report names an id that a replace has made history, and so terms that are no longer in force."""
    return wire_id in order.wire_ids and wire_id != order.wire_id


def order_rejected(order: Order, event: OrderRejected, now: Micros) -> Result:
    """The broker refused the order. Of an order that it works this may mean a second copy of it."""
    text = event.text or event.code
    known = order.status is not NEW and order.status in LIVE_STATES
    if event.code == DUPLICATE_ORDER and known:
        return order, (anomaly(order, "duplicate_refused", text, wants_query=True),)
    changed, found = rejected(_with_ids(order, None, event.broker_order_id), text, now)
    if changed.status is CANCELED and found:
        # Rejected after it had executed: the answer to a query will tell what is true.
        changed = replace(changed, assumed=True)
    return changed, tuple(replace(one, wants_query=True) for one in found)


def rejected(order: Order, text: str, now: Micros) -> Result:
    """Nothing (more) of the order will execute. After a partial fill the rest is treated as cancelled."""
    outcome, status = TABLE[order.status, Trigger.REJECT]
    if outcome is Outcome.IGNORE:
        is_proven = order.assumed and order.status is REJECTED
        return (replace(order, assumed=False) if is_proven else order), ()
    if outcome is Outcome.MOVE:
        return replace(
            order, status=status, leaves=ZERO, pending=(), text=text, ended_at=now, suspended=False
        ), ()
    found = (anomaly(order, "rejected_out_of_turn", f"{order.status.value}: {text}"),)
    if order.status is not PARTIAL_FILLED:
        return order, found
    changed, more = ended(order, CancelCause.UNSOLICITED, None, text, now)
    return changed, (*found, *more)


def never_arrived(order: Order, text: str, now: Micros) -> Result:
    """Nothing of the order seems to be at the broker; the first sign of life takes it back."""
    changed, found = rejected(order, text, now)
    return (replace(changed, assumed=True) if changed.status is REJECTED else changed), found


def triggered(order: Order, broker_order_id: str | None, now: Micros, seq: int) -> Result:
    """The stop was elected."""
    order, found = acknowledged(order, broker_order_id)
    if order.triggered_at is not None:
        return order, found
    return replace(order, triggered_at=now, triggered_seq=seq), found


def canceled(order: Order, event: OrderCanceled, now: Micros) -> Result:
    """The order ended; what it filled stays."""
    order = _with_ids(order, None, event.broker_order_id)
    return ended(order, event.cause, event.cumulative, event.text, now)


def ended(order: Order, cause: CancelCause, cumulative: Decimal | None, text: str, now: Micros) -> Result:
    """Nothing more of the order can execute. FILLED outranks it, but a bust then leaves it cancelled."""
    if cause is CancelCause.UNSOLICITED and requests.cancel_is_ours(order):
        cause = CancelCause.REQUESTED
    outcome, status = TABLE[order.status, Trigger.CANCEL]
    if outcome is not Outcome.MOVE:
        if order.pending or order.assumed or (order.cancel_cause is None and order.status is not REJECTED):
            order = replace(order, pending=(), assumed=False, cancel_cause=order.cancel_cause or cause)
        changed, gaps = counted(order, cumulative, None, now)
        return changed, gaps
    found = unasked(order, cause, text)
    if cumulative is not None and cumulative < order.filled:
        found = (*found, below(order, cumulative, wants_query=True))
    order = replace(
        order,
        status=status,
        leaves=ZERO,
        pending=(),
        cancel_cause=cause,
        text=text,
        ended_at=now,
        suspended=False,
        assumed=False,
    )
    changed, gaps = counted(order, cumulative, None, now)
    return changed, (*found, *gaps)


def cancel_rejected(order: Order, event: CancelRejected, now: Micros, seq: int) -> Result:
    """The cancel has no effect."""
    request = requests.answered(order, PendingKind.CANCEL, event.client_order_id)
    return _refused(order, event, now, seq, request)


def replace_rejected(order: Order, event: ReplaceRejected, now: Micros, seq: int) -> Result:
    """The replace has no effect; the old terms stand."""
    request = requests.answered(order, PendingKind.REPLACE, event.client_order_id)
    return _refused(order, event, now, seq, request)


def _refused(
    order: Order, event: CancelRejected | ReplaceRejected, now: Micros, seq: int, request: Pending | None
) -> Result:
    """Too late, unknown, or an end that we have not seen: the order may be gone, so ask."""
    if request is None:
        return order, ()
    refusals = order.refusals + 1 if request.ours else order.refusals
    order = replace(
        order, pending=requests.without(order, request), refusals=refusals, text=event.text or order.text
    )
    if order.status not in LIVE_STATES:
        return order, ()
    if event.status is not None and event.status is not ReportedStatus.REJECTED:
        order, _ = _told(order, event.status, event.broker_order_id, now)
    if event.code in (RejectCode.TOO_LATE, RejectCode.UNKNOWN_ORDER) or event.status in _DEAD:
        refused = anomaly(order, "request_refused", event.code.value, wants_query=True)
        more: tuple[Anomaly, ...] = ()
        is_certain = stretches.is_newest(order, request.seq) and order.pending_of(PendingKind.REPLACE) is None
        if event.status is ReportedStatus.FILLED and is_certain:
            order, more = fills.explained(order, order.quantity, now, seq)
        return order, (refused, *more)
    return order, ()


def replaced(order: Order, event: OrderReplaced, now: Micros) -> Result:
    """New terms are in force, under a new wire id. More quantity reopens a filled order (FIX C.1.c)."""
    if _is_outdated(order, event.client_order_id):
        return order, ()
    found: tuple[Anomaly, ...] = ()
    if order.status in (CANCELED, REJECTED):
        if not order.assumed:
            text = f"replaced after {order.status.value}"
            return order, (anomaly(order, "replaced_after_end", text, wants_query=True),)
        order, found = acknowledged(order, None)
    request = _answered_by(order, event)
    before = order
    if request is not None:
        order = requests.overtaken(order, request)
    order = _with_ids(order, event.client_order_id, event.broker_order_id)
    order = requests.with_terms(
        order,
        request,
        quantity=max(event.quantity, order.filled, order.total, event.cumulative or ZERO),
        price_limit=event.price_limit,
        price_stop=event.price_stop,
        order_type=event.order_type,
    )
    order, _ = acknowledged(replace(order, pending=requests.without(order, request), refusals=0), None)
    order, gaps = counted(order, event.cumulative, event.leaves, now)
    return (before if order == before else order), (*found, *gaps)


def _answered_by(order: Order, event: OrderReplaced) -> Pending | None:
    """Our request that took effect: by its id, else the one that asked for just these terms."""
    request = requests.named(order, event.client_order_id)
    if request is not None:
        return request if request.kind is PendingKind.REPLACE else None
    wanted = (event.quantity, event.price_limit, event.price_stop)
    return next((one for one in order.pending if requests.asks_for(one, *wanted)), None)


def status_reported(order: Order, event: OrderStatusReported, now: Micros, seq: int) -> Result:
    """An answer to a query, a restatement or an intermediate status."""
    stood, count = order.missing, event.cumulative
    if count is None or event.status in INTERMEDIATE:
        return _status_taken(order, event, now, seq)
    is_newest = stretches.is_newest(order, event.asked_at_seq)
    less = lowered(order, count) if is_newest else ()
    if less:
        order = replace(order, total=count)
    order, found = _status_taken(order, event, now, seq)
    if is_newest or (event.asked_at_seq is None and stood > ZERO and count == order.filled + stood):
        order, more = fills.explained(order, count, now, seq)
        found = (*found, *more)
    return order, (*less, *(with_below(order, count, found) if is_newest else found))


def _status_taken(order: Order, event: OrderStatusReported, now: Micros, seq: int) -> Result:
    status = event.status
    if status is ReportedStatus.REJECTED:
        return rejected(order, "reported rejected", now)
    cause = _ENDED.get(status)
    if status is ReportedStatus.DONE_FOR_DAY and event.leaves == ZERO:
        cause = CancelCause.DONE_FOR_DAY
    if cause is not None:
        order = _with_ids(order, None, event.broker_order_id)
        return ended(order, cause, event.cumulative, "", now)
    order, found = _told(order, status, event.broker_order_id, now)
    cumulative, leaves = event.cumulative, event.leaves
    if _is_outdated(order, event.client_order_id):
        leaves = None
    if status in INTERMEDIATE:
        order = _marked(order, event, now, seq)
    else:
        order = _resolved(_flagged(order, status), event)
        if cumulative is not None and cumulative < order.filled:
            found = (*found, below(order, cumulative, wants_query=False))
        if status is ReportedStatus.FILLED and cumulative is None:
            cumulative = order.quantity
    order, gaps = counted(order, cumulative, order.leaves if leaves is None else leaves, now)
    return order, (*found, *gaps)


def _told(order: Order, status: ReportedStatus, broker_order_id: str | None, now: Micros) -> Result:
    """What a status says about the submission: one that is pending itself tells of receipt, not of acceptance."""
    if status not in INTERMEDIATE:
        return acknowledged(order, broker_order_id)
    if order.pending_of(PendingKind.SUBMIT) is not None:
        return _received(order, broker_order_id), ()
    was_lost = order.assumed and order.status is REJECTED
    order, found = acknowledged(order, broker_order_id)
    if was_lost:
        # It was on its way all the time, and its submission waits for the answer as long as it has.
        own, seq, since = order.client_order_id, order.placed_seq, order.placed_at
        submit = Pending(kind=PendingKind.SUBMIT, seq=seq, wire_id=own, since=since, asked_at=now)
        order = replace(order, pending=(submit, *order.pending))
    return order, found


def _received(order: Order, broker_order_id: str | None) -> Order:
    """The broker has the order and has not accepted it: it may still refuse, so the request stays open."""
    outcome, status = TABLE[order.status, Trigger.ACKNOWLEDGE]
    order = _with_ids(order, None, broker_order_id)
    return replace(order, status=status) if outcome is Outcome.MOVE else order


def _flagged(order: Order, status: ReportedStatus) -> Order:
    if order.status not in LIVE_STATES:
        return order
    suspended = status in (ReportedStatus.SUSPENDED, ReportedStatus.STOPPED)
    done_for_day = status is ReportedStatus.DONE_FOR_DAY
    if suspended == order.suspended and done_for_day == order.done_for_day:
        return order
    return replace(order, suspended=suspended, done_for_day=done_for_day)


def _resolved(order: Order, event: OrderStatusReported) -> Order:
    """A definite status ends the requests we asked about; a restatement brings new terms."""
    if _is_outdated(order, event.client_order_id):
        return order
    request = requests.named(order, event.client_order_id)
    if request is not None and request.kind is PendingKind.REPLACE:
        # The broker knows the order under the id of the replace: it took effect, whatever became of its answer.
        quantity = request.quantity if event.quantity is None else event.quantity
        order = requests.overtaken(order, request)
        order = _with_ids(replace(order, pending=requests.without(order, request)), request.wire_id, None)
    else:
        request, quantity, asked = None, event.quantity, event.asked_at_seq
        if asked is not None and any(one.queries for one in order.pending):
            # Asked since the request, the broker has not done it. What it says unasked is no answer.
            order = replace(order, pending=tuple(o for o in order.pending if not o.queries or o.seq > asked))
    if quantity is None or quantity <= ZERO or order.status not in LIVE_STATES:
        return order
    if request is not None or order.is_external:
        quantity = max(quantity, event.cumulative or ZERO)
    return requests.with_terms(
        order,
        request,
        quantity=quantity,
        price_limit=event.price_limit,
        price_stop=event.price_stop,
        order_type=event.order_type,
    )


def _marked(order: Order, event: OrderStatusReported, now: Micros, seq: int) -> Order:
    """A pending status that nobody here asked for: somebody else did; remember it beside the state."""
    wanted = {
        ReportedStatus.PENDING_CANCEL: PendingKind.CANCEL,
        ReportedStatus.PENDING_REPLACE: PendingKind.REPLACE,
    }.get(event.status)
    if wanted is None or order.status not in LIVE_STATES or order.pending_of(wanted) is not None:
        return order
    wire_id = event.client_order_id or order.wire_id
    foreign = Pending(kind=wanted, seq=seq, wire_id=wire_id, since=now, asked_at=now, ours=False)
    return replace(order, pending=(*order.pending, foreign))


def unknown_to_broker(order: Order, event: OrderUnknown, now: Micros) -> Result:
    """A complete query found nothing: it never arrived, or it vanished. Either way it protects nobody."""
    request = requests.named(order, event.client_order_id)
    if request is not None and request.kind is not PendingKind.SUBMIT:
        # Nothing goes by the id of the request: it had no effect. Of the order itself that says nothing.
        if event.asked_at_seq < request.seq:
            return order, ()
        changed = replace(order, pending=requests.without(order, request))
        # Nor does it answer what else was asked about the order: what it still works, or which fills it counts.
        if changed.pending or (changed.status not in LIVE_STATES and changed.missing <= ZERO):
            return changed, ()
        text = f"the broker knows nothing of the {request.kind.value.lower()}"
        return changed, (anomaly(order, "request_lost", text, wants_query=True),)
    # The id of a request that was answered meanwhile, or of terms that are history, says nothing of the order.
    is_history = event.client_order_id != order.wire_id or event.asked_at_seq < order.placed_seq
    if is_history or order.status not in LIVE_STATES:
        return order, ()
    if order.pending_of(PendingKind.SUBMIT) is not None and order.filled == ZERO:
        return never_arrived(order, event.text or "never arrived at the broker", now)
    changed, found = ended(order, CancelCause.UNSOLICITED, None, "unknown to the broker", now)
    return replace(changed, assumed=True), found


def not_sent(order: Order, command_seq: int, text: str, now: Micros) -> Result:
    """A command provably never left: the request is void, and counts as refused, so that asking again waits."""
    for one in order.pending:
        if one.seq == command_seq and one.ours:
            if one.kind is PendingKind.SUBMIT:
                return never_arrived(order, text, now)
            pending = requests.without(order, one)
            return replace(order, pending=pending, text=text, refusals=order.refusals + 1), ()
    return order, ()
