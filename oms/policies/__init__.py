"""The policies, in the order in which they run. A policy is one module: NAME, VERSION, PRIORITY, SCOPE, `decide`,
and where it has them `next_due`, `levels` and `ASKED`. The table holds the order; nothing else does.

Closers only say that a trade should be closed and why; owners keep the orders of their role as they should be.
"""

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Final

from msgspec import Struct

from oms.events.base import Event
from oms.policies import (
    add_on,
    bracket,
    degradation,
    entry,
    exit,  # noqa: A004 - the field's word for it
    forced_close,
    guard_stop,
    kill_switch,
    protection,
    protective_stop,
    reconciliation,
    slippage,
    stop_fallback,
    strategy_exit,
    targets,
)
from oms.state.calm import ALWAYS
from oms.state.view import View
from oms.values import Micros


class Policy(Struct, frozen=True):
    """One row of the table.

    `next_due` yields every time at which `decide` may say something new without a further event; what lies in the
    past when the policies have just run says nothing. All times follow from the state, never from `view.now`.
    `asked` says what must have come up since the pipeline was calm (`oms/state/calm.py`) before `decide` is asked.
    """

    name: str
    version: int
    priority: int
    decide: Callable[[View], Iterator[Event]]
    next_due: Callable[[View], Iterator[Micros]] | None = None
    asked: int = ALWAYS


def _row(module: ModuleType) -> Policy:
    due = getattr(module, "next_due", None)
    asked = getattr(module, "ASKED", ALWAYS)
    return Policy(module.NAME, module.VERSION, module.PRIORITY, module.decide, due, asked)


CLOSERS: Final = tuple(
    map(
        _row,
        (kill_switch, protection, reconciliation, forced_close, guard_stop, stop_fallback, strategy_exit),
    )
)
"""They run on one and the same state; the strongest wish per trade stands."""

OWNERS: Final = tuple(
    map(_row, (bracket, slippage, protective_stop, targets, exit, entry, add_on, degradation))
)
"""Each sees what the ones before it decided: a bad fill moves the stop in its own step, targets leave before the
exit is sent, and a stop that finds the market beyond its level is an exit in the same step."""

POLICIES: Final = (*CLOSERS, *OWNERS)


def mismatch(enabled: Mapping[str, int]) -> str:
    """Which policy of a configuration this program does not have, or ""."""
    versions = {policy.name: policy.version for policy in POLICIES}
    for name, version in sorted(enabled.items()):
        if name not in versions:
            return f"policy {name}@{version}, which this program does not have"
        if versions[name] != version:
            return f"policy {name}@{version}, this program has {name}@{versions[name]}"
    return ""
