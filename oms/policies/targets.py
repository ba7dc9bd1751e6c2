"""Owner of the target role: one limit order per tranche of the ladder, independent of each other and of the stop.

Quantities follow what was really entered, by largest remainder; a partly filled tranche is never topped up; when
a close is asked for or the stop triggers, all of them are cancelled. OD-039..054, OD-066..070; C-10, C-12, C-14.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.strategy import ExhaustionReported
from oms.execution import orders, retries
from oms.execution.ladder import RUNNER, rung_price
from oms.execution.tranches import (
    again_at,
    free,
    is_wanted,
    on_tick,
    recall_at,
    stop_is_out,
    touched,
)
from oms.formulas.risk import allocate
from oms.state.calm import CHANGED
from oms.state.order import REJECTED, Order, PendingKind
from oms.state.trade import Trade
from oms.state.venue import blockers
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    SIGN_OF,
    ZERO,
    Micros,
    OrderType,
    Role,
    Side,
)

NAME: Final = "targets"
VERSION: Final = 1
PRIORITY: Final = 40
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED

PASSED: Final = "the entry has passed its price"


def decide(view: View) -> Iterator[Event]:
    """Work the ladder of every open trade, or take it back."""
    for trade in view.pipeline.open():
        live = view.live(trade.targets)
        if not is_wanted(view, trade):
            yield from retries.cancels(view, trade, live, policy=NAME, reason=_why_not(view, trade))
            continue
        kept, surplus = live, _surplus(live) if len(live) > 1 else []
        if surplus:
            yield from retries.cancels(view, trade, surplus, policy=NAME, reason="one target per tranche")
            kept = [order for order in live if order not in surplus]
        excess = sum((order.leaves for order in kept), ZERO) - view.pipeline.sellable(trade)
        if excess > ZERO:
            yield from _shrink(view, trade, kept, excess)
            continue
        fires = _fires(view, trade)
        if fires:
            yield from _fire(view, kept)
        if surplus or blockers(view, orders.exit_side(trade)):
            # Like the stop they come when the rest of the entry has left the other side.
            continue
        if view.capabilities.reserves_inventory:
            yield from _let_out(view, trade, live)
        elif not fires:
            yield from _ladder(view, trade, -excess)


def next_due(view: View) -> Iterator[Micros]:
    """When a refused target, or the refused cancel of one, may be tried again."""
    reserves = view.capabilities.reserves_inventory
    for trade in view.pipeline.open():
        for order in view.orders(trade.targets):
            if order.status is REJECTED:
                yield _retry_at(view, trade, order)
            if reserves:
                yield recall_at(view, trade, order) if order.is_live else again_at(view, trade, order)
        yield from retries.cancel_dues(view, trade, view.live(trade.targets))


def _surplus(live: list[Order]) -> list[Order]:
    """Second targets of a tranche: one that was believed lost and came back is one too many (I46).

    The one with an unanswered request stays, because it cannot be cancelled yet, unless that is its cancel; else the
    newest.
    """
    kept: dict[int | None, Order] = {}
    for order in live:
        known = kept.get(order.rung)
        if known is None or _is_leaving(known) or not (known.is_pending or _is_leaving(order)):
            kept[order.rung] = order
    return [order for order in live if kept[order.rung] is not order]


def _is_leaving(order: Order) -> bool:
    return order.pending_of(PendingKind.CANCEL) is not None


def _why_not(view: View, trade: Trade) -> str:
    if view.pipeline.sellable(trade) <= ZERO:
        return "no position"
    if trade.close is not None:
        return trade.close.reason
    return "stop triggered" if stop_is_out(view, trade) else "trail only"


def _let_out(view: View, trade: Trade, live: list[Order]) -> Iterator[Event]:
    """Send the tranches that the market has reached, as far as the stop has left room; take back what does not fill."""
    late = [order for order in live if view.now >= recall_at(view, trade, order)]
    yield from retries.cancels(view, trade, late, policy=NAME, reason="back to the stop")
    room = free(view, trade)
    for one in touched(view, trade):
        quantity = min(one.quantity, room)
        if quantity > ZERO:
            room -= quantity
            yield orders.place(
                trade,
                Role.TARGET,
                quantity,
                OrderType.LIMIT,
                price_limit=one.price,
                rung=one.rung,
                policy=NAME,
            )


def _ladder(view: View, trade: Trade, room: Decimal) -> Iterator[Event]:
    """Place what is missing and enlarge what is too small; `room` is the part of the position without a target."""
    if room <= ZERO:
        return
    known, shares = view.orders(trade.targets), tuple[Decimal, ...]()
    newest_of = {order.rung: order for order in known}
    for index, rung in enumerate(trade.rungs):
        if rung.trigger == RUNNER:
            continue
        newest = newest_of.get(index)
        is_missing = newest is None or _may_retry(view, trade, newest, known)
        if not (is_missing or (newest is not None and _may_grow(newest))):
            continue
        # Shares and prices are the dearest questions here, so they come last.
        shares = shares or allocate(trade.entered, [one.pct for one in trade.rungs], view.lot)
        has = ZERO if is_missing or newest is None else newest.quantity
        extra = max(min(shares[index] - has, room), ZERO)
        is_passed = not is_missing and newest is not None and _is_passed(trade, newest)
        if not (extra or is_passed):
            continue
        price = rung_price(view, trade, index)
        if price is None:
            if is_passed and newest is not None:
                yield from retries.cancels(view, trade, [newest], policy=NAME, reason=PASSED)
            continue
        room -= extra
        if is_missing or newest is None:
            yield orders.place(
                trade, Role.TARGET, extra, OrderType.LIMIT, price_limit=price, rung=index, policy=NAME
            )
        else:
            limit, reason = (price, PASSED) if is_passed else (newest.price_limit, "")
            yield orders.change(newest, has + extra, price_limit=limit, policy=NAME, reason=reason)


def _is_passed(trade: Trade, order: Order) -> bool:
    """Whether further entry fills have passed a target's price, so that it would sell at a loss. The exhaustion of a
    move takes the ladder at any price (OD-049)."""
    if trade.exhausted_at is not None or trade.price_entry is None or order.price_limit is None:
        return False
    return (order.price_limit - trade.price_entry) * SIGN_OF[trade.side] <= ZERO


def _shrink(view: View, trade: Trade, live: list[Order], excess: Decimal) -> Iterator[Event]:
    """The position became smaller than what the targets sell: give up the farthest first (I46)."""
    for order in sorted(live, key=lambda one: one.rung or 0, reverse=True):
        if excess <= ZERO:
            return
        cut = min(order.leaves, excess)
        excess -= cut
        if cut == order.leaves or order.refusals:
            yield from retries.cancels(view, trade, [order], policy=NAME, reason="more than the position")
        elif not order.is_pending:
            yield orders.change(order, order.quantity - cut, price_limit=order.price_limit, policy=NAME)


def _fires(view: View, trade: Trade) -> bool:
    """Whether this very input reports the exhaustion of the move: the ladder is then taken at once (OD-049)."""
    return isinstance(view.wish, ExhaustionReported) and view.wish.strategy == trade.strategy


def _fire(view: View, live: list[Order]) -> Iterator[Event]:
    """Bring every target that waits to the market's near side; without a usable quote it stays where it is."""
    for order in live:
        near = view.exit_price(order.side)
        if near is None or order.is_pending or order.price_limit is None:
            continue
        price = on_tick(view, order.side, near)
        nearer = price < order.price_limit if order.side is Side.SELL else price > order.price_limit
        if nearer:
            yield orders.change(order, order.quantity, price_limit=price, policy=NAME, reason="exhaustion")


def _may_grow(order: Order) -> bool:
    """Whether more may have been entered than the tranche was placed for; one that has begun to fill is left alone
    (OD-070)."""
    return order.is_live and not order.is_pending and order.filled <= ZERO and not order.refusals


def _may_retry(view: View, trade: Trade, newest: Order, known: list[Order]) -> bool:
    if newest.status is not REJECTED:
        return False
    mine = [order for order in known if order.rung == newest.rung]
    if any(order.is_live for order in mine):
        return False
    if len(mine) > view.settings_of(trade).protection.max_retries:
        return False
    return view.now >= _retry_at(view, trade, newest)


def _retry_at(view: View, trade: Trade, order: Order) -> Micros:
    return (order.ended_at or 0) + view.settings_of(trade).protection.retry_ms * MILLISECOND
