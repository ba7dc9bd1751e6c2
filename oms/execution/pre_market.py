"""Before the open: may an entry be made, and which entry orders are its one attempt. OD-102..105.

The market has to be liquid: a narrow spread, and enough volume in the bars of the last minutes. The smaller size is a
step of the sizing chain; the attempt is not repriced, also not after the open.
"""

from decimal import Decimal

from oms.state.order import Order
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, plain

Refusal = tuple[str, str]


def refusal(view: View) -> Refusal | None:
    """Why no entry may be made now, outside the regular session, or None."""
    setting = view.settings.pre_market
    if setting.mode == "off" or not view.market.is_before_open(view.now):
        return "closed", "outside the regular session"
    bid, ask = view.market.bid, view.market.ask
    if not view.is_fresh() or bid is None or ask is None:
        return "pre_market_quote", "no usable quote before the open"
    middle = (bid + ask) / 2
    if ask - bid >= setting.max_spread_pct * middle:
        return (
            "pre_market_spread",
            f"spread {plain(ask - bid)} is not below {plain(setting.max_spread_pct)} of {plain(middle)}",
        )
    traded = volume(view)
    if traded <= setting.min_volume:
        return "pre_market_volume", f"volume {plain(traded)} is not above {plain(setting.min_volume)}"
    return None


def volume(view: View) -> Decimal:
    """What was traded before the open in the bars that lie wholly within the window that ends now."""
    since = view.now - view.settings.pre_market.volume_window_ms * MILLISECOND
    return sum((traded for open_at, traded in view.market.volumes if open_at >= since), ZERO)


def is_attempt(view: View, order: Order) -> bool:
    """Whether an entry was sent before the open of this session, so that its price is never moved."""
    return view.market.is_before_open(order.placed_at)
