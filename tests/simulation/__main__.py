"""`python -m tests.simulation`: seeded days with faults, every invariant checked after every step.

--seeds N [--start S] [--days D] [--log memory|postgres] [--jobs J] [--json [FILE]]   play seeds
--plan FILE                                                                            play a plan from a file
--trace                                                                                tell one seed as a story
--shrink                                                                               reduce the first failing plan
--exhaustive [--states N]                                      every answer of a broker for one trade of three shares
--catalogue                                                          one small trade for each fault of the catalogue
--planted [--only TEXT]                                              how many seeds it takes to find each planted bug
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation import campaign, catalogue, explore, plan, planted, shrinking
from tests.simulation.campaign import Summary, Task
from tests.simulation.planner import plan_of
from tests.simulation.trace import storyteller
from tests.simulation.world import World


def main(words: Sequence[str] | None = None) -> int:
    """Play; 1 if an invariant was violated."""
    arguments = _parser().parse_args(words)
    print(f"seeds {arguments.start}..{arguments.start + arguments.seeds - 1}", file=sys.stderr, flush=True)
    if arguments.trace:
        return _trace(arguments)
    if arguments.exhaustive:
        return _explore(arguments)
    if arguments.catalogue:
        return _catalogue(arguments)
    if arguments.planted:
        return _hunt(arguments)
    tasks = _tasks(arguments)
    summary = campaign.run(tasks, arguments.jobs, until_first=arguments.first)
    if arguments.shrink and summary.violations:
        _shrink(summary, tasks)
    report = summary.report()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report), encoding="utf-8")
    elif arguments.json is not None:
        print(json.dumps(report))
    else:
        _show(report, arguments)
    return 1 if summary.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="oms simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first (0)")
    parser.add_argument("--days", type=int, default=1, metavar="D", help="trading days of each (1)")
    parser.add_argument(
        "--log", choices=["memory", "postgres"], default="memory", help="where the log is kept"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="processes (1)")
    parser.add_argument("--json", nargs="?", const="", metavar="FILE", help="one JSON object")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="play this plan instead of seeds")
    parser.add_argument("--trace", action="store_true", help="tell the first seed as a story")
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    parser.add_argument(
        "--exhaustive", action="store_true", help="try every answer of a broker for one small trade"
    )
    parser.add_argument(
        "--states", type=int, default=explore.MOST_STATES, metavar="N", help="at most so many (1000000)"
    )
    parser.add_argument(
        "--catalogue", action="store_true", help="play the small plans of the fault catalogue"
    )
    parser.add_argument(
        "--planted", action="store_true", help="plant known bugs and count the seeds to find them"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="planted bugs whose name holds this")
    parser.add_argument("--shrink", action="store_true", help="reduce the first failing plan")
    return parser


def _tasks(arguments: argparse.Namespace) -> list[Task]:
    if arguments.plan is not None:
        found = plan.read(arguments.plan)
        return [Task(found.seed, found.days, arguments.log, found)]
    seeds = range(arguments.start, arguments.start + arguments.seeds)
    return [Task(seed, arguments.days, arguments.log) for seed in seeds]


def _trace(arguments: argparse.Namespace) -> int:
    found = plan.read(arguments.plan) if arguments.plan else plan_of(arguments.start, arguments.days)
    print(plan.to_text(found))
    world = World(found)
    world.listener = storyteller(print, lambda: world.today.open_at)
    result = world.run()
    for one in result.violations:
        print(f"{one.invariant} is violated at step {one.step}: {one.text}")
    books = {name: str(held) for name, held in world.oracle.positions.items()}
    print(
        f"the broker holds {books or 'nothing'}, cash {world.oracle.floor.ledger.cash}; digest {result.digest}"
    )
    return 1 if result.violations else 0


def _explore(arguments: argparse.Namespace) -> int:
    """Explore from every start, the states shared out among them."""
    rows, violations = [], []
    for start in explore.STARTS:
        found = explore.explore(arguments.states // len(explore.STARTS), start=start)
        rows.append({"start": start, "states": found.states, "transitions": found.transitions, "depth": found.depth,
                     "closed": found.closed, "seconds": round(found.seconds, 1)})  # fmt: skip
        violations += [
            {"invariant": text.split(":")[0], "text": text, "path": list(path)}
            for text, path in found.violations
        ]
        print(f"{rows[-1]}", file=sys.stderr, flush=True)
    for one in violations:
        print(f"{one['text']}: {' > '.join(one['path'])}", file=sys.stderr)
    _finish({"explored": rows, "violations": violations}, arguments)
    return 1 if violations else 0


def _catalogue(arguments: argparse.Namespace) -> int:
    """Play every small plan of the fault catalogue."""
    violations = []
    for name, row, alert in catalogue.ROWS:
        for text in catalogue.problems(row, alert):
            violations.append({"plan": name, "invariant": text.split(":")[0], "text": text})
            print(f"{name}: {text}", file=sys.stderr)
    _finish({"rows": len(catalogue.ROWS), "violations": violations}, arguments)
    return 1 if violations else 0


def _hunt(arguments: argparse.Namespace) -> int:
    """Plant bugs and look for them."""
    chosen = [one for one in planted.ALL if arguments.only in one.name]
    found = []
    for one in planted.hunt(chosen, arguments.jobs, min(arguments.seeds, planted.MOST_SEEDS)):
        found.append(one)
        how = one.how if one.is_caught else "NOT FOUND"
        how = how if one.seeds is None else f"seed {one.seeds}"
        print(f"{one.name:>48}  {how:<12} {one.invariant}", file=sys.stderr, flush=True)
    counts = sorted(one.seeds for one in found if one.seeds is not None)
    missed = [one.name for one in found if not one.is_caught]
    report = {
        "planted": len(found),
        "found": len(found) - len(missed),
        "missed": missed,
        "otherwise": {one.name: one.how for one in found if one.is_caught and one.seeds is None},
        "median_seeds": counts[len(counts) // 2] if counts else None,
        "worst_seeds": counts[-1] if counts else None,
        "detections": {one.name: [one.seeds, one.invariant] for one in found},
    }
    _finish(report, arguments)
    return 1 if missed else 0


def _finish(report: dict[str, object], arguments: argparse.Namespace) -> None:
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report), encoding="utf-8")
    elif arguments.json is not None:
        print(json.dumps(report))
    else:
        print("\n".join(f"{name.replace('_', ' '):>24}  {value}" for name, value in report.items()
                        if not isinstance(value, dict)))  # fmt: skip


def _shrink(summary: Summary, tasks: list[Task]) -> None:
    first = summary.violations[0]
    task = next(task for task in tasks if task.seed == first["seed"])
    small = shrinking.shrink(task.plan or plan_of(task.seed, task.days), str(first["invariant"]))
    path = campaign.keep(small, f"small-{first['invariant']}")
    print(f"{len(small.faults)} faults and {len(small.wishes)} wishes are enough: {path}", file=sys.stderr)


def _show(report: dict[str, object], arguments: argparse.Namespace) -> None:
    violations = report["violations"]
    assert isinstance(violations, list)
    for one in violations:
        print(f"seed {one['seed']}: {one['invariant']} at step {one['step']}: {one['text']}")
        print(f"    python3 -m oms simulate --trace --plan {one['plan']}")
    for name in ("seeds", "days", "steps", "fault_kinds", "faults_per_day", "invariants_checked"):
        print(f"{name.replace('_', ' '):>24}  {report[name]}")
    print(f"{'cells hit':>24}  {report['cells_hit']} of {report['cells_reachable']}")
    print(f"{'days/minute/core':>24}  {report['days_per_minute_per_core']}")
    print(f"{'digest':>24}  {report['digest']}")
    print(f"{'violations':>24}  {len(violations)}")


if __name__ == "__main__":
    sys.exit(main())
