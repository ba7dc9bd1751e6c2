"""Operators and the kill switch. Levels: K1 no entries, K2 openers cancelled, K3 flat, K4 everything cancelled.

OD-020, OD-024; reliability I73, I74. The level only rises; lowering it needs a new day and two persons.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import Alerted, CloseRequested, KillLevelRaised, PauseChanged
from oms.events.operator import Act, OperatorCommanded
from oms.execution import retries
from oms.state.account import Account
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, MarketReason, Severity

NAME: Final = "kill_switch"
VERSION: Final = 1
PRIORITY: Final = 0
SCOPE: Final = "pipeline"

FLATTEN: Final = 3
IGNORED: Final = "act_without_effect"


def decide_account(account: Account, act: OperatorCommanded) -> Iterator[Event]:
    """Answer an operator's act that addresses the whole account."""
    if act.act in (Act.KILL, Act.FLAT):
        level = act.level or FLATTEN
        if level > account.kill_level:
            yield KillLevelRaised(level=level, reason=act.reason, policy=NAME)
    elif act.act in (Act.PAUSE, Act.RESUME):
        paused = act.act is Act.PAUSE
        if paused != account.paused:
            yield PauseChanged(paused=paused, reason=act.reason, policy=NAME)


def decide(view: View) -> Iterator[Event]:
    """Flatten under K3 and answer what an operator asked of a trade, an order or the whole pipeline."""
    act = view.wish if isinstance(view.wish, OperatorCommanded) else None
    flat = act is not None and act.act in (Act.KILL, Act.FLAT) and act.instrument is not None
    for trade in view.pipeline.open():
        if view.account.kill_level >= FLATTEN:
            yield from _flatten(trade, view.account.kill_seq)
        elif flat:
            yield from _flatten(trade, view.cause, unfilled=True)
    if act is not None and act.act is Act.CLOSE:
        yield from _close_trades(view, act)
    elif act is not None and act.act is Act.CANCEL:
        yield from _cancel_order(view, act)


def _flatten(trade: Trade, seq: int, *, unfilled: bool = False) -> Iterator[Event]:
    """Close what is held; `unfilled`: and give up what still looks for its entry, so that nothing is opened."""
    if (trade.held > ZERO or (unfilled and trade.held == ZERO)) and wants_close(trade, PRIORITY, market=True):
        yield _close(trade, MarketReason.KILL_SWITCH, market=True, evidence=seq)


def _close_trades(view: View, act: OperatorCommanded) -> Iterator[Event]:
    meant = [trade for trade in view.pipeline.open() if act.trade_no in (None, trade.trade_no, trade.root_no)]
    for trade in meant:
        if trade.held >= ZERO and wants_close(trade, PRIORITY, market=False):
            yield _close(trade, "OPERATOR_CLOSE", market=False, evidence=view.cause)
    if not meant and act.instrument is not None:
        yield _ignored(view, f"there is no open trade {act.trade_no or ''}".rstrip())


def _cancel_order(view: View, act: OperatorCommanded) -> Iterator[Event]:
    order = view.pipeline.find(act.client_order_id)
    if order is not None and order.trade_no is not None and order.is_live:
        trade = view.pipeline.trades[order.trade_no]
        yield from retries.cancels(view, trade, [order], policy=NAME, reason=act.reason)
    elif act.instrument is not None:
        yield _ignored(view, f"{act.client_order_id} is no working order of ours")


def _close(trade: Trade, reason: str, *, market: bool, evidence: int) -> CloseRequested:
    return CloseRequested(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        reason=reason,
        priority=PRIORITY,
        market=market,
        evidence=(evidence,),
        policy=NAME,
    )


def _ignored(view: View, text: str) -> Alerted:
    return Alerted(
        severity=Severity.WARNING, code=IGNORED, text=text, instrument=view.pipeline.name, policy=NAME
    )
