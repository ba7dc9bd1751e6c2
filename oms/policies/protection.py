"""What happens when the broker refuses an order, above all a stop: somebody is told at once, the retries are
bounded, then the position is closed at market. OD-012, OD-076, OD-077; C-33; reliability I44."""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import AlertCleared, Alerted, KillLevelRaised
from oms.execution import orders, retries
from oms.state.calm import CHANGED
from oms.state.order import NEW, REJECTED, Order
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, Severity

NAME: Final = "protection"
VERSION: Final = 1
PRIORITY: Final = 5
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED

FLATTEN: Final = 3


def decide(view: View) -> Iterator[Event]:
    """Report refusals; close a position whose stop was refused too often, or that stays unprotected too long."""
    for trade in view.pipeline.open():
        yield from _refusals(view, trade)
        if view.pipeline.sellable(trade) <= ZERO or not wants_close(trade, PRIORITY, market=True):
            continue
        if trade.close is not None and protection(view, trade) is not Protection.NAKED:
            continue
        evidence = stop_failures(view, trade)
        if not evidence and not _too_long(view, trade):
            continue
        yield orders.close(
            trade,
            MarketReason.PROTECTION_LOST,
            PRIORITY,
            market=True,
            evidence=evidence or (view.cause,),
            policy=NAME,
        )
        setting = view.settings_of(trade).protection
        if setting.on_exhausted == "kill_switch" and view.account.kill_level < FLATTEN:
            yield KillLevelRaised(level=FLATTEN, reason=MarketReason.PROTECTION_LOST, policy=NAME)


def next_due(view: View) -> Iterator[Micros]:
    """When an unprotected position has lasted too long."""
    for trade in view.pipeline.open():
        if trade.naked_since is not None:
            yield trade.naked_since + _patience(view, trade)


def stop_failures(view: View, trade: Trade) -> tuple[int, ...]:
    """Log positions of the stops that failed in a row, or () while the retries are not used up."""
    limit = view.settings_of(trade).protection.max_retries
    failed = retries.failures(view, trade.stops)
    if len(failed) > limit:
        return tuple(order.placed_seq for order in failed)
    for order in view.live(trade.stops):
        if order.refusals > limit and order.leaves < view.pipeline.sellable(trade):
            return (order.placed_seq,)
    return ()


def _refusals(view: View, trade: Trade) -> Iterator[Event]:
    """One alert per role when the newest order of it, or of a tranche, is refused; until the broker takes one."""
    known = view.pipeline.orders
    if not trade.alerts and REJECTED not in [known[one].status for one in trade.order_ids]:
        return
    slots = (
        ("entry_rejected", trade.entries),
        ("stop_rejected", trade.stops),
        ("target_rejected", trade.targets),
        ("exit_rejected", trade.exits),
    )
    for code, ids in slots:
        found = view.orders(ids)
        if code not in trade.alerts and all(order.status is not REJECTED for order in found):
            continue
        newest = {order.rung: order for order in found}.values()
        refused = [order for order in newest if order.status is REJECTED]
        if refused and code not in trade.alerts:
            yield _alert(trade, code, refused[-1])
        waiting = any(order.status is NEW for order in newest)
        taken = not refused and not waiting and any(order.is_confirmed for order in newest)
        if taken and code in trade.alerts:
            yield AlertCleared(code=code, instrument=trade.instrument, trade_no=trade.trade_no, policy=NAME)


def _alert(trade: Trade, code: str, order: Order) -> Alerted:
    return Alerted(
        severity=Severity.CRITICAL,
        code=code,
        text=order.text,
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        client_order_id=order.client_order_id,
        quantity=order.quantity,
        policy=NAME,
    )


def _patience(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).protection.resolve_timeout_ms * MILLISECOND


def _too_long(view: View, trade: Trade) -> bool:
    return trade.naked_since is not None and view.now - trade.naked_since >= _patience(view, trade)
