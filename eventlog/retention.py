"""Months that leave the database: which are sealed, what they hold, and the one statement that lets them go.

A month is detached in one transaction that looks once more whether it holds exactly what was exported, and that notes
where the rows that stay follow from. Until it commits everything is as before; afterwards the table of the month
stands apart and belongs to the owner alone, until `drop` deletes it.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg import sql
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader

from eventlog import failpoints, reading
from eventlog.archive import Kept
from eventlog.chain import EPOCH_US
from eventlog.envelope import shard_of
from eventlog.errors import LogError, NotDetached
from eventlog.failures import translated
from eventlog.schema import SCHEMA, become_owner, month_table, partition_name
from eventlog.verify import CONFIG_EVENT

Connection = psycopg.Connection[Any]
BLOCK_ROWS: Final = 4096
LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '3s'"
"""Detaching waits for open transactions, and appends wait behind it: better try again later than hold them up."""
LOCKED: Final = "55P03"
FORBIDDEN: Final = "42501"

# First and last link by a sort of the keys alone.
RANGES: Final = """
SELECT found.account, found.first_seq, found.last_seq, found.rows, one.chain, other.chain, head.epoch
FROM (
    SELECT shard, account, min(seq) AS first_seq, max(seq) AS last_seq, count(*) AS rows FROM oms.event
    WHERE trading_day >= %(first)s AND trading_day <= %(last)s GROUP BY shard, account
) AS found
JOIN oms.event AS one ON one.shard = found.shard AND one.account = found.account AND one.seq = found.first_seq
    AND one.trading_day >= %(first)s AND one.trading_day <= %(last)s
JOIN oms.event AS other ON other.shard = found.shard AND other.account = found.account AND other.seq = found.last_seq
    AND other.trading_day >= %(first)s AND other.trading_day <= %(last)s
JOIN oms.account_head AS head ON head.shard = found.shard AND head.account = found.account
ORDER BY found.account
"""
UNSEALED: Final = """
SELECT DISTINCT event.account, event.trading_day, event.trading_day >= head.trading_day
FROM oms.event JOIN oms.account_head AS head ON head.shard = event.shard AND head.account = event.account
WHERE event.trading_day >= %(first)s AND event.trading_day <= %(last)s
    AND NOT EXISTS (SELECT 1 FROM oms.day_seal AS seal WHERE seal.shard = event.shard AND seal.account = event.account
        AND seal.trading_day = event.trading_day)
ORDER BY event.account, event.trading_day
"""
ROWS: Final = """
SELECT seq, cause_seq, kind, type, version, trading_day, logical_time, body::text, pipeline, trade_no,
    client_order_id, broker_order_id, reason, event_time, received_at, source, dedupe_key, chain,
    (SELECT frame FROM oms.raw_frame
     WHERE raw_frame.shard = event.shard AND raw_frame.account = event.account AND raw_frame.seq = event.seq),
    recorded_at
FROM oms.event WHERE shard = %s AND account = %s AND seq > %s AND seq <= %s ORDER BY seq, trading_day LIMIT %s
"""
ARCHIVED: Final = """
SELECT account, first_seq, last_seq, chain FROM oms.archived_month WHERE month = %s ORDER BY account
"""
EARLIER: Final = """
SELECT coalesce(max(last_seq), 0) FROM oms.archived_month WHERE shard = %s AND account = %s AND month < %s
"""
NOTE: Final = """
INSERT INTO oms.archived_month (shard, account, month, first_seq, last_seq, first_chain, chain)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
LINK: Final = """
SELECT chain FROM oms.event WHERE shard = %(shard)s AND account = %(account)s AND seq = %(seq)s
UNION ALL
SELECT chain FROM oms.archived_month WHERE shard = %(shard)s AND account = %(account)s AND last_seq = %(seq)s
"""
SEALED: Final = """
SELECT trading_day FROM oms.day_seal
WHERE shard = %(shard)s AND account = %(account)s AND trading_day >= %(first)s AND trading_day <= %(last)s
ORDER BY trading_day
"""
CONFIGS: Final = """
SELECT DISTINCT body ->> 'config_sha256' FROM oms.event
WHERE shard = %s AND account = %s AND seq >= %s AND seq <= %s AND type = %s AND body ->> 'config_sha256' IS NOT NULL
ORDER BY 1
"""


class Range(Struct, frozen=True):
    """What a month holds of an account: its numbers, the number of rows, its first and last link, the head's epoch."""

    account: str
    first_seq: int
    last_seq: int
    rows: int
    first_chain: bytes
    chain: bytes
    epoch: int


class Unsealed(Struct, frozen=True):
    """A day without a seal; `is_open` where the account has not gone on to a later day, so that nobody can seal it."""

    account: str
    day: date
    is_open: bool


def bounds(month: date) -> dict[str, date]:
    """The first and the last day of a month."""
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    return {"first": month, "last": following - timedelta(days=1)}


