"""The event log behind an address: made ready by whoever may, opened by whoever may only append.

On the embedded server both are at hand, so the log is opened as oms_writer. On another database the given login does
both; a live writer refuses one that could change what is logged.
"""

from contextlib import ExitStack
from datetime import date
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from eventlog import embedded, failpoints, schema
from eventlog.event_types import EventType, register
from eventlog.failures import translated
from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from eventlog.postgres import PostgresLog
from oms.errors import EnvironmentProblem
from oms.events.schemas import described
from oms.shell.archives import earlier
from oms.shell.journaled import JournaledLog

MEMORY: Final = "memory"
EMBEDDED: Final = "embedded"
WRITER: Final = "oms_writer"
MONTHS_AHEAD: Final = 3
"""Room from the first day's month on, so that no day of the next 45 lacks it."""
SHOWN: Final = 3


def open_log(stack: ExitStack, database: str | EventLog, day: date) -> EventLog:
    """The log of an address ("embedded", "memory", a PostgreSQL URL), or the given one, with room from `day` on.

    `stack` closes what was opened here. Raises what migrating and connecting raise.
    """
    if not isinstance(database, str):
        log = database
        log.ensure_partitions(day, MONTHS_AHEAD)
    elif database == MEMORY:
        log = MemoryLog()
        log.ensure_partitions(day, MONTHS_AHEAD)
    elif database == EMBEDDED:
        conninfo = stack.enter_context(embedded.session())
        bring_up(conninfo, day)
        log = _connected(stack, make_conninfo(conninfo, user=WRITER))
    else:
        make_ready(database)
        log = _connected(stack, database)
        log.ensure_partitions(day, MONTHS_AHEAD)
    return log


def make_ready(conninfo: str) -> None:
    """Tables and views of this program, and its event types, where the login may register them.

    A mere writer or reader may not, and nobody on a standby; then an owner does it by `oms db upgrade`. Raises what
    migrating raises.
    """
    schema.upgrade(conninfo)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            register(connection, _types())
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
        return
    except psycopg.Error as error:
        raise translated(error, "(any)") from error


def bring_up(conninfo: str, day: date) -> tuple[list[str], list[EventType]]:
    """As the owner: tables and views of this program, room from `day` on, its event types; (new months, changed types).

    Snapshots that nobody will start from any more are deleted, which a writer may not do.
    Raises LogError for a login that may not, DatabaseNewer, DatabaseAway.
    """
    schema.upgrade(conninfo)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            months = schema.ensure_partitions(connection, day, MONTHS_AHEAD)
            schema.prune_snapshots(connection)
            return months, register(connection, _types())
    except psycopg.Error as error:
        raise translated(error, "(any)") from error


def _types() -> list[EventType]:
    return [EventType(*one) for one in described()]


def refuse_unfit(log: EventLog) -> None:
    """Let a writer go live only where nothing is wrong with its log. Raises EnvironmentProblem. Reliability 5.3."""
    if failpoints.is_armed():
        raise EnvironmentProblem(
            "OMS-D014",
            "This process is to die on purpose; nothing was started",
            where=f"{failpoints.VARIABLE} in the environment",
            hint="leave that variable out; it belongs to  python3 -m oms torture",
        )
    forgetful = log.forgetful() if isinstance(log, PostgresLog | JournaledLog) else ()
    if forgetful:
        raise EnvironmentProblem(
            "OMS-D013",
            "This database may forget what it has acknowledged; nothing was started",
            where="the settings of the server or of this login",
            why="; ".join(forgetful),
            hint="set them as PostgreSQL does by default, on the primary server",
        )
    _refuse_powerful_login(log)


def _refuse_powerful_login(log: EventLog) -> None:
    found = log.excess() if isinstance(log, PostgresLog | JournaledLog) else ()
    if found:
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise EnvironmentProblem(
            "OMS-D012",
            "This database login could change what is logged; nothing was started",
            where="the login that the writer appends with",
            why="; ".join(found[:SHOWN]) + more,
            hint=f"connect as {WRITER}, which may append and nothing else: postgresql://{WRITER}@HOST/DATABASE",
        )


def _connected(stack: ExitStack, conninfo: str) -> PostgresLog:
    log = PostgresLog(conninfo, archive=earlier())
    stack.callback(log.close)
    return log
