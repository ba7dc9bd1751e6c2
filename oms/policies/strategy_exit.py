"""A strategy's planned exit: limit orders only. OD-018, OD-029."""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested, IntentRefused
from oms.events.strategy import ExitRequested
from oms.state.view import View
from oms.values import ZERO

NAME: Final = "strategy_exit"
VERSION: Final = 1
PRIORITY: Final = 14
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Answer an exit request with a close of the named trade, or of every open trade of the strategy."""
    wish = view.pipeline.wish
    if not isinstance(wish, ExitRequested):
        return
    found = [
        trade
        for trade in view.pipeline.open()
        if trade.strategy == wish.strategy and wish.trade_no in (None, trade.trade_no) and trade.held > ZERO
    ]
    for trade in found:
        if wants_close(trade, PRIORITY, market=False):
            yield CloseRequested(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                reason=wish.reason,
                priority=PRIORITY,
                market=False,
                evidence=(view.pipeline.wish_seq,),
                policy=NAME,
            )
    if not found:
        yield IntentRefused(
            instrument=wish.instrument,
            strategy=wish.strategy,
            intent_id=wish.intent_id,
            code="nothing_open",
            text="the strategy holds no open trade that this request could close",
        )
