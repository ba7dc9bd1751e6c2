"""`oms replay` and `oms why` on a database: as a person and as a program see them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from msgspec import structs

from eventlog.postgres import PostgresLog
from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import NoFillAfterTrigger
from oms.cli import main
from oms.shell.snapshots import taken
from oms.values import Role
from replay.accounts import choose
from tests import pg
from tests.unit.replay.days import ACCOUNT, TradingDay, ladder_day, trading_day

SECOND_ACCOUNT = "sim/test/another"
NAKED_TRIGGER = (Misbehave(when=When(role=Role.STOP), what=NoFillAfterTrigger()),)


class Answer(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


class World(NamedTuple):
    """A database with two accounts; ACCOUNT was written last."""

    conninfo: str
    day: TradingDay


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with pg.database() as conninfo:
        log = PostgresLog(conninfo)
        try:
            with trading_day(log=log, account=SECOND_ACCOUNT) as other:
                other.silence(600)
                other.bar("AAPL", Decimal("100.00"))
            yield World(conninfo, ladder_day(NAKED_TRIGGER, log))
        finally:
            log.close()


@pytest.fixture
def oms(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("OMS_DATABASE_URL", world.conninfo)

    def run(*words: str) -> Answer:
        code = main(list(words))
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return run


def events(world: World) -> int:
    return world.day.runner.head.seq


def test_the_account_written_last_is_chosen_and_named(world: World, oms: Any) -> None:
    answer = oms("replay")
    assert answer.code == 0
    assert f"{ACCOUNT}, written last of 2 accounts" in answer.out
    assert (
        choose(world.day.log, None).head.account == SECOND_ACCOUNT
    )  # By logical time it would be the other.


def test_shows_the_state_as_json(world: World, oms: Any) -> None:
    answer = oms("replay", "2026-03-09", "--account", ACCOUNT, "--json")
    assert answer.json["digest"] == world.day.digests[events(world)]
    assert answer.json["state"]["pipelines"][0]["instrument"] == "AAPL"
    assert len(answer.out.splitlines()) == 1


@pytest.mark.req("OM-063")
def test_verifies_a_day(world: World, oms: Any) -> None:
    answer = oms("replay", "2026-03-09", "--account", ACCOUNT, "--verify", "--json")
    found = answer.json
    assert answer.code == 0
    assert found["ok"] is True
    assert (found["verify"], found["chain"], found["first_divergence"]) == ("identical", "intact", None)
    assert found["events"] == events(world)
    assert found["decisions"] > 20
    assert found["digest"] == found["digest_folded"] == world.day.digests[events(world)]
    assert "identical" in oms("replay", "--verify").out


def test_a_snapshot_that_is_not_the_fold_is_told(world: World, oms: Any) -> None:
    """It is whole and says so itself; only the log can tell that its writer held something else."""
    runner, snapshot = world.day.runner, ("snapshot_seq", "snapshot_is_right")
    assert [oms("replay", "--verify", "--json").json[name] for name in snapshot] == [None, None]
    state = runner.published
    wrong = replace(state, account=structs.replace(state.account, kill_level=1))
    with psycopg.connect(world.conninfo, autocommit=True) as connection:
        for held, right in ((state, True), (wrong, False)):
            world.day.log.save_snapshot(taken(runner.head, held))
            answer = oms("replay", "--verify", "--json")
            assert (answer.code, answer.json["verify"]) == (0 if right else 1, "identical")
            assert [answer.json[name] for name in snapshot] == [events(world), right]
            connection.execute("DELETE FROM oms.snapshot")


def test_looks_at_an_instant(world: World, oms: Any) -> None:
    placed = next(row for row in world.day.log.read(ACCOUNT) if row.type == "GuardArmed")
    found = oms("replay", "--account", ACCOUNT, "--until", str(placed.seq), "--json").json
    assert found["events"] == placed.seq
    assert found["state"]["pipelines"][0]["trades"][0]["holder"] == "internal guard"
    shown = oms("replay", "2026-03-09", "--account", ACCOUNT, "--until", "13:30:01").out
    assert "13:30" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--account", "sim/test/nobody"], 2, "There is no account"),
        (["2026-03-11"], 1, "no events of 2026-03-11"),
        (["--until", "99999"], 1, "no event 99999"),
        (["--until", "23:59"], 1, "beyond the last event"),
        (["--until", "soon"], 2, "Neither an event number nor a time"),
        (["no-such-file.jsonl"], 2, "Neither a day nor a file"),
    ],
)
def test_bad_input_is_named(oms: Any, words: list[str], code: int, said: str) -> None:
    answer = oms("replay", *words, "--verify")
    assert answer.code == code
    assert said in answer.err
    assert "try" in answer.err


def test_a_log_goes_to_somebody_else_as_a_file(world: World, oms: Any, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    assert oms("replay", "--account", ACCOUNT, "--export", str(path)).code == 0
    found = oms("replay", str(path), "--verify", "--json").json
    assert (found["verify"], found["chain"], found["events"]) == ("identical", "intact", events(world))
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:5], "not json", *lines[6:]]), encoding="utf-8")
    answer = oms("replay", str(path))
    assert answer.code == 2
    assert "line 6" in answer.err


def test_a_forged_decision_is_shown_field_by_field(world: World, oms: Any, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    oms("replay", "--account", ACCOUNT, "--export", str(path))
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace(
            '\\"quantity\\": \\"100\\", \\"trade_no\\": 1', '\\"quantity\\": \\"101\\", \\"trade_no\\": 1', 1
        )
    )
    answer = oms("replay", str(path), "--verify", "--json")
    assert answer.code == 1
    assert (answer.json["verify"], answer.json["chain"]) == ("divergent", "broken")
    assert answer.json["first_divergence"]["differences"] == [
        {"field": "body.quantity", "logged": "101", "regenerated": "100"}
    ]
    shown = oms("replay", str(path), "--verify").out
    assert "body.quantity" in shown
    assert "BROKEN" in shown


def test_why_names_evidence_rule_and_setting(world: World, oms: Any) -> None:
    seq = next(row.seq for row in world.day.log.read(ACCOUNT) if '"MARKET"' in row.body)
    shown = oms("why", str(seq), "--account", ACCOUNT)
    assert shown.code == 0
    for text in ("STOP_FALLBACK", "evidence", "OrderTriggered", "stop.fallback_ms = 5000", "EntryRequested"):
        assert text in shown.out
    found = oms("why", str(seq), "--json").json
    assert [step["type"] for step in found["evidence"]] == ["OrderTriggered"]
    assert found["rule"] == "stop_fallback"


def test_why_of_an_event_that_is_not_there(oms: Any) -> None:
    answer = oms("why", "99999")
    assert answer.code == 1
    assert "There is no event 99999" in answer.err
