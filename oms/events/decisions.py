"""What we decided. Every decision follows from one input and names its rule (`policy`) and its reason."""

from decimal import Decimal
from typing import Any, ClassVar

from oms.events.base import DECISION, Event, Kind, Part, register
from oms.values import Micros, OrderType, PositionSide, Role, Severity, Side, TimeInForce


class Decision(Event, frozen=True, kw_only=True):
    """Base of all decisions."""

    KIND: ClassVar[Kind] = DECISION


class Rung(Part, frozen=True, kw_only=True):
    """One tranche of the scale-out ladder; `pct` is a fraction of the position."""

    trigger: str
    pct: Decimal


class SizingStep(Part, frozen=True, kw_only=True):
    """One step of the sizing chain: its name, and how much it left."""

    rule: str
    quantity: Decimal


@register
class EntryAccepted(Decision, frozen=True, kw_only=True):
    """An entry request became a trade, or with `parent_trade_no` a lot that is added to that trade: a cycle of its own.
    The ladder is fixed here, from intended quantity x ideal. `sizing` is the way to the quantity, step by step;
    `at_risk` is what is lost from ideal to stop, in money."""

    instrument: str
    trade_no: int
    cycle: int
    strategy: str
    intent_id: str
    side: PositionSide
    quantity: Decimal
    ideal: Decimal
    zone_max: Decimal
    stop: Decimal
    key_level: Decimal | None = None
    config_sha256: str
    rungs: tuple[Rung, ...]
    cap: str = ""
    sizing: tuple[SizingStep, ...] = ()
    at_risk: Decimal | None = None
    parent_trade_no: int | None = None


@register
class IntentRefused(Decision, frozen=True, kw_only=True):
    """A strategy's request was refused; `code` is stable, `text` says why."""

    instrument: str
    strategy: str
    intent_id: str
    code: str
    text: str


@register
class OrderPlaced(Decision, frozen=True, kw_only=True):
    """Place an order. The id is made from the log position and stays the order's id for life.

    A market order carries its `reason` from the closed list and the seqs of the events that make it true.
    """

    instrument: str
    trade_no: int
    client_order_id: str
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    rung: int | None = None
    valid_until: Micros | None = None
    reason: str = ""
    evidence: tuple[int, ...] = ()
    policy: str


@register
class ReplaceRequested(Decision, frozen=True, kw_only=True):
    """Change an order's terms. `wire_id` is the new id on the wire; the order keeps its own."""

    instrument: str
    trade_no: int
    client_order_id: str
    wire_id: str
    orig_wire_id: str
    broker_order_id: str | None = None
    quantity: Decimal
    order_type: OrderType
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    valid_until: Micros | None = None
    reason: str = ""
    evidence: tuple[int, ...] = ()
    policy: str


@register
class CancelRequested(Decision, frozen=True, kw_only=True):
    """Cancel an order."""

    instrument: str
    trade_no: int
    client_order_id: str
    wire_id: str
    orig_wire_id: str
    broker_order_id: str | None = None
    reason: str = ""
    policy: str


@register
class QueryRequested(Decision, frozen=True, kw_only=True):
    """Ask the broker about an order whose outcome is unknown."""

    instrument: str
    trade_no: int
    client_order_id: str
    wire_id: str
    reason: str = ""
    policy: str


@register
class RepriceSkipped(Decision, frozen=True, kw_only=True):
    """A repricing cycle was used without a request (price unchanged, or no usable quote)."""

    instrument: str
    trade_no: int
    client_order_id: str
    reason: str
    policy: str


@register
class StopMoved(Decision, frozen=True, kw_only=True):
    """The effective stop of a trade moved (or was first set); never away from the market's favour."""

    instrument: str
    trade_no: int
    level: Decimal
    candidate: str
    policy: str


@register
class GuardArmed(Decision, frozen=True, kw_only=True):
    """The internal stop watches the level because no broker stop is confirmed to."""

    instrument: str
    trade_no: int
    level: Decimal
    reason: str
    policy: str


@register
class GuardDisarmed(Decision, frozen=True, kw_only=True):
    """A broker stop can trigger again (or nothing is left to guard)."""

    instrument: str
    trade_no: int
    reason: str
    policy: str


@register
class GuardBreached(Decision, frozen=True, kw_only=True):
    """A first quote stood at or through the guarded level; a second one, or time, confirms it."""

    instrument: str
    trade_no: int
    policy: str


