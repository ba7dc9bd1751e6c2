"""Inputs from the broker. `client_order_id` is the id on the wire; after a replace it may be an alias.

Quantities are in units of the instrument and never negative; `cumulative` and `leaves` are the broker's own
totals and may be missing. A fill counts by (execution, revision): the highest revision of a root is the truth.
"""

from decimal import Decimal
from enum import Enum

from oms.events.base import Event, Part, register
from oms.values import Micros, OrderType, Side, TradingPhase


class CancelCause(Enum):
    """Why an order ended without being filled."""

    REQUESTED = "REQUESTED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    UNSOLICITED = "UNSOLICITED"


class RejectCode(Enum):
    """Why the broker refused a cancel or a replace (FIX CxlRejReason, tag 102)."""

    TOO_LATE = "TOO_LATE"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    ALREADY_PENDING = "ALREADY_PENDING"
    OTHER = "OTHER"


class ReportedStatus(Enum):
    """Order status in the broker's report (FIX OrdStatus, tag 39)."""

    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"


@register
class OrderAccepted(Event, frozen=True, kw_only=True):
    """The broker has the order and works it (or will, once triggered)."""

    instrument: str
    client_order_id: str
    broker_order_id: str | None = None


@register
class OrderRejected(Event, frozen=True, kw_only=True):
    """The broker refused the order; nothing of it can execute any more."""

    instrument: str
    client_order_id: str
    broker_order_id: str | None = None
    code: str = ""
    text: str = ""


@register
class OrderTriggered(Event, frozen=True, kw_only=True):
    """A stop order was elected and is now a market or limit order."""

    instrument: str
    client_order_id: str
    broker_order_id: str | None = None


@register
class OrderFilled(Event, frozen=True, kw_only=True):
    """One execution. `side` is the broker's word for it and is checked against the order."""

    instrument: str
    client_order_id: str | None = None
    broker_order_id: str | None = None
    execution: str
    revision: int = 0
    side: Side
    quantity: Decimal
    price: Decimal
    cumulative: Decimal | None = None
    leaves: Decimal | None = None


@register
class ExecutionCorrected(Event, frozen=True, kw_only=True):
    """An execution restated: `quantity` and `price` are the whole corrected values, not differences."""

    instrument: str
    client_order_id: str | None = None
    broker_order_id: str | None = None
    execution: str
    revision: int
    quantity: Decimal
    price: Decimal
    cumulative: Decimal | None = None
    leaves: Decimal | None = None


@register
class ExecutionBusted(Event, frozen=True, kw_only=True):
    """An execution that never was."""

    instrument: str
    client_order_id: str | None = None
    broker_order_id: str | None = None
    execution: str
    revision: int
    cumulative: Decimal | None = None
    leaves: Decimal | None = None


@register
class OrderCanceled(Event, frozen=True, kw_only=True):
    """Nothing more of the order can execute. `orig_client_order_id` names the order behind a cancel id."""

    instrument: str
    client_order_id: str
    orig_client_order_id: str | None = None
    broker_order_id: str | None = None
    cause: CancelCause = CancelCause.REQUESTED
    cumulative: Decimal | None = None
    text: str = ""


@register
class CancelRejected(Event, frozen=True, kw_only=True):
    """The broker refused a cancel. `status` is what it says of the order."""

    instrument: str
    client_order_id: str
    orig_client_order_id: str | None = None
    broker_order_id: str | None = None
    code: RejectCode = RejectCode.OTHER
    status: ReportedStatus | None = None
    text: str = ""


@register
class OrderReplaced(Event, frozen=True, kw_only=True):
    """A replace took effect; the order now has these terms. `quantity` is the whole order quantity."""

    instrument: str
    client_order_id: str
    orig_client_order_id: str | None = None
    broker_order_id: str | None = None
    quantity: Decimal
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    order_type: OrderType | None = None
    cumulative: Decimal | None = None
    leaves: Decimal | None = None


@register
class ReplaceRejected(Event, frozen=True, kw_only=True):
    """The broker refused a replace; the old terms stand."""

    instrument: str
    client_order_id: str
    orig_client_order_id: str | None = None
    broker_order_id: str | None = None
    code: RejectCode = RejectCode.OTHER
    status: ReportedStatus | None = None
    text: str = ""


