"""What may go wrong around a writer: each gets a clear answer, nothing is lost, and the rest goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from eventlog.canon import canonical
from eventlog.errors import DatabaseAway, LeaseHeld
from eventlog.memory import MemoryLog
from eventlog.postgres import PostgresLog
from eventlog.processes import owner_text
from oms.cli.frame import run
from oms.events.base import Stamped, UnknownEvent
from oms.shell.opening import Identity, open_runner
from oms.shell.recovery import recover
from oms.shell.runner import Runner
from oms.values import CONTEXT
from replay.verify import verify
from tests import builders, pg
from tests.checkout import ROOT
from tests.contract.steps import step

ACCOUNT = "sim/sim/bad"
WHO = Identity(log_id="log", code="code", dependencies="none")


@pytest.fixture
def database() -> Iterator[str]:
    with pg.database() as conninfo:
        yield conninfo


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def opened(log: Any) -> Runner:
    log.ensure_partitions(builders.DAY)
    runner = open_runner(
        log, ACCOUNT, builders.settings(), at=builders.PRE_OPEN, trading_day=builders.DAY, who=WHO
    )
    runner.process([Stamped(event=builders.instrument(), logical_time=builders.PRE_OPEN)])
    return runner


def quoted(cents: int) -> Stamped:
    price = Decimal(10_000 + cents) / 100
    event = builders.quote(price, price + 1, at=builders.OPEN + cents)
    return Stamped(event=event, logical_time=builders.OPEN + cents)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = run(list(words))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize("wrong", [
    {"source": "\ud800"}, {"source": "a\0b"}, {"source": "x" * 1025}, {"dedupe_key": "\ud800"},
    {"dedupe_key": "a\0b"}, {"dedupe_key": "x" * 5000}, {"event_time": 1 << 70}, {"received_at": -(1 << 62)},
])  # fmt: skip
def test_an_envelope_that_no_column_can_hold_ends_no_writer(database: str, wrong: dict[str, Any]) -> None:
    log = PostgresLog(database)
    runner = opened(log)
    bad = msgspec.structs.replace(quoted(0), **{"source": "sim", "dedupe_key": "1", **wrong})
    runner.process([bad, quoted(1)])
    assert [row.type for row in log.read(ACCOUNT)][-3:] == ["UnparsedFrame", "Alerted", "QuoteReported"]
    log.close()


@pytest.mark.parametrize(("kind", "version"), [("TeleportRequested", 1), ("QuoteReported", 99)])
def test_an_event_nobody_knows_stops_the_reader_at_its_row(kind: str, version: int) -> None:
    log = MemoryLog()
    runner = opened(log)
    head = runner.head
    body = canonical({"instrument": "X"})
    foreign = step(head.seq + 1)
    row = msgspec.structs.replace(
        foreign.events[0], type=kind, version=version, body=body, trading_day=builders.DAY
    )
    log.append(head, [msgspec.structs.replace(foreign, events=(row,))])
    with pytest.raises(UnknownEvent, match=f"{kind} version {version} in row {head.seq + 1}"):
        recover(log, ACCOUNT)
    found = verify(log, ACCOUNT)
    assert (found.is_identical, found.at_seq) == (False, head.seq + 1)


def test_an_unknown_event_is_told_as_such(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = PostgresLog(database)
    head = opened(log).head
    foreign = step(head.seq + 1)
    row = msgspec.structs.replace(foreign.events[0], type="TeleportRequested", trading_day=builders.DAY)
    log.append(head, [msgspec.structs.replace(foreign, events=(row,))])
    log.close()
    code, text = told(capsys, "replay", "--db", database)
    assert code == 1
    assert "OMS-D011" in text
    assert f"row {head.seq + 1}" in text


def test_a_database_that_is_down_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys, "replay", "--db", f"postgresql://nobody@/none?host={tmp_path}")
    assert code == 3
    assert "OMS-D001" in text
    assert "start the database" in text


def test_a_newer_database_is_refused_unchanged(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE oms.alembic_version SET version_num = '9999'")
    code, text = told(capsys, "replay", "--db", database)
    assert code == 3
    assert "OMS-D004" in text
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT version_num FROM oms.alembic_version").fetchone() == ("9999",)


SECOND = """
import sys
from decimal import localcontext
from eventlog.errors import LeaseHeld
from eventlog.postgres import PostgresLog
from oms.values import CONTEXT
from tests import builders
from tests.integration.test_bad_input import opened
try:
    with localcontext(CONTEXT):
        opened(PostgresLog(sys.argv[1]))
