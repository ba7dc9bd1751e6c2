"""All points, and all ordered pairs of them: which cases there are, and what they amount to."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from decimal import Decimal
from multiprocessing import get_context
from random import Random
from typing import Any, Final

from msgspec import Struct

from eventlog.failpoints import POINTS
from tests import pg
from tests.torture import case, takeover, wires
from tests.torture.case import Kill, Outcome, Terms

SETTING_UP: Final = ("migration.", "partition.")
"""Points that only a new database passes."""
FORKING: Final = get_context("forkserver")
"""Workers come from a process without threads, so that they may fork."""


class Job(Struct, frozen=True):
    """One case to run, under a name that reproduces it."""

    number: int
    kills: tuple[Kill, ...]
    downtime_s: int = 0

    @property
    def needs_new_database(self) -> bool:
        """Whether a point is passed only while the database is made."""
        return any(kill.point.startswith(SETTING_UP) for kill in self.kills)


def all_points() -> tuple[str, ...]:
    """The product's points and those of the wire."""
    return (*POINTS, *wires.POINTS)


def clean(conninfo: str) -> Outcome:
    """A day without any death, from the empty database on: how often each point is passed."""
    return case.run(conninfo, "sim/sim/clean", (), Terms(migrate=True))


def single(passed: dict[str, int], points: Iterable[str], hits: int, seed: int) -> Iterator[tuple[Kill, ...]]:
    """Each point at its first and last pass, and at others drawn from the seed; `hits` of each in all."""
    random = Random(seed)
    for point in points:
        last = passed.get(point, 0)
        drawn = [1, last, *(random.randint(1, max(last, 1)) for _ in range(hits))]
        yield from ((Kill(point, nth),) for nth in list(dict.fromkeys(drawn))[:hits])


def pairs(passed: dict[str, int], points: Iterable[str], seed: int) -> Iterator[tuple[Kill, ...]]:
    """Each ordered pair: the first death somewhere in the day, the second mostly soon after it."""
    random, names = Random(seed), tuple(points)
    for first in names:
        for second in names:
            nth = random.randint(1, max(passed.get(first, 1), 1))
            soon = random.choice((1, 1, 1, 2, 5, max(passed.get(second, 1) // 4, 1)))
            yield (Kill(first, nth), Kill(second, min(soon, max(passed.get(second, 1), 1))))


def chains(
    passed: dict[str, int], points: Iterable[str], count: int, seed: int
) -> Iterator[tuple[Kill, ...]]:
    """Three to eight deaths in a row, anywhere."""
    random = Random(seed)
    names = [point for point in points if not point.startswith(SETTING_UP)]
    for _ in range(count):
        yield tuple(_anywhere(random, passed, names) for _ in range(random.randint(3, 8)))


def _anywhere(random: Random, passed: dict[str, int], names: list[str]) -> Kill:
    point = random.choice(names)
    return Kill(point, random.randint(1, max(passed.get(point, 1) // 3, 1)))


def run(jobs: Iterable[Job], workers: int, told: Callable[[Outcome], None]) -> list[Outcome]:
    """Run all cases, `workers` at a time; `told` hears of each as it ends."""
    with ExitStack() as stack:
        conninfo = stack.enter_context(pg.database())
        pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=FORKING))
        outcomes = []
        for future in as_completed([pool.submit(attempt, conninfo, job) for job in jobs]):
            outcomes.append(future.result())
            told(outcomes[-1])
    return outcomes


def contests(
    given: Iterable[takeover.Contest], workers: int, told: Callable[[Outcome], None]
) -> list[Outcome]:
    """Let writers fight, one account per contest."""
    with pg.database() as conninfo, ProcessPoolExecutor(workers, mp_context=FORKING) as pool:
        fights = [
            pool.submit(case.contest, conninfo, f"sim/sim/fight-{number}", one)
            for number, one in enumerate(given)
        ]
        outcomes = []
        for future in as_completed(fights):
            outcomes.append(future.result())
            told(outcomes[-1])
    return outcomes


def attempt(conninfo: str, job: Job) -> Outcome:
    """One case in a worker process. One whose second point did not come again is tried with its first pass."""
    if job.needs_new_database:
        with pg.empty_database() as fresh:
            return case.run(
                fresh, "sim/sim/torture", job.kills, Terms(migrate=True, downtime_s=job.downtime_s)
            )
    terms = Terms(downtime_s=job.downtime_s)
    outcome = case.run(conninfo, f"sim/sim/{job.number}", job.kills, terms)
    if outcome.struck == 1 and len(job.kills) == 2 and job.kills[1].nth > 1 and not outcome.findings:
        again = (job.kills[0], Kill(job.kills[1].point))
        return case.run(conninfo, f"sim/sim/{job.number}-again", again, terms)
    return outcome


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The figures of a campaign: `lost`, `duplicates`, `naked_over_budget` and `other` count cases."""
    found = list(outcomes)
    verdicts = [one.verdict for one in found if one.verdict is not None]
    naked = [case.naked(one) for one in found]
    return {
        "cases": len(found),
        "points": len({one.kills[0].point for one in found if len(one.kills) == 1 and one.struck == 1}),
        "pairs": sum(len(one.kills) == 2 and one.struck == 2 for one in found),
        "pairs_out_of_reach": sum(len(one.kills) == 2 and one.struck < 2 for one in found),
        "kills": sum(one.struck for one in found),
        "lost": sum(bool(one.lost) for one in verdicts),
        "duplicates": sum(bool(one.duplicates) for one in verdicts),
        "naked_over_budget": sum(bool(one.naked_over_budget) for one in found),
        "naked_seconds_max": float(max(naked, default=Decimal(0))),
        "other": sum(bool(one.other) for one in verdicts) + sum(bool(one.failure) for one in found),
        "unanswered": sum(one.unanswered for one in verdicts),
        "events": sum(one.events for one in verdicts),
    }


def troubles(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """One text per bad case: how to make it happen again, and what was found."""
    for one in outcomes:
        if one.findings:
            pause = f" --downtime {one.downtime_s}" if one.downtime_s else ""
            words = " ".join(f"--kill {kill}" for kill in one.kills) or f"--takeovers {one.struck}"
            yield f"python3 -m oms torture {words}{pause}\n    " + "\n    ".join(one.findings[:6])
