"""What a failure of PostgreSQL means for the caller: SQLSTATE in, one of our errors out."""

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from eventlog.errors import DatabaseAway, DuplicateKey, LogCorrupt, LogError, MissingPartition, Unstorable

# Serialisation failure, deadlock, cancelled by a timeout, lock not available: nothing was stored, try again.
TRANSIENT = {"40001", "40P01", "57014", "55P03"}
# A connection pooler gave us another session: it lacks a statement that we prepared, or has one of that name.
FORGOTTEN = "26000"
PREPARED_ALREADY = "42P05"
# A part of an append divides by the number of heads that match.
NO_MATCH = "22012"
# Connection exceptions, and the server ends, crashes, starts or is full.
_AWAY_CLASSES = ("08", "53")
_AWAY_STATES = {"57P01", "57P02", "57P03", "57P04", "57P05", "25006"}
# Data, a constraint, or too big for an index or a message: a property of the value, not of the moment.
_VALUE_CLASSES = ("22", "23", "54")


def is_away(error: psycopg.Error) -> bool:
    """Whether the server cannot answer now; without a SQLSTATE the connection itself broke.

    libpq may tell of a line that broke while it still calls the connection good; psycopg then knows no kind.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError
    return state.startswith(_AWAY_CLASSES) or state in _AWAY_STATES


def translated(error: psycopg.Error, account: str) -> LogError:
    """The error to raise for a statement that failed for good: nothing of it was stored."""
    state, detail = error.sqlstate or "", str(error).strip()
    if state == "23505" and (error.diag.table_name or "").startswith("inbox"):
        return DuplicateKey(f"account {account}: an inbox key of the batch exists already: {detail}")
    if state == "23505":
        return LogCorrupt(
            f"account {account}: rows exist beyond the head, so the head was set back: {detail}"
        )
    if state == "23514" and error.diag.constraint_name is None:
        return MissingPartition(
            f"account {account}: {detail}; make room with ensure_partitions before the day starts"
        )
    if state.startswith(_VALUE_CLASSES):
        return Unstorable(f"account {account}: the database refused a value ({state}): {detail}")
    if is_away(error) or state in TRANSIENT:
        return DatabaseAway(
            f"the database does not serve account {account} ({state or 'connection lost'}): {detail}"
        )
    if state == "42501":
        return LogError(
            f"this login may not do that ({state}): {detail}; "
            "connect as oms_writer, or as oms_archiver to make room for a month"
        )
    return LogError(f"account {account}: the database failed ({state}): {detail}")


def failure_of(wire: pq.abc.PGconn, result: pq.abc.PGresult) -> psycopg.Error:
    """The error that a result tells of."""
    error = error_from_result(result, encoding="utf-8")
    # A line that broke has no SQLSTATE, and then psycopg cannot name the kind of error.
    if wire.status != pq.ConnStatus.OK and error.sqlstate is None:
        return psycopg.OperationalError(str(error))
    return error