except LeaseHeld as error:
    print(error)
"""


def test_a_second_writer_is_refused_and_the_first_goes_on(database: str) -> None:
    log = PostgresLog(database, lease_ttl_s=600)
    first = opened(log)
    done = subprocess.run(
        [sys.executable, "-c", SECOND, database],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert owner_text() in done.stdout
    before = first.head.seq
    first.process([quoted(1)])
    assert first.head.seq == before + 1
    with pytest.raises(LeaseHeld):
        log.acquire(ACCOUNT, "somebody@elsewhere:1:1")
    log.close()


FULL = (
    """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$""",
    "CREATE TRIGGER full_disk BEFORE INSERT ON oms.event FOR EACH ROW EXECUTE FUNCTION full_disk()",
)


def test_a_full_disk_loses_nothing_and_is_survived(database: str) -> None:
    log = PostgresLog(database, patience_s=0.3)
    runner = opened(log)
    before = (runner.head, runner.book.account)
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in FULL:
            connection.execute(statement.encode())
        with pytest.raises(DatabaseAway, match="No space left"):
            runner.process([quoted(1)])
        assert (runner.head, runner.book.account) == before
        assert log.last_seq(ACCOUNT) == before[0].seq
        connection.execute("DROP TRIGGER full_disk ON oms.event")
    runner.flush()  # What could not be stored was kept.
    assert log.last_seq(ACCOUNT) == before[0].seq + 1
    assert verify(log, ACCOUNT).is_identical
    log.close()


def test_a_database_that_goes_away_in_mid_run_is_found_again(database: str) -> None:
    log = PostgresLog(database)
    runner = opened(log)
    before = runner.head.seq
    with psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            (psycopg.conninfo.conninfo_to_dict(database)["dbname"],),
        )
    runner.process([quoted(1)])
    assert [row.seq for row in log.read(ACCOUNT)] == list(range(1, before + 2))
    log.close()


def test_a_setting_nobody_knows_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "oms.toml"
    path.write_text("[risk]\n\nrisk_per_tarde_pct = 0.5\n")
    code, text = told(capsys, "config", "show", "--config", str(path))
    assert code == 2
    assert "risk_per_tarde_pct" in text
    assert "line 3" in text or ":3" in text


def test_a_wrong_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS__RISK__ALOW_SHORT", "1")
    code, text = told(capsys, "config", "show")
    assert code == 2
    assert "OMS__RISK__ALOW_SHORT" in text
    assert "OMS__RISK__ALLOW_SHORT" in text


@pytest.mark.parametrize(
    "row",
    [
        "2026-03-02T14:31:00Z,2026-03-02T14:30:00Z,1,1,1,1,1",
        "2026-03-02T14:30:00Z,2026-03-02T14:31:00Z,1,NaN,1,1,1",
        "2026-03-02T14:30:00Z,2026-03-02T14:31:00Z,1,0.5,1,1,1",
        "2026-03-02T14:30:00Z,2026-03-02T14:31:00Z,1,1",
    ],
)
def test_a_broken_row_is_refused_with_file_and_line(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"open_at,end_at,open,high,low,close,volume\n{row}\n")
    code, text = told(capsys, "backtest", str(path), "--format", "csv", "--symbol", "X", "--db", database)
    assert code == 2
    assert f"{path} line 2" in text
