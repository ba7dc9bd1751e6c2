"""Migrations on a log that has rows: nothing of them changes, all or nothing, and a rehearsal leaves no trace."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from eventlog import postgres, schema
from eventlog.errors import DatabaseNewer, LogError
from eventlog.event_types import EventType, register
from eventlog.postgres import PostgresLog
from eventlog.verify import verify_chain
from oms.events.schemas import described
from oms.shell.databases import bring_up, make_ready
from tests import pg
from tests.checkout import ROOT
from tests.contract.steps import DAY, stream

ACCOUNT = "sim/old/1"
REVISIONS = ["0001", "0002", "0003", "0004", "0005"]
ROWS = """SELECT e.*, e.xmin::text, e.ctid::text FROM oms.event AS e ORDER BY seq"""
BESIDE = ("account_head", "inbox", "outbox", "raw_frame", "config_version")
TYPES = [EventType(*one) for one in described()]


@pytest.fixture(params=pg.MAJORS)
def empty(request: pytest.FixtureRequest) -> Iterator[str]:
    with pg.empty_database(request.param) as conninfo:
        yield conninfo


def stop_at(conninfo: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program of that revision would have made."""
    with monkeypatch.context() as patch:
        patch.setattr(schema, "REVISION", revision)
        patch.setattr(schema, "_define_views", lambda _: 0)
        if revision < "0003":
            # Nothing belonged to anybody in particular.
            patch.setattr(schema, "become_owner", lambda _: None)
        # No program of that revision knew of an archive.
        patch.setattr(schema, "_is_archived", lambda *_: False)
        schema.upgrade(conninfo)
        patch.setattr(postgres, "check_revision", lambda _: None)
        log = PostgresLog(conninfo)
        log.ensure_partitions(DAY, 2)
        log.append(log.acquire(ACCOUNT, "me"), list(stream(1, 200)))
        log.close()


def content(conninfo: str) -> dict[str, list[Any]]:
    with psycopg.connect(conninfo) as connection:
        found = {
            name: connection.execute(f"SELECT * FROM oms.{name} ORDER BY 1, 2".encode()).fetchall()
            for name in BESIDE
        }
        return found | {"event": connection.execute(ROWS.encode()).fetchall()}


def everything(conninfo: str) -> list[Any]:
    query = "SELECT oid::regclass::text, relowner, relacl::text, relnatts FROM pg_class WHERE oid > 16384 ORDER BY 1"
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_populated_log_is_migrated_without_touching_a_row(
    empty: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(empty, revision, monkeypatch)
    before = content(empty)
    assert len(before["event"]) >= 200
    assert schema.upgrade(empty) == schema.REVISION
    # Not even the place of a row on its page has changed.
    assert content(empty) == before
    log = PostgresLog(make_conninfo(empty, user="oms_writer"))
    assert verify_chain(log, ACCOUNT).intact
    head = log.acquire(ACCOUNT, "me")
    assert log.append(head, list(stream(head.seq + 1, 20))).seq > head.seq
    assert log.excess() == ()
    log.close()


@pytest.mark.parametrize("revision", [None, *REVISIONS])
def test_a_rehearsal_says_what_would_run_and_leaves_no_trace(
    empty: str, revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if revision is not None:
        stop_at(empty, revision, monkeypatch)
    before = everything(empty)
    plan = schema.rehearse(empty)
    assert everything(empty) == before
    assert plan.found == revision
    assert plan.views > 20
    assert any("CREATE TABLE oms.archived_month" in one for one in plan.statements)
    assert any("CREATE TABLE oms.event " in one for one in plan.statements) == (revision is None)
    schema.upgrade(empty)
    assert schema.rehearse(empty) == schema.Rehearsal(schema.REVISION, (), 0)


def test_a_migration_that_fails_changes_nothing(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(empty, "0002", monkeypatch)
    before = everything(empty)

    def fail(_: object) -> int:
        raise psycopg.errors.DiskFull("no room")

    monkeypatch.setattr(schema, "_define_views", fail)
    with pytest.raises(LogError):
        schema.upgrade(empty)
    assert everything(empty) == before


def test_a_newer_database_is_not_rehearsed() -> None:
    with pg.database() as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE oms.alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseNewer, match="9999"):
            schema.rehearse(conninfo)


def test_event_types_are_registered_once_and_follow_the_program() -> None:
    with pg.database() as conninfo:
        months, types = bring_up(conninfo, DAY)
        assert len(months) == 3
        assert types == TYPES
        assert bring_up(conninfo, DAY) == ([], [])
        changed = EventType(
            TYPES[0].type, TYPES[0].version, TYPES[0].kind, "another meaning", {"type": "object"}
        )
        with psycopg.connect(conninfo, autocommit=True) as connection:
            assert register(connection, [changed]) == [changed]
            assert register(connection, [changed]) == []
            count = connection.execute("SELECT count(*) FROM oms.event_type").fetchone()
        assert count == (len(TYPES),)
        assert bring_up(conninfo, DAY) == ([], [TYPES[0]])
        with pytest.raises(LogError, match="may not"):
            bring_up(make_conninfo(conninfo, user="oms_writer"), DAY.replace(year=2033))


def oms(conninfo: str, *words: str) -> tuple[int, dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMS_DATABASE_URL": url_of(conninfo)}
    command_line = [sys.executable, "-m", "oms", *words, "--json"]
    done = subprocess.run(
        command_line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def url_of(conninfo: str) -> str:
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    return f"postgresql://{given['user']}@/{given['dbname']}?host={Path(str(given['host'])).as_posix()}&port={given['port']}"


def test_the_command_rehearses_and_upgrades(empty: str) -> None:
    code, said = oms(empty, "db", "upgrade", "--dry-run")
    assert (code, said["found"], said["revision"], said["dry_run"]) == (0, None, schema.REVISION, True)
    assert len(said["statements"]) > 40
    with psycopg.connect(empty) as connection:
        assert schema.current_revision(connection) is None
    code, said = oms(empty, "db", "upgrade")
    assert (code, said["dry_run"], len(said["months"]), len(said["event_types"])) == (0, False, 3, len(TYPES))
    with psycopg.connect(empty) as connection:
        assert schema.current_revision(connection) == schema.REVISION
    code, said = oms(empty, "db", "upgrade")
    assert (code, said["found"], said["statements"], said["months"]) == (0, schema.REVISION, [], [])


def test_a_database_that_only_reads_is_ready_without_new_event_types(empty: str) -> None:
    """As a standby is, after the program was renewed and before an owner has upgraded."""
    schema.upgrade(empty)
    make_ready(make_conninfo(empty, options="-c default_transaction_read_only=on"))
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT count(*) FROM oms.event_type").fetchone() == (0,)
    make_ready(empty)
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT count(*) > 50 FROM oms.event_type").fetchone() == (True,)
