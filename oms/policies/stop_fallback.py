"""A triggered stop-limit that does not fill becomes a market order; a partly filled stop is an emergency.

OD-022, OD-030, OD-071; C-15; reliability I42, I43.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import PolicyNoted
from oms.execution import orders
from oms.execution.guards import is_through
from oms.state.calm import CHANGED
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.state.venue import way_out
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, OrderType, PositionSide

NAME: Final = "stop_fallback"
VERSION: Final = 1
PRIORITY: Final = 11
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED


def decide(view: View) -> Iterator[Event]:
    """Turn the rest of a stop into a market exit."""
    if view.market.is_halted:
        return
    yield from _unreported(view)
    for trade in view.pipeline.open():
        if view.pipeline.sellable(trade) <= ZERO or not wants_close(trade, PRIORITY, market=True):
            continue
        verdicts = (_verdict(view, trade, order) for order in view.live(trade.stops))
        found = next((verdict for verdict in verdicts if verdict is not None), None)
        if found is not None:
            yield orders.close(trade, found[0], PRIORITY, market=True, evidence=found[1], policy=NAME)


def next_due(view: View) -> Iterator[Micros]:
    """When a triggered stop-limit has been unfilled for too long."""
    for trade in view.pipeline.open():
        for order in view.live(trade.stops):
            if order.triggered_at is not None and order.order_type is OrderType.STOP_LIMIT:
                yield order.triggered_at + _patience(view, trade)
            elif (noted := _noted(view, order)) is not None:
                yield noted[0] + _patience(view, trade)


def levels(pipeline: Pipeline) -> list[tuple[PositionSide, Decimal]]:
    """Where stop-limits wait: a broker that does not say when it elects one is watched from its quotes."""
    return [
        (trade.side, order.price_stop)
        for trade in pipeline.open()
        for order in pipeline.live(trade.stops)
        if order.order_type is OrderType.STOP_LIMIT and order.price_stop is not None
    ]


def _verdict(view: View, trade: Trade, order: Order) -> tuple[str, tuple[int, ...]] | None:
    if order.order_type is not OrderType.STOP_LIMIT:
        return None
    if order.filled > ZERO:
        seqs = tuple(one.seq for one in order.executions if one.quantity > ZERO)
        return MarketReason.STOP_PARTIAL_FILL, seqs
    if order.triggered_at is not None and view.now - order.triggered_at >= _patience(view, trade):
        return MarketReason.STOP_FALLBACK, (order.triggered_seq,)
    noted = _noted(view, order)
    if noted is not None and _is_beyond(view, trade, order) and view.now - noted[0] >= _patience(view, trade):
        return MarketReason.STOP_FALLBACK, tuple(dict.fromkeys((noted[1], view.market.quote_seq)))
    return None


def _unreported(view: View) -> Iterator[Event]:
    """Remember since when the market has stood at or beyond a stop of which the broker will not say that it is out."""
    if view.capabilities.reports_trigger or not view.is_fresh():
        return
    known, kept = view.pipeline.notes.get(NAME, {}), dict[str, list[int]]()
    for trade in view.pipeline.open():
        for order in view.live(trade.stops):
            if _is_beyond(view, trade, order):
                own = order.client_order_id
                kept[own] = known.get(own) or [view.now, view.market.quote_seq]
    if kept != known:
        yield PolicyNoted(instrument=view.pipeline.name, policy=NAME, value=kept)


def _is_beyond(view: View, trade: Trade, order: Order) -> bool:
    if order.price_stop is None or order.order_type is not OrderType.STOP_LIMIT or view.stops_sleep():
        return False
    return is_through(trade, view.exit_price(way_out(trade)), order.price_stop)


def _noted(view: View, order: Order) -> list[int] | None:
    """(time, log position) of the first quote beyond the stop, while none has come back."""
    if view.capabilities.reports_trigger:
        return None
    found: list[int] | None = view.pipeline.notes.get(NAME, {}).get(order.client_order_id)
    return found


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).stop.fallback_ms * MILLISECOND
