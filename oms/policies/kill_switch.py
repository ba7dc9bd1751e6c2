"""Operators and the kill switch. Levels: K1 no entries, K2 openers cancelled, K3 flat, K4 everything cancelled.

OD-020, OD-024; reliability I73, I74. The level only rises; lowering it needs a new day and two persons.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import CloseRequested, KillLevelRaised, PauseChanged
from oms.events.operator import Act, OperatorCommanded
from oms.execution import orders
from oms.state.account import Account
from oms.state.order import PendingKind
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, MarketReason

NAME: Final = "kill_switch"
VERSION: Final = 1
PRIORITY: Final = 0
SCOPE: Final = "pipeline"

FLATTEN: Final = 3


def decide_account(account: Account) -> Iterator[Event]:
    """Answer an operator's act that addresses the whole account."""
    act = account.kill_wish
    if act is None:
        return
    if act.act in (Act.KILL, Act.FLAT):
        level = act.level or FLATTEN
        if level > account.kill_level:
            yield KillLevelRaised(level=level, reason=act.reason, policy=NAME)
    elif act.act in (Act.PAUSE, Act.RESUME):
        paused = act.act is Act.PAUSE
        if paused != account.paused:
            yield PauseChanged(paused=paused, reason=act.reason, policy=NAME)


def decide(view: View) -> Iterator[Event]:
    """Flatten under K3 and answer what an operator asked of a trade or an order."""
    act = view.pipeline.wish
    for trade in view.pipeline.open():
        if view.account.kill_level >= FLATTEN and trade.held != ZERO and wants_close(trade, PRIORITY, market=True):
            yield _close(view, trade, MarketReason.KILL_SWITCH, market=True)
        elif isinstance(act, OperatorCommanded) and _closes(act, trade):
            yield _close(view, trade, "OPERATOR_CLOSE", market=False)
    if isinstance(act, OperatorCommanded) and act.act is Act.CANCEL:
        order = view.pipeline.find(act.client_order_id)
        if order is not None and order.is_live and not order.is_external:
            if order.pending_of(PendingKind.CANCEL) is None:
                yield orders.cancel(order, policy=NAME, reason=act.reason)


def _closes(act: OperatorCommanded, trade: Trade) -> bool:
    if act.act is not Act.CLOSE or act.trade_no not in (None, trade.trade_no):
        return False
    return wants_close(trade, PRIORITY, market=False)


def _close(view: View, trade: Trade, reason: str, *, market: bool) -> CloseRequested:
    return CloseRequested(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        reason=reason,
        priority=PRIORITY,
        market=market,
        evidence=(view.pipeline.wish_seq or view.account.seq,),
        policy=NAME,
    )
