"""Retention: a sealed month is exported, proven and detached, and the log reads on; nothing else may come of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from eventlog import retention
from eventlog.archive import Archive, part_path, sum_path, write_part
from eventlog.errors import Archived, MissingPartition
from eventlog.failpoints import BESIDE
from eventlog.postgres import PostgresLog
from oms import Oms
from oms.cli import main
from oms.shell.archives import Folder
from oms.shell.snapshots import resume
from oms.state.digest import digest
from replay.archive import ArchiveLog
from replay.rebuild import rebuild
from replay.verify import verify
from tests import pg
from tests.checkout import ROOT
from tests.unit.replay.days import trading_day

ACCOUNT, OTHER = "sim/test/kept", "sim/test/other"
MARCH, APRIL, MAY = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)
MONTH = "2026-03"
NOON = 1_779_278_400_000_000
PLACES = int(os.environ.get("OMS_TAMPERING_PLACES", "6"))


@dataclass
class Desk:
    """A database of three months, sealed but for the last, an empty archive, and the command line."""

    conninfo: str
    folder: Path
    oms: Callable[..., tuple[int, dict[str, Any]]]
    stack: ExitStack

    def log(self, *, with_archive: bool = True) -> PostgresLog:
        archive = Folder(self.folder) if with_archive else None
        return self.stack.enter_context(closing(PostgresLog(self.conninfo, archive=archive)))

    def archive(self, *words: str, month: str = MONTH) -> tuple[int, dict[str, Any]]:
        return self.oms("archive", month, "--to", str(self.folder), *words)

    def change(self, statement: str) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def tables(self) -> list[tuple[str, bool]]:
        """Tables of months, and whether each is part of the log."""
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(
                "SELECT relname, relispartition FROM pg_class "
                "WHERE relname LIKE 'event_2%' AND relkind = 'r' ORDER BY 1"
            ).fetchall()

    def checked(self) -> list[str]:
        """Checks of the whole log that find something, in SQL."""
        with psycopg.connect(self.conninfo) as connection:
            names = ("i01_seq_is_gapless", "i02_sealed_rows_are_unchanged", "i03_chain_holds",
                     "i11_every_decision_has_its_cause", "i84_history_is_append_only")  # fmt: skip
            return [
                name for name in names if connection.execute(f"TABLE oms_check.{name}".encode()).fetchall()
            ]


def live(log: PostgresLog, account: str, seed: int) -> None:
    """Three months of a few trades."""
    with trading_day(names=("AAPL", "MSFT"), log=log, seed=seed, account=account) as day:
        day.walk(90)
        day.restart(date(2026, 3, 30))
        day.walk(30)
        for month in (4, 5):
            day.restart(date(2026, month, 2))
            day.walk(20)
        day.silence(5)


@pytest.fixture(scope="module", params=pg.MAJORS)
def lived(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """(version, database) of two accounts that lived through three months."""
    with pg.database(request.param) as conninfo, closing(PostgresLog(conninfo)) as log:
        log.ensure_partitions(MARCH, 3)
        live(log, ACCOUNT, 1)
        live(log, OTHER, 2)
        log.close()
        yield request.param, conninfo


@pytest.fixture
def desk(
    lived: tuple[int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    def oms(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    major, conninfo = lived
    with pg.copy_of(conninfo, major) as copy, ExitStack() as stack:
        monkeypatch.setenv("OMS_DATABASE_URL", copy)
        monkeypatch.setenv("OMS_ANCHOR", str(tmp_path / "anchor.jsonl"))
        monkeypatch.setenv("OMS_ANCHOR_KEY", str(tmp_path / "key"))
        monkeypatch.delenv("OMS_ARCHIVE", raising=False)
        assert oms("seal")[0] == 0
        yield Desk(copy, tmp_path / "archive", oms, stack)


def code_of(said: dict[str, Any]) -> str:
    return str(said["error"]["code"])


def test_a_month_leaves_and_the_log_reads_on(desk: Desk) -> None:
    log = desk.log()
    before = {name: list(log.read_stored(name)) for name in (ACCOUNT, OTHER)}
    book = rebuild(log, ACCOUNT)
    code, said = desk.archive()
    assert (code, said["detached"]) == (0, True)
    assert desk.tables()[0] == ("event_2026_03", False)
    # With the archive nothing has changed for a reader; without it, it is told what is missing.
    for name, rows in before.items():
        assert [(row.envelope, row.chain, row.raw) for row in log.read_stored(name)] == [
            (row.envelope, row.chain, row.raw) for row in rows
        ]
        assert list(log.read(name, 5, 9)) == [row.envelope for row in rows[5:9]]
    assert verify(log, ACCOUNT).is_identical
    again = rebuild(log, ACCOUNT)
    assert digest(again.account, again.pipelines) == digest(book.account, book.pipelines)
    alone = desk.log(with_archive=False)
    with pytest.raises(Archived, match="left the database"):
        alone.read(ACCOUNT)
    last = alone.archived_until(ACCOUNT)
    assert list(alone.read(ACCOUNT, last)) == [row.envelope for row in before[ACCOUNT][last:]]
    assert desk.checked() == []


def test_commands_read_the_archive_and_the_log_as_one(desk: Desk) -> None:
    assert desk.archive()[0] == 0
    code, said = desk.oms("verify")
    assert (code, code_of(said)) == (2, "OMS-D015")
    code, said = desk.oms("verify", "--archive", str(desk.folder))
    assert (code, [one["intact"] for one in said["accounts"]]) == (0, [True, True])
    code, said = desk.oms("verify", "--offline", str(desk.folder))
    assert (code, [one["intact"] for one in said["accounts"]]) == (0, [True, True])
    code, said = desk.oms("replay", "--account", ACCOUNT, "--archive", str(desk.folder), "--verify")
    assert (code, said["verify"], said["chain"]) == (0, "identical", "intact")
    code, said = desk.oms("replay", "2026-03-09", "--account", ACCOUNT, "--archive", str(desk.folder))
    assert (code, said["state"]["trading_day"]) == (0, "2026-03-09")
    code, said = desk.oms("replay", str(desk.folder), "--account", OTHER, "--verify")
    assert (code, said["verify"], said["chain"]) == (0, "identical", "intact")


def test_month_after_month_leaves_in_order(desk: Desk) -> None:
    code, said = desk.archive(month="2026-04")
    assert (code, code_of(said)) == (1, "OMS-V004")
    assert desk.archive()[0] == 0
    code, said = desk.archive(month="2026-04")
    assert (code, said["detached"]) == (0, True)
    code, said = desk.archive(month="2026-05")
    assert (code, code_of(said)) == (1, "OMS-V001")
    assert [attached for _, attached in desk.tables()] == [False, False, True]
    assert desk.oms("verify", "--archive", str(desk.folder))[0] == 0
    assert verify(desk.log(), OTHER).is_identical
    # The later file alone has no beginning, and says so.
    part_path(desk.folder, OTHER, MARCH).unlink()
    code, said = desk.oms("verify", "--archive", str(desk.folder), "--account", OTHER)
    assert (code, said["accounts"][0]["broken"]) == (1, "changed byte")


def test_the_same_command_again_proves_it_again_and_may_delete(desk: Desk) -> None:
    assert desk.archive()[0] == 0
    code, said = desk.archive("--drop")
    assert (code, said["detached"], said["dropped"]) == (0, True, True)
    assert [name for name, _ in desk.tables()] == ["event_2026_04", "event_2026_05"]
    assert desk.archive()[0] == 0
    with pytest.raises(MissingPartition, match="archived"):
        desk.log().ensure_partitions(MARCH)


def test_a_detached_table_is_not_taken_for_room(desk: Desk) -> None:
    assert desk.archive()[0] == 0
    with pytest.raises(MissingPartition, match="stands apart"):
        desk.log().ensure_partitions(MARCH, 2)
    assert desk.log().ensure_partitions(APRIL, 2) == []


def test_an_export_alone_detaches_nothing(desk: Desk) -> None:
    code, said = desk.archive("--account", ACCOUNT)
    assert (code, said["detached"], len(said["accounts"])) == (0, False, 1)
    assert desk.archive("--keep")[0] == 0
    assert all(attached for _, attached in desk.tables())
    rows = [(row.envelope, row.chain) for row in ArchiveLog(Archive(desk.folder)).read_stored(ACCOUNT)]
    assert rows == [(row.envelope, row.chain) for row in desk.log().read_stored(ACCOUNT, 0, len(rows))]


@pytest.mark.parametrize("place", range(PLACES))
def test_a_changed_byte_is_found_and_the_month_stays(desk: Desk, place: int) -> None:
    assert desk.archive("--keep")[0] == 0
    path = part_path(desk.folder, ACCOUNT, MARCH)
    data = bytearray(path.read_bytes())
    at = Random(place).randrange(len(data))
    data[at] ^= 1 << place % 8
    path.write_bytes(bytes(data))
    code, said = desk.archive()
    assert (code, said["ok"]) == (1, False)
    assert all(attached for _, attached in desk.tables())
    assert desk.oms("verify", "--offline", str(desk.folder))[0] == 1


def test_rows_that_were_forged_with_their_checksum_are_found(desk: Desk) -> None:
    assert desk.archive("--keep")[0] == 0
    path = part_path(desk.folder, ACCOUNT, MARCH)
    kept = Archive(path)
    rows = [replace(row, envelope=replace(row.envelope, reason="another")) for row in kept.read(ACCOUNT)]
    write_part(path, kept.parts(ACCOUNT)[0], rows)
    code, said = desk.archive()
    assert (code, code_of(said)) == (1, "OMS-V003")
    assert all(attached for _, attached in desk.tables())
    code, said = desk.oms("verify", "--offline", str(desk.folder), "--account", ACCOUNT)
    assert (code, said["accounts"][0]["broken"], said["accounts"][0]["first_bad_seq"]) == (
        1,
        "changed byte",
        1,
    )


def test_recording_times_that_were_forged_are_found(desk: Desk) -> None:
    assert desk.archive("--keep")[0] == 0
    path = part_path(desk.folder, ACCOUNT, MARCH)
    kept = Archive(path)
    part = kept.parts(ACCOUNT)[0]
    rows = list(kept.read(ACCOUNT))
    write_part(path, part, [*rows[:-1], replace(rows[-1], recorded_at=rows[-1].recorded_at + 1)])
    code, said = desk.archive()
    assert (code, code_of(said), "recording times" in said["error"]["why"]) == (1, "OMS-V003", True)
    assert all(attached for _, attached in desk.tables())


@pytest.mark.parametrize("point", BESIDE)
def test_killed_anywhere_the_same_command_goes_on(desk: Desk, point: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMS_FAILPOINT": f"{point}:1"}
    words = [sys.executable, "-m", "oms", "archive", MONTH, "--to", str(desk.folder)]
    killed = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    is_gone = point == "archive.detached"
    assert desk.tables()[0] == ("event_2026_03", not is_gone)
    assert desk.checked() == []
    code, said = desk.archive()
    assert (code, said["detached"]) == (0, True)
    assert desk.oms("verify", "--archive", str(desk.folder))[0] == 0
    assert not list(desk.folder.rglob("*.partial"))


def test_rows_that_come_while_it_is_exported_keep_the_month(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    detach = retention.detach

    def late(*arguments: Any) -> None:
        with trading_day(log=desk.log(), account="sim/test/late") as day:
            day.walk(5)
        detach(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(retention, "detach", late)
        code, said = desk.archive()
    assert (code, code_of(said)) == (1, "OMS-D018")
    assert all(attached for _, attached in desk.tables())
    assert desk.checked() == []


def test_another_months_file_is_never_written_over(desk: Desk) -> None:
    assert desk.archive("--keep")[0] == 0
    path, other = (part_path(desk.folder, name, MARCH) for name in (ACCOUNT, OTHER))
    path.write_bytes(other.read_bytes())
    sum_path(path).write_bytes(sum_path(other).read_bytes())
    before = path.read_bytes()
    code, said = desk.archive()
    assert (code, code_of(said), path.read_bytes()) == (1, "OMS-V002", before)


def test_only_the_archiver_may_detach(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # The archiver may cache folds as a member of the owner; the writer may, too, and no more.
    monkeypatch.setenv("OMS_DATABASE_URL", make_conninfo(desk.conninfo, user="oms_writer"))
    code, said = desk.archive()
    assert (code, code_of(said)) == (1, "OMS-D018")
    assert all(attached for _, attached in desk.tables())
    monkeypatch.setenv("OMS_DATABASE_URL", make_conninfo(desk.conninfo, user="oms_archiver"))
    assert desk.archive("--drop")[0] == 0


def test_a_writer_goes_on_without_the_archive(desk: Desk) -> None:
    assert desk.archive("--drop")[0] == 0
    alone = desk.log(with_archive=False)
    resumed = resume(alone, ACCOUNT)
    whole = rebuild(desk.log(), ACCOUNT)
    assert resumed.snapshot_seq > alone.archived_until(ACCOUNT)
    assert digest(resumed.book.account, resumed.book.pipelines) == digest(whole.account, whole.pipelines)
    assert alone.first_link(ACCOUNT) == next(desk.log().read_stored(ACCOUNT)).chain
    # Another program folds all of it, for which it needs the archive.
    desk.change("DELETE FROM oms.snapshot")
    with pytest.raises(Archived):
        resume(alone, ACCOUNT)
    assert resume(desk.log(), ACCOUNT).snapshot_seq == 0


def test_days_after_the_archive_are_sealed_with_it(desk: Desk, tmp_path: Path) -> None:
    desk.change("DELETE FROM oms.day_seal WHERE trading_day = '2026-04-02'")
    assert desk.archive()[0] == 0
    code, said = desk.oms("seal")
    assert (code, code_of(said)) == (2, "OMS-D015")
    assert desk.oms("seal", "--archive", str(desk.folder))[0] == 0
    # An anchor that begins now leaves out what is no longer here to be measured.
    code, said = desk.oms(
        "seal",
        "--archive",
        str(desk.folder),
        "--anchor",
        str(tmp_path / "another"),
        "--key",
        str(tmp_path / "other"),
    )
    assert (code, [one["day"] for one in said["sealed"]]) == (0, ["2026-04-02"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("archive", "2026-13", "--to", "x"), "OMS-V012"),
        (("archive", "never", "--to", "x"), "OMS-V012"),
        (("archive", MONTH, "--to", "x", "--drop", "--keep"), "OMS-V010"),
        (("archive", MONTH, "--to", "x", "--account", "sim/no/body"), "OMS-V011"),
        (("archive", "2020-01", "--to", "x"), "OMS-V005"),
        (("archive", MONTH, "--to", "/proc/nowhere"), "OMS-V013"),
    ],
)
def test_wrong_words_are_refused(desk: Desk, words: tuple[str, ...], code: str) -> None:
    found, said = desk.oms(*words)
    assert (found in (1, 2), code_of(said)) == (True, code)
    assert all(attached for _, attached in desk.tables())


def test_a_start_without_room_for_its_month_is_refused(desk: Desk) -> None:
    url = os.environ["OMS_DATABASE_URL"]
    asked = {"database": make_conninfo(url, user="oms_writer"), "day": date(2026, 5, 20), "at": NOON}
    with pytest.raises(MissingPartition, match="2026-06"), Oms.open(**asked):
        pass
    # With the months made ahead by who may, the same start goes through.
    desk.log().ensure_partitions(date(2026, 6, 1), 2)
    with Oms.open(**asked) as opened:
        assert opened.day().digest


def test_an_unsealed_month_stays(desk: Desk) -> None:
    desk.change("DELETE FROM oms.day_seal WHERE trading_day = '2026-03-30'")
    code, said = desk.archive()
    assert (code, code_of(said)) == (1, "OMS-V001")
    assert "has no seal" in said["error"]["why"]
    assert not desk.folder.exists()
