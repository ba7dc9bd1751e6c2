"""What a broker's own rules make of a stop: it may sleep, be exchanged only by a cancel, or have to wait for a side.

Architecture 6, "Broker capabilities". What the capabilities leave free is as everywhere.
"""

from decimal import Decimal

from oms.state.order import Order, PendingKind
from oms.state.pipeline import confirmed_stop_quantity
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import BUY_OF, SELL_OF, STOP_TYPES, ZERO, Micros, Side


def working_stop_quantity(view: View, trade: Trade, leaving: tuple[str, ...] = ()) -> Decimal:
    """How much of the position broker stops cover that can trigger now.

    Where a stop cannot be modified, one that is being cancelled covers nothing; `leaving` are those whose cancel is
    decided in this step.
    """
    if view.stops_sleep():
        return ZERO
    if view.modifies_stops(trade):
        return confirmed_stop_quantity(view.pipeline, trade)
    staying = (
        order
        for order in view.orders(trade.stops)
        if order.is_confirmed
        and order.order_type in STOP_TYPES
        and order.pending_of(PendingKind.CANCEL) is None
        and order.client_order_id not in leaving
    )
    return sum((order.leaves for order in staying), ZERO)


def blockers(view: View, side: Side) -> list[Order]:
    """Our working orders for which the broker would refuse an order of `side`."""
    if not view.capabilities.refuses_opposite_side:
        return []
    return [
        order
        for trade in view.pipeline.open()
        for order in view.live(trade.order_ids)
        if order.side is not side
    ]


def way_out(trade: Trade) -> Side:
    """The side that brings the position of the trade to zero; reversed after an oversell."""
    return SELL_OF[trade.side] if trade.held >= ZERO else BUY_OF[trade.side]


def exit_waits(view: View, trade: Trade) -> bool:
    """Whether no stop protects until an exit that is asked for works: it has to be cancelled before, or it sleeps."""
    if view.live(trade.exits):
        return False
    if view.stops_sleep() or not view.modifies_stops(trade):
        stop = next(iter(view.live(trade.stops)), None)
        if stop is not None and not _is_given_up_for_lost(view, stop):
            return True
    return is_blocked(view, way_out(trade))


def is_blocked(view: View, side: Side) -> bool:
    """Whether an order beside which this broker refuses one of `side` may still be leaving."""
    leaving = [order.pending_of(PendingKind.CANCEL) for order in blockers(view, side)]
    return any(one is None or view.now < one.since + view.ack_timeout() for one in leaving)


def is_taken_over(stop: Order) -> bool:
    """Whether the stop is being turned into the exit, and the broker has not said what came of it."""
    return any(
        one.kind is PendingKind.REPLACE and one.order_type not in (None, *STOP_TYPES) for one in stop.pending
    )


def unanswered_at(view: View, order: Order) -> Micros:
    """When the newest of the order's unanswered requests has waited for too long."""
    return max(pending.since for pending in order.pending) + view.ack_timeout()


def _is_given_up_for_lost(view: View, stop: Order) -> bool:
    """Whether an exit is sent although the end of the stop is not proven."""
    return stop.is_pending and not is_taken_over(stop) and view.now >= unanswered_at(view, stop)


def is_watched(view: View, trade: Trade, exposed: Decimal) -> bool:
    """Whether it is by the broker's rules alone that no stop covers the position now, so that the guard stands in.

    It sleeps in this phase; or a part of the position is reserved for a target at the market; or what is in its way
    is being cancelled, which may take until `ack_timeout`.
    """
    capabilities = view.capabilities
    if view.stops_sleep() or capabilities.reserves_inventory:
        covered = confirmed_stop_quantity(view.pipeline, trade)
        if capabilities.reserves_inventory:
            covered += sum((order.leaves for order in view.live(trade.targets)), ZERO)
        if covered >= exposed:
            return True
    return any(
        view.now < pending.since + view.ack_timeout()
        for order in in_the_way(view, trade)
        for pending in order.pending
    )


def in_the_way(view: View, trade: Trade) -> list[Order]:
    """Orders whose end a new stop or exit has to wait for."""
    stops = [] if view.modifies_stops(trade) else view.live(trade.stops)
    leaving = [order for order in stops if order.pending_of(PendingKind.CANCEL) is not None]
    return [*leaving, *blockers(view, way_out(trade))]
