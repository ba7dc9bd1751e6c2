"""Lock a share of the best excursion. OD-082; active from `mfe_lock.activate_r`."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import excursion_r, on_tick


def candidate(view: View, trade: Trade) -> Decimal | None:
    """entry + pct x MFE, once the excursion has reached `activate_r`."""
    setting = view.settings_of(trade).mfe_lock
    reached = excursion_r(trade)
    price = trade.price_entry
    if reached is None or price is None or trade.mfe is None or reached < setting.activate_r:
        return None
    return on_tick(trade, price + setting.pct * (trade.mfe - price), view.tick)
