"""Append-only by privilege: who owns the log, what a writer may not do to it, and who is let in to write live."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from eventlog import embedded, failpoints, privileges, schema
from eventlog.errors import LogError, MissingPartition
from eventlog.postgres import PostgresLog
from oms.errors import EnvironmentProblem
from oms.shell.embed import Oms
from tests import builders, pg
from tests.contract.steps import DAY, stream

ACCOUNT = "sim/roles/1"
ROLES = """
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname LIKE 'oms%' ORDER BY 1
"""
FOREIGN = """
SELECT oid::regclass::text, relowner::regrole::text FROM pg_class
WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'oms%') AND relkind IN ('r', 'p', 'v')
    AND relowner::regrole::text <> 'oms_owner'
"""
PARTITIONS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'oms.event'::regclass ORDER BY 1"
)

# Every way to another past, or to the right to it, that is known here. `{part}` is each partition, and the parent.
ROUTES = [
    "UPDATE {part} SET reason = 'x'",
    "UPDATE {part} SET chain = '' WHERE seq = 1",
    "UPDATE ONLY {part} SET recorded_at = now()",
    "DELETE FROM {part}",
    "DELETE FROM {part} WHERE false",
    "TRUNCATE {part}",
    "TRUNCATE {part} CASCADE",
    "MERGE INTO {part} AS e USING (SELECT 1) AS one ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO {part} AS e USING (SELECT 1) AS one ON true WHEN MATCHED THEN UPDATE SET reason = 'x'",
    "INSERT INTO {part} SELECT * FROM oms.event ON CONFLICT (shard, account, seq, trading_day) DO UPDATE SET seq = 0",
    "WITH gone AS (DELETE FROM {part} RETURNING *) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM {part}",
    "PREPARE p AS DELETE FROM {part}; EXECUTE p",
    "DO $$ BEGIN DELETE FROM {part}; END $$",
    "SELECT * FROM {part} FOR UPDATE",
    "DROP TABLE {part}",
    "ALTER TABLE {part} RENAME TO gone",
    "ALTER TABLE {part} DROP COLUMN body",
    "ALTER TABLE {part} ADD COLUMN note text",
    "ALTER TABLE {part} ALTER COLUMN body TYPE text",
    "ALTER TABLE {part} SET SCHEMA public",
    "ALTER TABLE {part} OWNER TO oms_writer",
    "ALTER TABLE {part} DISABLE TRIGGER ALL",
    "ALTER TABLE {part} ENABLE ROW LEVEL SECURITY",
    "CREATE TRIGGER t BEFORE INSERT ON {part} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE r AS ON INSERT TO {part} DO INSTEAD NOTHING",
    "CREATE POLICY p ON {part}",
    "CREATE UNIQUE INDEX ON {part} (type)",
    "CLUSTER {part} USING event_pkey",
    "DO $$ BEGIN LOCK TABLE {part} IN ACCESS EXCLUSIVE MODE; END $$",
]
POWERS = [
    "ALTER TABLE oms.event DETACH PARTITION {first}",
    "ALTER TABLE oms.event DETACH PARTITION {first} CONCURRENTLY",
    "CREATE TABLE oms.more PARTITION OF oms.event FOR VALUES FROM ('2090-01-01') TO ('2090-02-01')",
    "CREATE TABLE oms.mine (x int)",
    "CREATE VIEW oms.mine AS SELECT 1 AS x",
    "CREATE FUNCTION oms.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "DROP SCHEMA oms CASCADE",
    "ALTER SCHEMA oms RENAME TO gone",
    "DROP OWNED BY oms_owner",
    "REASSIGN OWNED BY oms_owner TO oms_writer",
    "SET ROLE oms_owner",
    "SET ROLE oms_archiver",
    "SET SESSION AUTHORIZATION oms_owner",
    "SET session_replication_role = replica",
    "GRANT oms_owner TO oms_writer",
    "GRANT pg_write_all_data TO oms_writer",
    "GRANT UPDATE ON {first} TO oms_writer",
    "DO $$ BEGIN GRANT UPDATE ON oms.event TO oms_writer; UPDATE oms.event SET reason = 'x'; END $$",
    "ALTER ROLE oms_writer SUPERUSER",
    "ALTER ROLE oms_writer CREATEROLE",
    "ALTER ROLE oms_owner LOGIN",
    "ALTER DEFAULT PRIVILEGES FOR ROLE oms_owner GRANT UPDATE ON TABLES TO oms_writer",
    "UPDATE pg_class SET relacl = NULL",
    "DELETE FROM pg_inherits",
    "COPY oms.event TO PROGRAM 'true'",
    "COPY oms.event FROM PROGRAM 'true'",
    "COPY oms.event FROM '/dev/null'",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = 10 AND pid <> pg_backend_pid()",
    # Views through which the server would write into the table below, with the rights of their owner.
    "UPDATE oms_check.i76_operators_are_named SET account = 'x'",
    "DELETE FROM oms_check.i76_operators_are_named",
    "DELETE FROM oms_check.i34_stops_stand_alone",
    "DELETE FROM oms_check.i77_configuration_is_known",
    "CREATE EXTENSION vector",
]


@pytest.fixture(scope="module", params=pg.MAJORS)
def migrated(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with the rows of a day."""
    with pg.database(request.param) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            schema.ensure_partitions(connection, DAY, 2)
        log = PostgresLog(conninfo)
        log.append(log.acquire(ACCOUNT, "me"), list(stream(1, 40)))
        log.close()
        yield conninfo


