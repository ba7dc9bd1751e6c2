"""Which exit of a trade works, when its price is looked at again, and for how long. OD-018, C-18."""

from oms.execution import orders, repricing
from oms.state.order import Order
from oms.state.trade import PLANNED, Close, Trade
from oms.state.view import View
from oms.values import MILLISECOND, Micros


def working(trade: Trade, live: list[Order]) -> Order | None:
    """The newest live exit on the side that brings the trade to zero."""
    side = orders.exit_side(trade)
    return next((order for order in reversed(live) if order.side is side), None)


def interval(view: View, trade: Trade, close: Close) -> Micros:
    """The time between two looks at the price."""
    setting = view.settings_of(trade).exit
    if close.is_planned:
        return repricing.interval(view, setting.reprice_interval_ms)
    return (setting.collar_reprice_ms if close.market else setting.reprice_interval_ms) * MILLISECOND


def reprice_at(view: View, trade: Trade, close: Close, order: Order) -> Micros:
    """When the price is looked at next."""
    return max(order.placed_at, order.requested_at, order.looked_at) + interval(view, trade, close)


def is_exhausted(view: View, trade: Trade, close: Close) -> bool:
    """A forced close reprices until it is done; a planned exit only while its cycles last."""
    cycles = repricing.cycles(view, view.settings_of(trade).exit.max_cycles)
    return close.priority >= PLANNED and view.now >= close.at + (cycles + 1) * interval(view, trade, close)
