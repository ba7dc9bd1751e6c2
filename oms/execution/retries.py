"""How long to wait before asking again for what was refused. The first retry is immediate, each further one waits
twice as long as the one before, so that a broker that keeps refusing is neither given up nor flooded (I87)."""

from collections.abc import Iterator
from typing import Final

from oms.events.base import Event
from oms.events.broker import CancelCause
from oms.execution import orders
from oms.state.order import CANCELED, REJECTED, Order, PendingKind
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, Micros

LONGEST_MS: Final = 60_000
_DOUBLINGS: Final = 20


def pause(view: View, trade: Trade, refusals: int) -> Micros:
    """The wait after so many refusals in a row."""
    if refusals <= 1:
        return 0
    first = view.settings_of(trade).protection.retry_ms
    return min(first << min(refusals - 2, _DOUBLINGS), LONGEST_MS) * MILLISECOND


def failures(view: View, ids: tuple[str, ...]) -> list[Order]:
    """The orders of a slot that came to nothing since the last one that did not, newest first.

    That is: refused, or taken away unasked so soon that nothing can be said to have stood.
    """
    failed: list[Order] = []
    for order in reversed(view.orders(ids)):
        if order.status is not REJECTED:
            if order.status is not CANCELED or order.cancel_cause is CancelCause.REQUESTED:
                break
            soon = view.settings.protection.resolve_timeout_ms * MILLISECOND
            if (order.ended_at or 0) - order.placed_at >= soon:
                break
        failed.append(order)
    return failed


def cancel_at(view: View, trade: Trade, order: Order) -> Micros | None:
    """From when on a live order may be cancelled; None while a cancel is unanswered.

    Another request that is on its way is given until `ack_timeout` to be answered first (I21).
    """
    at = order.requested_at + pause(view, trade, order.refusals)
    if not order.pending:
        return at
    if order.pending_of(PendingKind.CANCEL) is not None:
        return None
    return max([at, *(one.since + view.ack_timeout() for one in order.pending)])


def cancels(view: View, trade: Trade, live: list[Order], *, policy: str, reason: str) -> Iterator[Event]:
    """Give up orders that are not wanted any more, where that was not asked for already or just refused."""
    for order in live:
        at = cancel_at(view, trade, order)
        if at is not None and view.now >= at:
            yield orders.cancel(order, policy=policy, reason=reason)


def cancel_dues(view: View, trade: Trade, live: list[Order]) -> Iterator[Micros]:
    """When `cancels` has something to do again."""
    for order in live:
        at = cancel_at(view, trade, order)
        if at is not None:
            yield at
