"""One order: its machine, its executions, and what is under way.

The six states and their moves are declared once, as a `transitions` machine; the fold uses a table compiled
from it at import. The table is total: each state and trigger is a move, a named ignore, or an anomaly.
Requirements OD-006..013; FIX 4.4 appendix D for everything that crosses on the wire.
"""

from decimal import Decimal
from enum import Enum
from typing import Final

from msgspec import Struct
from transitions import Machine

from oms.events.broker import CancelCause, OrderFilled
from oms.values import ZERO, Micros, OrderStatus, OrderType, Role, Side, TimeInForce, Word


class Trigger(Word):
    """What can move an order."""

    ACKNOWLEDGE = "acknowledge"
    FILL_PART = "fill_part"
    FILL_ALL = "fill_all"
    REOPEN = "reopen"
    REOPEN_EMPTY = "reopen_empty"
    CANCEL = "cancel"
    CANCEL_AGAIN = "cancel_again"
    REJECT = "reject"
    REINSTATE = "reinstate"


class Outcome(Enum):
    """What a trigger means where it moves nothing, or moves against the plan."""

    MOVE = "move"
    IGNORE = "ignore"
    ANOMALY = "anomaly"


NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus

LIVE_STATES: Final = (NEW, SUBMITTED, PARTIAL_FILLED)
ENDED_STATES: Final = (FILLED, CANCELED, REJECTED)

_MOVES: Final[list[tuple[Trigger, tuple[OrderStatus, ...], OrderStatus]]] = [
    (Trigger.ACKNOWLEDGE, (NEW,), SUBMITTED),
    (Trigger.FILL_PART, (NEW, SUBMITTED, PARTIAL_FILLED), PARTIAL_FILLED),
    (Trigger.FILL_ALL, (NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED), FILLED),
    (Trigger.REOPEN, (PARTIAL_FILLED, FILLED), PARTIAL_FILLED),
    (Trigger.REOPEN_EMPTY, (PARTIAL_FILLED, FILLED), SUBMITTED),
    (Trigger.CANCEL, (NEW, SUBMITTED, PARTIAL_FILLED), CANCELED),
    (Trigger.CANCEL_AGAIN, (FILLED,), CANCELED),
    (Trigger.REJECT, (NEW, SUBMITTED), REJECTED),
    (Trigger.REINSTATE, (CANCELED, REJECTED), SUBMITTED),
]

_IGNORED: Final = frozenset(
    [(state, Trigger.ACKNOWLEDGE) for state in (SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED)]
    # A late fill or a bust after the end changes quantities, never the state (FIX J.1.b).
    + [(state, Trigger.FILL_PART) for state in (CANCELED, REJECTED)]
    + [(state, Trigger.REOPEN) for state in (CANCELED, REJECTED)]
    + [(state, Trigger.REOPEN_EMPTY) for state in (CANCELED, REJECTED)]
    # FILLED outranks CANCELED; an end reported twice is one end.
    + [(state, Trigger.CANCEL) for state in (FILLED, CANCELED, REJECTED)]
    + [(state, Trigger.CANCEL_AGAIN) for state in (CANCELED, REJECTED)]
    + [(state, Trigger.REJECT) for state in (CANCELED, REJECTED)]
)


def machine() -> Machine:
    """The declaration as a `transitions` machine: for documentation, diagrams and the equality test."""
    return Machine(
        model=None,
        states=[status.value for status in OrderStatus],
        transitions=[
            {"trigger": trigger.value, "source": source.value, "dest": dest.value}
            for trigger, sources, dest in _MOVES
            for source in sources
        ],
        initial=NEW.value,
        auto_transitions=False,
    )


def _compile(declared: Machine) -> dict[tuple[OrderStatus, Trigger], tuple[Outcome, OrderStatus]]:
    """One row for every state and trigger, read from the machine itself."""
    table = {
        (state, trigger): (Outcome.IGNORE if (state, trigger) in _IGNORED else Outcome.ANOMALY, state)
        for state in OrderStatus
        for trigger in Trigger
    }
    for name, event in declared.events.items():
        for source, moves in event.transitions.items():
            table[OrderStatus(source), Trigger(name)] = (Outcome.MOVE, OrderStatus(moves[0].dest))
    return table


TABLE: Final = _compile(machine())
"""(state, trigger) -> (outcome, next state); complete over all pairs."""


class PendingKind(Enum):
    """A request of ours that the broker has not answered."""

    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


class Pending(Struct, frozen=True, gc=False, kw_only=True):
    """One unanswered request. `seq` is its decision; `wire_id` names it on the wire.

    A replace remembers the terms it asks for. `queries` counts how often we asked what became of it, `asked_at`
    when last; `unknown` says that sending it failed in a way that leaves its fate open. One that is not `ours`
    was seen in the broker's reports; its `seq` is that of the report.
    """

    kind: PendingKind
    seq: int
    wire_id: str
    since: Micros
    asked_at: Micros
    quantity: Decimal | None = None
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    order_type: OrderType | None = None
    queries: int = 0
    unknown: bool = False
    ours: bool = True


