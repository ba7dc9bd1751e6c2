"""The settings, section by section: name, bounds, default. `oms.config` puts them together.

Durations are whole milliseconds (`_ms`), percentages are fractions (`_pct`, 0.01 is 1 %), money is Decimal in the
account's currency. Every number has bounds, so that a slip of the keyboard is refused instead of traded.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from oms.values import MarketReason

DAY_MS: Final = 86_400_000

DEFAULT_POLICIES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "add_on": 1,
        "bracket": 2,
        "degradation": 1,
        "entry": 2,
        "exit": 1,
        "forced_close": 1,
        "guard_stop": 1,
        "kill_switch": 2,
        "protection": 1,
        "protective_stop": 1,
        "reconciliation": 1,
        "slippage": 1,
        "stop_fallback": 1,
        "strategy_exit": 1,
        "targets": 1,
    }
)
OPTIONAL_POLICIES: Final = frozenset(
    {"add_on", "degradation", "entry", "forced_close", "slippage", "strategy_exit", "targets"}
)
"""What may be switched off. Every other policy of the default set protects positions or finds out what is true."""

DEFAULT_REASONS: Final = (
    MarketReason.FORCED_CLOSE,
    MarketReason.KILL_SWITCH,
    MarketReason.STOP_FALLBACK,
    MarketReason.STOP_PARTIAL_FILL,
    MarketReason.GAP_THROUGH_STOP,
    MarketReason.POST_HALT,
    MarketReason.GUARD_STOP,
    MarketReason.PROTECTION_LOST,
    MarketReason.OVERSELL_REPAIR,
)


def _exact(value: object) -> object:
    """Refuse what cannot hold money exactly; turn whole numbers and text into Decimal."""
    if isinstance(value, float):
        raise ValueError("a binary float cannot hold this number exactly; give text or Decimal")
    if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
        raise ValueError("a number is needed")
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise ValueError("a number is needed") from None
    if not number.is_finite():
        raise ValueError("a finite number is needed")
    return number


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _ordered(section: BaseModel, low: str, high: str) -> None:
    """Refuse a section whose setting `low` is above its setting `high`."""
    lower, upper = getattr(section, low), getattr(section, high)
    if lower > upper:
        raise ValueError(f"{low} ({lower}) may not be above {high} ({upper})")


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None
    return name


def _fixed(value: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(sorted(value.items())))


Exact = Annotated[Decimal, BeforeValidator(_exact)]
Money = Annotated[Exact, Field(gt=0, le=10**12)]
Fraction = Annotated[Exact, Field(ge=0, le=1)]
PositiveFraction = Annotated[Exact, Field(gt=0, le=1)]
Factor = Annotated[Exact, Field(ge=0, le=1000)]
PositiveFactor = Annotated[Exact, Field(gt=0, le=1000)]
Milliseconds = Annotated[int, Field(ge=0, le=DAY_MS)]
PositiveMilliseconds = Annotated[int, Field(ge=1, le=DAY_MS)]
Interval = Annotated[int, Field(ge=100, le=3_600_000)]
Count = Annotated[int, Field(ge=0, le=1000)]
PositiveCount = Annotated[int, Field(ge=1, le=1000)]
Large = Annotated[int, Field(ge=1, le=10**9)]
Length = Annotated[int, Field(ge=1, le=1000)]
Reason = Literal[
    "FORCED_CLOSE",
    "KILL_SWITCH",
    "STOP_FALLBACK",
    "STOP_PARTIAL_FILL",
    "GAP_THROUGH_STOP",
    "POST_HALT",
    "GUARD_STOP",
    "PROTECTION_LOST",
    "OVERSELL_REPAIR",
    "TAKE_PROFIT_TRIGGER",
    "EXIT_EXHAUSTED",
]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Versions = Annotated[dict[Name, Annotated[int, Field(ge=1, le=999)]], AfterValidator(_fixed)]


class Section(BaseModel):
    """A group of settings: immutable, strict, without unknown names."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", validate_default=True)


class Account(Section):
    """Currency, own day and capital of the account (architecture 9.5)."""

    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,10}$")] = "USD"
    day_zone: Annotated[str, AfterValidator(_known_zone)] = "America/New_York"
    day_capital: Money = Decimal(100000)


class Risk(Section):
    """Caps on size and loss. OD-119, C-20."""

    max_position_pct: PositiveFraction = Decimal("0.50")
    allow_short: bool = True
    min_rr: Factor = Decimal("1.0")
    daily_loss_limit: Money = Decimal(10000)
    max_gross_exposure: Money = Decimal(500000)


class Entry(Section):
    """How an entry is worked. OD-014..017, OD-073, C-16."""

    reprice_interval_ms: Interval = 5000
    max_cycles: PositiveCount = 3
    partial_rest_ms: PositiveMilliseconds = 30000
    valid_for_ms: PositiveMilliseconds = 60000