@pytest.fixture(params=pg.MAJORS)
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server on which nobody has made a role yet, and which lets the OS user in as two more logins."""
    place = pg.home() / f"roles{request.param}" / "data"
    embedded.reset(place, request.param)
    with embedded.session(place, request.param) as conninfo:
        _let_in(place, "migrator", "stranger")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            for login in ("migrator", "stranger"):
                connection.execute(f"CREATE ROLE {login} LOGIN CREATEROLE".encode())
                connection.execute(f"CREATE DATABASE of_{login} OWNER {login}".encode())
        yield conninfo
    embedded.reset(place, request.param)


def _let_in(place: Path, *logins: str) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    with (place / "pg_ident.conf").open("a") as file:
        file.writelines(f'oms "{me}" "{login}"\n' for login in logins)


def rows(conninfo: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_login_with_createrole_alone_migrates(cluster: str) -> None:
    mine = make_conninfo(cluster, user="migrator", dbname="of_migrator")
    assert rows(mine, "SELECT rolsuper FROM pg_roles WHERE rolname = session_user") == [(False,)]
    assert schema.upgrade(mine) == schema.REVISION
    assert rows(mine, FOREIGN) == []
    assert rows(mine, ROLES) == [
        ("oms_archiver", True, False, False, False),
        ("oms_auditor", True, False, False, False),
        ("oms_owner", False, False, False, False),
        ("oms_reader", True, False, False, False),
        ("oms_writer", True, False, False, False),
    ]
    assert schema.upgrade(mine) == schema.REVISION
    archiver = make_conninfo(cluster, user="oms_archiver", dbname="of_migrator")
    with psycopg.connect(archiver, autocommit=True) as connection:
        assert schema.ensure_partitions(connection, DAY) == [schema.partition_name(DAY)]
    assert rows(mine, FOREIGN) == []
    log = PostgresLog(make_conninfo(cluster, user="oms_writer", dbname="of_migrator"))
    head = log.append(log.acquire(ACCOUNT, "me"), list(stream(1, 40)))
    assert log.excess() == ()
    log.close()
    with psycopg.connect(archiver, autocommit=True) as connection:
        name = schema.partition_name(DAY)
        connection.execute(f"ALTER TABLE oms.event DETACH PARTITION oms.{name}".encode())
    assert rows(mine, f"SELECT count(*) FROM oms.{name}") == [(head.seq,)]
    if rows(cluster, "SELECT current_setting('server_version_num')::int >= 160000") == [(True,)]:
        # Before that, CREATEROLE alone let a login grant any role.
        _refuse_who_may_not_grant(cluster)


def _refuse_who_may_not_grant(cluster: str) -> None:
    theirs = make_conninfo(cluster, user="stranger", dbname="of_stranger")
    with pytest.raises(LogError, match="WITH ADMIN OPTION"):
        schema.upgrade(theirs)
    assert rows(theirs, "SELECT to_regnamespace('oms')") == [(None,)]
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute("GRANT oms_owner TO stranger WITH ADMIN OPTION")
    assert schema.upgrade(theirs) == schema.REVISION
    assert rows(theirs, FOREIGN) == []
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute("REVOKE oms_owner FROM stranger CASCADE")
    with psycopg.connect(theirs, autocommit=True) as connection:
        assert "it can drop the database, which it owns" in privileges.excess(connection)


@pytest.mark.parametrize("role", ["oms_writer", "oms_reader", "oms_auditor"])
def test_no_route_leads_to_another_past(migrated: str, role: str) -> None:
    before = rows(migrated, "SELECT * FROM oms.event ORDER BY seq")
    parts = [str(row[0]) for row in rows(migrated, PARTITIONS)]
    assert len(parts) == 3
    tried = [route.format(part=part) for route in ROUTES for part in ("oms.event", *parts)]
    tried += [route.format(first=parts[0]) for route in POWERS]
    supplied = rows(migrated, "SELECT 'CREATE EXTENSION ' || name FROM pg_available_extensions")
    tried = [one for one in tried if not one.startswith("CREATE EXTENSION") or (one,) in supplied]
    with psycopg.connect(make_conninfo(migrated, user=role), autocommit=True) as connection:
        connection.prepare_threshold = None
        not_refused = [(one, answer) for one in tried if (answer := _answer(connection, one)) != "42501"]
    assert not_refused == []
    assert rows(migrated, "SELECT * FROM oms.event ORDER BY seq") == before


def _answer(connection: psycopg.Connection, statement: str) -> str:
    """The state of the error, or that there was none."""
    try:
        for one in statement.split("; ") if statement.startswith("PREPARE") else [statement]:
            connection.execute(one.encode())
    except psycopg.Error as error:
        return str(error.sqlstate)
    finally:
        connection.execute("DEALLOCATE ALL")
    return "none"


def test_who_may_only_append_has_no_excess(migrated: str) -> None:
    for role in ("oms_writer", "oms_reader", "oms_auditor"):
        with psycopg.connect(make_conninfo(migrated, user=role), autocommit=True) as connection:
            assert privileges.excess(connection) == ()
            assert privileges.attempt(connection) == ()


def test_every_act_is_tried_and_taken_back(migrated: str) -> None:
    catalogue = "SELECT oid::regclass::text, relowner, relacl::text, relkind FROM pg_class WHERE oid > 16384 ORDER BY 1"
    before = rows(migrated, catalogue), rows(migrated, PARTITIONS), rows(migrated, "SELECT * FROM oms.event")
    with psycopg.connect(migrated, autocommit=True) as connection:
        assert privileges.excess(connection) == ("it is a superuser",)
        assert privileges.attempt(connection) == tuple(
            f"{act.name} was not refused" for act in privileges.ACTS
        )
        assert connection.execute("SELECT current_user = session_user").fetchone() == (True,)
    after = rows(migrated, catalogue), rows(migrated, PARTITIONS), rows(migrated, "SELECT * FROM oms.event")
    assert after == before


@pytest.mark.parametrize(("grant", "told"), [
    ("GRANT UPDATE (reason) ON oms.event TO oms_writer", "it may UPDATE oms.event"),
    ("GRANT DELETE ON {part} TO PUBLIC", "it may DELETE {part}"),
    ("GRANT TRUNCATE ON {part} TO oms_writer", "it may TRUNCATE {part}"),
    ("GRANT TRIGGER ON oms.event TO oms_writer", "it may TRIGGER oms.event"),
    ("GRANT UPDATE ON oms.v_alert TO oms_writer", "it may UPDATE oms.v_alert"),
    ("GRANT DELETE ON oms.snapshot TO oms_writer", "it may DELETE oms.snapshot"),
    ("ALTER TABLE {part} OWNER TO oms_writer", "it owns {part}"),
    ("GRANT oms_owner TO oms_writer", "it is a member of oms_owner"),
    ("GRANT oms_archiver TO oms_writer", "it is a member of oms_archiver"),
    ("GRANT pg_write_all_data TO oms_writer", "it is a member of pg_write_all_data"),
    ("GRANT pg_execute_server_program TO oms_writer", "it is a member of pg_execute_server_program"),
    ("GRANT CREATE ON SCHEMA oms TO oms_writer", "it may create tables in the schema oms"),
])  # fmt: skip
def test_any_power_beyond_appending_is_found(migrated: str, grant: str, told: str) -> None:
    part = f"oms.{schema.partition_name(DAY)}"
    with psycopg.connect(migrated) as connection:
        connection.execute(grant.format(part=part).encode())
        connection.execute("SET LOCAL SESSION AUTHORIZATION oms_writer")
        assert told.format(part=part) in privileges.excess(connection)
        connection.rollback()


def test_an_act_that_waits_for_a_lock_is_not_called_refused(migrated: str) -> None:
    with psycopg.connect(migrated) as other:
        other.execute("LOCK TABLE oms.event_probe IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(make_conninfo(migrated, user="oms_writer"), autocommit=True) as connection:
            found = privileges.attempt(connection)
        other.rollback()
    assert "UPDATE of a partition was not refused; it failed by 55P03" in found


@pytest.fixture(scope="module")
def durable() -> Iterator[str]:
    """A server that waits for its disk, which those of the other tests do not."""
    with pg.durable_database() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            schema.ensure_partitions(connection, builders.DAY, 3)
        yield conninfo


@contextmanager
def opened(conninfo: str, place: Path) -> Iterator[Oms]:
    options = {"account": "sim/roles/live", "day": builders.DAY, "at": builders.OPEN, "place": place / "w"}
    with Oms.open(database=conninfo, **options) as oms:
        yield oms


def refused(conninfo: str, place: Path) -> str:
    """What a writer is told that is not let in, and that nothing was started."""
    with opened(conninfo, place) as oms:
        head = oms._log.head("sim/roles/live")
        with pytest.raises(EnvironmentProblem) as problem:
            oms.start()
        assert (oms._thread, oms._control) == (None, None)
        assert oms._log.head("sim/roles/live") == head
    return problem.value.render()


def test_a_writer_whose_login_could_change_the_log_does_not_start_live(durable: str, tmp_path: Path) -> None:
    assert refused(durable, tmp_path) == (
        "OMS-D012  This database login could change what is logged; nothing was started\n"
        "  in     the login that the writer appends with\n"
        "  why    it is a superuser\n"
        "  try    connect as oms_writer, which may append and nothing else: postgresql://oms_writer@HOST/DATABASE"
    )


def test_the_writer_role_starts_live(durable: str, tmp_path: Path) -> None:
    writer = make_conninfo(durable, user="oms_writer")
    with opened(writer, tmp_path) as oms:
        oms.start()
        assert oms._thread is not None
    end = oms._runner.head.seq
    with opened(writer, tmp_path) as oms:
        assert oms._runner.snapshot_seq == end


@pytest.mark.parametrize(("options", "told"), [
    ("-c synchronous_commit=off", "synchronous_commit is off: a crash loses the last steps"),
])  # fmt: skip
def test_a_database_that_may_forget_is_not_written_live(
    durable: str, tmp_path: Path, options: str, told: str
) -> None:
    said = refused(make_conninfo(durable, user="oms_writer", options=options), tmp_path)
    assert said.startswith("OMS-D013  This database may forget what it has acknowledged; nothing was started")
    assert told in said


def test_a_server_that_does_not_wait_for_its_disk_is_found(migrated: str) -> None:
    log = PostgresLog(make_conninfo(migrated, user="oms_writer"))
    assert log.forgetful() == (
        "fsync is off: a power cut loses or damages any of it",
        "full_page_writes is off: a power cut leaves torn pages",
    )
    log.close()


def test_a_process_that_is_to_die_does_not_start_live(tmp_path: Path) -> None:
    options = {"account": "sim/roles/live", "day": builders.DAY, "at": builders.OPEN, "place": tmp_path / "w"}
    with Oms.open(database="memory", **options) as oms:
        failpoints.arm(failpoints.Plan())
        try:
            with pytest.raises(EnvironmentProblem, match="OMS-D014"):
                oms.start()
        finally:
            failpoints.arm(None)
        assert oms._thread is None


def test_a_login_that_may_not_make_room_says_who_may(migrated: str) -> None:
    log = PostgresLog(make_conninfo(migrated, user="oms_writer"))
    with pytest.raises(MissingPartition, match="2077-05, and this login may not make it; let oms_archiver"):
        log.ensure_partitions(date(2077, 5, 1))
    log.close()
