"""Arithmetic shared by the stop candidates; each works in the trade's own direction."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.values import LONG, SIGN_OF, ZERO, round_down_to_tick, round_up_to_tick


def excursion_r(trade: Trade) -> Decimal | None:
    """Maximum favourable excursion in units of the planned risk; None before a fill or without risk."""
    price, mfe, risk = trade.price_entry, trade.mfe, trade.risk
    if price is None or mfe is None or risk == ZERO:
        return None
    return (mfe - price) * SIGN_OF[trade.side] / risk


def has_target_fill(view: View, trade: Trade) -> bool:
    """Whether any target of the trade has filled, if only in part."""
    orders = view.pipeline.orders
    for one in trade.targets:  # noqa: SIM110 - a generator costs more than it asks, and three candidates ask
        if orders[one].filled != ZERO:
            return True
    return False


def on_tick(trade: Trade, price: Decimal, tick: Decimal) -> Decimal:
    """Round a stop away from the market, so that rounding never brings it closer than its formula."""
    if trade.side is LONG:
        return round_down_to_tick(price, tick)
    return round_up_to_tick(price, tick)


def is_better(trade: Trade, level: Decimal, than: Decimal | None) -> bool:
    """Whether a stop level protects more than another (higher for a long, lower for a short)."""
    if than is None:
        return True
    return level > than if trade.side is LONG else level < than


def target_limits(view: View, trade: Trade) -> list[Decimal]:
    """Prices at which targets of the trade work, or may: one that was asked for can be in force already."""
    # One that the broker counts as filled works no more, whether its fill was seen or not.
    targets = [target for target in view.live(trade.targets) if target.leaves or target.pending]
    limits = [target.price_limit for target in targets]
    limits += [one.price_limit for target in targets for one in target.pending]
    return [limit for limit in limits if limit is not None]


def short_of_targets(view: View, trade: Trade, level: Decimal) -> Decimal:
    """A stop level that ends a tick before the nearest working target, toward the loss."""
    for limit in target_limits(view, trade):
        if not is_better(trade, limit, level):
            level = on_tick(trade, limit - SIGN_OF[trade.side] * view.tick, view.tick)
    return level
