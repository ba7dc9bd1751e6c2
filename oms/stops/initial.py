"""The stop the strategy named. Always active once there is a position. OD-084 (stop0)."""

from decimal import Decimal

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops.base import on_tick


def candidate(view: View, trade: Trade) -> Decimal | None:
    """The initial stop, on the tick."""
    return on_tick(trade, trade.stop0, view.tick)
