"""What happens when a protective stop cannot be had: bounded retries, then a market exit. OD-012, OD-077; C-33."""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.broker import CancelCause
from oms.events.decisions import CloseRequested
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, MarketReason, Micros, OrderStatus, ZERO

NAME: Final = "protection"
VERSION: Final = 1
PRIORITY: Final = 5
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Close a position whose stop was refused more often than allowed, or that stays unprotected too long."""
    for trade in view.pipeline.open():
        if trade.held <= ZERO or not wants_close(trade, PRIORITY, market=True):
            continue
        if trade.close is not None and protection(view, trade) is not Protection.NAKED:
            continue
        failed = stop_failures(view, trade)
        limit = view.settings_of(trade).protection.max_retries
        if len(failed) > limit or _too_long(view, trade):
            evidence = failed or (view.account.seq,)
            yield CloseRequested(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                reason=MarketReason.PROTECTION_LOST,
                priority=PRIORITY,
                market=True,
                evidence=evidence,
                policy=NAME,
            )


def next_due(view: View) -> Micros | None:
    """When an unprotected position has lasted too long."""
    dues = [
        trade.naked_since + _patience(view, trade)
        for trade in view.pipeline.open()
        if trade.naked_since is not None and wants_close(trade, PRIORITY, market=True)
    ]
    return min(dues, default=None)


def stop_failures(view: View, trade: Trade) -> tuple[int, ...]:
    """Log positions of the stops refused since the last one that the broker took, newest first."""
    failed: list[int] = []
    for order in reversed(view.orders(trade.stops)):
        vanished = order.cancel_cause in (CancelCause.UNSOLICITED, CancelCause.EXPIRED)
        refused = order.status is OrderStatus.REJECTED or (order.status is OrderStatus.CANCELED and vanished)
        if order.refusals > view.settings_of(trade).protection.max_retries and order.leaves < trade.held:
            return tuple([order.placed_seq] * order.refusals)
        if not refused:
            break
        failed.append(order.placed_seq)
    return tuple(failed)


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).protection.resolve_timeout_ms * MILLISECOND


def _too_long(view: View, trade: Trade) -> bool:
    return trade.naked_since is not None and view.now - trade.naked_since >= _patience(view, trade)
