"""Migrations give exactly the declared tables, and nothing that would not run on many servers."""

import ast
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from eventlog import schema
from eventlog.errors import DatabaseAway, DatabaseNewer, LogError
from eventlog.postgres import PostgresLog
from eventlog.privileges import PROBE
from eventlog.statements import EVENT
from eventlog.tables import event, metadata
from tests import pg
from tests.checkout import ROOT

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            pg_get_expr(d.adbin, d.adrelid), l.collname
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = 'oms'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
        ORDER BY c.relname, a.attnum""",
    "indexes": """
        SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'oms'::regnamespace ORDER BY 1, 2""",
    "constraints": """
        SELECT c.relname, o.conname, o.contype, pg_get_constraintdef(o.oid) FROM pg_constraint o
        JOIN pg_class c ON c.oid = o.conrelid
        WHERE c.relnamespace = 'oms'::regnamespace AND o.contype <> 'n' ORDER BY 1, 2""",
    "partitions": """
        SELECT relname, pg_get_partkeydef(oid) FROM pg_class
        WHERE relnamespace = 'oms'::regnamespace AND relkind = 'p' ORDER BY 1""",
}
UNDECLARED = {"alembic_version", PROBE.removeprefix("oms.")}
ACCOUNT_FREE = {"event_type", "config_version", "code_version", "alembic_version"}


def catalogue(conninfo: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the server knows about the schema, without Alembic's own table and the partition that start-up probes."""
    with psycopg.connect(conninfo) as connection:
        found = {name: connection.execute(query.encode()).fetchall() for name, query in CATALOGUE.items()}
    return {name: [row for row in rows if row[0] not in UNDECLARED] for name, rows in found.items()}


@pytest.fixture(scope="module", params=pg.MAJORS)
def migrated(request: pytest.FixtureRequest) -> Iterator[str]:
    with pg.database(request.param) as conninfo:
        yield conninfo


def test_migrations_equal_the_declared_tables(migrated: str, request: pytest.FixtureRequest) -> None:
    major = request.node.callspec.params["migrated"]
    with pg.empty_database(major) as declared:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(declared), poolclass=NullPool
        )
        with engine.begin() as connection:
            connection.execute(CreateSchema("oms"))
            metadata.create_all(connection)
        assert catalogue(migrated) == catalogue(declared)


def test_alembic_sees_no_difference(migrated: str) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(migrated), poolclass=NullPool
    )
    options = {
        "include_schemas": True,
        "version_table_schema": "oms",
        "compare_type": True,
        "include_name": lambda name, kind, _: kind != "table" or name not in UNDECLARED,
    }
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_append_writes_every_column() -> None:
    written = {"shard", "account", "recorded_at", *EVENT}
    assert {column.name for column in event.columns} == written


def test_every_key_of_an_account_starts_with_its_shard(migrated: str) -> None:
    keys = [row for row in catalogue(migrated)["indexes"] if row[0] not in ACCOUNT_FREE]
    assert len(keys) == 10
    assert [row for row in keys if "(shard, account" not in row[1]] == []


@pytest.mark.parametrize("query", [
    "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT rulename FROM pg_rules WHERE schemaname = 'oms'",
    "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'oms'::regnamespace",
    "SELECT proname FROM pg_proc WHERE pronamespace = 'oms'::regnamespace",
    "SELECT conname FROM pg_constraint WHERE contype IN ('f', 'x') AND connamespace = 'oms'::regnamespace",
    "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'",
    "SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relnamespace = 'oms'::regnamespace",
])  # fmt: skip
def test_nothing_that_one_server_alone_can_keep(migrated: str, query: str) -> None:
    with psycopg.connect(migrated) as connection:
        assert connection.execute(query.encode()).fetchall() == []


def test_no_statement_uses_what_one_server_alone_can_keep() -> None:
    package = Path(schema.__file__).parent
    files = [
        *package.glob("*.py"),
        *package.glob("views/**/*.sql"),
        *package.parent.glob("migrations/versions/*.py"),
    ]
    forbidden = re.compile(
        r"advisory|\bNOTIFY\b|\bLISTEN\b|CREATE (EXTENSION|TRIGGER|RULE|SEQUENCE|FUNCTION|PROCEDURE)|clock_timestamp"
        r"|\bnextval\b|\brandom\(\)|GENERATED .* AS IDENTITY"
    )
    found = [
        (path.name, match.group()) for path in files if (match := forbidden.search(path.read_text("utf-8")))
    ]
    assert found == []


def test_a_migration_sends_one_statement_at_a_time() -> None:
    """Several in one message are refused where the schema is spread over servers."""
    folder = Path(schema.__file__).parents[1] / "migrations" / "versions"
    found = [
        (path.name, node.value)
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"\s*(CREATE|ALTER|GRANT|REVOKE|DROP|INSERT|UPDATE|DELETE|SET) ", node.value)
        and ";" in node.value
    ]
    assert found == []


def test_revision_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(schema._configuration()).get_current_head() == schema.REVISION


def test_upgrade_twice_changes_nothing(migrated: str) -> None:
    before = catalogue(migrated)
    assert schema.upgrade(migrated) == schema.REVISION
    assert catalogue(migrated) == before


