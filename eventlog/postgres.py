"""The event log on PostgreSQL: psycopg in binary, one statement per append, one connection per log object."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from itertools import chain
from typing import Any, TypeVar, cast

import psycopg
from psycopg import pq
from psycopg.types.numeric import Int4BinaryLoader, Int8BinaryLoader

from eventlog import failpoints, lease, privileges, queries, reading, waiting
from eventlog.batch import Batch, require_account
from eventlog.envelope import Envelope, Head, OutboxRow, Snapshot, StepRecord, shard_of
from eventlog.errors import Archived, DatabaseAway, Fenced, UnknownAccount
from eventlog.failures import (
    FORGOTTEN,
    NO_MATCH,
    PREPARED_ALREADY,
    TRANSIENT,
    failure_of,
    is_away,
    translated,
)
from eventlog.log import StoredRow
from eventlog.parts import Parts
from eventlog.reading import Earlier, Stored
from eventlog.schema import check_revision, ensure_partitions
from eventlog.statements import Shape, append_parameters, append_sql, shape_of, shape_of_part

PATIENCE_S = 10.0
RECONNECT_PAUSE_S = 0.05
TRANSIENT_ATTEMPTS = 3
PREPARED_LIMIT = 64
Connection = waiting.Connection
T = TypeVar("T")


class PostgresLog:
    """An EventLog in PostgreSQL. Threads may share it, but each statement waits for the one before."""

    def __init__(
        self,
        conninfo: str,
        *,
        lease_ttl_s: float = lease.TTL_S,
        patience_s: float = PATIENCE_S,
        archive: Earlier | None = None,
    ) -> None:
        self._conninfo = conninfo
        self.archive = archive
        """Where the rows are that left the database."""
        self._lease_ttl_s = lease_ttl_s
        self.patience_s = patience_s
        """How long to wait for a server that was there; may be changed at any time."""
        self._answer_s: float | None = None
        self._lock = threading.RLock()
        self._prepared: dict[Shape, bytes] = {}
        self._closed = False
        # A wrong address should be told at once; patience is for a server that was there.
        self._connection = self._connect(0.0)

    # Connection

    def _connect(self, patience_s: float) -> Connection:
        """Connect, with patience while the server restarts. Raises DatabaseAway."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self._open()
            except psycopg.Error as error:
                if not is_away(error) or time.monotonic() > deadline:
                    raise DatabaseAway(f"cannot connect to the database of the log: {error}") from error
                time.sleep(RECONNECT_PAUSE_S)

    def _open(self) -> Connection:
        given = psycopg.conninfo.conninfo_to_dict(self._conninfo)
        options: dict[str, Any] = {**waiting.NETWORK, **given}
        if self._answer_s is not None:
            options["connect_timeout"] = waiting.CONNECT_S
        connection = waiting.Connection.connect(autocommit=True, **options)
        connection.answer_s = self._answer_s
        try:
            for statement in waiting.SETTINGS:
                connection.execute(statement)
            check_revision(connection)
        except BaseException:
            connection.close()
            raise
        # Whole numbers as PostgreSQL counts them: objects for times would cost more than the rest of a row.
        connection.adapters.register_loader("timestamptz", Int8BinaryLoader)
        connection.adapters.register_loader("date", Int4BinaryLoader)
        self._prepared = {}
        return connection

    def _usable(self) -> Connection:
        if self._closed:
            raise DatabaseAway("this log object was closed")
        if self._connection.closed or self._connection.broken:
            self._connection.close()
            self._connection = self._connect(self.patience_s)
        return self._connection

    def answer_within(self, seconds: float | None) -> None:
        """From now on give a server up that takes longer to answer; None: wait as long as it takes."""
        self._answer_s = self._connection.answer_s = seconds

    def _repeatable(self, account: str, work: Callable[[Connection], T]) -> T:
        """Run what may safely run twice, again after a lost connection or a transient failure."""
        deadline = time.monotonic() + self.patience_s
        with self._lock:
            for attempt in range(TRANSIENT_ATTEMPTS):
                try:
                    return work(self._usable())
                except psycopg.Error as error:
                    pooled = error.sqlstate in (FORGOTTEN, PREPARED_ALREADY)
                    late = self._answer_s is not None and time.monotonic() >= deadline
                    last = late or attempt == TRANSIENT_ATTEMPTS - 1
                    if last or not (is_away(error) or pooled or error.sqlstate in TRANSIENT):
                        raise translated(error, account) from error
                    if is_away(error):
                        self._connection.close()
                    if pooled:
                        # The driver numbers its statements, so another session may know its names as others.
                        self._connection.prepare_threshold = None
            raise AssertionError("unreachable: the last attempt returns or raises")

    def _rows(self, account: str, query: str, values: Sequence[object] | Mapping[str, object]) -> list[Any]:
        return self._repeatable(
            account, lambda c: c.execute(query, values, binary=True, prepare=True).fetchall()
        )

    def _row(self, account: str, query: str, values: Sequence[object] | Mapping[str, object]) -> Any:
        rows = self._rows(account, query, values)
        return rows[0] if rows else None

    def close(self) -> None:
        """Close the connection. The log itself is untouched."""
        with self._lock:
            self._closed = True
            self._connection.close()

    # Heads and leases

    def heads(self) -> list[Head]:
        """Heads of all accounts, sorted by account id."""
        return [reading.head(row) for row in self._rows("(any)", queries.HEADS, ())]

    def head(self, account: str) -> Head | None:
        """The head of one account, or None if the account has no log."""
        row = self._row(account, queries.HEAD, (shard_of(account), account))
        return reading.head(row) if row else None

    def acquire(self, account: str, owner: str) -> Head:
        """Become the writer. Raises LeaseHeld; an owner provably dead on this machine does not count."""
        require_account(account)
        return reading.head(
            self._repeatable(account, lambda c: lease.acquire(c, account, owner, self._lease_ttl_s))
        )

    def renew(self, head: Head) -> None:
        """Prolong the lease of the head's epoch. Raises Fenced when it was lost."""
        self._repeatable(head.account, lambda c: lease.renew(c, head, self._lease_ttl_s))

    def release(self, head: Head) -> None:
        """Give the lease back, if it is still that of the head's epoch."""
        self._repeatable(head.account, lambda c: lease.release(c, head))

    def ensure_partitions(self, first_day: date, months: int = 1) -> list[str]:
        """Make room for the months from that of `first_day` on; return the partitions created."""
        return self._repeatable("(any)", lambda c: ensure_partitions(c, first_day, months))

    def excess(self) -> tuple[str, ...]:
        """What this login could do to logged events beyond appending, in words; a live writer has nothing of it."""
        return self._repeatable("(any)", privileges.excess)

    def forgetful(self) -> tuple[str, ...]:
        """What could make this server lose what it acknowledged, in words; a live writer's has nothing of it."""
        return tuple(str(row[0]) for row in self._rows("(any)", queries.FORGETFUL, ()))

    # Append

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Store all steps or none, in one transaction, and return the new head."""
        if not steps:
            return head
        # A live writer that froze between parts would keep the head locked from whoever takes over.
        parts = Parts(head, steps, is_whole=self._answer_s is not None)
        with self._lock:
            return self._append(parts)

    def _append(self, parts: Parts) -> Head:
        deadline = time.monotonic() + self.patience_s
        failures = 0
        while True:
            try:
                failpoints.reach("append.ready")
                if self._store(next(iter(parts))) if len(parts.steps) == 1 else self._store_in_parts(parts):
                    failpoints.reach("append.stored")
                    return parts.after
                return self._after_no_match(parts)
            except psycopg.Error as error:
                failures += 1
                if is_away(error):
                    if time.monotonic() > deadline:
                        raise translated(error, parts.before.account) from error
                    if self._was_committed(parts, deadline):
                        return parts.after
                    time.sleep(RECONNECT_PAUSE_S)  # A full disk, say, answers at once, again and again.
                elif error.sqlstate == FORGOTTEN and failures < TRANSIENT_ATTEMPTS:
                    self._prepared = {}
                elif error.sqlstate not in TRANSIENT or failures >= TRANSIENT_ATTEMPTS:
                    raise translated(error, parts.before.account) from error

    def _store(self, batch: Batch) -> bool:
        """Run the append statement; False if the head did not match."""
        wire = self._usable().pgconn
        shape = shape_of(batch)
        name = self._prepared.get(shape)
        if name is None:
            if len(self._prepared) >= PREPARED_LIMIT:
                shape = shape.in_arrays()
            name = self._prepare(wire, shape)
        parameters = append_parameters(batch, shape)
        # psycopg declares its parameters without the None that it accepts for NULL.
        values = cast("list[bytes]", parameters)
        result = waiting.exec_prepared(wire, name, values, self._answer_s)
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise failure_of(wire, result)
        return result.ntuples == 1

    def _store_in_parts(self, parts: Parts) -> bool:
        """Run a statement for each part, in one transaction; False if the head did not match."""
        wire = self._usable().pgconn
        shapes = [shape_of_part(steps) for steps in parts.steps]
        names = [self._prepare(wire, shape) for shape in shapes]
        statements = (
            (name, cast("list[bytes]", append_parameters(batch, shape)))
            for name, shape, batch in zip(names, shapes, parts, strict=True)
        )
        results = waiting.exec_pipelined(wire, statements)
        for result in results:
            if result.status != pq.ExecStatus.TUPLES_OK:
                failure = failure_of(wire, result)
                if failure.sqlstate == NO_MATCH:
                    return False
                raise failure
        return [result.ntuples for result in results] == [1] * len(names)

    def _prepare(self, wire: pq.abc.PGconn, shape: Shape) -> bytes:
        name = self._prepared.get(shape)
        if name is None:
            text = append_sql(shape).encode()
            # A name says what it stands for: whoever prepared it in this session, it is the same statement.
            name = b"append_" + sha256(text).hexdigest()[:32].encode()
            result = wire.prepare(name, text)
            if result.status != pq.ExecStatus.COMMAND_OK:
                failure = failure_of(wire, result)
                if failure.sqlstate != PREPARED_ALREADY:
                    raise failure
            self._prepared[shape] = name
        return name

    def _locked_head(self, account: str) -> tuple[int, bytes, int] | None:
        """(seq, chain, epoch), after any older statement on this head has ended."""
        row: tuple[int, bytes, int] | None = self._row(
            account, queries.HEAD_FOR_UPDATE, (shard_of(account), account)
        )
        return row

    def _after_no_match(self, parts: Parts) -> Head:
        """The head did not match: an earlier attempt stored just this, or we are fenced."""
        found = self._locked_head(parts.before.account)
        if found == _mark(parts.after):
            return parts.after
        raise _fenced(parts.before, found)

    def _was_committed(self, parts: Parts, deadline: float) -> bool:
        """After a lost connection: stored (True), not stored (False), or overtaken (Fenced)."""
        self._connection.close()
        found: tuple[int, bytes, int] | None = None
        while True:
            try:
                found = self._locked_head(parts.before.account)
                break
            except DatabaseAway:
                if time.monotonic() > deadline:
                    raise
        if found == _mark(parts.after):
            return True
        if found == _mark(parts.before):
            return False
        raise _fenced(parts.before, found)

    # Reading

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        """(seq, body_hash) of the input that used this key, or None."""
        values = (shard_of(account), account, source, dedupe_key)
        row: tuple[int, bytes] | None = self._row(account, queries.INBOX, values)
        return row

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order. Raises UnknownAccount, LogCorrupt on a hole."""
        last = reading.last_of(account, self.head(account), until)
        archived, after = self._archived(account, max(after, 0), last)
        rows = reading.contiguous(account, self._block(account, queries.EVENTS), after, last)
        return chain((row.envelope for row in archived), map(reading.envelope, rows))

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[StoredRow]:
        """As `read`, with chain links and raw frames, for verification."""
        last = reading.last_of(account, self.head(account), until)
        archived, after = self._archived(account, max(after, 0), last)
        rows = reading.contiguous(account, self._block(account, queries.STORED), after, last)
        return chain(archived, (Stored(reading.envelope(row[:-2]), row[-2], row[-1]) for row in rows))

    def first_link(self, account: str) -> bytes | None:
        """The link of the account's first row, wherever that row is; it tells logs of one account id apart."""
        row = self._row(account, queries.FIRST_LINK, {"shard": shard_of(account), "account": account})
        return row[0] if row else None

    def archived_until(self, account: str) -> int:
        """The last row that left the database; 0 if all are here."""
        row = self._row(account, queries.ARCHIVED_UNTIL, (shard_of(account), account))
        return int(row[0]) if row else 0

    def _archived(self, account: str, after: int, last: int) -> tuple[Iterator[StoredRow], int]:
        """The rows of a read that left the database, and after which row to go on in it. Raises Archived."""
        row = None
        if after < last:
            row = self._row(account, queries.ARCHIVED_UNTIL, (shard_of(account), account))
        if row is None or row[0] <= after:
            return iter(()), after
        until, link = row
        if self.archive is None:
            raise Archived(
                f"events 1 to {until} of {account} left the database for an archive", account=account
            )
        return reading.archived(self.archive, account, after, min(until, last), until, link), min(until, last)

    def _block(self, account: str, query: str) -> reading.Block:
        shard = shard_of(account)
        return lambda after, last: self._rows(
            account, query, (shard, account, after, last, reading.BLOCK_ROWS)
        )

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""
        row = self._row(account, queries.RAW_FRAME, (shard_of(account), account, seq))
        return row[0] if row else None

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""
        row = self._row("(any)", queries.CONFIG, (config_sha256,))
        return row[0] if row else None

    def last_seq(self, account: str) -> int:
        """The seq of the last stored row, whatever the head says; 0 without rows."""
        row = self._row(account, queries.LAST_SEQ, (shard_of(account), account))
        return int(row[0])

    def outbox(self, account: str) -> list[OutboxRow]:
        """Commands without a logged outcome, by (priority, seq)."""
        return [OutboxRow(*row) for row in self._rows(account, queries.OUTBOX, (shard_of(account), account))]

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Cache a fold. Failing to do so loses nothing."""
        key = (shard_of(snapshot.account), snapshot.account)
        values = (*key, snapshot.fold_version, snapshot.seq, snapshot.chain, snapshot.digest, snapshot.body)
        failpoints.reach("snapshot.saving")
        self._repeatable(snapshot.account, lambda c: c.execute(queries.SAVE_SNAPSHOT, values))
        failpoints.reach("snapshot.saved")

    def snapshot(self, account: str, fold_version: int, until: int | None = None) -> Snapshot | None:
        """The newest snapshot at or before `until` whose link is still the log's own at that row."""
        last = (1 << 63) - 1 if until is None else until
        row = self._row(account, queries.SNAPSHOT, (shard_of(account), account, fold_version, last))
        return Snapshot(*row) if row else None


def _mark(head: Head) -> tuple[int, bytes, int]:
    return head.seq, head.chain, head.epoch


def _fenced(before: Head, found: tuple[int, bytes, int] | None) -> Fenced | UnknownAccount:
    account = before.account
    if found is None:
        return UnknownAccount(f"there is no account {account} in this log; acquire it first")
    return Fenced(
        f"account {account}: the head stands at row {found[0]} in epoch {found[2]}, this writer expected row "
        f"{before.seq} in epoch {before.epoch}; another writer took over, stop and read the log again"
    )
