"""Owner of the stop role: one standalone stop for the whole remaining position, never loosened.

Placed in the step of the first fill, changed by modify as the position or the effective stop changes; while no
broker stop is confirmed to cover the position, the guard is armed. OD-021, OD-033..042, OD-064, OD-078..086.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import (
    AlertCleared,
    CancelRequested,
    CloseRequested,
    GuardArmed,
    GuardDisarmed,
    StopMoved,
)
from oms.execution import orders, retries, tranches
from oms.execution.guards import WIDE, breach, is_through, quality
from oms.execution.market_orders import waits_for_price
from oms.state.calm import CHANGED, EXCURSION
from oms.state.order import Order, PendingKind
from oms.state.trade import Close, Trade
from oms.state.venue import blockers, exit_waits, is_taken_over, working_stop_quantity
from oms.state.view import View
from oms.stops import effective_stop
from oms.values import (
    LONG,
    ONE,
    SIGN_OF,
    ZERO,
    MarketReason,
    Micros,
    OrderType,
    Role,
    TradingPhase,
    round_down_to_tick,
    round_up_to_tick,
)

NAME: Final = "protective_stop"
VERSION: Final = 1
PRIORITY: Final = 30
SCOPE: Final = "pipeline"
ASKED: Final = EXCURSION | CHANGED

ENOUGH: Final = "one stop is enough"


def decide(view: View) -> Iterator[Event]:
    """Keep every open position under a stop, and no stop without a position."""
    for trade in view.pipeline.open():
        live = view.live(trade.stops)
        sellable = view.pipeline.sellable(trade)
        if sellable <= ZERO:
            yield from _clean_up(view, trade, live)
            continue
        level, source = effective_stop(view, trade)
        if level is None:
            continue
        if level != trade.level:
            yield StopMoved(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                level=level,
                candidate=source,
                policy=NAME,
            )
        made = list(_wanted(view, trade, level, live, sellable))
        yield from made
        yield from _guard(view, trade, level, sellable, live, made)


def next_due(view: View) -> Iterator[Micros]:
    """When a refused stop may be tried again, or one that is not wanted given up again."""
    for trade in view.pipeline.open():
        live = view.live(trade.stops)
        if trade.close is not None or view.pipeline.sellable(trade) <= ZERO:
            yield from retries.cancel_dues(view, trade, live)
        else:
            yield _retry_at(view, trade, live[-1] if live else None)
            yield from retries.cancel_dues(view, trade, live[:-1])
        yield from _phases(view)


def _phases(view: View) -> Iterator[Micros]:
    """When resting stops wake up or fall asleep."""
    if len(view.capabilities.stop_active_phases) < len(TradingPhase):
        yield from (at for at in (view.market.open_at, view.market.close_at) if at is not None)


def _wanted(
    view: View, trade: Trade, level: Decimal, live: list[Order], sellable: Decimal
) -> Iterator[Event]:
    """What the stop needs: the difference to what works, or to go where an exit has taken its place."""
    if trade.close is not None and not waits_for_price(view, trade):
        if view.live(trade.exits):
            yield from retries.cancels(view, trade, live, policy=NAME, reason="the exit works")
        elif len(live) > 1:
            # The exit will be made of one of them, and the other would close the trade a second time.
            taken = next((order for order in live if is_taken_over(order)), None)
            yield from _surplus(view, trade, live, taken or _kept(live))
    elif view.market.is_halted:
        # Nothing is placed or changed in a halt, but two stops that sleep in it would both wake up.
        if len(live) > 1:
            staying = [order for order in live if order.pending_of(PendingKind.CANCEL) is None]
            answered = [order for order in staying if order.pending_of(PendingKind.SUBMIT) is None]
            yield from _surplus(view, trade, live, (answered or staying or live)[-1])
    else:
        wanted = sellable - tranches.reserved(view, trade)
        if not live:
            if wanted > ZERO:
                yield from _place(view, trade, level, wanted)
            return
        stop = live[0]
        if len(live) > 1:
            stop = _kept(live)
            yield from _surplus(view, trade, live, stop)
        if wanted > ZERO:
            yield from _change(view, trade, level, stop, wanted)
        else:
            yield from retries.cancels(view, trade, [stop], policy=NAME, reason="reserved for a target")


def _kept(live: list[Order]) -> Order:
    """The stop that stays: the newest that is confirmed, before one whose cancel is on its way."""
    confirmed = [order for order in live if order.is_confirmed]
    staying = [order for order in confirmed if order.pending_of(PendingKind.CANCEL) is None]
    return (staying or confirmed or live)[-1]


def _surplus(view: View, trade: Trade, live: list[Order], kept: Order) -> Iterator[Event]:
    """One that was believed lost and came back is one too many (I33).

    Its successor may still be on its way: beside a stop that stands it is given up before it is answered.
    """
    stays = kept.is_confirmed and kept.pending_of(PendingKind.CANCEL) is None
    for order in live:
        if order is kept:
            continue
        if stays and not order.refusals and _is_only_submitted(order):
            yield orders.cancel(order, policy=NAME, reason=ENOUGH)
        else:
            yield from retries.cancels(view, trade, [order], policy=NAME, reason=ENOUGH)


def _is_only_submitted(order: Order) -> bool:
    return bool(order.pending) and all(one.kind is PendingKind.SUBMIT for one in order.pending)


def _retry_at(view: View, trade: Trade, stop: Order | None) -> Micros:
    """The earliest time of the next try after refusals; the first retry does not wait."""
    if stop is not None:
        return stop.requested_at + retries.pause(view, trade, stop.refusals)
    failed = retries.failures(view, trade.stops)
    return (failed[0].ended_at or 0) + retries.pause(view, trade, len(failed)) if failed else 0


def stop_terms(view: View, trade: Trade, level: Decimal) -> tuple[OrderType, Decimal | None]:
    """Order type and limit price of a stop at `level`; the limit lies beyond it by the offset, toward a fill."""
    setting = view.settings_of(trade).stop
    if setting.type == "stop_market":
        return OrderType.STOP, None
    limit = level * (ONE - SIGN_OF[trade.side] * setting.limit_offset_pct)
    if trade.side is LONG:
        return OrderType.STOP_LIMIT, round_down_to_tick(limit, view.tick)
    return OrderType.STOP_LIMIT, round_up_to_tick(limit, view.tick)


def _change(view: View, trade: Trade, level: Decimal, stop: Order, wanted: Decimal) -> Iterator[Event]:
    """The difference between the stop that should work, for `wanted` units, and the one that does."""
    if stop.is_pending or stop.triggered_at is not None or stop.filled > ZERO or stop.missing > ZERO:
        return
    if stop.leaves == wanted and stop.price_stop == level:
        return
    if _is_given_up(view, trade, stop) or view.now < _retry_at(view, trade, stop):
        return
    if stop.price_stop != level and _is_through(view, trade, level):
        yield from _exit_through(view, trade)
    elif not view.modifies_stops(trade):
        yield from retries.cancels(view, trade, [stop], policy=NAME, reason="to be placed anew")
    else:
        order_type, limit = stop_terms(view, trade, level)
        yield orders.change(
            stop,
            stop.filled + wanted,
            order_type=order_type,
            price_limit=limit,
            price_stop=level,
            policy=NAME,
        )


def _is_given_up(view: View, trade: Trade, stop: Order) -> bool:
    return stop.refusals > view.settings_of(trade).protection.max_retries


def _place(view: View, trade: Trade, level: Decimal, wanted: Decimal) -> Iterator[Event]:
    if view.now < _retry_at(view, trade, None):
        return
    # The rest of the entry has to leave before the other side is accepted; meanwhile the guard watches.
    if blockers(view, orders.exit_side(trade)):
        return
    if _is_through(view, trade, level):
        yield from _exit_through(view, trade)
        return
    order_type, limit = stop_terms(view, trade, level)
    yield orders.place(trade, Role.STOP, wanted, order_type, price_stop=level, price_limit=limit, policy=NAME)


def _is_through(view: View, trade: Trade, level: Decimal) -> bool:
    """A stop at or beyond the market would trigger at once: it is an exit, with the quote as evidence (I38)."""
    return is_through(trade, view.exit_price(orders.exit_side(trade)), level)


def _exit_through(view: View, trade: Trade) -> Iterator[Event]:
    if wants_close(trade, PRIORITY, market=True):
        yield orders.close(
            trade,
            MarketReason.GAP_THROUGH_STOP,
            PRIORITY,
            market=True,
            evidence=(view.market.quote_seq,),
            policy=NAME,
        )


def _guard(
    view: View, trade: Trade, level: Decimal, sellable: Decimal, live: list[Order], made: list[Event]
) -> Iterator[Event]:
    """Arm the internal stop while no broker stop is confirmed at the level for all of the position."""
    guard = trade.guard
    lagging = [stop for stop in live if stop.price_stop != level and _is_given_up(view, trade, stop)]
    leaving = tuple(one.client_order_id for one in made if isinstance(one, CancelRequested)) if made else ()
    closes: list[Close | CloseRequested] = [one for one in made if isinstance(one, CloseRequested)]
    if trade.close is not None:
        closes.append(trade.close)
    waits = bool(closes) and exit_waits(view, trade)
    needed = bool(lagging) or waits or working_stop_quantity(view, trade, leaving) < sellable
    # An exit at market leaves nothing to watch for, once it can be sent.
    at_market = any(one.market for one in closes) and not waits and not waits_for_price(view, trade)
    if at_market or not needed:
        yield from _disarmed(trade, "exit at market" if at_market else "broker stop confirmed")
    elif guard is None or guard.level != level:
        yield GuardArmed(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            level=level,
            reason="no confirmed broker stop for the whole position" if guard is None else "level moved",
            policy=NAME,
        )
        if guard is None and not view.market.is_halted:
            yield from quality(view, trade, NAME, arms=True)
        if _is_through(view, trade, level):
            yield from breach(view, trade, NAME)


def _disarmed(trade: Trade, reason: str) -> Iterator[Event]:
    if trade.guard is not None:
        yield GuardDisarmed(instrument=trade.instrument, trade_no=trade.trade_no, reason=reason, policy=NAME)
        if WIDE in trade.alerts:
            yield AlertCleared(code=WIDE, instrument=trade.instrument, trade_no=trade.trade_no, policy=NAME)


def _clean_up(view: View, trade: Trade, live: list[Order]) -> Iterator[Event]:
    """Nothing to sell, or oversold: no stop may be left to sell again, and there is nothing to guard (I40)."""
    yield from retries.cancels(view, trade, live, policy=NAME, reason="no position")
    yield from _disarmed(trade, "no position")
