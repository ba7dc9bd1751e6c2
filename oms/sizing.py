"""How much may be traded: caps on what a strategy asks for. OD-119; C-30. Each cap names itself."""

from decimal import Decimal

from oms.config import Settings
from oms.values import ZERO, round_down_to_lot


def capped(
    quantity: Decimal, price: Decimal, multiplier: Decimal, lot: Decimal, settings: Settings
) -> tuple[Decimal, str]:
    """The permitted quantity in whole lots, at most what was asked for, and the cap that bound ("" if none)."""
    allowed, cap = quantity, ""
    for name, limit in _caps(price, multiplier, settings):
        if limit < allowed:
            allowed, cap = limit, name
    return max(round_down_to_lot(allowed, lot), ZERO), cap


def halved(quantity: Decimal, lot: Decimal) -> Decimal:
    """Half of a quantity, in whole lots; of a single lot nothing is left (OD-061)."""
    return round_down_to_lot(quantity / 2, lot)


def _caps(price: Decimal, multiplier: Decimal, settings: Settings) -> list[tuple[str, Decimal]]:
    unit = price * multiplier
    position = settings.risk.max_position_pct * settings.account.day_capital
    return [
        ("risk.max_position_pct", position / unit),
        ("gate.max_order_value", settings.gate.max_order_value / unit),
        ("gate.max_order_quantity", Decimal(settings.gate.max_order_quantity)),
    ]
