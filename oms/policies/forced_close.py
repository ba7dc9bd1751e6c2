"""Be flat before the session ends: aggressive limits from the start of the window, market orders at its end.

Both relative to the calendar's close, so half days and clock changes need no care. OD-019, OD-087..090; C-19, C-35.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import Alerted, KillLevelRaised
from oms.execution import orders
from oms.execution.admission import forced_close_start
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, Severity, plain

NAME: Final = "forced_close"
VERSION: Final = 1
PRIORITY: Final = 10
SCOPE: Final = "pipeline"

STUCK: Final = "cannot_liquidate"
NO_ENTRIES: Final = 1


def window(view: View) -> tuple[Micros, Micros] | None:
    """(start, end) of the forced close of the present session, or None where there is no close."""
    start, close_at = forced_close_start(view), view.market.close_at
    if start is None or close_at is None:
        return None
    return start, close_at - view.settings.forced_close.end_before_close_ms * MILLISECOND


def decide(view: View) -> Iterator[Event]:
    """Ask for the close of every open position of the pipeline, and say so when it does not help."""
    bounds = window(view)
    if bounds is None or view.now < bounds[0]:
        return
    market = view.now >= bounds[1] or view.settings.forced_close.mode == "market"
    for trade in view.pipeline.open():
        left = _left(view, trade)
        if left == ZERO:
            continue
        if trade.held > ZERO and wants_close(trade, PRIORITY, market=market):
            yield orders.close(
                trade,
                MarketReason.FORCED_CLOSE,
                PRIORITY,
                market=market,
                evidence=(view.market.session_seq, view.cause),
                policy=NAME,
            )
        if view.now >= bounds[1] + view.ack_timeout() and STUCK not in trade.alerts:
            yield from _stuck(view, trade, left)


def next_due(view: View) -> Iterator[Micros]:
    """The phases of the window."""
    bounds = window(view)
    if bounds is not None:
        yield from (*bounds, bounds[1] + view.ack_timeout())


def _left(view: View, trade: Trade) -> Decimal:
    """What is still open. While executions are unseen nobody knows it better than the trade itself: no false peace."""
    in_doubt = any(order.missing for order in view.orders(trade.order_ids))
    if in_doubt:
        return trade.held
    return -view.pipeline.exposed(trade) if trade.held < ZERO else view.pipeline.sellable(trade)


def _stuck(view: View, trade: Trade, left: Decimal) -> Iterator[Event]:
    """Cannot liquidate: an emergency, and nothing new is begun (OD-090)."""
    yield Alerted(
        severity=Severity.EMERGENCY,
        code=STUCK,
        text=f"{plain(left)} still open after the forced close",
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        quantity=left,
        policy=NAME,
    )
    if view.account.kill_level < NO_ENTRIES:
        yield KillLevelRaised(level=NO_ENTRIES, reason=STUCK, policy=NAME)
