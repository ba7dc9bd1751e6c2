"""Many seeds, in several processes where asked: play, count, and keep the plans that failed."""

import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from eventlog.log import EventLog
from tests.simulation import plan as plans
from tests.simulation.checks import IDS
from tests.simulation.coverage import reachable
from tests.simulation.plan import Plan
from tests.simulation.planner import plan_of
from tests.simulation.world import Result, World


class Task(Struct, frozen=True):
    """One seed or one plan file to play."""

    seed: int
    days: int
    log: str
    plan: Plan | None = None


class Outcome(Struct, frozen=True):
    """What came of a task, in what travels between processes."""

    seed: int
    days: int
    steps: int
    seconds: float
    digest: str
    struck: dict[str, int]
    cells: dict[tuple[str, str, str, str], int]
    marks: dict[str, int]
    violations: tuple[dict[str, object], ...]


class Summary(Struct):
    """A campaign's result; `report` is what `--json` prints."""

    outcomes: list[Outcome]
    seconds: float
    first_seed: int
    jobs: int

    @property
    def violations(self) -> list[dict[str, object]]:
        """All violations, seed by seed."""
        return [{"seed": one.seed, **row} for one in self.outcomes for row in one.violations]

    @property
    def digest(self) -> str:
        """One digest over the log digests of all seeds, in order of the seeds."""
        ordered = sorted(self.outcomes, key=lambda one: one.seed)
        return sha256("".join(one.digest for one in ordered).encode()).hexdigest()

    def report(self) -> dict[str, object]:
        """The figures."""
        faults: Counter[str] = Counter()
        cells: Counter[tuple[str, str, str, str]] = Counter()
        marks: Counter[str] = Counter()
        for one in self.outcomes:
            faults.update(one.struck)
            cells.update(one.cells)
            marks.update(one.marks)
        days, busy = sum(one.days for one in self.outcomes), sum(one.seconds for one in self.outcomes)
        expected = reachable()
        return {
            "seeds": len(self.outcomes),
            "days": days,
            "steps": sum(one.steps for one in self.outcomes),
            "faults": dict(sorted(faults.items())),
            "fault_kinds": len(faults),
            "faults_per_day": round(sum(faults.values()) / max(days, 1), 1),
            "invariants_checked": len(IDS),
            "cells_hit": len(expected & cells.keys()),
            "cells_reachable": len(expected),
            "cells_missed": sorted("/".join(cell) for cell in expected - cells.keys()),
            "marks": dict(sorted(marks.items())),
            "violations": self.violations,
            "digest": self.digest,
            "days_per_minute_per_core": round(days / busy * 60, 1) if busy else 0,
            "seconds": round(self.seconds, 1),
        }


def run(tasks: Iterable[Task], jobs: int = 1, *, until_first: bool = False) -> Summary:
    """Play all tasks, or until one fails. The result does not depend on the number of processes."""
    todo = list(tasks)
    begun = time.perf_counter()
    if until_first:
        outcomes = _until_first(todo)
    elif jobs > 1 and len(todo) > 1:
        context = multiprocessing.get_context("spawn")
        with context.Pool(jobs) as pool:
            outcomes = list(
                pool.imap_unordered(play, todo, chunksize=max(1, min(8, len(todo) // (jobs * 4))))
            )
    else:
        outcomes = [play(task) for task in todo]
    outcomes.sort(key=lambda one: one.seed)
    return Summary(outcomes, time.perf_counter() - begun, todo[0].seed if todo else 0, jobs)


def _until_first(todo: list[Task]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for task in todo:
        outcomes.append(play(task))
        if outcomes[-1].violations:
            break
    return outcomes


def play(task: Task) -> Outcome:
    """Play one task in this process."""
    plan = task.plan or plan_of(task.seed, task.days)
    begun = time.process_time()
    with ExitStack() as stack:
        world = World(plan, *_log(stack, task.log))
        result = world.run()
    seconds = time.process_time() - begun
    return Outcome(
        seed=task.seed,
        days=result.days,
        steps=result.steps,
        seconds=seconds,
        digest=result.digest,
        struck=dict(result.struck),
        cells=dict(result.cells),
        marks=dict(result.marks),
        violations=tuple(_violations(plan, result)),
    )


def _log(stack: ExitStack, kind: str) -> tuple[EventLog, str] | tuple[()]:
    """A new log of the kind asked for and where to ask it in SQL; nothing for one in memory."""
    if kind != "postgres":
        return ()
    from eventlog.postgres import PostgresLog
    from tests import pg

    conninfo = stack.enter_context(pg.database())
    log = PostgresLog(conninfo)
    stack.callback(log.close)
    return log, conninfo


def _violations(plan: Plan, result: Result) -> Iterator[dict[str, object]]:
    for one in result.violations:
        yield {
            "invariant": one.invariant,
            "step": one.step,
            "text": one.text,
            "plan": str(keep(plan, one.invariant)),
        }


def keep(plan: Plan, invariant: str) -> Path:
    """Write a failing plan where the person who looks for it will find it."""
    folder = Path(tempfile.gettempdir()) / f"oms-simulation-{os.geteuid()}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{invariant}-{plan.seed}-{sha256(plans.to_text(plan).encode()).hexdigest()[:8]}.json"
    plans.write(plan, path)
    return path
