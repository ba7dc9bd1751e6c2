"""Fees of an execution by a schedule per share and per value. They are reported apart from the fill."""

from decimal import Decimal
from typing import Final

from msgspec import Struct

from oms.events.broker import Fee
from oms.values import ONE, ZERO

CENT_HUNDREDTH: Final = Decimal("0.0001")


class Schedule(Struct, frozen=True, kw_only=True):
    """What a broker charges. `per_value` is a fraction of the traded value; negative is a rebate."""

    per_share: Decimal = ZERO
    per_value: Decimal = ZERO
    minimum: Decimal = ZERO
    step: Decimal = CENT_HUNDREDTH


def amount(schedule: Schedule, quantity: Decimal, price: Decimal, multiplier: Decimal = ONE) -> Decimal:
    """The cost of one execution, rounded half to even to the schedule's step."""
    raw = quantity * schedule.per_share + quantity * price * multiplier * schedule.per_value
    return max(raw, schedule.minimum).quantize(schedule.step)


def fees(
    schedule: Schedule, quantity: Decimal, price: Decimal, *, currency: str, multiplier: Decimal = ONE
) -> tuple[Fee, ...]:
    """The fees as they are reported; empty where nothing is charged."""
    cost = amount(schedule, quantity, price, multiplier)
    return () if cost == ZERO else (Fee(amount=cost, currency=currency, kind="COMMISSION"),)