class Stop(Section):
    """The broker's stop. OD-021, OD-022, C-06, C-08."""

    type: Literal["stop_limit", "stop_market"] = "stop_limit"
    limit_offset_pct: Annotated[Exact, Field(ge=0, le=Decimal("0.1"))] = Decimal("0.001")
    fallback_ms: Annotated[int, Field(ge=100, le=600_000)] = 5000
    replace_mode: Literal["modify", "cancel_then_place"] = "modify"


class Guard(Section):
    """The internal stop, armed while the broker's stop is not confirmed protection."""

    max_spread_pct: PositiveFraction = Decimal("0.01")
    confirm_ms: Annotated[int, Field(ge=0, le=60_000)] = 250


class Breakeven(Section):
    """When and where the stop moves to break-even. C-04, C-05."""

    trigger: Literal["first_target_fill"] = "first_target_fill"
    offset_mode: Literal["none", "pct", "ticks", "round_trip_cost"] = "round_trip_cost"
    offset_pct: Annotated[Exact, Field(ge=0, le=Decimal("0.1"))] = Decimal(0)
    offset_ticks: Count = 0


class Trail(Section):
    """The ATR trail: a stop candidate from `activate_r` on."""

    atr_factor: PositiveFactor = Decimal("2.0")
    atr_length: Length = 14
    activate_r: Factor = Decimal("1.0")


class MfeLock(Section):
    """The share of the best excursion that the stop keeps, from `activate_r` on."""

    pct: Fraction = Decimal("0.5")
    activate_r: Factor = Decimal("1.0")


class Runner(Section):
    """The trail of the last rung."""

    buffer_ticks: Count = 1
    ema_length: Length = 9


class Rung(Section):
    """One step of a target ladder: what triggers it and which share of the position it closes."""

    trigger: Literal["1R", "2R", "3R", "KEY_LEVEL", "RUNNER"]
    pct: PositiveFraction