@register
class CloseRequested(Decision, frozen=True, kw_only=True):
    """The whole trade is to be closed. `market` picks the style; `evidence` are the seqs that make it true."""

    instrument: str
    trade_no: int
    reason: str
    priority: int
    market: bool
    evidence: tuple[int, ...] = ()
    policy: str


@register
class DecisionRefused(Decision, frozen=True, kw_only=True):
    """Another rule of this step was stronger."""

    instrument: str
    trade_no: int
    reason: str
    refused_policy: str
    winner_policy: str


@register
class DegradationEntered(Decision, frozen=True, kw_only=True):
    """Too much is sent for what gets filled. `value` is `cancel_replace_rate` or `order_trade_ratio` (requests or
    orders over executions), or `fill_rate` (sum of the filled shares over the number of the last entry attempts).
    """

    instrument: str
    metric: str
    value: Decimal
    sent: int
    filled: Decimal
    effect: str
    policy: str


@register
class DegradationLeft(Decision, frozen=True, kw_only=True):
    """The metric is back below its lower threshold, or what the degradation was to last for is over (`reason`)."""

    instrument: str
    metric: str
    value: Decimal
    sent: int
    filled: Decimal
    reason: str
    policy: str


@register
class EntryAbandoned(Decision, frozen=True, kw_only=True):
    """The entry found no fill; the intent goes back and the pipeline seeks an entry again."""

    instrument: str
    trade_no: int
    intent_id: str
    strategy: str
    reason: str
    pipeline_state: str = "SEEKING_ENTRY"
    cycle: int = 0
    policy: str


@register
class TradeClosed(Decision, frozen=True, kw_only=True):
    """The trade is flat and none of its orders can execute any more.

    `pnl` is the trade's whole result in the quote currency, before fees; `pnl_change` what is new in it since
    the trade was last reported closed (a late fill or a bust can reopen it). `r` is in units of planned risk.
    """

    instrument: str
    trade_no: int
    reason: str
    quantity: Decimal
    price_entry: Decimal
    price_exit: Decimal
    pnl: Decimal
    pnl_change: Decimal
    r: Decimal | None = None
    currency: str = ""
    cycle: int = 0
    parent_trade_no: int | None = None
    policy: str


@register
class ExecutionJudged(Decision, frozen=True, kw_only=True):
    """What became of a report of an execution that does not count by its own id: it tells `of` again (nothing: it lies
    across several), or it is `counted` after all, with what it then adds."""

    instrument: str
    trade_no: int | None = None
    client_order_id: str
    execution: str
    of: str | None = None
    counted: bool = False
    side: Side | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    policy: str


@register
class Alerted(Decision, frozen=True, kw_only=True):
    """Somebody should look. The same alert is raised once until its cause changes."""

    severity: Severity
    code: str
    text: str
    instrument: str | None = None
    trade_no: int | None = None
    client_order_id: str | None = None
    quantity: Decimal | None = None
    policy: str


@register
class AlertCleared(Decision, frozen=True, kw_only=True):
    """The cause of a standing alert is gone."""

    code: str
    instrument: str
    trade_no: int
    policy: str


@register
class KillLevelRaised(Decision, frozen=True, kw_only=True):
    """K1 no entries, K2 openers cancelled, K3 flat, K4 everything cancelled (reliability I74)."""

    level: int
    reason: str
    policy: str


@register
class KillLevelLowered(Decision, frozen=True, kw_only=True):
    """Two persons have taken the kill level back, on a later day than it was raised on."""

    level: int
    reason: str
    policy: str


@register
class SecondPersonAwaited(Decision, frozen=True, kw_only=True):
    """An act that takes two persons was asked for by the first; it waits until `until` for another one."""

    act: str
    principal: str
    until: Micros
    policy: str


@register
class PauseChanged(Decision, frozen=True, kw_only=True):
    """Entries are paused or resumed by an operator."""

    paused: bool
    reason: str
    policy: str


@register
class SafeModeEntered(Decision, frozen=True, kw_only=True):
    """A rule or an invariant failed; this pipeline only keeps and reduces from here on."""

    instrument: str
    reason: str
    text: str


@register
class DecisionFailed(Decision, frozen=True, kw_only=True):
    """A policy raised; its decisions of this step were dropped."""

    instrument: str
    failed_policy: str
    text: str


@register
class PolicyNoted(Decision, frozen=True, kw_only=True):
    """The private memory of a policy."""

    instrument: str
    policy: str
    value: dict[str, Any]
