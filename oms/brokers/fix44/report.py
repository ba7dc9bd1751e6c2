"""The inside of an order report: ExecutionReport and OrderCancelReject as one strict model.

Fields and enumerations carry the names of the specification. An unknown value of a field that decides what a
report means is refused; an order type that we do not trade is not, because its executions must still be booked.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from oms.brokers.fix44.frame import Frame, FrameRefused, read_frame
from oms.values import ZERO, Micros, OrderType, Side, plain


class ExecType(Enum):
    """What a report reports (tag 150)."""

    NEW = "New"
    DONE_FOR_DAY = "DoneForDay"
    CANCELED = "Canceled"
    REPLACED = "Replaced"
    PENDING_CANCEL = "PendingCancel"
    STOPPED = "Stopped"
    REJECTED = "Rejected"
    SUSPENDED = "Suspended"
    PENDING_NEW = "PendingNew"
    CALCULATED = "Calculated"
    EXPIRED = "Expired"
    RESTATED = "Restated"
    PENDING_REPLACE = "PendingReplace"
    TRADE = "Trade"
    TRADE_CORRECT = "TradeCorrect"
    TRADE_CANCEL = "TradeCancel"
    ORDER_STATUS = "OrderStatus"
    TRIGGERED = "Triggered"


class OrdStatus(Enum):
    """The state of the order after the report (tag 39)."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    FILLED = "Filled"
    DONE_FOR_DAY = "DoneForDay"
    CANCELED = "Canceled"
    PENDING_CANCEL = "PendingCancel"
    STOPPED = "Stopped"
    REJECTED = "Rejected"
    SUSPENDED = "Suspended"
    PENDING_NEW = "PendingNew"
    CALCULATED = "Calculated"
    EXPIRED = "Expired"
    ACCEPTED_FOR_BIDDING = "AcceptedForBidding"
    PENDING_REPLACE = "PendingReplace"


class ResponseTo(Enum):
    """Which request an OrderCancelReject answers (tag 434)."""

    CANCEL = "OrderCancelRequest"
    REPLACE = "OrderCancelReplaceRequest"


_EXEC_TYPES: Final = {
    "0": ExecType.NEW,
    "3": ExecType.DONE_FOR_DAY,
    "4": ExecType.CANCELED,
    "5": ExecType.REPLACED,
    "6": ExecType.PENDING_CANCEL,
    "7": ExecType.STOPPED,
    "8": ExecType.REJECTED,
    "9": ExecType.SUSPENDED,
    "A": ExecType.PENDING_NEW,
    "B": ExecType.CALCULATED,
    "C": ExecType.EXPIRED,
    "D": ExecType.RESTATED,
    "E": ExecType.PENDING_REPLACE,
    "F": ExecType.TRADE,
    "G": ExecType.TRADE_CORRECT,
    "H": ExecType.TRADE_CANCEL,
    "I": ExecType.ORDER_STATUS,
    "L": ExecType.TRIGGERED,
}
_ORD_STATUSES: Final = {
    "0": OrdStatus.NEW,
    "1": OrdStatus.PARTIALLY_FILLED,
    "2": OrdStatus.FILLED,
    "3": OrdStatus.DONE_FOR_DAY,
    "4": OrdStatus.CANCELED,
    "6": OrdStatus.PENDING_CANCEL,
    "7": OrdStatus.STOPPED,
    "8": OrdStatus.REJECTED,
    "9": OrdStatus.SUSPENDED,
    "A": OrdStatus.PENDING_NEW,
    "B": OrdStatus.CALCULATED,
    "C": OrdStatus.EXPIRED,
    "D": OrdStatus.ACCEPTED_FOR_BIDDING,
    "E": OrdStatus.PENDING_REPLACE,
}
_RESPONSES: Final = {"1": ResponseTo.CANCEL, "2": ResponseTo.REPLACE}
_SIDES: Final = {
    "1": Side.BUY,
    "2": Side.SELL,
    "3": Side.BUY,  # Buy minus.
    "4": Side.SELL,  # Sell plus.
    "5": Side.SELL,  # Sell short.
    "6": Side.SELL,  # Sell short exempt.
}
_ORDER_TYPES: Final = {
    "1": OrderType.MARKET,
    "2": OrderType.LIMIT,
    "3": OrderType.STOP,
    "4": OrderType.STOP_LIMIT,
}
_LEGACY_FILLS: Final = ("1", "2")
"""Partial fill and fill of FIX 4.1 and 4.2."""
_LEGACY_TRANSACTIONS: Final = {
    "1": ExecType.TRADE_CANCEL,
    "2": ExecType.TRADE_CORRECT,
    "3": ExecType.ORDER_STATUS,
}
"""ExecTransType (tag 20) of FIX 4.1 and 4.2; 0 is an ordinary report."""
_NO_ORDER: Final = "NONE"