def _whole(rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
    """A ladder closes the position exactly once, each trigger once, the runner last."""
    triggers = [rung.trigger for rung in rungs]
    total = sum((rung.pct for rung in rungs), Decimal(0))
    if total != 1:
        raise ValueError(f"the rungs of a ladder must add up to exactly 1, these give {total}")
    if len(set(triggers)) != len(triggers):
        raise ValueError("a trigger stands twice in the ladder")
    if "RUNNER" in triggers[:-1]:
        raise ValueError("RUNNER must be the last rung")
    return rungs


Ladder = Annotated[
    tuple[Rung, ...], BeforeValidator(_listed), Field(min_length=1, max_length=5), AfterValidator(_whole)
]


def _ladder(*rungs: tuple[Literal["1R", "2R", "3R", "KEY_LEVEL", "RUNNER"], str]) -> tuple[Rung, ...]:
    return tuple(Rung(trigger=trigger, pct=Decimal(pct)) for trigger, pct in rungs)


class Monitor(Section):
    """What a CRITICAL report of a monitor does to stops: the trail with this factor at once, or nothing. OD-079."""

    on_critical: Literal["off", "tighten"] = "tighten"
    tighten_atr_factor: PositiveFactor = Decimal("1.0")


class Targets(Section):
    """Scaling out. Which ladder is fixed from intended quantity x ideal price. OD-043..054, C-12."""

    scale_out_profile: Literal["OFF", "CONSERVATIVE", "STANDARD", "AGGRESSIVE"] = "STANDARD"
    conservative_share: PositiveFraction = Decimal("0.5")
    policy: Literal["LADDER", "TRAIL_ONLY"] = "LADDER"
    compact_below: Money = Decimal(5000)
    full_above: Money = Decimal(15000)
    compact: Ladder = _ladder(("1R", "0.40"), ("2R", "0.40"), ("RUNNER", "0.20"))
    standard: Ladder = _ladder(("1R", "0.30"), ("KEY_LEVEL", "0.30"), ("2R", "0.25"), ("RUNNER", "0.15"))
    full: Ladder = _ladder(
        ("1R", "0.25"), ("KEY_LEVEL", "0.25"), ("2R", "0.25"), ("3R", "0.15"), ("RUNNER", "0.10")
    )

    @model_validator(mode="after")
    def _sizes_in_order(self) -> Self:
        _ordered(self, "compact_below", "full_above")
        return self


class Exit(Section):
    """How a planned exit is worked, and with which collar where no market order is accepted. C-18."""

    reprice_interval_ms: Interval = 5000
    max_cycles: PositiveCount = 3
    on_exhausted: Literal["keep_working", "market"] = "keep_working"
    collar_pct: Annotated[Exact, Field(gt=0, le=Decimal("0.1"))] = Decimal("0.005")
    collar_reprice_ms: Interval = 1000


class ForcedClose(Section):
    """Leaving before the close; both times count back from the calendar's session close. C-19, C-35."""

    start_before_close_ms: Milliseconds = 900000
    end_before_close_ms: Milliseconds = 300000
    mode: Literal["limit_then_market", "market"] = "limit_then_market"

    @model_validator(mode="after")
    def _starts_before_it_ends(self) -> Self:
        _ordered(self, "end_before_close_ms", "start_before_close_ms")
        return self


class Protection(Section):
    """How long a stop may be unconfirmed, and what follows. OD-077, C-33."""

    ack_timeout_ms: Interval = 2000
    resolve_timeout_ms: Interval = 10000
    max_retries: Count = 3
    retry_ms: Annotated[int, Field(ge=10, le=60_000)] = 250
    on_exhausted: Literal["market_exit", "kill_switch"] = "market_exit"
    cleanup_ms: Interval = 5000
    books_every_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 30_000

    @model_validator(mode="after")
    def _asks_before_it_gives_up(self) -> Self:
        _ordered(self, "ack_timeout_ms", "resolve_timeout_ms")
        if self.books_every_ms:
            _ordered(self, "ack_timeout_ms", "books_every_ms")
        return self


class MarketData(Section):
    """When a quote is too old to act on."""

    stale_quote_ms: Annotated[int, Field(ge=100, le=600_000)] = 3000


class Halt(Section):
    """What happens after a trading halt. OD-032, C-11."""

    exit_on_resume: Literal["stop_breached", "always"] = "stop_breached"


class MarketOrders(Section):
    """The closed list of reasons that permit a market order. OD-023..029."""

    allowed_reasons: Annotated[tuple[Reason, ...], BeforeValidator(_listed), Field(max_length=11)] = (
        DEFAULT_REASONS
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len(set(self.allowed_reasons)) != len(self.allowed_reasons):
            raise ValueError("a reason stands twice in allowed_reasons")
        return self


class Gate(Section):
    """The last check before the wire."""

    price_collar_pct: PositiveFraction = Decimal("0.10")
    max_order_quantity: Money = Decimal(100000)
    max_order_value: Money = Decimal(250000)
    messages_per_second: PositiveCount = 50
    reserve_per_second: Count = 20
    repeated_entry_limit: PositiveCount = 20
    repeated_entry_window_ms: PositiveMilliseconds = 60000

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        _ordered(self, "reserve_per_second", "messages_per_second")
        return self


class Degradation(Section):
    """When we send too much for what gets filled. OD-059..061, OD-120, OD-121."""

    cancel_replace_rate_warn: PositiveFactor = Decimal("5.0")
    cancel_replace_rate_recover: PositiveFactor = Decimal("3.0")
    cancel_replace_window_ms: PositiveMilliseconds = 1800000
    min_requests: PositiveCount = 6
    order_trade_ratio_warn: PositiveFactor = Decimal("10.0")
    order_trade_ratio_recover: PositiveFactor = Decimal("6.0")
    order_trade_window_ms: PositiveMilliseconds = 3600000
    min_orders: PositiveCount = 11
    degraded_interval_ms: Interval = 10000
    fill_rate_warn: Fraction = Decimal("0.30")
    fill_rate_attempts: PositiveCount = 5
    fill_rate_action: Literal["halve", "observe"] = "halve"

    @model_validator(mode="after")
    def _recovers_below_the_warning(self) -> Self:
        _ordered(self, "cancel_replace_rate_recover", "cancel_replace_rate_warn")
        _ordered(self, "order_trade_ratio_recover", "order_trade_ratio_warn")
        return self


class Depth(Section):
    """Whether the displayed book may help the price of an entry. OD-110."""

    use: Literal["off", "execution"] = "off"


class Slippage(Section):
    """What bad fills lead to. OD-107..109."""

    warn_pct: Fraction = Decimal("0.002")
    warn_trades: PositiveCount = 5
    reduce_pct: Fraction = Decimal("0.003")
    reduce_trades: PositiveCount = 10
    reduce_by: Fraction = Decimal("0.25")
    single_pct: Fraction = Decimal("0.005")

    @model_validator(mode="after")
    def _warns_before_it_reduces(self) -> Self:
        _ordered(self, "warn_pct", "reduce_pct")
        return self


class Policies(Section):
    """Which policies run, and in which version. In a settings file, version 0 switches one off."""

    enabled: Versions = Field(default_factory=lambda: dict(DEFAULT_POLICIES), max_length=100)

    @model_validator(mode="after")
    def _keeps_what_protects(self) -> Self:
        missing = sorted(DEFAULT_POLICIES.keys() - OPTIONAL_POLICIES - self.enabled.keys())
        if missing:
            raise ValueError(f"{', '.join(missing)} protects positions and cannot be switched off")
        return self
