"""Bringing a database to the shape this program needs, and making room for trading days.

SQLAlchemy and Alembic are loaded only when a migration is asked for.
"""

import threading
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

import psycopg
from msgspec import Struct
from psycopg import sql

from eventlog import failpoints, queries, views
from eventlog.errors import DatabaseAway, DatabaseNewer, LogError, MissingPartition

if TYPE_CHECKING:
    from alembic.config import Config

Connection = psycopg.Connection[Any]

REVISION = "0006"
SCHEMA = "oms"
OWNER = "oms_owner"
MIGRATION_ATTEMPTS = 5
SNAPSHOTS_KEPT = 8
# The name of a table, that of the type of its rows, or an index entry of either: which one collides is chance.
_MADE_BY_ANOTHER = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
    psycopg.errors.UniqueViolation,
)
# Alembic keeps its context in its module, so threads take turns; other processes are told apart by _RACES.
_one_at_a_time = threading.Lock()
# Duplicate key, table, schema or role, and a catalogue row changed by a concurrent migration.
_RACES = {"23505", "42P07", "42P06", "42710", "XX000", "40P01"}


def upgrade(conninfo: str) -> str:
    """Bring the database to this program's revision and return it. Raises DatabaseNewer.

    All missing migrations run in one transaction. Of two programs that migrate at once one loses a race on
    some catalogue row, is rolled back and finds the work done.
    """
    for attempt in range(MIGRATION_ATTEMPTS):
        try:
            _bring_up(conninfo)
            return REVISION
        except psycopg.Error as error:
            if error.sqlstate not in _RACES or attempt == MIGRATION_ATTEMPTS - 1:
                raise _failed(error) from error
    raise AssertionError("unreachable: the last attempt returns or raises")


class Rehearsal(Struct, frozen=True):
    """What an upgrade would do: from which revision (None: there is no log), by what statements, how many views."""

    found: str | None
    statements: tuple[str, ...]
    views: int


def rehearse(conninfo: str) -> Rehearsal:
    """Run what `upgrade` would run, for real, and take it all back. Raises what it would raise.

    It waits for a lock a second at most: a rehearsal stops nobody's trading for longer.
    """
    try:
        with psycopg.connect(conninfo) as connection:
            found = current_revision(connection)
            _refuse_newer(found)
            if found == REVISION:
                views_made = _define_views(connection)
                connection.rollback()
                return Rehearsal(found, (), views_made)
        statements: list[str] = []
        with _one_at_a_time:
            views_made = _migrate(conninfo, rehearsed=statements)
        return Rehearsal(found, tuple(statements), views_made)
    except psycopg.Error as error:
        raise _failed(error) from error


def current_revision(connection: Connection) -> str | None:
    """The revision of the database, None if it has no log yet."""
    if connection.execute("SELECT to_regclass('oms.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM oms.alembic_version").fetchone()
    return str(row[0]) if row else None


def check_revision(connection: Connection) -> None:
    """Refuse a database that this program does not fit. Raises DatabaseNewer or LogError."""
    found = current_revision(connection)
    _refuse_newer(found)
    if found != REVISION:
        state = "holds no event log" if found is None else f"has the older revision {found}"
        raise LogError(
            f"this database {state}; bring it to revision {REVISION} first (eventlog.schema.upgrade)"
        )


