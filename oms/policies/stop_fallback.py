"""A triggered stop-limit that does not fill becomes a market order; a partly filled stop is an emergency.

OD-022, OD-030, OD-071; C-15; reliability I42, I43.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested
from oms.state.calm import CHANGED
from oms.state.order import Order
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, OrderType

NAME: Final = "stop_fallback"
VERSION: Final = 1
PRIORITY: Final = 11
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED


def decide(view: View) -> Iterator[Event]:
    """Turn the rest of a stop into a market exit."""
    if view.market.is_halted:
        return
    for trade in view.pipeline.open():
        if view.pipeline.sellable(trade) <= ZERO or not wants_close(trade, PRIORITY, market=True):
            continue
        verdicts = (_verdict(view, trade, order) for order in view.live(trade.stops))
        found = next((verdict for verdict in verdicts if verdict is not None), None)
        if found is not None:
            yield CloseRequested(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                reason=found[0],
                priority=PRIORITY,
                market=True,
                evidence=found[1],
                policy=NAME,
            )


def next_due(view: View) -> Iterator[Micros]:
    """When a triggered stop-limit has been unfilled for too long."""
    for trade in view.pipeline.open():
        for order in view.live(trade.stops):
            if order.triggered_at is not None and order.order_type is OrderType.STOP_LIMIT:
                yield order.triggered_at + _patience(view, trade)


def _verdict(view: View, trade: Trade, order: Order) -> tuple[str, tuple[int, ...]] | None:
    if order.order_type is not OrderType.STOP_LIMIT:
        return None
    if order.filled > ZERO:
        seqs = tuple(one.seq for one in order.executions if one.quantity > ZERO)
        return MarketReason.STOP_PARTIAL_FILL, seqs
    if order.triggered_at is not None and view.now - order.triggered_at >= _patience(view, trade):
        return MarketReason.STOP_FALLBACK, (order.triggered_seq,)
    return None


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).stop.fallback_ms * MILLISECOND
