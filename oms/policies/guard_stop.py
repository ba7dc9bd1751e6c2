"""The internal stop: it watches the level itself while no broker stop is confirmed to. Also the resume rule.

Fires on a print at or through the level, or on two fresh quotes `confirm_ms` apart whose exit side is at or
through it; a spread that is too wide delays it, but not for longer than the stop fallback. Crossed, one-sided
and stale quotes never count. Architecture 6, "Guard" and "Halt"; OD-032, OD-042; C-11.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested, GuardArmed, GuardBreached
from oms.execution.orders import exit_side
from oms.state.pipeline import Pipeline
from oms.state.trade import Guard, Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, PositionSide

NAME: Final = "guard_stop"
VERSION: Final = 1
PRIORITY: Final = 11
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Close a trade whose guarded level was reached, or whose stop level was passed in a halt."""
    if view.market.is_halted:
        return
    for trade in view.pipeline.open():
        if trade.held <= ZERO or trade.level is None or not wants_close(trade, PRIORITY, market=True):
            continue
        if _resumed_through(view, trade):
            yield _close(trade, MarketReason.POST_HALT, (view.market.status_seq, view.market.resume_seq))
        elif trade.guard is not None:
            yield from _watch(view, trade, trade.guard)


def levels(pipeline: Pipeline) -> list[tuple[PositionSide, Decimal]]:
    """Armed levels, to be watched from the side of the position: the quote filter lets none of them pass unlogged."""
    return [
        (trade.side, trade.guard.level)
        for trade in pipeline.open()
        if trade.guard is not None and trade.held > ZERO
    ]


def next_due(view: View) -> Micros | None:
    """When a breach is confirmed by time alone."""
    dues = []
    for trade in view.pipeline.open():
        guard = trade.guard
        if guard is not None and guard.breached_at is not None and wants_close(trade, PRIORITY, market=True):
            confirm = guard.breached_at + view.settings_of(trade).guard.confirm_ms * MILLISECOND
            dues.append(confirm if view.now < confirm else guard.breached_at + _patience(view, trade))
    return min(dues, default=None)


def _watch(view: View, trade: Trade, guard: Guard) -> Iterator[Event]:
    market = view.market
    printed = market.last is not None and market.last_at is not None and market.last_at >= guard.armed_at
    if printed and market.last is not None and _is_through(trade, market.last, guard.level):
        yield _close(trade, MarketReason.GUARD_STOP, (market.last_seq,))
        return
    price = view.exit_price(exit_side(trade))
    if price is None:
        return
    if not _is_through(trade, price, guard.level):
        if guard.breached_at is not None:
            yield GuardArmed(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                level=guard.level,
                reason="quote came back",
                policy=NAME,
            )
        return
    if guard.breached_at is None:
        yield GuardBreached(instrument=trade.instrument, trade_no=trade.trade_no, policy=NAME)
        return
    waited = view.now - guard.breached_at
    confirmed = (
        market.quote_at is not None
        and market.quote_seq > guard.breached_seq
        and waited >= view.settings_of(trade).guard.confirm_ms * MILLISECOND
        and _is_narrow(view, trade)
    )
    if confirmed or waited >= _patience(view, trade):
        yield _close(trade, MarketReason.GUARD_STOP, (guard.breached_seq, market.quote_seq))


def _is_narrow(view: View, trade: Trade) -> bool:
    bid, ask = view.market.bid, view.market.ask
    if bid is None or ask is None or bid <= ZERO:
        return False
    return (ask - bid) / bid <= view.settings_of(trade).guard.max_spread_pct


def _resumed_through(view: View, trade: Trade) -> bool:
    """Whether the first print or valid quote after a halt lies at or through the stop level."""
    market = view.market
    if not market.resume_seq or trade.level is None or trade.first_fill_at is None:
        return False
    if market.resumed_at is None or trade.first_fill_at >= market.resumed_at:
        return False
    if market.resume_seq not in (market.quote_seq, market.last_seq):
        return False
    if view.settings_of(trade).halt.exit_on_resume == "always":
        return True
    price = market.last if market.resume_seq == market.last_seq else market.exit_price(exit_side(trade))
    return price is not None and _is_through(trade, price, trade.level)


def _is_through(trade: Trade, price: Decimal, level: Decimal) -> bool:
    return price <= level if trade.side is PositionSide.LONG else price >= level


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).stop.fallback_ms * MILLISECOND


def _close(trade: Trade, reason: str, evidence: tuple[int, ...]) -> CloseRequested:
    return CloseRequested(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        reason=reason,
        priority=PRIORITY,
        market=True,
        evidence=tuple(one for one in evidence if one),
        policy=NAME,
    )
