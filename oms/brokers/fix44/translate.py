"""What an order report means for the order fold.

A fill is a fact whatever the status says; a status never makes a fill. Where a report holds two facts it becomes
two events. Cases of FIX 4.4 appendix D, section letters in the comments.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from oms.brokers.fix44.frame import FrameRefused
from oms.brokers.fix44.report import ExecType, OrdStatus, Report, ResponseTo
from oms.events.base import Event, Stamped
from oms.events.broker import (
    CancelCause,
    CancelRejected,
    ExecutionBusted,
    ExecutionCorrected,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderTriggered,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.values import ZERO, Micros

MAX_CORRECTIONS: Final = 100_000
EXTERNAL: Final = "X:"
"""Prefix of the id of an order that did not come from us and has no client id."""

_UNKNOWN_ORDER: Final = 5
"""OrdRejReason: unknown order."""
_ORD_REJ_REASONS: Final = {
    0: "BROKER_OPTION",
    1: "UNKNOWN_SYMBOL",
    2: "EXCHANGE_CLOSED",
    3: "ORDER_EXCEEDS_LIMIT",
    4: "TOO_LATE_TO_ENTER",
    _UNKNOWN_ORDER: "UNKNOWN_ORDER",
    6: "DUPLICATE_ORDER",
    7: "DUPLICATE_OF_VERBAL_ORDER",
    8: "STALE_ORDER",
    11: "UNSUPPORTED_ORDER_CHARACTERISTIC",
    13: "INCORRECT_QUANTITY",
    15: "UNKNOWN_ACCOUNT",
}
_CXL_REJ_UNKNOWN: Final = 1
_CXL_REJ_REASONS: Final = {
    0: RejectCode.TOO_LATE,
    _CXL_REJ_UNKNOWN: RejectCode.UNKNOWN_ORDER,
    3: RejectCode.ALREADY_PENDING,
}
_STATUSES: Final = {
    OrdStatus.NEW: ReportedStatus.NEW,
    OrdStatus.ACCEPTED_FOR_BIDDING: ReportedStatus.NEW,
    OrdStatus.PARTIALLY_FILLED: ReportedStatus.PARTIALLY_FILLED,
    OrdStatus.FILLED: ReportedStatus.FILLED,
    OrdStatus.DONE_FOR_DAY: ReportedStatus.DONE_FOR_DAY,
    # Settlement details of an order that is through for the day.
    OrdStatus.CALCULATED: ReportedStatus.DONE_FOR_DAY,
    OrdStatus.CANCELED: ReportedStatus.CANCELED,
    OrdStatus.EXPIRED: ReportedStatus.EXPIRED,
    OrdStatus.REJECTED: ReportedStatus.REJECTED,
    OrdStatus.STOPPED: ReportedStatus.STOPPED,
    OrdStatus.SUSPENDED: ReportedStatus.SUSPENDED,
    OrdStatus.PENDING_NEW: ReportedStatus.PENDING_NEW,
    OrdStatus.PENDING_CANCEL: ReportedStatus.PENDING_CANCEL,
    OrdStatus.PENDING_REPLACE: ReportedStatus.PENDING_REPLACE,
}
_STATUS_OF_TYPE: Final = {
    ExecType.PENDING_NEW: ReportedStatus.PENDING_NEW,
    ExecType.PENDING_CANCEL: ReportedStatus.PENDING_CANCEL,
    ExecType.PENDING_REPLACE: ReportedStatus.PENDING_REPLACE,
    ExecType.STOPPED: ReportedStatus.STOPPED,
    ExecType.SUSPENDED: ReportedStatus.SUSPENDED,
    ExecType.DONE_FOR_DAY: ReportedStatus.DONE_FOR_DAY,
}
"""Where the report is about a status, that one counts: brokers that send another beside it would seem to answer
a request that they have only received."""


class Executions:
    """Which execution a correction belongs to.

    A correction or bust names the report it changes, and that may be a correction itself. The fold knows the root
    and a revision, so each connection keeps this map; only corrections enter it. After a restart the shell
    teaches it from the log (`learn`), where the ids of the reports are the keys of the inputs.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int]] = {}
        self._latest: dict[str, int] = {}

    def learn(self, exec_id: str, root: str, revision: int) -> None:
        """Report `exec_id` is revision `revision` of execution `root`."""
        self._known[exec_id] = (root, revision)
        self._latest[root] = max(revision, self._latest.get(root, 0))
        if len(self._known) > MAX_CORRECTIONS:
            oldest = next(iter(self._known))
            self._latest.pop(self._known.pop(oldest)[0], None)

    def revise(self, exec_id: str, exec_ref_id: str) -> tuple[str, int]:
        """Root and revision of a correction; the same again for a report that is sent again."""
        if exec_id not in self._known:
            root, _revision = self._known.get(exec_ref_id, (exec_ref_id, 0))
            self.learn(exec_id, root, self._latest.get(root, 0) + 1)
        return self._known[exec_id]


