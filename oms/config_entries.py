"""The sections for entries that are no plain ones: before the open, and added to a position."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from oms.config_sections import (
    Count,
    Exact,
    Factor,
    Fraction,
    PositiveFraction,
    PositiveMilliseconds,
    Section,
)


class PreMarket(Section):
    """Entries before the open: whether at all, how liquid it has to be, how large and how long. OD-102..105."""

    mode: Literal["off", "gated"] = "off"
    max_position_pct: PositiveFraction = Decimal("0.25")
    max_spread_pct: PositiveFraction = Decimal("0.005")
    min_volume: Annotated[Exact, Field(ge=0, le=10**12)] = Decimal(10000)
    volume_window_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1_800_000
    attempt_ms: PositiveMilliseconds = 20000


class AddOn(Section):
    """Adding to a position that has earned it. OD-095..101, C-21; BB-019..023, CH-091."""

    condition: Literal["off", "signal", "profit_ema"] = "signal"
    min_profit_r: Factor = Decimal("0.5")
    ema_band_pct: Fraction = Decimal("0.005")
    max_count: Count = 1
    size: Literal["pct_of_initial", "geometric"] = "pct_of_initial"
    pct_of_initial: PositiveFraction = Decimal("0.5")
    gamma: PositiveFraction = Decimal("0.5")
