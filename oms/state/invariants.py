"""What must hold after every step of a pipeline; what does not is an alert, never a crash.

NAKED is measured here: the alert that begins it and the event that ends it are in the log, with their times.
Reliability I14, I26, I31, I36, I40, I45, I46, I55.
"""

from collections.abc import Iterator
from typing import Final

from oms.events.base import Event
from oms.events.decisions import AlertCleared, Alerted, SafeModeEntered
from oms.state.fold import NAKED
from oms.state.protection import Protection, next_doubt, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, Micros, OrderType, Severity

POLICY: Final = "invariants"


def check(view: View) -> Iterator[Event]:
    """Alerts for what has ceased to hold, and their end."""
    for trade in view.pipeline.open():
        naked = protection(view, trade) is Protection.NAKED
        if naked and NAKED not in trade.alerts:
            yield Alerted(
                severity=Severity.CRITICAL,
                code=NAKED,
                text=f"{trade.position} without effective protection",
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                quantity=trade.held,
                policy=POLICY,
            )
        elif not naked and NAKED in trade.alerts:
            yield AlertCleared(code=NAKED, instrument=trade.instrument, trade_no=trade.trade_no, policy=POLICY)
        broken = violated(view, trade)
        if broken and not view.pipeline.safe_mode:
            yield SafeModeEntered(instrument=trade.instrument, reason=broken, text=f"trade {trade.trade_no}")


def next_due(view: View) -> Micros | None:
    """When the present protection of any trade may run out by time alone."""
    doubts = [next_doubt(view, trade) for trade in view.pipeline.open()]
    return min((doubt for doubt in doubts if doubt is not None), default=None)


def violated(view: View, trade: Trade) -> str:
    """The first invariant that our own decisions broke, or "". What a broker does is alerted, not judged here."""
    if len(view.live(trade.entries)) > 1:
        return "I45: two live entries"
    if sum(order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) for order in view.live(trade.stops)) > 1:
        return "I33: two live stops"
    rungs = [order.rung for order in view.live(trade.targets)]
    if len(rungs) != len(set(rungs)):
        return "I46: two live targets of one tranche"
    if trade.level is not None and trade.level <= ZERO:
        return "I37: a stop level that is not positive"
    return ""
