"""What is true at the broker of an exploration, and every answer that it could give next."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oms.commands import CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder
from oms.events import broker
from oms.events.base import Event
from oms.values import ONE, ZERO, OrderType, Side

MOST_ODDITIES = 2
"""How many of late fill, bust, unasked cancel, refusal and repetition one history may hold."""


class TrueOrder(Struct, frozen=True):
    """An order as the broker has it: away (on the way), live, done (filled), gone, refused."""

    own: str
    instrument: str
    side: Side
    quantity: Decimal
    status: str = "away"
    cumulative: Decimal = ZERO
    wire_ids: tuple[str, ...] = ()
    kind: OrderType = OrderType.LIMIT
    executions: tuple[tuple[str, Decimal], ...] = ()

    @property
    def leaves(self) -> Decimal:
        """What can still execute."""
        return self.quantity - self.cumulative if self.status in ("away", "live") else ZERO


class Truth(Struct, frozen=True):
    """All orders, the requests and questions under way, and how odd this history has been."""

    orders: tuple[TrueOrder, ...] = ()
    requests: tuple[ReplaceOrder | CancelOrder, ...] = ()
    questions: tuple[QueryOrder, ...] = ()
    oddities: int = 0
    executions: int = 0
    last: Event | None = None
    fallen: bool = False


def placed(truth: Truth, command: PlaceOrder) -> Truth:
    """An order is on its way."""
    order = TrueOrder(
        command.client_order_id,
        command.instrument,
        command.side,
        command.quantity,
        wire_ids=(command.client_order_id,),
        kind=command.order_type,
    )
    return replace(truth, orders=(*truth.orders, order))


def asked(truth: Truth, command: ReplaceOrder | CancelOrder) -> Truth:
    """A request is on its way."""
    return replace(truth, requests=(*truth.requests, command))


def questioned(truth: Truth, command: QueryOrder) -> Truth:
    """A question is on its way; a second one about the same is answered with the first."""
    if any(one.client_order_id == command.client_order_id for one in truth.questions):
        return truth
    return replace(truth, questions=(*truth.questions, command))


def shape(truth: Truth, number: Any) -> tuple[Any, ...]:
    """The truth for a digest: ids as numbers."""
    orders = tuple(
        (
            number(one.own),
            one.status,
            one.quantity,
            one.cumulative,
            one.kind,
            tuple(map(number, one.wire_ids)),
        )
        for one in truth.orders
    )
    requests = tuple((type(one).__name__, number(one.client_order_id), number(one.orig_client_order_id))
                     for one in truth.requests)  # fmt: skip
    questions = tuple(number(one.client_order_id) for one in truth.questions)
    return orders, requests, questions, truth.oddities, truth.fallen, type(truth.last).__name__


def _put(truth: Truth, order: TrueOrder, **more: Any) -> Truth:
    orders = tuple(order if one.own == order.own else one for one in truth.orders)
    return replace(truth, orders=orders, **more)


Answer = tuple[str, Event, Truth]


def all_of(truth: Truth, seq: int) -> Iterator[Answer]:
    """Every answer that the broker could give next."""
    odd = truth.oddities < MOST_ODDITIES
    for order in truth.orders:
        name = f"{order.own[-4:]}"
        if order.status == "away":
            yield f"ack {name}", _accepted(order), _put(truth, replace(order, status="live"))
            if odd:
                yield (
                    f"reject {name}",
                    broker.OrderRejected(instrument=order.instrument, client_order_id=order.own, text="no"),
                    _put(truth, replace(order, status="refused"), oddities=truth.oddities + 1),
                )
        if order.status in ("away", "live"):
            yield _filled(truth, order, ONE, "one")
            if order.leaves > ONE:
                yield _filled(truth, order, order.leaves, "all")
            if odd and order.status == "live":
                yield _gone(truth, order)
        elif odd and order.status == "gone" and order.quantity > order.cumulative:
            yield _filled(replace(truth, oddities=truth.oddities + 1), order, ONE, "late")
        if odd:
            yield from _busted(truth, order)
    for request in truth.requests:
        yield from _answered(truth, request, odd=odd)
    for question in truth.questions:
        yield _told(truth, question)
    if odd and truth.last is not None:
        yield "again", truth.last, replace(truth, oddities=truth.oddities + 1, last=None)


def _accepted(order: TrueOrder) -> Event:
    return broker.OrderAccepted(instrument=order.instrument, client_order_id=order.own)


def _filled(truth: Truth, order: TrueOrder, quantity: Decimal, label: str) -> Answer:
    cumulative = order.cumulative + quantity
    status = "done" if cumulative == order.quantity else order.status
    root = f"E{truth.executions + 1}"
    after = replace(
        order,
        status="live" if status == "away" else status,
        cumulative=cumulative,
        executions=(*order.executions, (root, quantity)),
    )
    event = broker.OrderFilled(
        instrument=order.instrument,
        client_order_id=order.wire_ids[-1],
        execution=root,
        side=order.side,
        quantity=quantity,
        price=Decimal(100),
        cumulative=cumulative,
        leaves=after.leaves,
    )
    return (
        f"fill {label} {order.own[-4:]}",
        event,
        _put(truth, after, executions=truth.executions + 1, last=event),
    )


def _gone(truth: Truth, order: TrueOrder) -> Answer:
    event = broker.OrderCanceled(
        instrument=order.instrument,
        client_order_id=order.wire_ids[-1],
        cause=broker.CancelCause.UNSOLICITED,
        cumulative=order.cumulative,
    )
    after = replace(order, status="gone")
    return f"unasked {order.own[-4:]}", event, _put(truth, after, oddities=truth.oddities + 1, last=event)


def _busted(truth: Truth, order: TrueOrder) -> Iterator[Answer]:
    if not order.executions:
        return
    root, quantity = order.executions[-1]
    cumulative = order.cumulative - quantity
    # What was complete does not reopen; what works goes on with what is left of it.
    status = "gone" if order.status == "done" else order.status
    after = replace(order, status=status, cumulative=cumulative, executions=order.executions[:-1])
    event = broker.ExecutionBusted(
        instrument=order.instrument,
        client_order_id=order.wire_ids[-1],
        execution=root,
        revision=1,
        cumulative=cumulative,
        leaves=after.leaves,
    )
    yield f"bust {order.own[-4:]}", event, _put(truth, after, oddities=truth.oddities + 1)


def _answered(truth: Truth, request: ReplaceOrder | CancelOrder, *, odd: bool) -> Iterator[Answer]:
    order = next(one for one in truth.orders if request.orig_client_order_id in one.wire_ids)
    left = replace(truth, requests=tuple(one for one in truth.requests if one is not request))
    name = f"{type(request).__name__} {order.own[-4:]}"
    if order.status == "away":
        return
    if order.status != "live":
        yield f"late {name}", _refused(request, broker.RejectCode.TOO_LATE), left
        return
    if odd:
        event = _refused(request, broker.RejectCode.OTHER)
        yield f"refuse {name}", event, replace(left, oddities=truth.oddities + 1)
    if isinstance(request, CancelOrder):
        canceled = broker.OrderCanceled(
            instrument=request.instrument,
            client_order_id=request.client_order_id,
            orig_client_order_id=request.orig_client_order_id,
            cumulative=order.cumulative,
        )
        yield f"do {name}", canceled, _put(left, replace(order, status="gone"), last=canceled)
        return
    if request.quantity < order.cumulative:
        yield f"below {name}", _refused(request, broker.RejectCode.OTHER), left
        return
    after = replace(
        order,
        quantity=request.quantity,
        wire_ids=(*order.wire_ids, request.client_order_id),
        kind=request.order_type,
        status="done" if request.quantity == order.cumulative else "live",
    )
    yield f"do {name}", _replaced(request, after), _put(left, after)


def _refused(request: ReplaceOrder | CancelOrder, code: broker.RejectCode) -> Event:
    made = broker.CancelRejected if isinstance(request, CancelOrder) else broker.ReplaceRejected
    return made(
        instrument=request.instrument,
        client_order_id=request.client_order_id,
        orig_client_order_id=request.orig_client_order_id,
        code=code,
    )


def _replaced(request: ReplaceOrder, after: TrueOrder) -> Event:
    return broker.OrderReplaced(
        instrument=request.instrument,
        client_order_id=request.client_order_id,
        orig_client_order_id=request.orig_client_order_id,
        quantity=after.quantity,
        price_limit=request.price_limit,
        price_stop=request.price_stop,
        order_type=request.order_type,
        cumulative=after.cumulative,
        leaves=after.leaves,
    )


_SAID = {
    "live": broker.ReportedStatus.NEW,
    "done": broker.ReportedStatus.FILLED,
    "gone": broker.ReportedStatus.CANCELED,
    "refused": broker.ReportedStatus.REJECTED,
}


def _told(truth: Truth, question: QueryOrder) -> Answer:
    left = replace(truth, questions=tuple(one for one in truth.questions if one is not question))
    order = next((one for one in truth.orders if question.client_order_id in one.wire_ids), None)
    label = f"tell {question.client_order_id[-4:]}"
    if order is None or order.status == "away":
        event: Event = broker.OrderUnknown(
            instrument=question.instrument,
            client_order_id=question.client_order_id,
            asked_at_seq=question.seq,
        )
        if order is not None:
            # It never arrived: what the broker says so of can not come later.
            left = _put(left, replace(order, status="gone", quantity=order.cumulative))
        return f"{label} unknown", event, left
    event = broker.OrderStatusReported(
        instrument=question.instrument,
        client_order_id=order.wire_ids[-1],
        status=_SAID[order.status],
        side=order.side,
        quantity=order.quantity,
        cumulative=order.cumulative,
        leaves=order.leaves,
        asked_at_seq=question.seq,
    )
    return label, event, left