def test_concurrent_upgrades_all_succeed() -> None:
    program = "import sys; from eventlog.schema import upgrade; input(); print(upgrade(sys.argv[1]))"
    with pg.empty_database() as conninfo:
        command = [sys.executable, "-c", program, conninfo]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        children = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(4)]  # type: ignore[call-overload]
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        assert [child.communicate(timeout=120) for child in children] == [(f"{schema.REVISION}\n", "")] * 4


def test_threads_may_upgrade_at_once() -> None:
    with pg.empty_database() as conninfo:
        results: list[str] = []
        threads = [
            threading.Thread(target=lambda: results.append(schema.upgrade(conninfo))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert results == [schema.REVISION] * 3


def test_newer_database_is_refused() -> None:
    with pg.database() as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE oms.alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseNewer, match="9999"):
            schema.upgrade(conninfo)
        with pytest.raises(DatabaseNewer, match="9999"):
            PostgresLog(conninfo)


def test_database_without_log_says_what_to_do() -> None:
    with pg.empty_database() as conninfo:
        with psycopg.connect(conninfo) as connection:
            assert schema.current_revision(connection) is None
        with pytest.raises(LogError, match="holds no event log"):
            PostgresLog(conninfo)


def test_absent_server_says_so(tmp_path: Path) -> None:
    for opener in (schema.upgrade, lambda conninfo: PostgresLog(conninfo, patience_s=0.0)):
        with pytest.raises(DatabaseAway):
            opener(f"host={tmp_path} dbname=oms user=nobody")


def test_concurrent_partitions_are_made_once(migrated: str) -> None:
    """Which name collides first differs from race to race, so there are many."""
    programs, months = 4, 48
    together = threading.Barrier(programs)

    def make(_: int) -> list[str]:
        with psycopg.connect(migrated, autocommit=True) as connection:
            made = []
            for month in range(months):
                together.wait(60)
                made += schema.ensure_partitions(connection, date(2031 + month // 12, month % 12 + 1, 1))
            return made

    with ThreadPoolExecutor(programs) as pool:
        made = sorted(name for names in pool.map(make, range(programs)) for name in names)
    assert made == [f"event_{2031 + month // 12}_{month % 12 + 1:02d}" for month in range(months)]


@pytest.mark.parametrize(("role", "statement", "allowed"), [
    ("oms_writer", "INSERT INTO oms.inbox VALUES (1, 'a', 's', 'k', 1, '')", True),
    ("oms_writer", "UPDATE oms.account_head SET seq = 0 WHERE false", True),
    ("oms_writer", "DELETE FROM oms.outbox WHERE false", True),
    ("oms_writer", "UPDATE oms.event SET type = 'x' WHERE false", False),
    ("oms_writer", "DELETE FROM oms.event WHERE false", False),
    ("oms_writer", "TRUNCATE oms.event", False),
    ("oms_writer", "DELETE FROM oms.inbox WHERE false", False),
    ("oms_writer", "DELETE FROM oms.account_head WHERE false", False),
    ("oms_writer", "UPDATE oms.raw_frame SET frame = '' WHERE false", False),
    ("oms_writer", "INSERT INTO oms.event_type VALUES ('x', 1, 'I', '')", False),
    ("oms_reader", "SELECT * FROM oms.chain_check", True),
    ("oms_reader", "INSERT INTO oms.inbox VALUES (1, 'a', 's', 'k', 1, '')", False),
    ("oms_auditor", "SELECT * FROM oms.chain_check", True),
    ("oms_auditor", "DELETE FROM oms.outbox WHERE false", False),
])  # fmt: skip
def test_roles_may_do_what_the_design_grants(migrated: str, role: str, statement: str, allowed: bool) -> None:
    with psycopg.connect(migrated, user=role) as connection:
        if allowed:
            connection.execute(statement.encode())
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        connection.rollback()


def test_writer_role_suffices_for_a_log(migrated: str) -> None:
    from tests.contract.steps import DAY, stream

    with psycopg.connect(migrated, autocommit=True) as owner:
        schema.ensure_partitions(owner, DAY)
    log = PostgresLog(psycopg.conninfo.make_conninfo(migrated, user="oms_writer"))
    head = log.append(log.acquire("sim/roles/1", "me"), list(stream(1, 300)))
    log.renew(head)
    assert [row.seq for row in log.read("sim/roles/1")] == list(range(1, head.seq + 1))
    log.release(head)
    log.close()


def test_only_the_newest_snapshots_are_kept(migrated: str) -> None:
    """Of each account and fold version; only the owner can delete any."""
    columns = "shard, account, fold_version, seq, chain, digest, body"
    insert = f"INSERT INTO oms.snapshot ({columns}) VALUES (1, %s, %s, %s, '', '', '')"
    with psycopg.connect(migrated) as connection:
        keys = [(name, fold, seq) for name in ("a", "b") for fold in (1, 2) for seq in range(1, 6)]
        with connection.cursor() as cursor:
            cursor.executemany(insert.encode(), keys)
        assert schema.prune_snapshots(connection, 2) == 12
        left = connection.execute("SELECT account, fold_version, seq FROM oms.snapshot").fetchall()
        assert sorted(left) == [key for key in keys if key[2] > 3]
        assert schema.prune_snapshots(connection, 2) == 0
        connection.rollback()
    writer = psycopg.connect(migrated, user="oms_writer")
    with writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
        schema.prune_snapshots(writer)
