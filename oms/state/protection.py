"""Is the position of a trade protected right now? Exactly one answer, checked after every step.

Architecture 6, "Protection"; reliability I31; OD-042.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Final

from oms.state.order import Order, PendingKind
from oms.state.trade import Trade
from oms.state.venue import in_the_way, is_watched, way_out, working_stop_quantity
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, Micros


class Protection(Enum):
    """How a position is protected. Anything but NAKED is good for a bounded time.

    GUARDED: by its own rules the broker lets no stop cover the position at present, and the guard watches on a fresh
    quote instead.
    """

    FLAT = "FLAT"
    BROKER_STOP = "BROKER_STOP"
    STOP_IN_FLIGHT = "STOP_IN_FLIGHT"
    EXIT_IN_FLIGHT = "EXIT_IN_FLIGHT"
    GUARDED = "GUARDED"
    HALTED = "HALTED"
    NAKED = "NAKED"


_PASSING: Final = (Protection.STOP_IN_FLIGHT, Protection.EXIT_IN_FLIGHT, Protection.GUARDED)
"""What time alone may end."""


def protection(view: View, trade: Trade) -> Protection:
    """The state of protection of one trade."""
    exposed = view.pipeline.exposed(trade)
    if exposed == ZERO:
        return Protection.FLAT
    if trade.held > ZERO and working_stop_quantity(view, trade) >= exposed:
        return Protection.BROKER_STOP
    if view.market.is_halted:
        return Protection.HALTED
    guarded = trade.guard is not None and view.is_fresh()
    if _exit_quantity(view, trade, guarded=guarded) >= exposed:
        return Protection.EXIT_IN_FLIGHT
    if guarded and any(_is_young(view, order) for order in view.live(trade.stops)):
        return Protection.STOP_IN_FLIGHT
    if guarded and is_watched(view, trade, exposed):
        return Protection.GUARDED
    return Protection.NAKED


def next_doubt(view: View, trade: Trade) -> Iterator[Micros]:
    """When the present protection may end without any further event."""
    state = protection(view, trade)
    if state not in _PASSING:
        return
    for order in (*view.live(trade.stops), *view.live(trade.exits), *in_the_way(view, trade)):
        for pending in order.pending:
            yield pending.since + view.ack_timeout()
    for order in view.live(trade.exits):
        yield _deadline(view, order)
    if trade.guard is not None and view.market.quote_at is not None:
        yield view.market.quote_at + view.settings.market_data.stale_quote_ms * MILLISECOND + 1


def _exit_quantity(view: View, trade: Trade, *, guarded: bool) -> Decimal:
    """What exits can still execute. Unanswered ones count until `ack_timeout`; those that work without filling
    count until their deadline, or for as long as the guard watches them."""
    side = way_out(trade)
    quantity = ZERO
    for order in view.live(trade.exits):
        pending = order.pending_of(PendingKind.SUBMIT)
        answered = pending is None or view.now < pending.since + view.ack_timeout()
        if order.side is side and answered and (guarded or view.now < _deadline(view, order)):
            quantity += order.leaves
    return quantity


def _deadline(view: View, order: Order) -> Micros:
    """An exit that has not moved for so long protects nobody."""
    patience = view.settings.protection.resolve_timeout_ms * MILLISECOND
    return max(order.placed_at, order.requested_at) + patience


def _is_young(view: View, order: Order) -> bool:
    """Whether a placement or change of the stop is on its way. While it is, fills may run ahead of it (I32)."""
    return any(
        pending.kind is not PendingKind.CANCEL and view.now < pending.since + view.ack_timeout()
        for pending in order.pending
    )
