"""A tight trail from a CRITICAL report of a monitor on, as of a blow-off. OD-079; the formula of OD-081."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import is_better, on_tick
from oms.values import MILLISECOND, SIGN_OF, ZERO


def candidate(view: View, trade: Trade) -> Decimal | None:
    """High-water mark less `tighten_atr_factor` x entry ATR, or x the planned risk while no ATR is known.

    The market's near side at the report is part of the mark: a blow-off is seen before its bar has closed.
    None without a report.
    """
    setting = view.settings_of(trade).monitor
    alarm, mark = trade.alarm, trade.mfe
    if alarm is None or mark is None or setting.on_critical == "off":
        return None
    stale = view.settings.market_data.stale_quote_ms * MILLISECOND
    if alarm.price is not None and alarm.at - alarm.quote_at <= stale and is_better(trade, alarm.price, mark):
        mark = alarm.price
    unit = trade.atr if trade.atr is not None and trade.atr > ZERO else trade.risk
    return on_tick(trade, mark - SIGN_OF[trade.side] * setting.tighten_atr_factor * unit, view.tick)