def ranges(connection: Connection, month: date) -> list[Range]:
    """What a month of the log holds, by account; empty if it was detached, or is empty."""
    return [Range(*row) for row in connection.execute(RANGES, bounds(month)).fetchall()]


def unsealed(connection: Connection, month: date) -> list[Unsealed]:
    """The days of a month that are not sealed."""
    return [Unsealed(*row) for row in connection.execute(UNSEALED, bounds(month)).fetchall()]


def archived(connection: Connection, month: date) -> list[tuple[str, int, int, str]]:
    """What was let go of a month: account, first and last number, last link in hexadecimal."""
    found = connection.execute(ARCHIVED, (month,)).fetchall()
    return [(account, first, last, chain.hex()) for account, first, last, chain in found]


def archived_before(connection: Connection, account: str, month: date) -> int:
    """The last number that left with the months before this one; 0 for none."""
    row = connection.execute(EARLIER, (shard_of(account), account, month)).fetchone()
    return int(row[0]) if row else 0


def link_before(connection: Connection, account: str, seq: int) -> bytes | None:
    """The link that a row follows from, in the database or noted when the row before it left."""
    values = {"shard": shard_of(account), "account": account, "seq": seq - 1}
    row = connection.execute(LINK, values).fetchone()
    return bytes(row[0]) if row else None


def sealed_days(connection: Connection, account: str, month: date) -> list[date]:
    """The days of a month that have a seal, in order."""
    values = {"shard": shard_of(account), "account": account, **bounds(month)}
    return [row[0] for row in connection.execute(SEALED, values).fetchall()]


def named_configs(connection: Connection, one: Range) -> list[str]:
    """The names of the configurations that rows of a range activate."""
    values = (shard_of(one.account), one.account, one.first_seq, one.last_seq, CONFIG_EVENT)
    return [row[0] for row in connection.execute(CONFIGS, values).fetchall()]


def rows(conninfo: str, one: Range) -> Iterator[Kept]:
    """All rows of a range, in blocks, with their recording times. Raises LogCorrupt at a hole."""
    shard = shard_of(one.account)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.adapters.register_loader("timestamptz", Int8BinaryLoader)
        connection.adapters.register_loader("date", Int4BinaryLoader)

        def block(after: int, last: int) -> list[reading.Row]:
            values = (shard, one.account, after, last, BLOCK_ROWS)
            return connection.execute(ROWS, values, binary=True).fetchall()

        for row in reading.contiguous(one.account, block, one.first_seq - 1, one.last_seq):
            yield Kept(reading.envelope(row[:-3]), row[-3], row[-2], row[-1] + EPOCH_US)


def detach(connection: Connection, month: date, exported: Sequence[Range]) -> None:
    """Let a month go, if it holds exactly what was exported. Raises NotDetached; then nothing has changed."""
    name = partition_name(month)
    table = sql.Identifier(SCHEMA, name)
    try:
        with connection.transaction():
            become_owner(connection)
            connection.execute(LOCK_TIMEOUT)
            connection.execute("LOCK TABLE oms.event IN ACCESS EXCLUSIVE MODE")
            if [_key(one) for one in ranges(connection, month)] != [_key(one) for one in exported]:
                raise NotDetached(
                    f"{month:%Y-%m} got rows while it was exported; nothing was detached\n"
                    "an account began or went on in that month meanwhile"
                )
            connection.execute(sql.SQL("ALTER TABLE oms.event DETACH PARTITION {}").format(table))
            for one in exported:
                values = (month, one.first_seq, one.last_seq, one.first_chain, one.chain)
                connection.execute(NOTE, (shard_of(one.account), one.account, *values))
            failpoints.reach("archive.detaching")
    except psycopg.Error as error:
        raise _refused(error, month) from error
    failpoints.reach("archive.detached")


def drop(connection: Connection, month: date) -> bool:
    """Delete the table of a month that was detached; False if it is gone already. Raises NotDetached."""
    is_there, is_attached = month_table(connection, month)
    if is_attached:
        raise NotDetached(f"{month:%Y-%m} is part of the log; only a month that was archived is deleted")
    if not is_there:
        return False
    try:
        with connection.transaction():
            become_owner(connection)
            connection.execute(LOCK_TIMEOUT)
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(SCHEMA, partition_name(month))))
    except psycopg.Error as error:
        raise _refused(error, month) from error
    return True


def _key(one: Range) -> tuple[str, int, int, int, bytes]:
    return one.account, one.first_seq, one.last_seq, one.rows, one.chain


def _refused(error: psycopg.Error, month: date) -> LogError:
    if error.sqlstate == LOCKED:
        return NotDetached(
            f"{month:%Y-%m} could not be detached yet; nothing has changed\n"
            "another transaction was using the log for longer than appends may wait"
        )
    if error.sqlstate == FORBIDDEN:
        return NotDetached(
            f"this login may not detach {month:%Y-%m}; nothing has changed\n"
            "only a member of oms_owner may, as oms_archiver is"
        )
    return translated(error, "(any)")
