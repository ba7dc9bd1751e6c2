"""Requests of a strategy. They are wishes: the core answers each with a decision or a refusal."""

from decimal import Decimal

from oms.events.base import Event, register
from oms.values import Bias, PositionSide, ScaleOut, Severity, Urgency


@register
class ListenerFailed(Event, frozen=True, kw_only=True):
    """A strategy or a callback of the embedding program raised while live, and is not called any more. Its trades go
    on being managed."""

    listener: str
    error: str


@register
class EntryRequested(Event, frozen=True, kw_only=True):
    """Open a trade. `zone_max` is the worst acceptable entry price (highest for a long, lowest for a short);
    `key_level` is a price for the key-level tranche, if the strategy knows one; `scale_out_profile` takes the place of
    `targets.scale_out_profile` for this trade."""

    instrument: str
    strategy: str
    intent_id: str
    side: PositionSide
    quantity: Decimal
    ideal: Decimal
    zone_max: Decimal
    stop: Decimal
    key_level: Decimal | None = None
    scale_out_profile: ScaleOut | None = None


@register
class AddRequested(Event, frozen=True, kw_only=True):
    """Add to an open trade of the strategy (`trade_no` names it, if there are several). Without `quantity` as much as
    the settings allow, without `stop` with the present stop of the trade."""

    instrument: str
    strategy: str
    intent_id: str
    ideal: Decimal
    zone_max: Decimal
    quantity: Decimal | None = None
    stop: Decimal | None = None
    key_level: Decimal | None = None
    trade_no: int | None = None


@register
class ExitRequested(Event, frozen=True, kw_only=True):
    """Close a trade by the planned way (limit orders). Without `trade_no` every open trade of the strategy."""

    instrument: str
    strategy: str
    intent_id: str
    trade_no: int | None = None
    reason: str = "strategy"


@register
class TrailOnlyRequested(Event, frozen=True, kw_only=True):
    """Give up targets; the trailing stop is the only exit (OD-051..054)."""

    instrument: str
    strategy: str
    intent_id: str


@register
class ExhaustionReported(Event, frozen=True, kw_only=True):
    """A parabolic move: the scale-out ladder fires at once (OD-049)."""

    instrument: str
    strategy: str
    intent_id: str


@register
class MonitorReported(Event, frozen=True, kw_only=True):
    """A monitor of the market saw something. From CRITICAL on the stops of the strategy's open positions are tightened
    (OD-079); what is less is only kept. `code` names it (BLOW_OFF, ...)."""

    instrument: str
    strategy: str
    intent_id: str
    severity: Severity
    code: str


@register
class StrategyCycleBegun(Event, frozen=True, kw_only=True):
    """A strategy or language model looks anew. Urgency (LOW, NORMAL, HIGH) and bias (LONG, NEUTRAL, SHORT) are all that
    it may say (OD-003); what lasts until its next cycle ends (OD-061)."""

    instrument: str
    strategy: str
    intent_id: str
    urgency: Urgency = Urgency.NORMAL
    bias: Bias = Bias.NEUTRAL
