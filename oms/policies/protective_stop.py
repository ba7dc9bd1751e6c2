"""Owner of the stop role: one standalone stop for the whole remaining position, never loosened.

Placed in the step of the first fill, changed by modify as the position or the effective stop changes; while no
broker stop is confirmed to cover the position, the guard is armed. OD-021, OD-033..042, OD-064, OD-078..086.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested, GuardArmed, GuardDisarmed, StopMoved
from oms.execution import orders
from oms.state.order import Order, PendingKind
from oms.state.pipeline import confirmed_stop_quantity
from oms.state.trade import Trade
from oms.state.view import View
from oms.stops import effective_stop
from oms.values import (
    MILLISECOND,
    ONE,
    SIGN_OF,
    ZERO,
    MarketReason,
    Micros,
    OrderStatus,
    OrderType,
    PositionSide,
    Role,
    round_down_to_tick,
    round_up_to_tick,
)

NAME: Final = "protective_stop"
VERSION: Final = 1
PRIORITY: Final = 30
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Keep every open position under a stop, and no stop without a position."""
    for trade in view.pipeline.open():
        if trade.held <= ZERO:
            yield from _clean_up(view, trade)
            continue
        level, source = effective_stop(view, trade)
        if level is None:
            continue
        if level != trade.level:
            yield StopMoved(
                instrument=trade.instrument, trade_no=trade.trade_no, level=level, candidate=source, policy=NAME
            )
            trade = replace(trade, level=level)
        working = list(_keep(view, trade, level)) if trade.close is None and not view.market.is_halted else []
        yield from working
        yield from _guard(view, trade, level, [one for one in working if isinstance(one, CloseRequested)])


def next_due(view: View) -> Micros | None:
    """When a refused stop may be tried again."""
    dues = []
    for trade in view.pipeline.open():
        if trade.held > ZERO and trade.close is None:
            due = retry_at(view, trade)
            if due is not None and due > view.now:
                dues.append(due)
    return min(dues, default=None)


def retry_at(view: View, trade: Trade) -> Micros | None:
    """The earliest time of the next try after refusals; the first retry does not wait. None if nothing failed."""
    wait = view.settings_of(trade).protection.retry_ms * MILLISECOND
    live = view.live(trade.stops)
    if live:
        return live[0].requested_at + wait if live[0].refusals else None
    failed = [order for order in view.orders(trade.stops) if order.status is OrderStatus.REJECTED]
    if len(failed) < 2:
        return None
    return (failed[-1].ended_at or 0) + wait


def stop_terms(view: View, trade: Trade, level: Decimal) -> tuple[OrderType, Decimal | None]:
    """Order type and limit price of a stop at `level`; the limit lies beyond it by the offset, toward a fill."""
    setting = view.settings_of(trade).stop
    if setting.type == "stop_market":
        return OrderType.STOP, None
    limit = level * (ONE - SIGN_OF[trade.side] * setting.limit_offset_pct)
    if trade.side is PositionSide.LONG:
        return OrderType.STOP_LIMIT, round_down_to_tick(limit, view.tick)
    return OrderType.STOP_LIMIT, round_up_to_tick(limit, view.tick)


def _keep(view: View, trade: Trade, level: Decimal) -> Iterator[Event]:
    """The difference between the stop that should work and the one that does."""
    live = view.live(trade.stops)
    if not live:
        yield from _place(view, trade, level)
        return
    stop = live[0]
    if stop.is_pending or stop.triggered_at is not None or stop.filled > ZERO:
        return
    if stop.leaves == trade.held and stop.price_stop == level:
        return
    due = retry_at(view, trade)
    if due is not None and view.now < due:
        return
    if stop.refusals > view.settings_of(trade).protection.max_retries:
        return
    if stop.price_stop != level and _is_through(view, trade, level):
        yield from _exit_through(view, trade)
        return
    order_type, limit = stop_terms(view, trade, level)
    yield orders.change(
        stop, stop.filled + trade.held, order_type=order_type, price_limit=limit, price_stop=level, policy=NAME
    )


def _place(view: View, trade: Trade, level: Decimal) -> Iterator[Event]:
    due = retry_at(view, trade)
    if due is not None and view.now < due:
        return
    if _is_through(view, trade, level):
        yield from _exit_through(view, trade)
        return
    order_type, limit = stop_terms(view, trade, level)
    yield orders.place(
        trade, Role.STOP, trade.held, order_type, price_stop=level, price_limit=limit, policy=NAME
    )


def _is_through(view: View, trade: Trade, level: Decimal) -> bool:
    """A stop at or beyond the market would trigger at once: it is an exit, with the quote as evidence (I38)."""
    price = view.exit_price(orders.exit_side(trade))
    if price is None:
        return False
    return price <= level if trade.side is PositionSide.LONG else price >= level


def _exit_through(view: View, trade: Trade) -> Iterator[Event]:
    if wants_close(trade, PRIORITY, market=True):
        yield CloseRequested(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            reason=MarketReason.GAP_THROUGH_STOP,
            priority=PRIORITY,
            market=True,
            evidence=(view.market.quote_seq,),
            policy=NAME,
        )


def _guard(view: View, trade: Trade, level: Decimal, closing: list[Event]) -> Iterator[Event]:
    """Arm the internal stop while no broker stop is confirmed for all of the position."""
    needed = confirmed_stop_quantity(view.pipeline, trade) < trade.held
    needed = needed and not closing and (trade.close is None or not trade.close.market)
    if needed and trade.guard is None:
        yield GuardArmed(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            level=level,
            reason="no confirmed broker stop for the whole position",
            policy=NAME,
        )
    elif not needed and trade.guard is not None:
        reason = "exit at market" if trade.close is not None else "broker stop confirmed"
        yield GuardDisarmed(instrument=trade.instrument, trade_no=trade.trade_no, reason=reason, policy=NAME)


def _clean_up(view: View, trade: Trade) -> Iterator[Event]:
    """Flat or oversold: no stop may be left to sell again, and there is nothing to guard (I40)."""
    for order in view.live(trade.stops):
        if _can_cancel(order):
            yield orders.cancel(order, policy=NAME, reason="no position")
    if trade.guard is not None:
        yield GuardDisarmed(
            instrument=trade.instrument, trade_no=trade.trade_no, reason="no position", policy=NAME
        )


def _can_cancel(order: Order) -> bool:
    return order.pending_of(PendingKind.CANCEL) is None