_MESSAGES: Final = {"8": "ExecutionReport", "9": "OrderCancelReject"}
_TAGS: Final = {
    6: "avg_px", 11: "cl_ord_id", 14: "cum_qty", 17: "exec_id", 19: "exec_ref_id", 31: "last_px", 32: "last_qty",
    37: "order_id", 38: "order_qty", 39: "ord_status", 40: "ord_type", 41: "orig_cl_ord_id", 44: "price",
    54: "side", 55: "symbol", 58: "text", 60: "transact_time", 99: "stop_px", 102: "cxl_rej_reason",
    103: "ord_rej_reason", 150: "exec_type", 151: "leaves_qty", 424: "day_order_qty", 425: "day_cum_qty",
    378: "exec_restatement_reason", 434: "cxl_rej_response_to",
}  # fmt: skip
_EXEC_TRANS_TYPE: Final = 20
_MSG_TYPE: Final = 35

_MAX_TEXT: Final = 500
_MAX_ID: Final = 128
_MAX_NUMBER: Final = 40
_NUMBER: Final = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_TIME: Final = re.compile(r"(\d{8}-\d\d:\d\d:)(\d\d)(?:\.(\d{1,12}))?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEAP_SECOND: Final = 60

_Named = TypeVar("_Named", bound=Enum)


def _amount(value: object) -> Decimal:
    """Zero or more, from the text of a field or from a whole number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or len(text) > _MAX_NUMBER or not _NUMBER.fullmatch(text):
        raise ValueError("is not a number")
    number = plain(Decimal(text))
    if number < ZERO:
        raise ValueError("is negative")
    return number


def _id(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_ID or not value.isprintable():
        raise ValueError(f"is not an id of 1 to {_MAX_ID} printable characters")
    return value


def _text(value: object) -> str:
    """For people only, so it is made harmless rather than refused."""
    return "".join(sign if sign.isprintable() else " " for sign in str(value)[:_MAX_TEXT])


def _reason(value: object) -> int:
    """A reason code; venues add their own above the standard ones."""
    number = _amount(value)
    if number != number.to_integral_value():
        raise ValueError("is not a whole number")
    return int(number)


def _time(value: object) -> Micros:
    """UTC as `YYYYMMDD-HH:MM:SS[.fraction]`, floored to microseconds; a leap second is the next one."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > _LEAP_SECOND:
        raise ValueError("is not a UTC timestamp")
    minute = datetime.strptime(found[1] + "00+0000", "%Y%m%d-%H:%M:%S%z")
    fraction = int((found[3] or "0").ljust(6, "0")[:6])
    return (minute - _EPOCH) // timedelta(microseconds=1) + int(found[2]) * 1_000_000 + fraction


def _named(kind: type[_Named]) -> Callable[[object], _Named]:
    return lambda value: value if isinstance(value, kind) else kind(value)


_Amount = Annotated[Decimal | None, PlainValidator(_amount)]
_Id = Annotated[str | None, PlainValidator(_id)]
_Reason = Annotated[int | None, PlainValidator(_reason)]


class Report(BaseModel):
    """One order report. Whether a field must be there depends on what is reported: `translate` asks for it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    msg: Literal["ExecutionReport", "OrderCancelReject"]
    exec_type: Annotated[ExecType | None, PlainValidator(_named(ExecType))] = None
    ord_status: Annotated[OrdStatus, PlainValidator(_named(OrdStatus))]
    cl_ord_id: _Id = None
    orig_cl_ord_id: _Id = None
    order_id: _Id = None
    exec_id: _Id = None
    exec_ref_id: _Id = None
    symbol: _Id = None
    side: Annotated[Side | None, PlainValidator(_named(Side))] = None
    ord_type: Annotated[OrderType | None, PlainValidator(_named(OrderType))] = None
    order_qty: _Amount = None
    cum_qty: _Amount = None
    leaves_qty: _Amount = None
    last_qty: _Amount = None
    last_px: _Amount = None
    avg_px: _Amount = None
    price: _Amount = None
    stop_px: _Amount = None
    day_order_qty: _Amount = None
    day_cum_qty: _Amount = None
    cxl_rej_reason: _Reason = None
    cxl_rej_response_to: Annotated[ResponseTo | None, PlainValidator(_named(ResponseTo))] = None
    ord_rej_reason: _Reason = None
    exec_restatement_reason: _Id = None
    text: Annotated[str, PlainValidator(_text)] = ""
    transact_time: Annotated[Micros | None, PlainValidator(_time)] = Field(default=None)


def report(fields: Mapping[str, Any]) -> Report:
    """A report from named fields, values as in the specification. A field that is None counts as absent.

    Raises FrameRefused for an unknown field and for a value that cannot be read.
    """
    try:
        found = Report.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise FrameRefused("bad_value", f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
    if found.order_id == _NO_ORDER:
        # The broker's word for having no such order; as an id it would tie strangers together.
        return found.model_copy(update={"order_id": None})
    return found


def parse(raw: bytes) -> Report | None:
    """The report in a frame; None for a message of another kind. Raises FrameRefused."""
    frame = read_frame(raw)
    message = _MESSAGES.get(frame.values[_MSG_TYPE])
    if message is None:
        return None
    twice = sorted(frame.repeated & _TAGS.keys())
    if twice:
        raise FrameRefused("repeated_tag", f"tag {twice[0]} ({_TAGS[twice[0]]}) stands there twice")
    fields: dict[str, Any] = {
        name: frame.values[tag] for tag, name in _TAGS.items() if tag in frame.values and tag not in (40, 150)
    }
    _decode(fields, "ord_status", _ORD_STATUSES)
    _decode(fields, "side", _SIDES)
    _decode(fields, "cxl_rej_response_to", _RESPONSES)
    fields["ord_type"] = _ORDER_TYPES.get(frame.values.get(40, ""))
    fields["exec_type"] = _exec_type(frame, fields) if message == "ExecutionReport" else None
    return report(fields | {"msg": message})


def _decode(fields: dict[str, Any], name: str, codes: Mapping[str, Enum]) -> None:
    """Replace a code by its meaning."""
    code = fields.get(name)
    if code is None:
        return
    if code not in codes:
        raise FrameRefused("unknown_value", f"{name} {code[:8]!r}")
    fields[name] = codes[code]


def _exec_type(frame: Frame, fields: Mapping[str, Any]) -> ExecType:
    """The meaning of tag 150. FIX 4.1 and 4.2 said "fill" there, sometimes of a mere acknowledgement.

    A legacy "fill" that executed nothing says only what the order's status says.
    """
    code = frame.values.get(150, "")
    transaction = frame.values.get(_EXEC_TRANS_TYPE, "0")
    if transaction != "0":
        if transaction not in _LEGACY_TRANSACTIONS:
            raise FrameRefused("unknown_value", f"exec_trans_type {transaction[:8]!r}")
        return _LEGACY_TRANSACTIONS[transaction]
    if code in _LEGACY_FILLS and frame.version != "FIX.4.4":
        if _executed(fields.get("last_qty", "0")):
            return ExecType.TRADE
        return ExecType.NEW if fields.get("ord_status") is OrdStatus.NEW else ExecType.ORDER_STATUS
    if code not in _EXEC_TYPES:
        raise FrameRefused("unknown_value", f"exec_type {code[:8]!r}")
    return _EXEC_TYPES[code]


def _executed(last_qty: str) -> bool:
    try:
        return _amount(last_qty) > ZERO
    except ValueError as error:
        raise FrameRefused("bad_value", f"last_qty: {error}") from None
