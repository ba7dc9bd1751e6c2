"""A hundred seeds in every run, the kept plans, and the gates: same seed same log, whatever the hash seed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.simulation import campaign, plan, shrinking
from tests.simulation.campaign import Task
from tests.simulation.plan import CLOSING_MS, Fault, Plan, Wish
from tests.simulation.planner import plan_of
from tests.simulation.world import World

SEEDS = 100
PARTS = 4
REGRESSIONS = sorted((ROOT / "tests" / "simulation" / "regressions").glob("*.json"))


@pytest.mark.parametrize("part", range(PARTS))
def test_seeds_violate_nothing(part: int) -> None:
    summary = campaign.run(Task(seed, 1, "memory") for seed in range(part, SEEDS, PARTS))
    assert summary.violations == []
    assert summary.report()["days"] == SEEDS // PARTS


@pytest.mark.parametrize("path", REGRESSIONS, ids=[path.stem for path in REGRESSIONS])
def test_kept_plan_violates_nothing(path: Path) -> None:
    assert World(plan.read(path)).run().violations == []


def test_several_days_violate_nothing() -> None:
    summary = campaign.run([Task(7, 3, "memory"), Task(21, 3, "memory")])
    assert summary.violations == []


def test_seed_gives_the_same_log_under_two_hash_seeds() -> None:
    digests = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seeds", "4", "--start", "41", "--json"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        digests.add(json.loads(done.stdout.splitlines()[-1])["digest"])
    assert len(digests) == 1


def test_calm_seed_ends_without_an_alert() -> None:
    for seed in (0, 10, 20):
        world = World(plan_of(seed))
        result = world.run()
        assert result.violations == []
        assert not result.struck
        assert world.checks.scene.memory.get("loud", []) == []
        assert world.oracle.floor.executions


def test_faults_for_the_forced_close_are_counted_from_then_on() -> None:
    """The position is asked for half a minute before; the close begins by changing its stop."""
    wish = Wish(at=390 * 60_000 - CLOSING_MS - 30_000, symbol="AAA", quantity=10, risk=120, zone=25)
    late = Fault(kind="reject", on="amend", nth=1, closing=True)
    world = World(Plan(seed=5, first_day="2026-03-09", heal_at=382 * 60_000, wishes=(wish,), faults=(late,)))
    result = world.run()
    assert result.violations == []
    assert result.struck == {"reject": 1}
    assert {cell[3] for cell in world.checks.cells} == {"closing"}


@pytest.mark.parametrize(
    "aimed",
    [
        Fault(kind="cut", at=1, ms=400, near="ENTRY/NEW"),
        Fault(kind="kill_process", at=1, near="STOP/SUBMITTED"),
        Fault(kind="bust", on="trade", nth=1, ms=10, near="TARGET/SUBMITTED"),
        Fault(kind="log_away", on="append", nth=1, ms=300, near="STOP/NEW"),
        Fault(kind="copy_message", on="in:accepted", nth=1, quantity=1, near="TARGET/NEW"),
    ],
    ids=lambda fault: fault.near,
)
def test_faults_near_an_order_strike_while_it_is_in_that_state(aimed: Fault) -> None:
    """States of a millisecond too; nothing else in a day of several trades strikes."""
    wishes = tuple(
        Wish(at=minute * 60_000, symbol="AAA", quantity=10, risk=120, zone=25) for minute in (5, 6)
    )
    world = World(Plan(seed=5, first_day="2026-03-09", heal_at=60 * 60_000, wishes=wishes, faults=(aimed,)))
    result = world.run()
    assert result.violations == []
    assert result.struck == {aimed.kind: 1}
    assert aimed.near in {f"{role}/{status}" for _, role, status, _ in result.cells}


def test_plan_survives_its_file(tmp_path: Path) -> None:
    for seed in range(12):
        before = plan_of(seed)
        plan.write(before, tmp_path / "plan.json")
        assert plan.read(tmp_path / "plan.json") == before


def test_leaving_a_kind_of_fault_out_does_not_move_the_others() -> None:
    full = plan_of(1)
    assert plan_of(1) == full
    by_kind = {fault.kind: [one for one in full.faults if one.kind == fault.kind] for fault in full.faults}
    assert len(by_kind) > 3
    assert full.wishes == plan_of(1, 1).wishes


def test_reduction_keeps_what_is_needed() -> None:
    def fails(items: list[int]) -> bool:
        return {3, 17} <= set(items)

    kept = shrinking.reduced(list(range(40)), fails, shrinking._Budget(200))
    assert kept == [3, 17]