class Execution(Struct, frozen=True, gc=False, kw_only=True):
    """One execution at its highest known revision; a busted one has quantity zero.

    `cum_before` and `cum_after` bound the broker's count when it was first reported. Intervals from before the
    last bust or quantity correction no longer compare: `comparable`. `price_intent` is the price it was meant to have.
    `aliases` are further ids under which the same execution was reported.
    """

    root: str
    revision: int
    quantity: Decimal
    price: Decimal
    at: Micros
    seq: int
    cum_before: Decimal | None = None
    cum_after: Decimal | None = None
    comparable: bool = True
    price_intent: Decimal | None = None
    aliases: tuple[str, ...] = ()

    def goes_by(self, name: str) -> bool:
        """Whether the broker has reported this execution under an id."""
        return name == self.root or name in self.aliases


class Order(Struct, frozen=True, gc=False, kw_only=True):
    """An order and all that is known of it. Quantities are never negative; `value` is sum of price x quantity.

    `leaves` is what can still execute; `total` is the broker's highest count since the last bust or correction, and
    `counted_seq` the event that last changed it or `filled`; `recounted` is the highest count that came with one.
    `executions` stand in the order of their first report; `repeats` are fills that those on record cover, `listed`
    those of them that the broker has as executions of their own, until another comes on record. An end that is
    `assumed` is reversed by evidence. `looked_at` is when its price was last looked at and left as it was.
    """

    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    leaves: Decimal
    placed_at: Micros
    placed_seq: int
    trade_no: int | None = None
    role: Role | None = None
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    status: OrderStatus = NEW
    filled: Decimal = ZERO
    value: Decimal = ZERO
    total: Decimal = ZERO
    counted_seq: int = 0
    recounted: Decimal = ZERO
    executions: tuple[Execution, ...] = ()
    repeats: tuple[OrderFilled, ...] = ()
    listed: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()
    wire_ids: tuple[str, ...] = ()
    broker_ids: tuple[str, ...] = ()
    rung: int | None = None
    reason: str = ""
    cycles: int = 0
    refusals: int = 0
    requested_at: Micros = 0
    looked_at: Micros = 0
    first_fill_at: Micros | None = None
    ended_at: Micros | None = None
    triggered_at: Micros | None = None
    triggered_seq: int = 0
    cancel_cause: CancelCause | None = None
    text: str = ""
    done_for_day: bool = False
    suspended: bool = False
    assumed: bool = False

    @property
    def is_live(self) -> bool:
        """Whether anything of the order may still execute or be reported, as far as is proven."""
        return self.status in LIVE_STATES and (
            self.leaves > ZERO or bool(self.pending) or self.total > self.filled
        )

    @property
    def is_external(self) -> bool:
        """Whether the order was not placed by us."""
        return self.trade_no is None

    @property
    def is_confirmed(self) -> bool:
        """Whether the broker is known to work the order right now. One that it has merely received is not (FIX
        PendingNew): its submission stays unanswered."""
        if self.suspended or self.done_for_day or (self.pending and self.pending_of(PendingKind.SUBMIT)):
            return False
        return self.status in (SUBMITTED, PARTIAL_FILLED) and self.leaves > ZERO

    @property
    def wire_id(self) -> str:
        """The id under which the broker knows the order at present."""
        return self.wire_ids[-1] if self.wire_ids else self.client_order_id

    @property
    def broker_order_id(self) -> str | None:
        """The broker's present id, if it told us one."""
        return self.broker_ids[-1] if self.broker_ids else None

    @property
    def missing(self) -> Decimal:
        """What the broker counts as filled and we have not seen."""
        return self.total - self.filled if self.total > self.filled else ZERO

    def execution(self, name: str) -> Execution | None:
        """The execution that goes by an id."""
        for execution in self.executions:
            if execution.goes_by(name):
                return execution
        return None

    def pending_of(self, kind: PendingKind) -> Pending | None:
        """The unanswered request of this kind, if there is one."""
        for pending in self.pending:
            if pending.kind is kind:
                return pending
        return None

    @property
    def is_pending(self) -> bool:
        """Whether any request of ours is unanswered."""
        return bool(self.pending)


class Anomaly(Struct, frozen=True, gc=False, kw_only=True):
    """Something the broker reported that should not be. The step turns it into an alert."""

    code: str
    text: str
    quantity: Decimal | None = None
    client_order_id: str | None = None
    trade_no: int | None = None
    wants_query: bool = False


class Verdict(Anomaly, frozen=True, gc=False, kw_only=True):
    """A report of an execution that does not count by its own id. The step logs it as `ExecutionJudged`."""

    code: str = "execution_judged"
    text: str = ""
    client_order_id: str
    execution: str
    of: str | None = None
    counted: bool = False
    side: Side | None = None
    price: Decimal | None = None
