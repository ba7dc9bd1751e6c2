"""Where the stop of a trade should be: the best of all active candidates and the level reached before.

An inactive candidate is absent, not zero. The level never moves back (OD-084, OD-086; reliability I36, I37). While the
targets of an exhausted move are sold at the market it ends a tick short of them: at one price both would execute.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from oms.state.trade import Trade
from oms.state.view import View
from oms.stops import atr_trail, breakeven, initial, mfe_lock, monitor, runner, slippage
from oms.stops.base import is_better, short_of_targets
from oms.values import ZERO

Candidate = Callable[[View, Trade], Decimal | None]

CANDIDATES: Final[dict[str, Candidate]] = {
    "initial": initial.candidate,
    "breakeven": breakeven.candidate,
    "mfe_lock": mfe_lock.candidate,
    "atr_trail": atr_trail.candidate,
    "runner": runner.candidate,
    "slippage": slippage.candidate,
    "monitor": monitor.candidate,
}


def effective_stop(view: View, trade: Trade) -> tuple[Decimal | None, str]:
    """The stop level and the name of the candidate that set it. Only finite positive candidates count."""
    level, source = trade.level, trade.level_source
    for name, candidate in CANDIDATES.items():
        price = candidate(view, trade)
        if price is None or not price.is_finite() or price <= ZERO or not is_better(trade, price, level):
            continue
        if trade.exhausted_at is not None:
            price = short_of_targets(view, trade, price)
        if is_better(trade, price, level):
            level, source = price, name
    return level, source
