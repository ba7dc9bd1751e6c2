"""What the broker does with a command that reaches it. Refusals are answers, never exceptions."""

from decimal import Decimal

from msgspec.structs import replace

from oms.brokers.simulated.floor import Floor
from oms.brokers.simulated.matching import day_of, evaluate, execute, market_of, working
from oms.brokers.simulated.records import (
    STOPS,
    LateFillDue,
    Order,
    OrderRecorded,
    UnaskedCancelDue,
)
from oms.brokers.simulated.refusals import placement_refusal, replacement_refusal
from oms.brokers.simulated.replies import fault, faults, misbehave, plan, repeat_execution, reply
from oms.brokers.simulated.script import (
    CancelUnasked,
    FillAfterCancel,
    LoseCancelRace,
    Reject,
    RejectReplace,
    faults_of,
)
from oms.commands import CancelOrder, Command, PlaceOrder, QueryOrder, ReplaceOrder, reduces_only
from oms.events.broker import (
    BrokerSnapshotReported,
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    PositionLine,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.fills.base import Fill, taking_price
from oms.values import MILLISECOND, ZERO, Micros


def obey(floor: Floor, command: Command, sent_at: Micros, at: Micros) -> None:
    """Carry out a command at the time it reaches the broker."""
    match command:
        case PlaceOrder():
            _place(floor, command, sent_at, at)
        case ReplaceOrder():
            _replace(floor, command, sent_at, at)
        case CancelOrder():
            _cancel(floor, command, at)
        case QueryOrder():
            _answer(floor, command, at)


def report_books(floor: Floor, asked_at_seq: int, at: Micros, *, whole: bool) -> None:
    """Report open orders and the day's executions where the whole was asked for, then the snapshot."""
    ledger, listed = floor.ledger, list[str]()
    if whole:
        for order in list(ledger.all_live_orders()):
            _report_status(floor, order, at)
        for execution in list(ledger.executions.values()):
            if execution.day == day_of(ledger.instruments[execution.instrument], at):
                repeat_execution(floor, execution, ledger.orders[execution.broker_order_id], at)
                listed.append(execution.execution)
    positions = sorted((name, held) for name, held in ledger.positions.items() if held != ZERO)
    event = BrokerSnapshotReported(
        asked_at_seq=asked_at_seq,
        complete=True,
        positions=tuple(PositionLine(instrument=name, quantity=held) for name, held in positions),
        open_orders=tuple(order.client_order_id for order in ledger.all_live_orders()),
        executions=tuple(listed),
    )
    reply(floor, event, at)


def execute_late(floor: Floor, due: LateFillDue, at: Micros) -> None:
    """Execute a canceled order after all, as far as it still can."""
    order = floor.ledger.orders[due.broker_order_id]
    price = _racing_price(floor, order)
    quantity = min(due.quantity, order.quantity - order.cumulative)
    if price is not None and quantity > ZERO and order.status is ReportedStatus.CANCELED:
        execute(floor, order, Fill(quantity, price), at)


def _place(floor: Floor, command: PlaceOrder, sent_at: Micros, at: Micros) -> None:
    order = _new_order(floor, command, sent_at)
    refusal = placement_refusal(floor, command, at)
    if refusal is None and (rejection := fault(floor, order, Reject, at)):
        refusal = (rejection.code, rejection.text)
    if refusal is not None:
        _reject(floor, order, refusal, at)
        return
    floor.ledger.record(OrderRecorded(order))
    event = OrderAccepted(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
    )
    reply(floor, event, at, order=order)
    for index, unasked in faults(floor, order, CancelUnasked):
        misbehave(floor, index, at, order.broker_order_id)
        plan(floor, UnaskedCancelDue(order.broker_order_id), at + unasked.after_ms * MILLISECOND)
    _meet_market(floor, order, at)


def _new_order(floor: Floor, command: PlaceOrder, sent_at: Micros) -> Order:
    ledger, script = floor.ledger, floor.settings.script
    instrument = ledger.instruments.get(command.instrument)
    session = instrument.session if instrument else None
    earlier = [
        sum(
            count
            for (role, name), count in ledger.placed.items()
            if line.when.role in (None, role) and line.when.instrument in (None, name)
        )
        for line in script
    ]
    return Order(
        broker_order_id=f"{floor.settings.prefix}-O{len(ledger.orders) + 1}",
        wire_ids=(command.client_order_id,),
        instrument=command.instrument,
        role=command.role,
        reduce_only=reduces_only(command),
        side=command.side,
        quantity=command.quantity,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        price_limit=command.price_limit,
        price_stop=command.price_stop,
        sent_at=sent_at,
        session_date=session.session_date if session else None,
        faults=faults_of(script, command, earlier),
    )


def _reject(floor: Floor, order: Order, refusal: tuple[str, str], at: Micros) -> None:
    """Answer with a rejection. A refused order enters the book unless its id belongs to another one."""
    known = floor.ledger.order_of(order.client_order_id)
    if known is None:
        floor.ledger.record(OrderRecorded(replace(order, status=ReportedStatus.REJECTED)))
    event = OrderRejected(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=None if known else order.broker_order_id,
        code=refusal[0],
        text=refusal[1],
    )
    reply(floor, event, at, order=None if known else order)


def _replace(floor: Floor, command: ReplaceOrder, sent_at: Micros, at: Micros) -> None:
    order = floor.ledger.order_of(command.orig_client_order_id)
    refusal = replacement_refusal(floor, command, order, at)
    if refusal is None and order is not None and (rejection := fault(floor, order, RejectReplace, at)):
        refusal = (RejectCode.OTHER, rejection.text)
    if refusal is not None or order is None:
        code, text = refusal or (RejectCode.UNKNOWN_ORDER, "")
        _reject_replace(floor, command, order, code, text, at)
        return
    after = _with_terms(order, command, sent_at)
    floor.ledger.record(OrderRecorded(after))
    event = OrderReplaced(
        instrument=after.instrument,
        client_order_id=after.client_order_id,
        orig_client_order_id=command.orig_client_order_id,
        broker_order_id=after.broker_order_id,
        quantity=after.quantity,
        price_limit=after.price_limit,
        price_stop=after.price_stop,
        order_type=after.order_type,
        cumulative=after.cumulative,
        leaves=after.leaves,
    )
    reply(floor, event, at, order=after)
    if after.is_live:
        _meet_market(floor, after, at)


def _with_terms(order: Order, command: ReplaceOrder, sent_at: Micros) -> Order:
    """The order under its new terms. One that is cut down to what has executed is complete."""
    same_price = (order.order_type, order.price_limit) == (command.order_type, command.price_limit)
    return replace(
        order,
        wire_ids=(*order.wire_ids, command.client_order_id),
        quantity=command.quantity,
        order_type=command.order_type,
        price_limit=command.price_limit,
        price_stop=command.price_stop,
        elected=order.elected and command.order_type in STOPS,
        resting=order.resting and same_price,
        status=ReportedStatus.FILLED if command.quantity == order.cumulative else order.status,
        sent_at=sent_at,
    )


def _reject_replace(
    floor: Floor, command: ReplaceOrder, order: Order | None, code: RejectCode, text: str, at: Micros
) -> None:
    event = ReplaceRejected(
        instrument=command.instrument,
        client_order_id=command.client_order_id,
        orig_client_order_id=command.orig_client_order_id,
        broker_order_id=order.broker_order_id if order else None,
        code=code,
        status=order.status if order else None,
        text=text,
    )
    reply(floor, event, at, order=order)


def _cancel(floor: Floor, command: CancelOrder, at: Micros) -> None:
    ledger = floor.ledger
    order = ledger.order_of(command.orig_client_order_id)
    if order is None:
        _reject_cancel(floor, command, None, at)
        return
    if command.client_order_id not in order.wire_ids + order.cancel_ids:
        order = replace(order, cancel_ids=(*order.cancel_ids, command.client_order_id))
        ledger.record(OrderRecorded(order))
    price = _racing_price(floor, order)
    if order.is_live and price is not None and fault(floor, order, LoseCancelRace, at) is not None:
        execute(floor, order, Fill(order.leaves, price), at)
        order = ledger.orders[order.broker_order_id]
    if not order.is_live:
        _reject_cancel(floor, command, order, at)
        return
    after = replace(order, status=ReportedStatus.CANCELED)
    ledger.record(OrderRecorded(after))
    event = OrderCanceled(
        instrument=order.instrument,
        client_order_id=command.client_order_id,
        orig_client_order_id=command.orig_client_order_id,
        broker_order_id=order.broker_order_id,
        cumulative=order.cumulative,
    )
    reply(floor, event, at, order=after)
    if late := fault(floor, after, FillAfterCancel, at):
        quantity = order.leaves if late.quantity is None else late.quantity
        plan(floor, LateFillDue(order.broker_order_id, quantity), at + late.delay_ms * MILLISECOND)


def _reject_cancel(floor: Floor, command: CancelOrder, order: Order | None, at: Micros) -> None:
    event = CancelRejected(
        instrument=command.instrument,
        client_order_id=command.client_order_id,
        orig_client_order_id=command.orig_client_order_id,
        broker_order_id=order.broker_order_id if order else None,
        code=RejectCode.TOO_LATE if order else RejectCode.UNKNOWN_ORDER,
        status=order.status if order else None,
        text="order is done" if order else "no such order",
    )
    reply(floor, event, at, order=order)


def _answer(floor: Floor, command: QueryOrder, at: Micros) -> None:
    ledger = floor.ledger
    order = ledger.order_of(command.client_order_id)
    if order is None:
        event = OrderUnknown(
            instrument=command.instrument,
            client_order_id=command.client_order_id,
            asked_at_seq=command.seq,
            text="no such order",
        )
        reply(floor, event, at)
        return
    for name in ledger.executions_of.get(order.broker_order_id, ()):
        repeat_execution(floor, ledger.executions[name], order, at)
    _report_status(floor, order, at, command.seq)


def _report_status(floor: Floor, order: Order, at: Micros, asked_at_seq: int | None = None) -> None:
    event = OrderStatusReported(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        orig_client_order_id=order.wire_ids[-2] if len(order.wire_ids) > 1 else None,
        broker_order_id=order.broker_order_id,
        status=order.status,
        side=order.side,
        order_type=order.order_type,
        quantity=order.quantity,
        price_limit=order.price_limit,
        price_stop=order.price_stop,
        cumulative=order.cumulative,
        leaves=order.leaves,
        asked_at_seq=asked_at_seq,
    )
    reply(floor, event, at, order=order)


def _meet_market(floor: Floor, order: Order, at: Micros) -> None:
    """A new or changed order meets the standing market at once, if the venue is open."""
    instrument = floor.ledger.instruments[order.instrument]
    if instrument.is_open(at, extended=floor.settings.extended_hours):
        evaluate(floor, order, market_of(instrument), at)


def _racing_price(floor: Floor, order: Order) -> Decimal | None:
    """What a scripted execution costs: the limit, else the touch; None without a market."""
    if order.price_limit is not None:
        return order.price_limit
    instrument = floor.ledger.instruments.get(order.instrument)
    return None if instrument is None else taking_price(working(order), market_of(instrument))
