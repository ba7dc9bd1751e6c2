"""Is the position of a trade protected right now? Exactly one answer, checked after every step.

Architecture 6, "Protection"; reliability I31; OD-042.
"""

from decimal import Decimal
from enum import Enum

from oms.state.order import PendingKind
from oms.state.pipeline import confirmed_stop_quantity
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, Micros


class Protection(Enum):
    """How a position is protected. Anything but NAKED is good for a bounded time."""

    FLAT = "FLAT"
    BROKER_STOP = "BROKER_STOP"
    STOP_IN_FLIGHT = "STOP_IN_FLIGHT"
    EXIT_IN_FLIGHT = "EXIT_IN_FLIGHT"
    HALTED = "HALTED"
    NAKED = "NAKED"


def protection(view: View, trade: Trade) -> Protection:
    """The state of protection of one trade."""
    if trade.held == ZERO:
        return Protection.FLAT
    needed = abs(trade.held)
    if confirmed_stop_quantity(view.pipeline, trade) >= needed and trade.held > ZERO:
        return Protection.BROKER_STOP
    if view.market.is_halted:
        return Protection.HALTED
    if exit_quantity(view, trade) >= needed:
        return Protection.EXIT_IN_FLIGHT
    if trade.guard is not None and view.is_fresh() and _stop_on_its_way(view, trade) >= needed:
        return Protection.STOP_IN_FLIGHT
    return Protection.NAKED


def exit_quantity(view: View, trade: Trade) -> Decimal:
    """What live exit orders can still execute, those unanswered for too long left out."""
    quantity = ZERO
    for order in view.live(trade.exits):
        pending = order.pending_of(PendingKind.SUBMIT)
        if pending is None or view.now - pending.since < view.ack_timeout():
            quantity += order.leaves
    return quantity


def _stop_on_its_way(view: View, trade: Trade) -> Decimal:
    """The quantity of stops sent or enlarged less than `ack_timeout` ago, with what stands already."""
    quantity = ZERO
    for order in view.live(trade.stops):
        young = [one for one in order.pending if view.now - one.since < view.ack_timeout()]
        sizes = [one.quantity - order.filled for one in young if one.quantity is not None]
        if order.pending_of(PendingKind.SUBMIT) in young or order.is_confirmed:
            sizes.append(order.leaves)
        quantity += max(sizes, default=ZERO)
    return quantity


def next_doubt(view: View, trade: Trade) -> Micros | None:
    """When the present protection may end without any further event, or None."""
    state = protection(view, trade)
    doubts: list[Micros] = []
    if state in (Protection.STOP_IN_FLIGHT, Protection.EXIT_IN_FLIGHT):
        for order in (*view.live(trade.stops), *view.live(trade.exits)):
            doubts += [one.since + view.ack_timeout() for one in order.pending]
    if state is Protection.STOP_IN_FLIGHT and view.market.quote_at is not None:
        doubts.append(view.market.quote_at + view.settings.market_data.stale_quote_ms * 1000 + 1)
    return min((doubt for doubt in doubts if doubt > view.now), default=None)
