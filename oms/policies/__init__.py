"""The policies, in the order in which they run. A policy is one module: NAME, VERSION, PRIORITY, SCOPE, `decide`,
and where it has them `next_due` and `levels`. The table holds the order; nothing else does.

Closers only say that a trade should be closed and why; owners keep the orders of their role as they should be.
"""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from oms.events.base import Event
from oms.policies import (
    bracket,
    entry,
    exit,  # noqa: A004 - the field's word for it
    forced_close,
    guard_stop,
    kill_switch,
    protection,
    protective_stop,
    reconciliation,
    stop_fallback,
    strategy_exit,
    targets,
)
from oms.state.view import View
from oms.values import Micros


class Policy(Struct, frozen=True):
    """One row of the table. `in_safe_mode` says whether the policy still runs when something failed."""

    name: str
    version: int
    priority: int
    decide: Callable[[View], Iterator[Event]]
    next_due: Callable[[View], Micros | None] | None = None
    in_safe_mode: bool = True


CLOSERS: Final = (
    Policy("kill_switch", kill_switch.VERSION, kill_switch.PRIORITY, kill_switch.decide),
    Policy("protection", protection.VERSION, protection.PRIORITY, protection.decide, protection.next_due),
    Policy(
        "reconciliation",
        reconciliation.VERSION,
        reconciliation.PRIORITY,
        reconciliation.decide,
        reconciliation.next_due,
    ),
    Policy("forced_close", forced_close.VERSION, forced_close.PRIORITY, forced_close.decide, forced_close.next_due),
    Policy("guard_stop", guard_stop.VERSION, guard_stop.PRIORITY, guard_stop.decide, guard_stop.next_due),
    Policy(
        "stop_fallback", stop_fallback.VERSION, stop_fallback.PRIORITY, stop_fallback.decide, stop_fallback.next_due
    ),
    Policy("strategy_exit", strategy_exit.VERSION, strategy_exit.PRIORITY, strategy_exit.decide, None),
)

OWNERS: Final = (
    Policy("exit", exit.VERSION, exit.PRIORITY, exit.decide, exit.next_due),
    Policy("bracket", bracket.VERSION, bracket.PRIORITY, bracket.decide),
    Policy(
        "protective_stop",
        protective_stop.VERSION,
        protective_stop.PRIORITY,
        protective_stop.decide,
        protective_stop.next_due,
    ),
    Policy("targets", targets.VERSION, targets.PRIORITY, targets.decide, targets.next_due),
    Policy("entry", entry.VERSION, entry.PRIORITY, entry.decide, entry.next_due),
)

POLICIES: Final = (*CLOSERS, *OWNERS)
