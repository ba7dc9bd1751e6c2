"""The interface of an event log. `PostgresLog` and `MemoryLog` pass the same contract suite."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Protocol

from eventlog.envelope import Envelope, Head, OutboxRow, Snapshot, StepRecord


class StoredRow(Protocol):
    """A row as read for verification: the envelope, its chain link and its stored raw frame."""

    @property
    def envelope(self) -> Envelope:
        """The row."""

    @property
    def chain(self) -> bytes:
        """Its link."""

    @property
    def raw(self) -> bytes | None:
        """The broker's exact bytes, where the input has them."""


class EventLog(Protocol):
    """Append-only, gapless per account, one writer at a time.

    Every method raises DatabaseAway when the store cannot be reached.
    """

    def heads(self) -> list[Head]:
        """Heads of all accounts, sorted by account id."""

    def head(self, account: str) -> Head | None:
        """The head of one account, or None if the account has no log."""

    def acquire(self, account: str, owner: str) -> Head:
        """Become the writer: create the account if need be, raise its epoch, return the head.

        Raises LeaseHeld while another live owner holds the account's shard for it.
        """

    def renew(self, head: Head) -> None:
        """Prolong the lease of the head's epoch. Raises Fenced when it was lost to a later one, or given back."""

    def release(self, head: Head) -> None:
        """Give the lease of the head's epoch back; a later writer needs no waiting. Of a later epoch: no effect."""

    def ensure_partitions(self, first_day: date, months: int = 1) -> list[str]:
        """Make room for the months from that of `first_day` on; return the partitions created.

        A day without room cannot be appended to (MissingPartition). Call it before a day starts.
        """

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Store all steps or none, in one statement; return the new head.

        An unknown commit outcome is resolved inside (seq and chain decide). Raises Fenced, DuplicateKey,
        Unstorable, MissingPartition, DatabaseAway; after any of them nothing was stored, except that after
        DatabaseAway the outcome may be unknown: appending the identical steps again then resolves it.
        ValueError tells of misnumbered steps, a bug of the caller.
        """

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        """(seq, body_hash) of the input that used this key, or None."""

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order; raises LogCorrupt on a hole."""

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[StoredRow]:
        """As `read`, with chain links, for verification."""

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""

    def last_seq(self, account: str) -> int:
        """The seq of the last stored row, whatever the head says; 0 without rows."""

    def outbox(self, account: str) -> list[OutboxRow]:
        """Commands without a logged outcome, by (priority, seq)."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Cache a fold. Failing to do so loses nothing."""

    def snapshot(self, account: str, fold_version: int, until: int | None = None) -> Snapshot | None:
        """The newest usable snapshot at or before `until`."""

    def close(self) -> None:
        """Release connections. The log itself is untouched."""
