"""A sample of `oms torture --postgres`: a real server is killed, cut off, crowded, full, or not the one it was."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.torture import campaign, faults, servers
from tests.torture.faults import SCENARIOS, Scenario

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
"""Each worker of a test run hurts servers of its own."""


@pytest.fixture(scope="module")
def found() -> Iterator[servers.Server]:
    with servers.server(f"faults-{WORKER}") as found:
        yield found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_log_ends_right_after(found: servers.Server, scenario: Scenario) -> None:
    scenario(found)


def test_failed_scenario_is_told(found: servers.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: servers.Server) -> str:
        raise AssertionError("as it should not be")

    monkeypatch.setattr(faults, "SCENARIOS", (wrong,))
    assert faults.run(found) == {"wrong": "FAILED: AssertionError: as it should not be"}


@pytest.mark.req("OD-034")
def test_killed_server_keeps_what_it_acknowledged() -> None:
    report = servers.kill_under_load(6, 6 * 400, name=f"load-{WORKER}")
    assert report["failures"] == []
    assert report["lost"] == 0
    assert report["server_kills"] == 6
    assert report["acknowledged"] >= 6 * 400
    assert report["unknown_commits"] > 0


def test_judge_misses_an_acknowledged_head() -> None:
    with servers.server(f"load-{WORKER}") as found:
        load = servers.Load(found.conninfo, 1)
        servers._wait_for(load, 400)
        load.finish()
        assert servers._judged(found.conninfo, load) == {"lost": 0, "failures": []}
        seq, chain = load.tallies[0].acknowledged[3]
        load.tallies[0].acknowledged[3] = (seq + 1, chain)
        assert servers._judged(found.conninfo, load)["lost"] == 1
        load.tallies[0].acknowledged.append((10_000_000, chain))
        assert len(servers._judged(found.conninfo, load)["failures"]) == 1


def test_trading_day_goes_on_over_a_dying_server() -> None:
    with ProcessPoolExecutor(1, mp_context=campaign.FORKING) as pool:
        told = faults.day_under_kills(3, pool, f"day-{WORKER}")
    assert not told.startswith("FAILED"), told
