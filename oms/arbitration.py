"""Which of several wishes for one trade wins. A close beats everything; then the lowest priority, then the name.

A close at market is stronger than one by limits, whatever their priorities: a planned exit must never hold up an
emergency. Owners of order roles run after the closers, on the state in which the winner stands, so a losing wish
can only be a close; it is logged with its reason, never dropped silently. OM-037..039; architecture 6.
"""

from collections.abc import Iterable, Iterator

from oms.events.base import Event
from oms.events.decisions import CloseRequested, DecisionRefused, KillLevelRaised
from oms.state.trade import Trade

_Rank = tuple[bool, int, str]


def wants_close(trade: Trade, priority: int, *, market: bool) -> bool:
    """Whether a close of this strength would change anything; asking again for the same yields nothing."""
    if trade.close is None:
        return True
    if market is not trade.close.market:
        return market
    return priority < trade.close.priority


def arbitrate(candidates: Iterable[tuple[int, str, Event]]) -> list[Event]:
    """The decisions that stand, in the order they were made; a beaten close becomes `DecisionRefused`."""
    ordered = list(candidates)
    best: dict[int, _Rank] = {}
    for priority, name, decision in ordered:
        if isinstance(decision, CloseRequested):
            rank = _rank(priority, name, decision)
            best[decision.trade_no] = min(best.get(decision.trade_no, rank), rank)
    return list(
        _raised_once(_standing(priority, name, decision, best) for priority, name, decision in ordered)
    )


def _raised_once(decisions: Iterable[Event]) -> Iterator[Event]:
    """A kill level is raised once, however many trades of the step want it; a higher one still follows. OD-090."""
    level = 0
    for decision in decisions:
        if isinstance(decision, KillLevelRaised):
            if decision.level <= level:
                continue
            level = decision.level
        yield decision


def _rank(priority: int, name: str, decision: CloseRequested) -> _Rank:
    return (not decision.market, priority, name)


def _standing(priority: int, name: str, decision: Event, best: dict[int, _Rank]) -> Event:
    if not isinstance(decision, CloseRequested):
        return decision
    winner = best[decision.trade_no]
    if winner == _rank(priority, name, decision):
        return decision
    return DecisionRefused(
        instrument=decision.instrument,
        trade_no=decision.trade_no,
        reason=decision.reason,
        refused_policy=name,
        winner_policy=winner[2],
    )
