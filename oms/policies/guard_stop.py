"""The internal stop: it watches the level itself while no broker stop is confirmed to. Also the resume rule.

Fires on a print at or through the level, or on two fresh quotes `confirm_ms` apart whose exit side is at or
through it; a spread that is too wide delays it, but not for longer than the stop fallback. Crossed, one-sided
and stale quotes never count; the first two are told. Architecture 6, "Guard" and "Halt"; OD-032, OD-042; C-11.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import (
    AlertCleared,
    CloseRequested,
    GuardArmed,
    PolicyNoted,
)
from oms.execution import orders
from oms.execution.guards import WIDE, breach, is_narrow, is_through, quality
from oms.execution.orders import exit_side
from oms.state.calm import CHANGED
from oms.state.pipeline import Pipeline
from oms.state.trade import Guard, Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, PositionSide

NAME: Final = "guard_stop"
VERSION: Final = 1
PRIORITY: Final = 11
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED


def decide(view: View) -> Iterator[Event]:
    """Close a trade whose guarded level was reached, or whose stop level was passed in a halt."""
    if view.market.is_halted:
        return
    for trade in view.pipeline.open():
        if view.pipeline.sellable(trade) <= ZERO:
            continue
        yield from quality(view, trade, NAME)
        if trade.level is None or not wants_close(trade, PRIORITY, market=True):
            continue
        if _resumed_through(view, trade):
            evidence = (view.market.status_seq, view.market.resume_seq)
            yield _close(trade, MarketReason.POST_HALT, evidence)
        elif trade.guard is not None:
            yield from _watch(view, trade, trade.guard)


def levels(pipeline: Pipeline) -> list[tuple[PositionSide, Decimal]]:
    """Armed levels, to be watched from the side of the position: the quote filter lets none of them pass unlogged."""
    return [
        (trade.side, trade.guard.level)
        for trade in pipeline.open()
        if trade.guard is not None and trade.held > ZERO
    ]


def next_due(view: View) -> Iterator[Micros]:
    """When a breach counts by time alone."""
    for trade in view.pipeline.open():
        if trade.guard is not None and trade.guard.breached_at is not None:
            yield trade.guard.breached_at + _patience(view, trade)


def _watch(view: View, trade: Trade, guard: Guard) -> Iterator[Event]:
    market = view.market
    # Only a print later than the arming counts: the filter lets earlier ones pass unlogged.
    printed = market.last is not None and market.last_at is not None and market.last_at > guard.armed_at
    if printed and is_through(trade, market.last, guard.level):
        yield _close(trade, MarketReason.GUARD_STOP, (market.last_seq,))
        return
    price = view.exit_price(exit_side(trade))
    if price is None:
        return
    if is_through(trade, price, guard.level):
        yield from _beyond(view, trade, guard)
    elif guard.breached_at is not None:
        yield GuardArmed(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            level=guard.level,
            reason="quote came back",
            policy=NAME,
        )
        if WIDE in trade.alerts:
            yield AlertCleared(code=WIDE, instrument=trade.instrument, trade_no=trade.trade_no, policy=NAME)


def _beyond(view: View, trade: Trade, guard: Guard) -> Iterator[Event]:
    """A fresh quote stands at or through the level: the first is noted, a later one or time confirms it."""
    if guard.breached_at is None:
        yield from breach(view, trade, NAME)
        return
    close = _close(trade, MarketReason.GUARD_STOP, (guard.breached_seq, view.market.quote_seq))
    if view.now - guard.breached_at >= _patience(view, trade):
        yield close
    elif is_narrow(view, trade):
        first = _first_narrow_at(view, trade, guard.breached_at)
        if first is None:
            yield PolicyNoted(instrument=trade.instrument, policy=NAME, value={str(trade.trade_no): view.now})
        elif view.market.quote_at is not None and view.market.quote_at - first >= _apart(view, trade):
            yield close


def _first_narrow_at(view: View, trade: Trade, breached_at: Micros) -> Micros | None:
    """When the first quote of this breach came whose spread can be trusted; None if all were too wide so far."""
    noted: Micros | None = view.pipeline.notes.get(NAME, {}).get(str(trade.trade_no))
    if noted is not None and noted >= breached_at:
        return noted
    return None if WIDE in trade.alerts else breached_at


def _resumed_through(view: View, trade: Trade) -> bool:
    """Whether this very input is the first print or valid quote after a halt, and calls for the exit."""
    market = view.market
    if not market.resume_seq or market.resume_seq != view.cause or market.resumed_at is None:
        return False
    if trade.first_fill_at is None or trade.first_fill_at >= market.resumed_at:
        return False
    if view.settings_of(trade).halt.exit_on_resume == "always":
        return True
    if any(order.triggered_at is not None for order in view.live(trade.stops)):
        return True
    price = market.last if market.resume_seq == market.last_seq else market.exit_price(exit_side(trade))
    return trade.level is not None and is_through(trade, price, trade.level)


def _apart(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).guard.confirm_ms * MILLISECOND


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).stop.fallback_ms * MILLISECOND


def _close(trade: Trade, reason: str, evidence: tuple[int, ...]) -> CloseRequested:
    known = tuple(dict.fromkeys(one for one in evidence if one))
    return orders.close(trade, reason, PRIORITY, market=True, evidence=known, policy=NAME)
