"""The event log in memory: same outcomes, same chain, same errors; for tests, simulation and sweeps."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from eventlog import lease, reading
from eventlog.batch import Batch, prepare, require_account
from eventlog.chain import genesis
from eventlog.envelope import Envelope, Head, OutboxRow, Snapshot, StepRecord
from eventlog.errors import DatabaseAway, DuplicateKey, Fenced, MissingPartition, UnknownAccount
from eventlog.reading import Stored


class _Account:
    """All that one account has stored."""

    def __init__(self, account: str) -> None:
        self.head = Head(account, 0, genesis(account), 0)
        self.owner = lease.FREE
        self.expires_at = 0.0
        self.rows: list[Envelope] = []
        self.links: list[bytes] = []
        self.inbox: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.outbox: dict[int, OutboxRow] = {}
        self.raw: dict[int, bytes] = {}
        self.snapshots: dict[tuple[int, int], Snapshot] = {}


class MemoryLog:
    """An EventLog that ends with the process. `clock` gives seconds for leases."""

    def __init__(
        self, *, lease_ttl_s: float = lease.TTL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lease_ttl_s = lease_ttl_s
        self._clock = clock
        self._lock = threading.RLock()
        self._accounts: dict[str, _Account] = {}
        self._configs: dict[str, str] = {}
        self._months: set[tuple[int, int]] = set()
        self._closed = False

    def close(self) -> None:
        """Refuse further use, as a closed connection does."""
        self._closed = True

    def _open(self) -> dict[str, _Account]:
        if self._closed:
            raise DatabaseAway("this log object was closed")
        return self._accounts

    # Heads and leases

    def heads(self) -> list[Head]:
        """Heads of all accounts, sorted by account id."""
        with self._lock:
            return [found.head for _, found in sorted(self._open().items())]

    def head(self, account: str) -> Head | None:
        """The head of one account, or None if the account has no log."""
        found = self._open().get(account)
        return found.head if found else None

    def acquire(self, account: str, owner: str) -> Head:
        """Become the writer. Raises LeaseHeld; an owner provably dead on this machine does not count."""
        require_account(account)
        with self._lock:
            found = self._open().setdefault(account, _Account(account))
            left = found.expires_at - self._clock()
            lease.refuse_held(account, found.owner, owner, f"for {left:.1f} s" if left > 0 else None)
            old = found.head
            found.head = Head(account, old.seq, old.chain, old.epoch + 1, old.logical_time, old.trading_day)
            found.owner, found.expires_at = owner, self._clock() + self._lease_ttl_s
            return found.head

    def renew(self, head: Head) -> None:
        """Prolong the lease of the head's epoch. Raises Fenced when it was lost."""
        with self._lock:
            found = self._open().get(head.account)
            if found is None or found.head.epoch != head.epoch or found.owner == lease.FREE:
                raise lease.lost(head)
            found.expires_at = self._clock() + self._lease_ttl_s

    def release(self, head: Head) -> None:
        """Give the lease back, if it is still that of the head's epoch."""
        with self._lock:
            found = self._open().get(head.account)
            if found is not None and found.head.epoch == head.epoch:
                found.owner = lease.FREE

    def ensure_partitions(self, first_day: date, months: int = 1) -> list[str]:
        """Make room for the months from that of `first_day` on; return the partitions created."""
        first = first_day.year * 12 + first_day.month - 1
        wanted = {divmod(first + number, 12) for number in range(months)} - self._months
        self._months |= wanted
        return [f"event_{year:04d}_{month + 1:02d}" for year, month in sorted(wanted)]

    # Append

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Store all steps or none and return the new head."""
        if not steps:
            return head
        batch = prepare(head, steps)
        with self._lock:
            found = self._open().get(head.account)
            if found is None:
                raise UnknownAccount(f"there is no account {head.account} in this log; acquire it first")
            if _mark(found.head) == _mark(batch.after):
                return batch.after
            if _mark(found.head) != _mark(head):
                raise Fenced(
                    f"account {head.account}: the head stands at row {found.head.seq} in epoch {found.head.epoch}, "
                    f"this writer expected row {head.seq} in epoch {head.epoch}; another writer took over"
                )
            self._refuse(found, batch)
            self._store(found, batch)
            return batch.after

    def _refuse(self, found: _Account, batch: Batch) -> None:
        for row in batch.rows:
            if (row.trading_day.year, row.trading_day.month - 1) not in self._months:
                raise MissingPartition(
                    f"account {found.head.account}: no partition holds {row.trading_day}; "
                    "make room with ensure_partitions before the day starts"
                )
        keys = [(key.source, key.dedupe_key) for key, _ in batch.inbox]
        for number, key in enumerate(keys):
            if key in found.inbox or key in keys[:number]:
                raise DuplicateKey(f"account {found.head.account}: the inbox key {key} exists already")

    def _store(self, found: _Account, batch: Batch) -> None:
        found.rows.extend(batch.rows)
        found.links.extend(batch.links)
        found.inbox.update({(key.source, key.dedupe_key): (seq, key.body_hash) for key, seq in batch.inbox})
        for seq in batch.outbox_done:
            found.outbox.pop(seq, None)
        found.outbox.update(batch.outbox)
        found.raw.update(batch.raw)
        for name, text in batch.configs.items():
            self._configs.setdefault(name, text)
        found.head = batch.after

    # Reading

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        """(seq, body_hash) of the input that used this key, or None."""
        found = self._open().get(account)
        return found.inbox.get((source, dedupe_key)) if found else None

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order. Raises UnknownAccount."""
        return (stored.envelope for stored in self.read_stored(account, after, until))

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Stored]:
        """As `read`, with chain links and raw frames, for verification."""
        last = reading.last_of(account, self.head(account), until)
        found = self._accounts[account]
        first = max(after, 0)
        rows = zip(found.rows[first:last], found.links[first:last], strict=True)
        return (Stored(row, link, found.raw.get(row.seq)) for row, link in rows)

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""
        found = self._open().get(account)
        return found.raw.get(seq) if found else None

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""
        self._open()
        return self._configs.get(config_sha256)

    def last_seq(self, account: str) -> int:
        """The seq of the last stored row; 0 without rows."""
        found = self._open().get(account)
        return len(found.rows) if found else 0

    def outbox(self, account: str) -> list[OutboxRow]:
        """Commands without a logged outcome, by (priority, seq)."""
        found = self._open().get(account)
        return sorted(found.outbox.values(), key=lambda row: (row.priority, row.seq)) if found else []

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Cache a fold. Failing to do so loses nothing."""
        with self._lock:
            found = self._open().get(snapshot.account)
            if found is not None:
                found.snapshots.setdefault((snapshot.fold_version, snapshot.seq), snapshot)

    def snapshot(self, account: str, fold_version: int, until: int | None = None) -> Snapshot | None:
        """The newest snapshot at or before `until` whose link is still the log's own at that row."""
        found = self._open().get(account)
        if found is None:
            return None
        usable = [
            snapshot
            for (version, seq), snapshot in found.snapshots.items()
            if version == fold_version
            and (until is None or seq <= until)
            and 0 < seq <= len(found.links)
            and found.links[seq - 1] == snapshot.chain
        ]
        return max(usable, key=lambda snapshot: snapshot.seq, default=None)


def _mark(head: Head) -> tuple[int, bytes, int]:
    return head.seq, head.chain, head.epoch