def translate(report: Report, instrument: str, executions: Executions, asked_at_seq: int = 0) -> list[Event]:
    """The inputs that a report holds, in the order in which they count; never empty.

    `instrument` is our id for the symbol. `asked_at_seq` is the log's end when the order was asked for; 0 says
    that it is not known, and then an unknown order proves nothing about later commands. Raises FrameRefused
    where a report lacks what it reports.
    """
    if report.msg == "OrderCancelReject":
        return [_cancel_reject(report, instrument)]
    if report.exec_type is None:
        raise FrameRefused("missing_field", "exec_type")
    match report.exec_type:
        case ExecType.TRADE:
            return [_fill(report, instrument)]
        case ExecType.TRADE_CORRECT | ExecType.TRADE_CANCEL:
            return [_revision(report, instrument, executions)]
        case ExecType.NEW:
            return _accepted(report, instrument)
        case ExecType.ORDER_STATUS:
            return [_answer(report, instrument, asked_at_seq)]
        case ExecType.DONE_FOR_DAY if report.leaves_qty == ZERO:
            return [_canceled(report, instrument, CancelCause.DONE_FOR_DAY)]
    return [_SIMPLE[report.exec_type](report, instrument)]


def stamped(
    report: Report, events: list[Event], received_at: Micros, source: str, raw: bytes | None = None
) -> list[Stamped]:
    """The events with their clocks and once-only keys.

    An execution is keyed by root and revision, so that it counts once however often and under whatever report it
    comes; anything else by the id of its report. `source` names the id space: broker and, where execution ids
    restart daily, the session date.
    """
    return [
        Stamped(
            event=event,
            logical_time=received_at,
            event_time=report.transact_time,
            received_at=received_at,
            source=source,
            dedupe_key=_key(report, event, number),
            raw=raw,
        )
        for number, event in enumerate(events)
    ]


def _key(report: Report, event: Event, number: int) -> str | None:
    if isinstance(event, OrderFilled | ExecutionCorrected | ExecutionBusted):
        return f"execution:{event.execution}:{event.revision}"
    if isinstance(event, CancelRejected | ReplaceRejected):
        return f"refusal:{event.client_order_id}"
    # An answer to a status request has no id of its own (the specification prescribes 0): it may come often.
    if report.exec_id in (None, "0") or report.exec_type is ExecType.ORDER_STATUS:
        return None
    return f"report:{report.exec_id}:{number}"


def _client_id(report: Report) -> str:
    """The id on the wire, or the made-up one of an order that somebody telephoned (E.1.a)."""
    if report.cl_ord_id is not None:
        return report.cl_ord_id
    return EXTERNAL + _need(report.order_id, "order_id")


def _need(value: str | None, name: str) -> str:
    if value is None:
        raise FrameRefused("missing_field", name)
    return value


def _need_amount(value: Decimal | None, name: str) -> Decimal:
    if value is None:
        raise FrameRefused("missing_field", name)
    return value


def _fill(report: Report, instrument: str) -> Event:
    quantity = _need_amount(report.last_qty, "last_qty")
    if quantity == ZERO:
        raise FrameRefused("bad_value", "last_qty: an execution of nothing")
    if report.side is None:
        raise FrameRefused("missing_field", "side")
    return OrderFilled(
        instrument=instrument,
        client_order_id=report.cl_ord_id,
        broker_order_id=report.order_id,
        execution=_need(report.exec_id, "exec_id"),
        side=report.side,
        quantity=quantity,
        price=_need_amount(report.last_px, "last_px"),
        cumulative=report.cum_qty,
        leaves=report.leaves_qty,
    )


def _revision(report: Report, instrument: str, executions: Executions) -> Event:
    """A correction carries the whole corrected size, not a difference; corrected to nothing it is a bust (J.1.a)."""
    corrected = report.exec_type is ExecType.TRADE_CORRECT
    quantity = _need_amount(report.last_qty, "last_qty") if corrected else ZERO
    price = _need_amount(report.last_px, "last_px") if quantity > ZERO else ZERO
    root, revision = executions.revise(
        _need(report.exec_id, "exec_id"), _need(report.exec_ref_id, "exec_ref_id")
    )
    if quantity == ZERO:
        return ExecutionBusted(
            instrument=instrument,
            client_order_id=report.cl_ord_id,
            broker_order_id=report.order_id,
            execution=root,
            revision=revision,
            cumulative=report.cum_qty,
            leaves=report.leaves_qty,
        )
    return ExecutionCorrected(
        instrument=instrument,
        client_order_id=report.cl_ord_id,
        broker_order_id=report.order_id,
        execution=root,
        revision=revision,
        quantity=quantity,
        price=price,
        cumulative=report.cum_qty,
        leaves=report.leaves_qty,
    )


def _accepted(report: Report, instrument: str) -> list[Event]:
    """An order without our id comes with its terms, so that it can be adopted. Fills we have not seen are told."""
    if report.cl_ord_id is None:
        return [_status(report, instrument)]
    accepted = OrderAccepted(
        instrument=instrument, client_order_id=report.cl_ord_id, broker_order_id=report.order_id
    )
    if report.cum_qty is None or report.cum_qty == ZERO:
        return [accepted]
    return [accepted, _status(report, instrument)]


