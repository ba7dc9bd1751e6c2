"""The ATR trail: high-water mark minus a multiple of the ATR at entry. OD-081; active from `trail.activate_r`."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import excursion_r, has_target_fill, on_tick
from oms.values import SIGN_OF, ZERO


def candidate(view: View, trade: Trade) -> Decimal | None:
    """High-water mark less `atr_factor` x entry ATR; None until the trade has earned it or the ATR is known."""
    setting = view.settings_of(trade).trail
    if trade.atr is None or trade.mfe is None or trade.atr <= ZERO:
        return None
    if not has_target_fill(view, trade):
        reached = excursion_r(trade)
        if reached is None or reached < setting.activate_r:
            return None
    return on_tick(trade, trade.mfe - SIGN_OF[trade.side] * setting.atr_factor * trade.atr, view.tick)
