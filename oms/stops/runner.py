"""The runner's trail: under the EMA of closes and the last higher low. OD-083; only when just the runner is left."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import has_target_fill, on_tick
from oms.values import SIGN_OF, ZERO, PositionSide


def candidate(view: View, trade: Trade) -> Decimal | None:
    """min(EMA9 of closes, last higher low) - buffer, mirrored for a short; None while targets are still to come."""
    if not trade.targets or trade.held <= ZERO:
        return None
    if not has_target_fill(view, trade) or view.live(trade.targets):
        return None
    ema, swings = view.market.ema.value, view.market.swings
    if trade.side is PositionSide.LONG:
        levels = [level for level in (ema, swings.higher_low) if level is not None]
        level = min(levels, default=None)
    else:
        levels = [level for level in (ema, swings.lower_high) if level is not None]
        level = max(levels, default=None)
    if ema is None or level is None:
        return None
    buffer = view.settings_of(trade).runner.buffer_ticks * view.tick
    return on_tick(trade, level - SIGN_OF[trade.side] * buffer, view.tick)
