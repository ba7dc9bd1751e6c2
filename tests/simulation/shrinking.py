"""Reduce a failing plan while the same invariant is the first to be violated: faults, workload, symbols, days."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from tests.simulation.plan import Plan
from tests.simulation.world import World

MOST_RUNS: Final = 400

_T = TypeVar("_T")


class _Budget:
    """How many more plays a reduction may take."""

    def __init__(self, runs: int) -> None:
        self.left = runs


def first_violation(plan: Plan) -> str | None:
    """The invariant that a plan violates first."""
    violations = World(plan).run().violations
    return violations[0].invariant if violations else None


def shrink(plan: Plan, invariant: str, runs: int = MOST_RUNS) -> Plan:
    """The smallest plan found that still violates `invariant` first. Deterministic; at most `runs` plays."""
    budget = _Budget(runs)

    def fails(candidate: Plan) -> bool:
        budget.left -= 1
        return first_violation(candidate) == invariant

    size = -1
    while budget.left > 0 and size != _size(plan):
        size = _size(plan)
        plan = _list(plan, "faults", fails, budget)
        plan = _list(plan, "wishes", fails, budget)
        plan = _symbols(plan, fails, budget)
        plan = _plainer(plan, fails, budget)
    return replace(plan, note=f"violates {invariant}")


def _size(plan: Plan) -> int:
    return len(plan.faults) + len(plan.wishes) + len(plan.symbols) + len(plan.switches) + len(plan.settings)


def _list(plan: Plan, name: str, fails: Callable[[Plan], bool], budget: _Budget) -> Plan:
    """Delta debugging over one list of the plan."""
    kept = reduced(getattr(plan, name), lambda some: fails(replace(plan, **{name: tuple(some)})), budget)
    return replace(plan, **{name: tuple(kept)})


def reduced(items: Sequence[_T], fails: Callable[[list[_T]], bool], budget: Any) -> list[_T]:
    """ddmin: leave out ever smaller parts while what is left still fails."""
    kept, parts = list(items), 2
    while kept and budget.left > 0:
        size = max(1, -(-len(kept) // parts))
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if budget.left > 0 and fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept


def _symbols(plan: Plan, fails: Callable[[Plan], bool], budget: _Budget) -> Plan:
    for name in plan.symbols:
        if len(plan.symbols) == 1 or budget.left <= 0:
            break
        smaller = replace(
            plan,
            symbols=tuple(one for one in plan.symbols if one != name),
            wishes=tuple(one for one in plan.wishes if one.symbol != name),
        )
        if fails(smaller):
            plan = smaller
    return plan


def _plainer(plan: Plan, fails: Callable[[Plan], bool], budget: _Budget) -> Plan:
    """Fewer peculiarities: settings, switches, the broker's character."""
    for field in ("settings", "switches"):
        for key in sorted(getattr(plan, field)):
            values = {name: value for name, value in getattr(plan, field).items() if name != key}
            smaller = replace(plan, **{field: values})
            if budget.left > 0 and fails(smaller):
                plan = smaller
    if plan.personality != "plain" and budget.left > 0 and fails(replace(plan, personality="plain")):
        plan = replace(plan, personality="plain")
    return plan
