"""F. Market orders: only with a listed reason, evidence, and never more than what is held."""

from collections.abc import Iterator

from oms.events.decisions import OrderPlaced, ReplaceRequested
from oms.values import MILLISECOND, ZERO, OrderType, Role
from tests.simulation.checks.base import Scene, check, exposed_of

REASONS = frozenset(
    {
        "FORCED_CLOSE",
        "KILL_SWITCH",
        "STOP_FALLBACK",
        "STOP_PARTIAL_FILL",
        "GAP_THROUGH_STOP",
        "POST_HALT",
        "GUARD_STOP",
        "PROTECTION_LOST",
        "OVERSELL_REPAIR",
    }
)


@check("I57", of=(OrderPlaced, ReplaceRequested))
def market_orders_have_reasons(scene: Scene) -> Iterator[str]:
    """A market order names one listed reason and events that lie before it."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested):
        event = one.event
        if event.order_type is not OrderType.MARKET:
            continue
        if event.reason not in REASONS:
            yield f"{event.client_order_id} goes to market with the reason {event.reason!r}"
        if not event.evidence or any(not 0 < seq < one.seq for seq in event.evidence):
            yield f"{event.client_order_id} goes to market on the evidence {event.evidence}"


@check("I57", of=(OrderPlaced, ReplaceRequested))
def market_orders_are_permitted(scene: Scene) -> Iterator[str]:
    """At market only for reasons of the trade's own profile, and in phases in which the broker takes it; without any
    price to put a limit at there is no other way for these."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested):
        event, pipeline = one.event, scene.pipelines[one.event.instrument]
        market, order = pipeline.market, pipeline.orders.get(event.client_order_id)
        if event.order_type is not OrderType.MARKET or order is None:
            continue
        trade = pipeline.trades[event.trade_no]
        if event.reason not in scene.account.configs[trade.config_sha256].market_orders.allowed_reasons:
            yield f"{event.client_order_id} goes to market for {event.reason}, which its profile does not permit"
        is_priced = (market.exit_price(order.side) or market.last) is not None
        if is_priced and market.phase(scene.now) not in scene.account.capabilities.market_order_phases:
            yield f"{event.client_order_id} goes to market where the broker takes no market order"


@check("I59", of=(OrderPlaced, ReplaceRequested))
def no_market_order_in_a_halt(scene: Scene) -> Iterator[str]:
    """Nothing goes to market while the venue has halted."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested):
        if (
            one.event.order_type is OrderType.MARKET
            and scene.pipelines[one.event.instrument].market.is_halted
        ):
            yield f"{one.event.client_order_id} goes to market in a halt"


@check("I58", of=(OrderPlaced,))
def exits_do_not_sell_twice(scene: Scene) -> Iterator[str]:
    """An exit beside other reducing orders only where that was logged, or where their cancel is overdue."""
    for one in scene.decisions(OrderPlaced):
        event = one.event
        if event.role is not Role.EXIT:
            continue
        pipeline = scene.pipelines[event.instrument]
        trade = pipeline.trades[event.trade_no]
        if event.quantity > exposed_of(pipeline, trade):
            yield f"exit for {event.quantity} of {trade.held}, of which {exposed_of(pipeline, trade)} is there"
        others = [
            order
            for order in pipeline.live((*trade.stops, *trade.targets, *trade.exits))
            if order.client_order_id != event.client_order_id and order.side is event.side and order.leaves
        ]
        told = "exit_overlap" in trade.alerts
        if others and not told:
            ack = scene.account.settings.protection.ack_timeout_ms * MILLISECOND
            young = [order for order in others if scene.now - max(order.placed_at, order.requested_at) < ack]
            if young and sum((order.leaves for order in others), ZERO) + event.quantity > abs(trade.held):
                yield f"exit {event.client_order_id} beside {[order.client_order_id for order in young]}"


@check("I42")
def fallback_comes_in_time(scene: Scene) -> Iterator[str]:
    """A triggered stop-limit that does not fill becomes an exit after the fallback time."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        if pipeline.market.is_halted:
            continue
        for trade in pipeline.open():
            limit = scene.account.configs[trade.config_sha256].stop.fallback_ms * MILLISECOND
            for order in pipeline.live(trade.stops):
                due = order.triggered_at is not None and scene.now - order.triggered_at >= limit
                if (
                    due
                    and exposed_of(pipeline, trade) > ZERO
                    and trade.close is None
                    and order.order_type is OrderType.STOP_LIMIT
                ):
                    late = (scene.now - (order.triggered_at or 0)) // 1000
                    yield f"stop {order.client_order_id} was triggered {late} ms ago"
