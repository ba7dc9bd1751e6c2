"""A strategy's planned exit: limit orders only, and after the last of them a market order where the profile says so.
OD-018, OD-029, C-18."""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import IntentRefused
from oms.events.strategy import ExitRequested
from oms.execution import exits, orders
from oms.state.trade import Close, Trade
from oms.state.view import View
from oms.values import ZERO, MarketReason

NAME: Final = "strategy_exit"
VERSION: Final = 1
PRIORITY: Final = 14
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Answer an exit request with a close of the named trade, or of every open trade of the strategy; and give up
    working a planned exit by limits."""
    if isinstance(view.wish, ExitRequested):
        yield from _answer(view, view.wish)
    for trade in view.pipeline.open():
        if trade.close is not None and trade.close.is_planned and not view.market.is_halted:
            yield from _exhausted(view, trade, trade.close)


def _answer(view: View, wish: ExitRequested) -> Iterator[Event]:
    found = [trade for trade in view.pipeline.open() if _is_meant(view, trade, wish)]
    wanted = [trade for trade in found if wants_close(trade, PRIORITY, market=False)]
    for trade in wanted:
        yield orders.close(trade, wish.reason, PRIORITY, market=False, evidence=(view.cause,), policy=NAME)
    if not found:
        yield _refused(wish, "nothing_open", "the strategy holds no open trade that this request could close")
    elif not wanted:
        yield _refused(wish, "already_closing", "everything that this request could close is being closed")


def _exhausted(view: View, trade: Trade, close: Close) -> Iterator[Event]:
    order = exits.working(trade, view.live(trade.exits))
    if order is None or order.is_pending or view.settings_of(trade).exit.on_exhausted != "market":
        return
    if view.now >= exits.reprice_at(view, trade, close, order) and exits.is_exhausted(view, trade, close):
        yield orders.close(
            trade, MarketReason.EXIT_EXHAUSTED, PRIORITY, market=True, evidence=(close.seq,), policy=NAME
        )


def _is_meant(view: View, trade: Trade, wish: ExitRequested) -> bool:
    """A trade whose entry still works is given up by the same request, so that nothing is opened after it."""
    if trade.strategy != wish.strategy or wish.trade_no not in (None, trade.trade_no, trade.root_no):
        return False
    return trade.held > ZERO or bool(view.live(trade.entries))


def _refused(wish: ExitRequested, code: str, text: str) -> IntentRefused:
    return IntentRefused(
        instrument=wish.instrument, strategy=wish.strategy, intent_id=wish.intent_id, code=code, text=text
    )
