"""What must hold after every step of a pipeline; what does not is an alert, never a crash.

NAKED is measured here: the alert that begins it and the event that ends it are in the log, with their times.
Reliability I14, I31, I33, I36, I40, I45, I46.
"""

from collections.abc import Iterator
from typing import Final

from oms.events.base import Event
from oms.events.decisions import AlertCleared, Alerted, SafeModeEntered
from oms.state.fold import NAKED
from oms.state.order import Order, PendingKind
from oms.state.protection import Protection, next_doubt, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, Micros, OrderType, Severity, plain

POLICY: Final = "invariants"
ORPHAN: Final = "orphan_order"


def check(view: View) -> Iterator[Event]:
    """Alerts for what has ceased to hold, and their end."""
    broken = ""
    for trade in view.pipeline.open():
        naked = protection(view, trade) is Protection.NAKED
        if naked is not (NAKED in trade.alerts):
            yield _naked(trade) if naked else _cleared(trade, NAKED)
        orphan = any(view.now >= at for at in _orphaned_at(view, trade))
        if orphan is not (ORPHAN in trade.alerts):
            yield _orphan(trade) if orphan else _cleared(trade, ORPHAN)
        broken = broken or violated(view, trade)
        if broken and not view.pipeline.safe_mode:
            yield SafeModeEntered(instrument=trade.instrument, reason=broken, text=f"trade {trade.trade_no}")
            return


def next_due(view: View) -> Iterator[Micros]:
    """When the present protection of any trade may run out by time alone."""
    for trade in view.pipeline.open():
        yield from next_doubt(view, trade)
        yield from _orphaned_at(view, trade)


def violated(view: View, trade: Trade) -> str:
    """The first invariant that our own decisions broke, or "". What a broker does is alerted, not judged here."""
    if len(trade.entries) > 1 and len(_ours(view, view.live(trade.entries))) > 1:
        return "I45: two live entries"
    if len(trade.stops) > 1:
        stops = [order for order in view.live(trade.stops) if order.order_type is not OrderType.LIMIT]
        if len(_ours(view, stops)) > 1:
            return "I33: two live stops"
    targets = view.live(trade.targets)
    if _have_twins(targets) and _have_twins(_ours(view, targets)):
        return "I46: two live targets of one tranche"
    if trade.level is not None and trade.level <= ZERO:
        return "I37: a stop level that is not positive"
    return ""


def _have_twins(targets: list[Order]) -> bool:
    return len({order.rung for order in targets}) < len(targets)


def _ours(view: View, live: list[Order]) -> list[Order]:
    """Those that can execute, without what is being given up, or would be if the broker let us.

    An order that is not answered yet may have to wait for that before it is given up (I21): it counts in the step that
    places it, but later on it may stand beside one that was believed lost and has come back.
    """
    return [
        order
        for order in live
        if order.leaves > ZERO
        and order.pending_of(PendingKind.CANCEL) is None
        and not order.refusals
        and (not order.pending or order.placed_at == view.now)
    ]


def _naked(trade: Trade) -> Alerted:
    return Alerted(
        severity=Severity.CRITICAL,
        code=NAKED,
        text=f"{plain(trade.position)} without effective protection",
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        quantity=trade.held,
        policy=POLICY,
    )


def _orphaned_at(view: View, trade: Trade) -> Iterator[Micros]:
    """When an order of a flat trade will have been given up without success for too long (I40)."""
    if trade.held != ZERO:
        return
    if view.live((*trade.stops, *trade.targets, *trade.exits)):
        fills = (one.at for order in view.orders(trade.order_ids) for one in order.executions)
        flat_since = max(fills, default=trade.accepted_at)
        yield flat_since + view.settings.protection.cleanup_ms * MILLISECOND


def _orphan(trade: Trade) -> Alerted:
    return Alerted(
        severity=Severity.CRITICAL,
        code=ORPHAN,
        text="an order of a flat trade cannot be cancelled",
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        policy=POLICY,
    )


def _cleared(trade: Trade, code: str) -> AlertCleared:
    return AlertCleared(code=code, instrument=trade.instrument, trade_no=trade.trade_no, policy=POLICY)