def ensure_partitions(connection: Connection, first_day: date, months: int = 1) -> list[str]:
    """Make room for `months` months from that of `first_day` on; return the partitions created.

    An existing partition costs one look. A new one is attached, not created in place: that does not block
    appends and readers of other months. Raises MissingPartition if this login may not make one.
    """
    created = []
    for number in range(months):
        index = first_day.year * 12 + first_day.month - 1 + number
        start = date(index // 12, index % 12 + 1, 1)
        if _create_partition(connection, start):
            created.append(partition_name(start))
    return created


def prune_snapshots(connection: Connection, keep: int = SNAPSHOTS_KEPT) -> int:
    """As the owner: delete all but the newest snapshots of each account and fold version; return how many went."""
    return connection.execute(queries.PRUNE_SNAPSHOTS, (keep,)).rowcount


def partition_name(day: date) -> str:
    """The table that holds the month of this day."""
    return f"event_{day.year:04d}_{day.month:02d}"


def month_table(connection: Connection, start: date) -> tuple[bool, bool]:
    """(the table of this month is there, it is part of the log): one that was detached is the one and not the other."""
    row = connection.execute(queries.MONTH, {"table": f"{SCHEMA}.{partition_name(start)}"}).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return bool(row[0]), bool(row[1])


def _is_archived(connection: Connection, start: date) -> bool:
    return connection.execute(queries.IS_ARCHIVED, (start,)).fetchone() == (True,)


def _create_partition(connection: Connection, start: date) -> bool:
    name = partition_name(start)
    is_there, is_attached = month_table(connection, start)
    if is_attached:
        return False
    if is_there or _is_archived(connection, start):
        raise MissingPartition(
            f"{start:%Y-%m} was archived and takes no more days\n"
            + (
                f"the table {SCHEMA}.{name} stands apart from the log"
                if is_there
                else "its rows left the database"
            )
            + "; days as old as that go into another database"
        )
    table = sql.Identifier(SCHEMA, name)
    # The last month of the calendar has no first day after it.
    last = (start.year, start.month) == (9999, 12)
    end = (
        sql.SQL("MAXVALUE")
        if last
        else sql.Literal(date(start.year + start.month // 12, start.month % 12 + 1, 1))
    )
    try:
        with connection.transaction():
            become_owner(connection)
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE oms.event INCLUDING ALL)").format(table))
            failpoints.reach("partition.created")
            connection.execute(
                sql.SQL("ALTER TABLE oms.event ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    table, sql.Literal(start), end
                )
            )
    except _MADE_BY_ANOTHER:
        return False
    except psycopg.errors.InsufficientPrivilege as error:
        raise MissingPartition(
            f"there is no room for days of {start:%Y-%m}, and this login may not make it; let oms_archiver do it"
        ) from error
    failpoints.reach("partition.attached")
    return True


def become_owner(connection: Connection) -> None:
    """Until the end of the transaction: what is made belongs to the owner, whoever of its members makes it."""
    connection.execute(f"SET LOCAL ROLE {OWNER}")


def _failed(error: psycopg.Error) -> LogError:
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return DatabaseAway(f"cannot reach the database to migrate it: {error}")
    if error.sqlstate == "42501":
        return LogError(
            f"this login may not bring the database to revision {REVISION}: {str(error).strip()}\n"
            "it needs CREATE on the database and CREATEROLE, or, where another login made the roles: "
            "GRANT oms_owner, oms_writer, oms_reader, oms_auditor, oms_archiver TO it WITH ADMIN OPTION"
        )
    return LogError(f"the migration failed ({error.sqlstate}): {error}")


def _refuse_newer(found: str | None) -> None:
    if found is not None and found > REVISION:
        raise DatabaseNewer(
            f"the database has revision {found}, this program knows up to {REVISION}; run the newer program"
        )


def _configuration() -> "Config":
    from alembic.config import Config

    config = Config()
    # A percent sign would be read as an interpolation.
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config


def _bring_up(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        found = current_revision(connection)
        _refuse_newer(found)
        if found == REVISION:
            # The usual start: without Alembic, whose import alone takes longer than all the rest.
            _define_views(connection)
            return
    with _one_at_a_time:
        _migrate(conninfo)


def _migrate(conninfo: str, rehearsed: list[str] | None = None) -> int:
    """Run the missing migrations and make the views; return how many. What is rehearsed is noted, not committed."""
    from alembic import command
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )
    config = _configuration()
    try:
        with engine.connect() as bound:
            if rehearsed is not None:
                bound.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
                event.listen(bound, "before_cursor_execute", _noting(rehearsed))
            # IF NOT EXISTS would want the right to create even if there is nothing to create.
            if bound.exec_driver_sql(f"SELECT to_regnamespace('{SCHEMA}')").scalar() is None:
                bound.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
            failpoints.reach("migration.begun")
            config.attributes["connection"] = bound
            command.upgrade(config, REVISION)
            made = _define_views(cast(Connection, bound.connection.driver_connection))
            failpoints.reach("migration.done")
            if rehearsed is not None:
                bound.rollback()
                return made
            bound.commit()
            failpoints.reach("migration.committed")
            return made
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from error
        raise


def _noting(statements: list[str]) -> Callable[..., None]:
    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            statements.append(statement)

    return note


def _define_views(connection: Connection) -> int:
    """Make the views that this program brings. They are derived, so they need no migration of their own.

    If any differs from what is there, all are made again: they build on one another. Returns how many were made.
    """
    wanted = views.definitions()
    found = dict(connection.execute(views.FOUND).fetchall())
    if found == {view.name: view.digest for view in wanted}:
        return 0
    become_owner(connection)
    for name in found:
        connection.execute(sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(views.identifier(name)))
    for view in wanted:
        name = views.identifier(view.name)
        connection.execute(sql.SQL("CREATE VIEW {} AS {}").format(name, sql.SQL(view.text)))
        connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(name, sql.Literal(view.digest)))
        connection.execute(sql.SQL("GRANT SELECT ON {} TO oms_reader, oms_auditor").format(name))
    return len(wanted)
