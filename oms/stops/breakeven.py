"""Break-even after the first target has filled, and short of any target that still works. OD-065; C-04, C-05."""

from decimal import Decimal

from oms.formulas.cost import BreakEvenMode, break_even_price
from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import has_target_fill, is_better, short_of_targets, target_limits
from oms.values import ZERO


def candidate(view: View, trade: Trade) -> Decimal | None:
    """The price at which the rest of the trade no longer loses, once a target has filled.

    One tick less than the nearest working target where a rung lies that close to the entry: at one price stop and
    target would both execute, and sell more than there is. None while an exhausted move sells for no more than the
    entry: it is on its way out, and the stop stays where it was.
    """
    price = trade.price_entry if has_target_fill(view, trade) else None
    if price is None:
        return None
    setting = view.settings_of(trade).breakeven
    mode = BreakEvenMode(setting.offset_mode)
    if mode is BreakEvenMode.PCT:
        amount = setting.offset_pct
    elif mode is BreakEvenMode.TICKS:
        amount = Decimal(setting.offset_ticks)
    else:
        # The way out is taken to cost what the way in did; fees of exits would move the stop tick by tick.
        amount = max(trade.fees_entry, ZERO) * 2 / (trade.entered * view.pipeline.instrument.multiplier)
    if not all(is_better(trade, limit, price) for limit in target_limits(view, trade)):
        return None
    return short_of_targets(view, trade, break_even_price(price, trade.side, mode, amount, view.tick))
