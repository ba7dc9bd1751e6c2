"""Indicators that take one bar at a time, because the state of a pipeline is a fold and holds no bar history.

Each is a frozen struct with `update(bar)`, which returns the next one; `value` is None until enough bars were
seen. The smoothed averages divide again and again, so their digits would grow with every bar up to the
precision of the context; what is carried from bar to bar is therefore quantised, here and nowhere else, to
`DIGITS` decimal places, half to even. OD-081, OD-083; Wilder, New Concepts in Technical Trading Systems (1978).
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from oms.events.market import BarClosed
from oms.values import ONE, ZERO

DIGITS: Final = 10
_STEP: Final = ONE.scaleb(-DIGITS)
_TWO: Final = Decimal(2)


def _carried(value: Decimal) -> Decimal:
    return value.quantize(_STEP, ROUND_HALF_EVEN)


class Atr(Struct, frozen=True, gc=False, kw_only=True):
    """Average true range, Wilder's smoothing. The first value is the mean of the first `length` true ranges.

    The first bar has no previous close; its true range is high minus low.
    """

    length: int = 14
    count: int = 0
    total: Decimal = ZERO
    close: Decimal | None = None
    value: Decimal | None = None

    def update(self, bar: BarClosed) -> Self:
        """The indicator after `bar`."""
        reach = true_range(bar, self.close)
        if self.value is not None:
            return replace(
                self, close=bar.close, value=_carried((self.value * (self.length - 1) + reach) / self.length)
            )
        count, total = self.count + 1, self.total + reach
        value = _carried(total / count) if count >= self.length else None
        return replace(self, count=count, total=total, close=bar.close, value=value)


class Ema(Struct, frozen=True, gc=False, kw_only=True):
    """Exponential average of closes, weight 2/(length + 1). Starts with the mean of the first `length` closes."""

    length: int = 9
    count: int = 0
    total: Decimal = ZERO
    value: Decimal | None = None

    def update(self, bar: BarClosed) -> Self:
        """The indicator after `bar`."""
        if self.value is not None:
            return replace(
                self, value=_carried(self.value + (bar.close - self.value) * _TWO / (self.length + 1))
            )
        count, total = self.count + 1, self.total + bar.close
        value = _carried(total / count) if count >= self.length else None
        return replace(self, count=count, total=total, value=value)


class Swings(Struct, frozen=True, gc=False, kw_only=True):
    """Turning points of the market.

    A bar is a swing low if its low is under the lows of the `width` bars before it and not above those of the
    `width` bars after it (of equal lows the first counts); highs are mirrored. It is known only when those
    later bars have closed, so nothing looks ahead. `higher_low` is the last swing low above the one before it,
    `lower_high` the last swing high below the one before it; each stays until the next of its kind.
    """

    width: int = 2
    highs: tuple[Decimal, ...] = ()
    lows: tuple[Decimal, ...] = ()
    swing_high: Decimal | None = None
    swing_low: Decimal | None = None
    lower_high: Decimal | None = None
    higher_low: Decimal | None = None

    def update(self, bar: BarClosed) -> Self:
        """The tracker after `bar`."""
        span = 2 * self.width + 1
        highs, lows = (*self.highs, bar.high)[-span:], (*self.lows, bar.low)[-span:]
        after = replace(self, highs=highs, lows=lows)
        if len(lows) < span:
            return after
        low, high = lows[self.width], highs[self.width]
        if low < min(lows[: self.width]) and low <= min(lows[self.width + 1 :]):
            rising = self.swing_low is not None and low > self.swing_low
            after = replace(after, swing_low=low, higher_low=low if rising else self.higher_low)
        if high > max(highs[: self.width]) and high >= max(highs[self.width + 1 :]):
            falling = self.swing_high is not None and high < self.swing_high
            after = replace(after, swing_high=high, lower_high=high if falling else self.lower_high)
        return after


def true_range(bar: BarClosed, previous_close: Decimal | None) -> Decimal:
    """The way the price went, counting a gap from the previous close; never negative."""
    if previous_close is None:
        return bar.high - bar.low
    return max(bar.high, previous_close) - min(bar.low, previous_close)
