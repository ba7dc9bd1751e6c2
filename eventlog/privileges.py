"""Whether a login could change what is logged. A live writer asks before it starts, and does not start if it could.

Asked are the server's own answers about privileges, memberships and ownership; where those find nothing, the
forbidden acts are tried on an empty partition of the log in a transaction that is always rolled back. An act counts
as refused only if the server says so: one that ran into a lock or anything else may have been allowed.
Reliability 5.3, I84.
"""

from typing import Any, Final

import psycopg
from msgspec import Struct

from eventlog import queries

PROBE: Final = "oms.event_probe"
"""A partition for days before the year 1: it is always empty, and nothing waits for it."""
TIMEOUTS: Final = ("SET LOCAL lock_timeout = '1s'", "SET LOCAL statement_timeout = '5s'")
REFUSED: Final = "42501"
_BEFORE_ALL: Final = "trading_day < DATE '0001-01-01'"


class Act(Struct, frozen=True):
    """Something that only the owner of the log may do."""

    name: str
    statement: str


# Of each of these the server asks whether it is allowed before it waits for a lock that readers would notice.
ACTS: Final = (
    Act("UPDATE of events", f"UPDATE oms.event SET reason = '' WHERE {_BEFORE_ALL}"),
    Act("UPDATE of a partition", f"UPDATE {PROBE} SET reason = ''"),
    Act("DELETE of events", f"DELETE FROM oms.event WHERE {_BEFORE_ALL}"),
    Act("DELETE of a partition", f"DELETE FROM {PROBE}"),
    Act("TRUNCATE of a partition", f"TRUNCATE {PROBE}"),
    Act("DROP of a partition", f"DROP TABLE {PROBE}"),
    Act("detaching a partition", f"ALTER TABLE oms.event DETACH PARTITION {PROBE}"),
    Act("changing a partition", f"ALTER TABLE {PROBE} ALTER COLUMN reason SET NOT NULL"),
    Act("granting itself more", f"GRANT UPDATE, DELETE, TRUNCATE ON {PROBE} TO SESSION_USER"),
    Act("becoming the owner", "SET LOCAL ROLE oms_owner"),
    Act("becoming the archiver", "SET LOCAL ROLE oms_archiver"),
    Act("switching constraints and triggers off", "SET LOCAL session_replication_role = replica"),
)
Connection = psycopg.Connection[Any]


def excess(connection: Connection) -> tuple[str, ...]:
    """What this connection's login could do to the log beyond appending, in words; empty if nothing."""
    found = tuple(str(row[0]) for row in connection.execute(queries.EXCESS).fetchall())
    return found or attempt(connection)


def attempt(connection: Connection) -> tuple[str, ...]:
    """Try every forbidden act and take it back; return those that were not refused."""
    return tuple(told for act in ACTS if (told := _attempted(connection, act)) is not None)


def _attempted(connection: Connection, act: Act) -> str | None:
    try:
        with connection.transaction(force_rollback=True):
            for statement in TIMEOUTS:
                connection.execute(statement)
            connection.execute(act.statement.encode())
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        if error.sqlstate == REFUSED:
            return None
        return f"{act.name} was not refused; it failed by {error.sqlstate}"
    return f"{act.name} was not refused"
