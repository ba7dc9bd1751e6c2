"""Numbers, times and names that every layer shares.

Money, prices and quantities are `Decimal`; times are whole microseconds since 1970-01-01 UTC (`Micros`);
fractions stand for percentages (0.001 is 0.1 %).
"""

import decimal
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from typing import Final

Micros = int

CONTEXT: Final = decimal.Context(
    prec=60,
    rounding=ROUND_HALF_EVEN,
    Emin=-999,
    Emax=999,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.FloatOperation],
)
"""The one arithmetic of the core. Entry points (runner, replay) activate it; steps assume it is active."""

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
SECOND: Final = 1_000_000
MILLISECOND: Final = 1_000


class Word(Enum):
    """An enum whose members are looked up by identity: they exist once, and the hash of `Enum` is a Python call."""

    __hash__ = object.__hash__


class Side(Word):
    """Order side, FIX tag 54."""

    BUY = "BUY"
    SELL = "SELL"


class PositionSide(Word):
    """Direction of a trade. A long trade is entered by buying."""

    LONG = "LONG"
    SHORT = "SHORT"


class Role(Word):
    """What an order does for its trade; each role has exactly one owning policy."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    TARGET = "TARGET"
    EXIT = "EXIT"


class OrderType(Word):
    """Order type, FIX tag 40."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


LONG: Final = PositionSide.LONG
"""Plain names for what is compared in every step: up to Python 3.11 looking a member up in its class is a call."""
ENTRY: Final = Role.ENTRY

STOP_TYPES: Final = (OrderType.STOP, OrderType.STOP_LIMIT)
"""Those that have a stop price."""
LIMIT_TYPES: Final = (OrderType.LIMIT, OrderType.STOP_LIMIT)
"""Those that have a limit price."""


class TimeInForce(Word):
    """Time in force, FIX tag 59."""

    DAY = "DAY"
    GTC = "GTC"


class OrderStatus(Word):
    """The six public order states. What is under way stands beside them, in `pending`."""

    NEW = "NEW"
    SUBMITTED = "SUBMITTED"
    PARTIAL_FILLED = "PARTIAL_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"


class Urgency(Enum):
    """How much a strategy wants an entry. It bounds nothing: zone, size and number of cycles stay as they are."""

    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"


class ScaleOut(Enum):
    """How much of a position is sold in tranches on the way, from nothing to all of it; the rest runs. OD-050."""

    OFF = "OFF"
    CONSERVATIVE = "CONSERVATIVE"
    STANDARD = "STANDARD"
    AGGRESSIVE = "AGGRESSIVE"


class Bias(Enum):
    """The direction a strategy leans to; NEUTRAL says nothing."""

    LONG = "LONG"
    NEUTRAL = "NEUTRAL"
    SHORT = "SHORT"


class TradingPhase(Enum):
    """Which part of an instrument's day it is; one without a session is always in the regular one."""

    PRE_MARKET = "PRE_MARKET"
    REGULAR = "REGULAR"
    POST_MARKET = "POST_MARKET"


class Severity(Enum):
    """How loud an alert is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    EMERGENCY = "EMERGENCY"


class MarketReason:
    """The closed list of reasons that permit a market order (architecture 6; OD-023..029)."""

    FORCED_CLOSE: Final = "FORCED_CLOSE"
    KILL_SWITCH: Final = "KILL_SWITCH"
    STOP_FALLBACK: Final = "STOP_FALLBACK"
    STOP_PARTIAL_FILL: Final = "STOP_PARTIAL_FILL"
    GAP_THROUGH_STOP: Final = "GAP_THROUGH_STOP"
    POST_HALT: Final = "POST_HALT"
    GUARD_STOP: Final = "GUARD_STOP"
    PROTECTION_LOST: Final = "PROTECTION_LOST"
    OVERSELL_REPAIR: Final = "OVERSELL_REPAIR"
    TAKE_PROFIT_TRIGGER: Final = "TAKE_PROFIT_TRIGGER"
    EXIT_EXHAUSTED: Final = "EXIT_EXHAUSTED"


BUY_OF: Final = {PositionSide.LONG: Side.BUY, PositionSide.SHORT: Side.SELL}
"""The side that enters a trade."""
SELL_OF: Final = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}
"""The side that leaves a trade."""
SIGN_OF: Final = {PositionSide.LONG: ONE, PositionSide.SHORT: -ONE}
SIGN_OF_SIDE: Final = {Side.BUY: ONE, Side.SELL: -ONE}


def round_down_to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The highest multiple of `tick` that is not above `price`."""
    return (price / tick).to_integral_value(ROUND_FLOOR) * tick


def round_up_to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The lowest multiple of `tick` that is not below `price`."""
    return (price / tick).to_integral_value(ROUND_CEILING) * tick


def round_down_to_lot(quantity: Decimal, lot: Decimal) -> Decimal:
    """The largest multiple of `lot` that is not more than `quantity` (toward zero)."""
    return (quantity / lot).to_integral_value(ROUND_DOWN) * lot


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole number of `step`."""
    return value % step == ZERO


def plain(value: Decimal) -> Decimal:
    """The same number in canonical form: no exponent, no trailing zeros, no negative zero."""
    text = str(value)
    if "E" not in text and not ("." in text and text[-1] == "0") and text != "-0":
        return value
    if value == 0:
        return ZERO
    value = value.normalize()
    exponent = value.as_tuple().exponent
    return value.quantize(ONE) if isinstance(exponent, int) and exponent > 0 else value


def rounded(value: Decimal, places: int) -> Decimal:
    """For reported ratios and averages only: half to even at `places` decimals."""
    return value.quantize(ONE.scaleb(-places), ROUND_HALF_EVEN)
