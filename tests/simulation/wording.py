"""The adapter's dictionary: our commands in the oracle's words, its reports as our inputs. Pure."""

from decimal import Decimal

from oms.commands import CancelOrder, Command, PlaceOrder, QueryOrder, ReplaceOrder, reduces_only
from oms.events import broker
from oms.events.base import Event
from oms.values import OrderType, Side
from tests.simulation.oracle.behaviour import Behaviour
from tests.simulation.oracle.messages import Amend, AskOrder, Cancel, New, Report, Request

KINDS = {PlaceOrder: "new", ReplaceOrder: "amend", CancelOrder: "cancel", QueryOrder: "ask"}
_CODES = {
    "TOO_LATE": broker.RejectCode.TOO_LATE,
    "UNKNOWN_ORDER": broker.RejectCode.UNKNOWN_ORDER,
    # One answer for two facts: the more careful one is that the order may have executed.
    "TOO_LATE_OR_UNKNOWN": broker.RejectCode.TOO_LATE,
    "ALREADY_PENDING": broker.RejectCode.ALREADY_PENDING,
}
_PENDING = {
    "pending_new": broker.ReportedStatus.PENDING_NEW,
    "pending_cancel": broker.ReportedStatus.PENDING_CANCEL,
    "pending_replace": broker.ReportedStatus.PENDING_REPLACE,
}


def request_of(command: Command, *, reduce_only: bool) -> Request:
    """A command as the oracle takes it."""
    match command:
        case PlaceOrder():
            return New(
                client_id=command.client_order_id,
                symbol=command.instrument,
                side=command.side.value,
                quantity=command.quantity,
                kind=command.order_type.value,
                time_in_force=command.time_in_force.value,
                limit=command.price_limit,
                stop=command.price_stop,
                reduce_only=reduce_only and reduces_only(command),
            )
        case ReplaceOrder():
            return Amend(
                client_id=command.client_order_id,
                orig_id=command.orig_client_order_id,
                symbol=command.instrument,
                quantity=command.quantity,
                kind=command.order_type.value,
                limit=command.price_limit,
                stop=command.price_stop,
            )
        case CancelOrder():
            return Cancel(command.client_order_id, command.orig_client_order_id, command.instrument)
        case QueryOrder():
            return AskOrder(command.client_order_id, command.instrument, command.seq)


def capabilities_of(behaviour: Behaviour) -> Event:
    """What the adapter declares of this broker."""
    return broker.CapabilitiesDeclared(
        native_reduce_only=behaviour.native_reduce_only,
        modify_stop=behaviour.amends_stops,
        reports_trigger=behaviour.reports_trigger,
        client_ids_unique_for_ever=behaviour.ids_unique == "ever",
    )


def key_of(event: Event, report: Report, behaviour: Behaviour) -> str | None:
    """The once-only key: executions by root and revision, the rest by the broker's number where it has one."""
    match event:
        case broker.OrderFilled() | broker.ExecutionCorrected() | broker.ExecutionBusted():
            return f"fill:{event.execution}:{event.revision}"
        case broker.FeeReported():
            return f"fee:{event.execution}"
    return f"message:{report.number}" if behaviour.numbers_messages else None


def event_of(report: Report, behaviour: Behaviour) -> Event | None:
    """A report as an input, or None for what says nothing to us."""
    match report.kind:
        case "accepted":
            return broker.OrderAccepted(
                instrument=report.symbol,
                client_order_id=report.client_id or "",
                broker_order_id=report.order_id,
            )
        case "rejected":
            return broker.OrderRejected(
                instrument=report.symbol,
                client_order_id=report.client_id or "",
                broker_order_id=report.order_id,
                code=report.code,
                text=report.text,
            )
        case "triggered":
            return broker.OrderTriggered(
                instrument=report.symbol,
                client_order_id=report.client_id or "",
                broker_order_id=report.order_id,
            )
        case "trade" | "corrected" | "busted":
            return _execution(report, behaviour)
        case "canceled" | "expired":
            return _ended(report)
        case "replaced":
            return _replaced(report)
        case "cancel_rejected" | "replace_rejected":
            return _refused(report)
        case "status" | "pending_new" | "pending_cancel" | "pending_replace":
            return _status(report)
        case "unknown":
            return broker.OrderUnknown(
                instrument=report.symbol,
                client_order_id=report.client_id or "",
                asked_at_seq=report.tag,
                text=report.text,
            )
        case "fee":
            fee = broker.Fee(amount=report.amount or Decimal(0), currency="USD", kind="commission")
            return broker.FeeReported(instrument=report.symbol, execution=report.execution or "", fees=(fee,))
        case "books":
            lines = tuple(
                broker.PositionLine(instrument=name, quantity=held) for name, held in report.positions
            )
            return broker.BrokerSnapshotReported(
                asked_at_seq=report.tag,
                complete=report.complete,
                positions=lines,
                open_orders=report.open_orders,
                executions=tuple(_root(name, behaviour) for name in report.executions),
            )
    raise KeyError(report.kind)


