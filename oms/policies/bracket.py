"""The life of a trade after its entry: it ends when it is flat and nothing of it can execute any more.

The bracket itself (stop, targets, trail) is what its owners want of a position with a fill; they run in the same
step, so the whole bracket is one connected step of the log. OD-033, OD-034, OD-092.
"""

from collections.abc import Iterator
from typing import Final

from oms.events.base import Event
from oms.events.decisions import AlertCleared, TradeClosed
from oms.state.calm import CHANGED
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, rounded

NAME: Final = "bracket"
VERSION: Final = 2
PRIORITY: Final = 20
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED


def decide(view: View) -> Iterator[Event]:
    """Report trades that have become flat, once and again only when a late fact changed their result."""
    multiplier = view.pipeline.instrument.multiplier
    for trade in view.pipeline.open():
        if trade.held != ZERO or not trade.unsettled(multiplier) or view.live(trade.order_ids):
            continue
        # What stood open about a position ends with it; afterwards nobody looks at the trade any more.
        for code in trade.alerts:
            yield AlertCleared(code=code, instrument=trade.instrument, trade_no=trade.trade_no, policy=NAME)
        yield _closed(view, trade)


def _closed(view: View, trade: Trade) -> TradeClosed:
    multiplier = view.pipeline.instrument.multiplier
    pnl = trade.result(multiplier)
    at_risk = trade.risk * trade.entered * multiplier
    return TradeClosed(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        reason=trade.close.reason if trade.close is not None else _filled_by(view, trade),
        quantity=trade.entered,
        price_entry=rounded(trade.entry_value / trade.entered, 10) if trade.entered else ZERO,
        price_exit=rounded(trade.exit_value / trade.exited, 10) if trade.exited else ZERO,
        pnl=pnl,
        pnl_change=pnl - trade.pnl,
        r=rounded(pnl / at_risk, 6) if at_risk else None,
        currency=view.pipeline.instrument.currency,
        cycle=trade.cycle,
        parent_trade_no=trade.parent_trade_no,
        policy=NAME,
    )


def _filled_by(view: View, trade: Trade) -> str:
    if any(order.filled > ZERO for order in view.orders(trade.stops)):
        return "STOP"
    return "TARGETS" if any(order.filled > ZERO for order in view.orders(trade.targets)) else "FLAT"
