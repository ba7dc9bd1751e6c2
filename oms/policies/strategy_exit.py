"""A strategy's planned exit: limit orders only. OD-018, OD-029."""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested, IntentRefused
from oms.events.strategy import ExitRequested
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO

NAME: Final = "strategy_exit"
VERSION: Final = 1
PRIORITY: Final = 14
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Answer an exit request with a close of the named trade, or of every open trade of the strategy."""
    wish = view.wish
    if not isinstance(wish, ExitRequested):
        return
    found = [trade for trade in view.pipeline.open() if _is_meant(view, trade, wish)]
    wanted = [trade for trade in found if wants_close(trade, PRIORITY, market=False)]
    for trade in wanted:
        yield CloseRequested(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            reason=wish.reason,
            priority=PRIORITY,
            market=False,
            evidence=(view.cause,),
            policy=NAME,
        )
    if not found:
        yield _refused(wish, "nothing_open", "the strategy holds no open trade that this request could close")
    elif not wanted:
        yield _refused(wish, "already_closing", "everything that this request could close is being closed")


def _is_meant(view: View, trade: Trade, wish: ExitRequested) -> bool:
    """A trade whose entry still works is given up by the same request, so that nothing is opened after it."""
    if trade.strategy != wish.strategy or wish.trade_no not in (None, trade.trade_no, trade.root_no):
        return False
    return trade.held > ZERO or bool(view.live(trade.entries))


def _refused(wish: ExitRequested, code: str, text: str) -> IntentRefused:
    return IntentRefused(
        instrument=wish.instrument, strategy=wish.strategy, intent_id=wish.intent_id, code=code, text=text
    )