def _root(name: str, behaviour: Behaviour) -> str:
    """The id of an execution without its revision."""
    return name.rpartition(".")[0] if behaviour.revisions_in_ids else name


def _execution(report: Report, behaviour: Behaviour) -> Event:
    name, revision = _root(report.execution or "", behaviour), report.tag
    if behaviour.revisions_in_ids:
        revision = int((report.execution or "").rpartition(".")[2]) - 1
    common = {
        "instrument": report.symbol,
        "client_order_id": report.client_id,
        "broker_order_id": report.order_id,
        "execution": name,
        "revision": revision,
        "cumulative": report.cumulative,
        "leaves": report.leaves,
    }
    if report.kind == "busted":
        return broker.ExecutionBusted(**common)  # type: ignore[arg-type]
    assert report.last_quantity is not None
    assert report.last_price is not None
    common |= {"quantity": report.last_quantity, "price": report.last_price}
    if report.kind == "corrected":
        return broker.ExecutionCorrected(**common)  # type: ignore[arg-type]
    return broker.OrderFilled(side=Side(report.side), **common)  # type: ignore[arg-type]


def _ended(report: Report) -> Event:
    cause = broker.CancelCause.UNSOLICITED if report.orig_id is None else broker.CancelCause.REQUESTED
    if report.kind == "expired":
        cause = broker.CancelCause.EXPIRED
    return broker.OrderCanceled(
        instrument=report.symbol,
        client_order_id=report.client_id or "",
        orig_client_order_id=report.orig_id,
        broker_order_id=report.order_id,
        cause=cause,
        cumulative=report.cumulative,
        text=report.text,
    )


def _replaced(report: Report) -> Event:
    assert report.quantity is not None
    return broker.OrderReplaced(
        instrument=report.symbol,
        client_order_id=report.client_id or "",
        orig_client_order_id=report.orig_id,
        broker_order_id=report.order_id,
        quantity=report.quantity,
        price_limit=report.limit,
        price_stop=report.stop,
        order_type=OrderType(report.order_kind),
        cumulative=report.cumulative,
        leaves=report.leaves,
    )


def _refused(report: Report) -> Event:
    made = broker.CancelRejected if report.kind == "cancel_rejected" else broker.ReplaceRejected
    return made(
        instrument=report.symbol,
        client_order_id=report.client_id or "",
        orig_client_order_id=report.orig_id,
        broker_order_id=report.order_id,
        code=_CODES.get(report.code, broker.RejectCode.OTHER),
        status=broker.ReportedStatus(report.status) if report.status else None,
        text=report.text,
    )


def _status(report: Report) -> Event:
    status = _PENDING.get(report.kind) or broker.ReportedStatus(report.status)
    return broker.OrderStatusReported(
        instrument=report.symbol,
        client_order_id=report.client_id,
        orig_client_order_id=report.orig_id,
        broker_order_id=report.order_id,
        status=status,
        side=Side(report.side) if report.side else None,
        order_type=OrderType(report.order_kind) if report.order_kind else None,
        quantity=report.quantity,
        price_limit=report.limit,
        price_stop=report.stop,
        cumulative=report.cumulative,
        leaves=report.leaves,
        asked_at_seq=report.tag or None,
    )
