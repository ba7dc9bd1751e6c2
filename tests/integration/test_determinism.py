"""Same inputs, same bytes: across hash seeds, batch sizes and what the quote filter logs; and nothing looks ahead."""

import os
import subprocess
import sys
from random import Random
from typing import Any

import pytest

from oms.book import Book
from oms.events.base import Event, Part, body_text
from oms.events.operator import Act
from oms.values import MILLISECOND, SECOND
from tests import builders
from tests.benchmarks import scenes
from tests.builders import CLOSE, OPEN
from tests.checkout import ROOT
from tests.unit.policies.days import ACCOUNT, Day, Move, Played

SEEDS = range(6)


def tape(seed: int, length: int = 90) -> list[Move]:
    """A random market with requests; entries in both directions."""
    chance = Random(seed)
    moves = [Move("quote", 100)]
    for _ in range(length):
        kind = chance.random()
        if kind < 0.08:
            moves.append(Move("enter", chance.randint(0, 2000), chance.randint(-300, 300)))
        elif kind < 0.11:
            moves.append(Move("leave", chance.randint(0, 2000)))
        elif kind < 0.16:
            moves.append(Move("bar", chance.randint(100, 60_000), chance.randint(0, 60)))
        elif kind < 0.20:
            moves.append(Move("print", chance.randint(0, 900), chance.randint(-60, 60)))
        elif kind < 0.22:
            moves.append(Move("silence", 0, chance.randint(1, 15)))
        else:
            wide = chance.choice([1, 1, 1, 2, 60])
            moves.append(Move("quote", chance.choice([50, 300, 900, 1400]), chance.randint(-30, 30), wide))
    return moves


def day(seed: int, **changes: Any) -> Day:
    start = OPEN if seed % 2 else CLOSE - 16 * 60 * SECOND
    return Day(tape(seed), seed=seed + 1, start=start, **changes)


def played(one: Day) -> Played:
    run = Played(one)
    for _ in run.play():
        pass
    run.finish()
    return run


def chain(run: Played) -> str:
    tip = run.log.head(ACCOUNT).chain
    return tip.hex() if isinstance(tip, bytes) else str(tip)


PROGRAM = """
import decimal
from oms.values import CONTEXT
decimal.setcontext(CONTEXT)
from tests.integration.test_determinism import chain, day, killed, played
print(chain(played(day(1))), chain(played(day(2))))
print(killed(["Z", "A", "M", "XYZ", "B", "Q"]))
"""


def killed(names: list[str]) -> list[str]:
    """What is decided when everything that is open is told to close in one step, in order."""
    book = Book()
    for _ in scenes.opening(book):
        pass
    for name in names:
        for _ in scenes.open_position(book, name):
            pass
    _, result = scenes.take(book, builders.act(Act.KILL, level=3))
    told = [f"{one.pipeline} {type(one.event).__name__}" for one in result.events]
    assert len({one.pipeline for one in result.events}) == len(names) + 1
    return told


@pytest.mark.req("OD-001", "F11")
def test_hash_seeds_make_no_difference() -> None:
    digests = set()
    for seed in ("0", "1", "random"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.req("OD-001")
@pytest.mark.parametrize("seed", SEEDS)
def test_batch_sizes_make_no_difference(seed: int) -> None:
    assert len({chain(played(day(seed, batch_limit=limit))) for limit in (1, 7, 1000)}) == 1


def decisions(run: Played) -> list[str]:
    """Every decision with its time, without what names places in the log."""
    names: dict[str, str] = {}
    return [
        f"{step.stamped.logical_time} {neutral(one.event, names)}"
        for step in run.steps
        for one in step.result.events[1:]
    ]


def neutral(event: Event | Part, names: dict[str, str]) -> str:
    fields = []
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in ("client_order_id", "wire_id", "orig_wire_id") and value is not None:
            value = names.setdefault(value, f"id{len(names)}")
        if isinstance(value, tuple):
            value = tuple(neutral(one, names) if isinstance(one, Part) else one for one in value)
        if name not in ("evidence", "seq"):
            fields.append(f"{name}={value}")
    return f"{type(event).__name__} {' '.join(fields)}"


@pytest.mark.req("I06")
@pytest.mark.parametrize("seed", range(12))
def test_logging_every_quote_changes_no_decision(seed: int) -> None:
    fixed = (2 * MILLISECOND, 2 * MILLISECOND)
    few = decisions(played(day(seed, latency=fixed)))
    all_ = decisions(played(day(seed, latency=fixed, everything=True)))
    assert few == all_


@pytest.mark.req("OM-017", "BT-034")
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_looks_ahead(seed: int) -> None:
    """Whatever comes next, a crash, a rally or nothing at all: what is logged before it stays the same."""
    whole = day(seed)
    run = played(whole)
    market = [at for at, move in enumerate(whole.moves) if move.what in ("quote", "print", "bar")]
    for turn, cut in enumerate(market[5::3]):
        after = whole.moves[cut].after
        shock = [[], [Move("quote", after, -4_000)], [Move("quote", after, 4_000)]][turn % 3]
        other = Played(Day([*whole.moves[:cut], *shock], seed=whole.seed, start=whole.start))
        for _ in other.play():
            pass
        until = other.now - 1 if shock else other.now + after * MILLISECOND - 1
        if not shock:
            other.time.pass_until(until)
        other.time.flush()
        assert rows(other, until) == rows(run, until), cut


def rows(run: Played, until: int) -> list[str]:
    return [
        f"{one.seq} {step.stamped.logical_time} {type(one.event).__name__} {body_text(one.event)}"
        for step in run.steps
        if step.stamped.logical_time <= until
        for one in step.result.events
    ]


def test_a_day_of_these_has_something_to_decide() -> None:
    kinds = {type(one).__name__ for seed in SEEDS for one in played(day(seed)).decisions}
    assert {"StopMoved", "TradeClosed", "GuardArmed", "ReplaceRequested", "EntryAbandoned"} <= kinds
