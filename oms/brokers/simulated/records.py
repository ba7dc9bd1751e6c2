"""What the simulated broker keeps: orders, executions, and the facts that its state is folded from."""

from datetime import date
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from oms.commands import Command
from oms.events.base import Event
from oms.events.broker import ExecutionBusted, ExecutionCorrected, Fee, OrderFilled, ReportedStatus
from oms.events.session import InstrumentDefined, SessionOpened
from oms.values import ZERO, Micros, OrderType, Role, Side, TimeInForce, TradingPhase

LIVE = (ReportedStatus.NEW, ReportedStatus.PARTIALLY_FILLED)
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)


class Order(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One order. `wire_ids` are all its client ids, the current one last; `sent_at` dates its present terms.

    `elected` is set once a stop has triggered. `faults` are places in the script that apply to it.
    """

    broker_order_id: str
    wire_ids: tuple[str, ...]
    cancel_ids: tuple[str, ...] = ()
    instrument: str
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    status: ReportedStatus = ReportedStatus.NEW
    cumulative: Decimal = ZERO
    elected: bool = False
    reduce_only: bool = False
    resting: bool = False
    sent_at: Micros
    session_date: date | None = None
    faults: tuple[int, ...] = ()

    @property
    def client_order_id(self) -> str:
        """The wire id that is current."""
        return self.wire_ids[-1]

    @property
    def is_live(self) -> bool:
        """Whether it can still execute."""
        return self.status in LIVE

    @property
    def leaves(self) -> Decimal:
        """What can still execute."""
        return self.quantity - self.cumulative if self.is_live else ZERO

    @property
    def is_waiting_stop(self) -> bool:
        """Whether it is a stop that has not triggered."""
        return self.order_type in STOPS and not self.elected


class Execution(Struct, frozen=True, gc=False, kw_only=True):
    """One execution as it stands now; `reports` are all messages about it, first to newest."""

    execution: str
    broker_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    revision: int = 0
    day: str
    reports: tuple[Event, ...]
    fees: tuple[Fee, ...] = ()


class Instrument(Struct, frozen=True, gc=False, kw_only=True):
    """An instrument, its session and the newest market of that session."""

    defined: InstrumentDefined
    session: SessionOpened | None = None
    is_halted: bool = False
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    close: Decimal | None = None

    @property
    def has_ticks(self) -> bool:
        """Whether a quote or print was seen; bars then add nothing."""
        return not (self.bid is None and self.ask is None and self.last is None)

    def is_open(self, at: Micros, *, extended: bool) -> bool:
        """Whether orders execute at this time; `extended`: before the open as well."""
        if self.is_halted:
            return False
        phase = self.phase(at)
        return phase is TradingPhase.REGULAR or (extended and phase is TradingPhase.PRE_MARKET)

    def phase(self, at: Micros) -> TradingPhase:
        """The part of the day. Without a session the instrument trades around the clock."""
        session = self.session
        if session is None or (session.open_at <= at and (session.close_at is None or at < session.close_at)):
            return TradingPhase.REGULAR
        return TradingPhase.PRE_MARKET if at < session.open_at else TradingPhase.POST_MARKET

    def has_closed(self, at: Micros) -> bool:
        """Whether the known session is over."""
        return self.session is not None and self.session.close_at is not None and at >= self.session.close_at


class Arrival(Struct, frozen=True, gc=False, tag=True):
    """A command reaches the broker."""

    command: Command
    sent_at: Micros


class SnapshotAsked(Struct, frozen=True, gc=False, tag=True):
    """The question for open orders, executions and positions reaches the broker."""

    asked_at_seq: int
    whole: bool = True


class SessionEnds(Struct, frozen=True, gc=False, tag=True):
    """Day orders of the instrument expire."""

    instrument: str
    session_date: date


class LateFillDue(Struct, frozen=True, gc=False, tag=True):
    """A canceled order executes after all."""

    broker_order_id: str
    quantity: Decimal


class UnaskedCancelDue(Struct, frozen=True, gc=False, tag=True):
    """The broker cancels an order that nobody asked it to cancel."""

    broker_order_id: str


class LinkDrops(Struct, frozen=True, gc=False, tag=True):
    """The link to the client goes down; `back_at` None waits for the next start."""

    back_at: Micros | None = None
    loses_messages: bool = False


class LinkReturns(Struct, frozen=True, gc=False, tag=True):
    """The link to the client comes back."""


Item = Arrival | SnapshotAsked | SessionEnds | LateFillDue | UnaskedCancelDue | LinkDrops | LinkReturns


class Reply(Struct, frozen=True, gc=False):
    """A message on its way to the client. A `is_local` one comes from the client's end of the link."""

    n: int
    due: Micros
    key: str
    event: Event
    broker_order_id: str | None = None
    is_local: bool = False


class Fed(Struct, frozen=True, gc=False):
    """An instrument, session or venue status arrived with the market data."""

    event: Event


class Seen(Struct, frozen=True, gc=False, tag=True):
    """The market of an instrument at the time of the facts it is written with."""

    instrument: Instrument


class Planned(Struct, frozen=True, gc=False, tag=True):
    """Something will happen at the broker at `due`."""

    n: int
    due: Micros
    item: Item


class Happened(Struct, frozen=True, gc=False, tag=True):
    """A planned item was worked off."""

    n: int


class OrderRecorded(Struct, frozen=True, gc=False, tag=True):
    """An order is new or changed."""

    order: Order


class Executed(Struct, frozen=True, gc=False, tag=True):
    """An execution took place."""

    event: OrderFilled
    day: str
    fees: tuple[Fee, ...] = ()


class Corrected(Struct, frozen=True, gc=False, tag=True):
    """An execution was restated."""

    event: ExecutionCorrected


class Busted(Struct, frozen=True, gc=False, tag=True):
    """An execution was taken back."""

    event: ExecutionBusted


class Manner(Enum):
    """How a reply joins the line."""

    IN_ORDER = "IN_ORDER"
    LATE = "LATE"
    AGAIN = "AGAIN"


class Scheduled(Struct, frozen=True, gc=False):
    """A reply will be delivered. LATE ones let others pass; AGAIN ones were counted before."""

    reply: Reply
    manner: Manner = Manner.IN_ORDER


class Dropped(Struct, frozen=True, gc=False):
    """The script lost a reply."""

    reply: Reply


class Delivered(Struct, frozen=True, gc=False, tag=True):
    """Replies left the broker."""

    ns: tuple[int, ...]


class LinkDown(Struct, frozen=True, gc=False, tag=True):
    """The link is down; what falls due later waits, or is lost."""

    at: Micros
    loses_messages: bool


class LinkUp(Struct, frozen=True, gc=False, tag=True):
    """The link is up again; what waited is due now."""

    at: Micros


class Held(Struct, frozen=True, gc=False):
    """The script keeps a reply back until the order's next one."""

    reply: Reply


class Misbehaved(Struct, frozen=True, gc=False, tag=True):
    """The script acted. For people who read the book."""

    fault: int
    at: Micros
    what: str
    broker_order_id: str | None = None


Fact = (
    Fed
    | Seen
    | Planned
    | Happened
    | OrderRecorded
    | Executed
    | Corrected
    | Busted
    | Scheduled
    | Delivered
    | LinkDown
    | LinkUp
    | Held
    | Dropped
    | Misbehaved
)
