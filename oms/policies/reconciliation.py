"""Look for the fate of unanswered requests, compare with the broker's books, repair an oversell.

UNKNOWN ends only by evidence; nothing is ever resent blindly. Reliability I62, I64, I67..I71; F2, F5.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.broker import BrokerSnapshotReported
from oms.events.decisions import Alerted, CloseRequested
from oms.execution import orders
from oms.state.order import Order, Pending
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, Severity

NAME: Final = "reconciliation"
VERSION: Final = 1
PRIORITY: Final = 8
SCOPE: Final = "pipeline"

MISMATCH: Final = "position_mismatch"


def decide(view: View) -> Iterator[Event]:
    """Query overdue orders, flatten oversold trades, and answer a snapshot of the broker's books."""
    for trade in view.pipeline.open():
        if trade.held < ZERO and wants_close(trade, PRIORITY, market=True):
            yield CloseRequested(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                reason=MarketReason.OVERSELL_REPAIR,
                priority=PRIORITY,
                market=True,
                evidence=_last_fills(view),
                policy=NAME,
            )
    if view.account.connected:
        for order in pending_orders(view):
            if any(_is_overdue(view, pending) for pending in order.pending):
                yield orders.query(order, policy=NAME, reason="unanswered")
    snapshot = view.pipeline.wish
    if isinstance(snapshot, BrokerSnapshotReported) and snapshot.complete:
        yield from _compare(view, snapshot)


def next_due(view: View) -> Micros | None:
    """When the oldest unanswered request becomes overdue."""
    if not view.account.connected:
        return None
    dues = [_due(view, pending) for order in pending_orders(view) for pending in order.pending]
    return min(dues, default=None)


def pending_orders(view: View) -> list[Order]:
    """Our orders with an unanswered request."""
    found = []
    for trade in view.pipeline.open():
        for ids in (trade.entries, trade.stops, trade.targets, trade.exits):
            found += [order for one in ids if (order := view.pipeline.orders[one]).pending]
    return found


def _due(view: View, pending: Pending) -> Micros:
    if pending.unknown:
        return view.now
    # Each further question waits longer, so that a broker that cannot answer is not flooded (I87).
    patience = view.ack_timeout() * (1 << min(pending.queries, 4))
    return pending.asked_at + min(patience, view.settings.protection.resolve_timeout_ms * MILLISECOND * 2)


def _is_overdue(view: View, pending: Pending) -> bool:
    return _due(view, pending) <= view.now


def _last_fills(view: View) -> tuple[int, ...]:
    seqs = [one.seq for order in view.pipeline.orders.values() for one in order.executions]
    return tuple(sorted(seqs)[-2:])


def _compare(view: View, snapshot: BrokerSnapshotReported) -> Iterator[Event]:
    """A snapshot older than what we know proves nothing against it (I68)."""
    name = view.pipeline.name
    theirs = sum((line.quantity for line in snapshot.positions if line.instrument == name), ZERO)
    newest = max((one.seq for order in view.pipeline.orders.values() for one in order.executions), default=0)
    if theirs != view.pipeline.position and newest <= snapshot.asked_at_seq and MISMATCH not in view.pipeline.alerts:
        yield Alerted(
            severity=Severity.CRITICAL,
            code=MISMATCH,
            text=f"broker holds {theirs}, the log says {view.pipeline.position}",
            instrument=name,
            quantity=theirs - view.pipeline.position,
            policy=NAME,
        )
    for order in view.pipeline.orders.values():
        known = order.client_order_id in snapshot.open_orders or order.wire_id in snapshot.open_orders
        if order.is_live and not known and not order.is_external and order.placed_seq <= snapshot.asked_at_seq:
            yield orders.query(order, policy=NAME, reason="not among the broker's open orders")