def _answer(report: Report, instrument: str, asked_at_seq: int) -> Event:
    """The answer to a status request. Rejected means "no such order" unless the broker has one to name (G.1.a)."""
    unnamed = report.order_id is None or report.ord_rej_reason == _UNKNOWN_ORDER
    if report.ord_status is OrdStatus.REJECTED and unnamed:
        return OrderUnknown(
            instrument=instrument,
            client_order_id=_client_id(report),
            asked_at_seq=asked_at_seq,
            text=report.text,
        )
    return _status(report, instrument, asked_at_seq or None)


def _status(report: Report, instrument: str, asked_at_seq: int | None = None) -> Event:
    if report.cl_ord_id is None and report.order_id is None:
        raise FrameRefused("missing_field", "cl_ord_id and order_id")
    status = _STATUSES[report.ord_status]
    if report.exec_type in _STATUS_OF_TYPE:
        status = _STATUS_OF_TYPE[report.exec_type]
    elif report.ord_status is OrdStatus.CALCULATED and report.cum_qty == report.order_qty is not None:
        status = ReportedStatus.FILLED
    return OrderStatusReported(
        instrument=instrument,
        client_order_id=report.cl_ord_id,
        orig_client_order_id=report.orig_cl_ord_id,
        broker_order_id=report.order_id,
        status=status,
        side=report.side,
        order_type=report.ord_type,
        quantity=report.order_qty,
        price_limit=report.price,
        price_stop=report.stop_px,
        cumulative=report.cum_qty,
        leaves=report.leaves_qty,
        asked_at_seq=asked_at_seq,
    )


def _canceled(report: Report, instrument: str, cause: CancelCause) -> Event:
    return OrderCanceled(
        instrument=instrument,
        client_order_id=_client_id(report),
        orig_client_order_id=report.orig_cl_ord_id,
        broker_order_id=report.order_id,
        cause=cause,
        cumulative=report.cum_qty,
        text=report.text,
    )


def _ended(report: Report, instrument: str) -> Event:
    """A cancel that answers a request names the order behind it; one that names none was not asked for (B.1)."""
    asked = report.orig_cl_ord_id is not None
    return _canceled(report, instrument, CancelCause.REQUESTED if asked else CancelCause.UNSOLICITED)


def _expired(report: Report, instrument: str) -> Event:
    return _canceled(report, instrument, CancelCause.EXPIRED)


def _replaced(report: Report, instrument: str) -> Event:
    return OrderReplaced(
        instrument=instrument,
        client_order_id=_client_id(report),
        orig_client_order_id=report.orig_cl_ord_id,
        broker_order_id=report.order_id,
        quantity=_need_amount(report.order_qty, "order_qty"),
        price_limit=report.price,
        price_stop=report.stop_px,
        order_type=report.ord_type,
        cumulative=report.cum_qty,
        leaves=report.leaves_qty,
    )


def _rejected(report: Report, instrument: str) -> Event:
    reason = report.ord_rej_reason
    return OrderRejected(
        instrument=instrument,
        client_order_id=_client_id(report),
        broker_order_id=report.order_id,
        code="" if reason is None else _ORD_REJ_REASONS.get(reason, str(reason)),
        text=report.text,
    )


def _triggered(report: Report, instrument: str) -> Event:
    return OrderTriggered(
        instrument=instrument, client_order_id=_client_id(report), broker_order_id=report.order_id
    )


def _cancel_reject(report: Report, instrument: str) -> Event:
    """Refusal of a cancel or replace. "Rejected" is then no status of an order but the lack of one (B.1.f)."""
    if report.cxl_rej_response_to is None:
        raise FrameRefused("missing_field", "cxl_rej_response_to")
    unknown = report.cxl_rej_reason == _CXL_REJ_UNKNOWN or report.ord_status is OrdStatus.REJECTED
    reason = (
        RejectCode.OTHER if report.cxl_rej_reason is None else _CXL_REJ_REASONS.get(report.cxl_rej_reason)
    )
    refusal = CancelRejected if report.cxl_rej_response_to is ResponseTo.CANCEL else ReplaceRejected
    return refusal(
        instrument=instrument,
        client_order_id=_client_id(report),
        orig_client_order_id=report.orig_cl_ord_id,
        broker_order_id=report.order_id,
        code=reason or RejectCode.OTHER,
        status=None if unknown else _STATUSES[report.ord_status],
        text=report.text,
    )


_SIMPLE: Final[dict[ExecType, Callable[[Report, str], Event]]] = {
    ExecType.DONE_FOR_DAY: _status,
    ExecType.CANCELED: _ended,
    ExecType.EXPIRED: _expired,
    ExecType.REPLACED: _replaced,
    ExecType.REJECTED: _rejected,
    ExecType.TRIGGERED: _triggered,
    ExecType.RESTATED: _status,
    ExecType.CALCULATED: _status,
    ExecType.STOPPED: _status,
    ExecType.SUSPENDED: _status,
    ExecType.PENDING_NEW: _status,
    ExecType.PENDING_CANCEL: _status,
    ExecType.PENDING_REPLACE: _status,
}
"""Reports that are one event whatever they hold."""