@register
class OrderStatusReported(Event, frozen=True, kw_only=True):
    """What the broker says of an order: an answer to a query, a restatement, or an intermediate status. `asked_at_seq`
    is our log's end when the question was asked; only an answer has it."""

    instrument: str
    client_order_id: str | None = None
    orig_client_order_id: str | None = None
    broker_order_id: str | None = None
    status: ReportedStatus
    side: Side | None = None
    order_type: OrderType | None = None
    quantity: Decimal | None = None
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    cumulative: Decimal | None = None
    leaves: Decimal | None = None
    asked_at_seq: int | None = None


@register
class OrderUnknown(Event, frozen=True, kw_only=True):
    """A complete query by id found nothing. `asked_at_seq` is our log's end when the question was asked."""

    instrument: str
    client_order_id: str
    asked_at_seq: int
    text: str = ""


@register
class CommandFailed(Event, frozen=True, kw_only=True):
    """A command did not get an answer. `sent` False proves that nothing left; True means unknown."""

    instrument: str
    client_order_id: str
    command_seq: int
    sent: bool
    text: str = ""


@register
class CommandRefused(Event, frozen=True, kw_only=True):
    """The gate before the wire refused a command; nothing left."""

    instrument: str
    client_order_id: str
    command_seq: int
    limit: str
    text: str = ""


@register
class CommandExpired(Event, frozen=True, kw_only=True):
    """A risk-adding command was older than its validity; it was not sent."""

    instrument: str
    client_order_id: str
    command_seq: int


@register
class CapabilitiesDeclared(Event, frozen=True, kw_only=True):
    """What this broker can do (architecture 6); the adapter declares, the log remembers. A stop triggers in
    `stop_active_phases` only, a market order is accepted in `market_order_phases` only."""

    reserves_inventory: bool = False
    refuses_opposite_side: bool = False
    native_reduce_only: bool = False
    modify_stop: bool = True
    reports_trigger: bool = True
    client_ids_unique_for_ever: bool = False
    stop_active_phases: tuple[TradingPhase, ...] = tuple(TradingPhase)
    market_order_phases: tuple[TradingPhase, ...] = (TradingPhase.REGULAR,)


class PositionLine(Part, frozen=True, kw_only=True):
    """One position of a broker snapshot; `quantity` is signed (short negative)."""

    instrument: str
    quantity: Decimal


@register
class BrokerSnapshotReported(Event, frozen=True, kw_only=True):
    """Positions and open orders as of the moment our log ended at `asked_at_seq`. Incomplete proves nothing.

    `executions` are the ids of the day's executions, each once, where all of the books were asked for.
    """

    asked_at_seq: int
    complete: bool
    positions: tuple[PositionLine, ...] = ()
    open_orders: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()


@register
class BooksUnanswered(Event, frozen=True, kw_only=True):
    """The broker, to which the link stands, has not answered the question for its books so many times in a row."""

    times: int
    asked_first_at: Micros


class BrokerLinkStatus(Enum):
    """Whether the connection to the broker stands."""

    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"


@register
class BrokerLinkChanged(Event, frozen=True, kw_only=True):
    """The connection to the broker was made or lost."""

    status: BrokerLinkStatus
    text: str = ""


class Fee(Part, frozen=True, kw_only=True):
    """A cost (positive) or rebate (negative) of an execution."""

    amount: Decimal
    currency: str
    kind: str


@register
class FeeReported(Event, frozen=True, kw_only=True):
    """Fees of an execution; they arrive apart from the fill and never change it."""

    instrument: str
    execution: str
    fees: tuple[Fee, ...]


@register
class PositionAdjusted(Event, frozen=True, kw_only=True):
    """The position changed without an execution (fee in kind, split, transfer, assignment). Signed."""

    instrument: str
    adjustment: str
    ref: str
    quantity: Decimal


@register
class UnparsedFrame(Event, frozen=True, kw_only=True):
    """A frame that could not be read. The exact bytes are kept beside the log under `raw_sha256`."""

    raw_sha256: str
    error: str
    origin: str


@register
class DuplicateConflict(Event, frozen=True, kw_only=True):
    """An input came again under the same key with other content; the first one stands."""

    first_seq: int
    conflict_source: str
    conflict_key: str
    text: str
