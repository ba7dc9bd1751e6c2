"""Operators and the kill switch. Levels: K1 no entries, K2 openers cancelled, K3 flat, K4 stops cancelled too.

Under K3 the exit takes the stop over, and a stop that no exit has taken over stays until flat is confirmed (both by
their owners); K4 gives up stops at once, and therefore takes two persons. The level only rises within a day; two
persons lower it on a later one. Every act may be repeated: what is in force already changes nothing. OD-020, OD-024;
reliability I73, I74, O04, O05.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import (
    Alerted,
    KillLevelLowered,
    KillLevelRaised,
    PauseChanged,
    SecondPersonAwaited,
)
from oms.events.operator import Act, OperatorCommanded
from oms.execution import orders, retries
from oms.state.account import Account
from oms.state.reports import GATE, REPEATED
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import SECOND, ZERO, MarketReason, Micros, Severity

NAME: Final = "kill_switch"
VERSION: Final = 2
PRIORITY: Final = 0
SCOPE: Final = "pipeline"

FLATTEN: Final = 3
CANCEL_ALL: Final = 4
SECOND_PERSON: Final = 900 * SECOND
"""How long an act of two persons waits for the second one."""
IGNORED: Final = "act_without_effect"
RUNAWAY: Final = GATE + REPEATED
"""The text of an entry that the gate refused as one too many."""


def decide_account(account: Account, act: OperatorCommanded) -> Iterator[Event]:
    """Answer an operator's act that addresses the whole account."""
    if act.act in (Act.KILL, Act.FLAT):
        level = act.level or FLATTEN
        if level > account.kill_level:
            yield from _raised(account, act, level)
    elif act.act is Act.REARM:
        yield from _rearmed(account, act)
    elif act.act in (Act.PAUSE, Act.RESUME):
        paused = act.act is Act.PAUSE
        if paused != account.paused:
            yield PauseChanged(paused=paused, reason=act.reason, policy=NAME)


def _raised(account: Account, act: OperatorCommanded, level: int) -> Iterator[Event]:
    """What one person may do happens at once, whatever still waits for a second one."""
    if level >= CANCEL_ALL and not _is_second(account, act):
        if account.kill_level < FLATTEN:
            yield KillLevelRaised(level=FLATTEN, reason=act.reason, policy=NAME)
        yield from _first(account, act)
    else:
        yield KillLevelRaised(level=level, reason=act.reason, policy=NAME)


def _rearmed(account: Account, act: OperatorCommanded) -> Iterator[Event]:
    if account.kill_level == 0:
        return
    if account.kill_day == account.trading_day:
        text = f"kill level {account.kill_level} of {account.kill_day} only rises within its day"
        yield Alerted(severity=Severity.WARNING, code=IGNORED, text=text, policy=NAME)
    elif _is_second(account, act):
        yield KillLevelLowered(level=0, reason=act.reason, policy=NAME)
    else:
        yield from _first(account, act)


def _is_second(account: Account, act: OperatorCommanded) -> bool:
    """Whether another person has asked for the same a short while ago."""
    first = account.awaited
    return (
        first is not None
        and first.act == act.act.value
        and first.principal != act.principal
        and account.now <= first.until
    )


def _first(account: Account, act: OperatorCommanded) -> Iterator[Event]:
    """Remember the first person; asking again does not make two of one, and is told once per wait."""
    known = account.awaited
    if (
        known is None
        or (known.act, known.principal) != (act.act.value, act.principal)
        or account.now > known.until
    ):
        yield SecondPersonAwaited(
            act=act.act.value,
            principal=act.principal,
            until=account.now + SECOND_PERSON,
            policy=NAME,
        )


def decide(view: View) -> Iterator[Event]:
    """Flatten under K3 and answer what an operator asked of a trade, an order or the whole pipeline."""
    act = view.wish if isinstance(view.wish, OperatorCommanded) else None
    flat = act is not None and act.act in (Act.KILL, Act.FLAT) and act.instrument is not None
    for trade in view.pipeline.open():
        if view.account.kill_level >= FLATTEN:
            yield from _flatten(trade, view.account.kill_seq)
        elif flat:
            yield from _flatten(trade, view.cause, unfilled=True)
        if view.account.kill_level >= CANCEL_ALL:
            stops = view.live(trade.stops)
            yield from retries.cancels(view, trade, stops, policy=NAME, reason="kill level 4")
    if act is not None and act.act is Act.CLOSE:
        yield from _close_trades(view, act)
    elif act is not None and act.act is Act.CANCEL:
        yield from _cancel_order(view, act) if act.client_order_id is not None else _cancel_entries(view, act)
    if not view.account.paused:
        yield from _runaway(view)


def _runaway(view: View) -> Iterator[Event]:
    """A strategy that enters again and again gets no further entry until a person resumes. Reliability O12, I75."""
    for trade in view.pipeline.open():
        for order in view.orders(trade.entries):
            if order.text == RUNAWAY and order.ended_at == view.now:
                text = f"{trade.strategy or 'a strategy'} enters {trade.instrument} too often; resume when it is mended"
                yield Alerted(severity=Severity.CRITICAL, code="runaway", text=text, policy=NAME)
                yield PauseChanged(paused=True, reason=text, policy=NAME)
                return


def next_due(view: View) -> Iterator[Micros]:
    """Under K4, when the refused cancel of a stop may be tried again."""
    if view.account.kill_level >= CANCEL_ALL:
        for trade in view.pipeline.open():
            yield from retries.cancel_dues(view, trade, view.live(trade.stops))


def _flatten(trade: Trade, seq: int, *, unfilled: bool = False) -> Iterator[Event]:
    """Close what is held; `unfilled`: and give up what still looks for its entry, so that nothing is opened."""
    if (trade.held > ZERO or (unfilled and trade.held == ZERO)) and wants_close(trade, PRIORITY, market=True):
        yield orders.close(
            trade, MarketReason.KILL_SWITCH, PRIORITY, market=True, evidence=(seq,), policy=NAME
        )


def _close_trades(view: View, act: OperatorCommanded) -> Iterator[Event]:
    meant = [trade for trade in view.pipeline.open() if act.trade_no in (None, trade.trade_no, trade.root_no)]
    for trade in meant:
        if trade.held >= ZERO and wants_close(trade, PRIORITY, market=False):
            yield orders.close(
                trade, "OPERATOR_CLOSE", PRIORITY, market=False, evidence=(view.cause,), policy=NAME
            )
    if not meant and act.instrument is not None:
        yield _ignored(view, f"there is no open trade {act.trade_no or ''}".rstrip())


def _cancel_order(view: View, act: OperatorCommanded) -> Iterator[Event]:
    order = view.pipeline.find(act.client_order_id)
    if order is not None and order.trade_no is not None and order.is_live:
        trade = view.pipeline.trades[order.trade_no]
        yield from retries.cancels(view, trade, [order], policy=NAME, reason=act.reason)
    elif act.instrument is not None:
        yield _ignored(view, f"{act.client_order_id} is no working order of ours")


def _cancel_entries(view: View, act: OperatorCommanded) -> Iterator[Event]:
    """Give up every entry that works; what it has bought stays, under its stop."""
    found = False
    for trade in view.pipeline.open():
        live = view.live(trade.entries)
        found = found or bool(live)
        yield from retries.cancels(view, trade, live, policy=NAME, reason=act.reason)
    if not found and act.instrument is not None:
        yield _ignored(view, "no entry works")


def _ignored(view: View, text: str) -> Alerted:
    return Alerted(
        severity=Severity.WARNING, code=IGNORED, text=text, instrument=view.pipeline.name, policy=NAME
    )
