"""The audit from outside agrees with the product on good days, and finds what was forged into bad ones."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventlog.postgres import PostgresLog
from oms.brokers.simulated import Misbehave, Script, When
from oms.brokers.simulated.script import (
    CancelUnasked,
    Delay,
    NoFillAfterTrigger,
    Reject,
    RejectReplace,
    Repeat,
)
from oms.values import SECOND, Role
from replay.export import export
from tests import pg
from tests.checkout import ROOT
from tests.raw_audit import audit, from_database, from_file
from tests.unit.replay.days import ACCOUNT, TradingDay, busy_day, ladder_day, trading_day
from tests.unit.replay.tampering import forged, with_body

ALLOWED = set(sys.stdlib_module_names) | {"psycopg", "raw_orders"}
SCRIPTS: dict[str, Script] = {
    "good": (),
    "stops refused": (Misbehave(when=When(role=Role.STOP, nth=1), what=Reject()),),
    "no fill after the trigger": (Misbehave(when=When(role=Role.STOP), what=NoFillAfterTrigger()),),
    "slow stops": (Misbehave(when=When(role=Role.STOP), what=Delay(ms=2600)), Misbehave(what=Repeat())),
    "stops that vanish": (Misbehave(when=When(role=Role.STOP, nth=2), what=CancelUnasked()),),
    "changes refused": (Misbehave(when=When(role=Role.STOP), what=RejectReplace()),),
}


@pytest.mark.parametrize("name", ["raw_audit.py", "raw_orders.py"])
def test_imports_nothing_of_the_product(name: str) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= ALLOWED


def judged(log: Any, tmp_path: Path) -> dict[str, Any]:
    export(log, ACCOUNT, tmp_path / "log.jsonl")
    return audit(*from_file(tmp_path / "log.jsonl"))


def product(day: TradingDay) -> dict[int, tuple[Decimal, Decimal]]:
    """(naked, unconfirmed) seconds of every trade, as the state says."""
    state = day.runner.published

    def lasted(us: int, since: int | None) -> Decimal:
        return Decimal(us + (state.account.now - since if since is not None else 0)) / SECOND

    return {
        trade.trade_no: (
            lasted(trade.naked_us, trade.naked_since),
            lasted(trade.unconfirmed_us, trade.unconfirmed_since),
        )
        for pipeline in state.pipelines.values()
        for trade in pipeline.trades.values()
    }


def check(day: TradingDay, tmp_path: Path) -> dict[str, Any]:
    found = judged(day.log, tmp_path)
    assert found["findings"] == []
    for trade in found["trades"]:
        naked, unconfirmed = product(day)[trade["trade_no"]]
        assert Decimal(trade["naked_seconds"]) == Decimal(trade["alerted_seconds"]) == naked
        assert Decimal(trade["unconfirmed_seconds"]) == unconfirmed
    for name, pipeline in day.runner.published.pipelines.items():
        assert Decimal(found["positions"].get(name, "0")) == pipeline.position
    return found


@pytest.mark.req("OD-042", "I31", "OD-028")
@pytest.mark.parametrize("name", SCRIPTS)
def test_agrees_with_the_product(name: str, tmp_path: Path) -> None:
    found = check(ladder_day(SCRIPTS[name]), tmp_path)
    assert found["rows"] > 40
    assert len(found["trades"]) == 1


@pytest.mark.req("OD-028", "OD-036")
def test_agrees_on_a_busy_day_with_restarts(tmp_path: Path) -> None:
    unruly = (*SCRIPTS["stops refused"], *SCRIPTS["stops that vanish"], Misbehave(what=Repeat()))
    found = check(busy_day(6, unruly), tmp_path)
    assert len(found["trades"]) > 3


def test_measures_a_stop_refused_while_the_feed_is_stale(tmp_path: Path) -> None:
    script = (Misbehave(when=When(role=Role.STOP), what=Reject()),)
    with trading_day(script=script) as day:
        day.quote("AAPL", Decimal("100.00"))
        day.enter("AAPL", Decimal("100.00"))
        day.path("AAPL", ["100.00"], seconds=4)
        # The last cycle goes to the far side of a quote that is still fresh; then nothing more is heard.
        day.path("AAPL", ["99.98"], seconds=12)
        day.silence(30)
    found = check(day, tmp_path)
    assert Decimal(found["naked_seconds"]) > 0
    assert any(row.type == "FeedStale" for row in day.log.read(ACCOUNT)) or found["market_orders"] > 0


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return ladder_day(SCRIPTS["no fill after the trigger"])


def first(day: TradingDay, type_name: str, text: str = "") -> int:
    return next(row.seq for row in day.log.read(ACCOUNT) if row.type == type_name and text in row.body)


FORGERIES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "a stop in a group": ("OrderPlaced", '"STOP"', {"oca_group": "g1"}, "carries a group"),
    "a stop of another size": ("OrderPlaced", '"STOP"', {"quantity": "90"}, "stand for"),
    "no reason": ("ReplaceRequested", '"MARKET"', {"reason": ""}, "with the reason"),
    "evidence of the future": ("ReplaceRequested", '"MARKET"', {"evidence": [9999]}, "with the evidence"),
    "a fill of another size": ("OrderFilled", '"SELL"', {"quantity": "7"}, "still hold"),
}


PROVES = {"a stop in a group": "OD-036", "a stop of another size": "OD-035", "no reason": "OD-028"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.req(PROVES[name])] if name in PROVES else [])
        for name in FORGERIES
    ],
)
def test_finds_what_was_forged(day: TradingDay, tmp_path: Path, name: str) -> None:
    type_name, text, fields, finding = FORGERIES[name]
    seq = first(day, type_name, text)
    log = forged(day.log, ACCOUNT, lambda row: with_body(row, **fields) if row.seq == seq else row)
    found = judged(log, tmp_path)
    assert not found["ok"]
    assert any(finding in one for one in found["findings"])


def test_finds_a_second_trade_of_one_intent(tmp_path: Path) -> None:
    with trading_day() as day:
        for _ in range(2):
            day.path("AAPL", ["100.00"], seconds=1)
            day.enter("AAPL", Decimal("100.00"))
            day.path("AAPL", ["101.00"], seconds=25)
    log = forged(
        day.log, ACCOUNT, lambda row: with_body(row, intent_id="1") if row.type == "EntryAccepted" else row
    )
    assert check(day, tmp_path)["intents"] == 2
    assert any("accepted before" in one for one in judged(log, tmp_path)["findings"])


def test_finds_a_missing_row_and_time_that_goes_back(day: TradingDay, tmp_path: Path) -> None:
    rows: Iterator[dict[str, Any]] = from_file(_file(day, tmp_path))[1]
    kept = [row for row in rows if row["type"] != "OrderAccepted"]
    kept[-1]["logical_time"] = 0
    findings = audit(ACCOUNT, kept)["findings"]
    assert any("missing" in one for one in findings)
    assert any("goes back" in one for one in findings)


def _file(day: TradingDay, tmp_path: Path) -> Path:
    export(day.log, ACCOUNT, tmp_path / "day.jsonl")
    return tmp_path / "day.jsonl"


def test_runs_alone_as_a_script(day: TradingDay, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tests" / "raw_audit.py"), str(_file(day, tmp_path))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"ok": true' in done.stdout
    assert subprocess.run(command[:2], capture_output=True, check=False).returncode == 2


def test_a_database_and_its_export_give_the_same(tmp_path: Path) -> None:
    with pg.database() as conninfo:
        log = PostgresLog(conninfo)
        try:
            ladder_day(SCRIPTS["stops refused"], log)
            assert audit(ACCOUNT, from_database(conninfo, ACCOUNT)) == judged(log, tmp_path)
        finally:
            log.close()


def test_an_unchanged_copy_is_as_good(day: TradingDay, tmp_path: Path) -> None:
    same = forged(day.log, ACCOUNT, replace)
    assert judged(same, tmp_path) == judged(day.log, tmp_path)
