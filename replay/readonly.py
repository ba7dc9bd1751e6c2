"""What a log that lies in files has in common with one that is written: it says no to whoever would write it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NoReturn

from eventlog.envelope import Head, OutboxRow, Snapshot, StepRecord
from eventlog.errors import LogError


class ReadOnly(LogError):
    """A log in a file cannot be written."""


class ReadOnlyLog:
    """The part of an EventLog that only a log that is written has."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def snapshot(self, account: str, fold_version: int, until: int | None = None) -> Snapshot | None:
        """Nothing: a file is folded from its start."""
        del account, fold_version, until
        return None

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        """Raise ReadOnly: a file takes no inputs."""
        self._read_only(account, source, dedupe_key)

    def outbox(self, account: str) -> list[OutboxRow]:
        """Raise ReadOnly: a file sends no commands."""
        self._read_only(account)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Raise ReadOnly."""
        self._read_only(snapshot.account)

    def acquire(self, account: str, owner: str) -> Head:
        """Raise ReadOnly."""
        self._read_only(account, owner)

    def renew(self, head: Head) -> None:
        """Raise ReadOnly."""
        self._read_only(head.account)

    def release(self, head: Head) -> None:
        """Raise ReadOnly."""
        self._read_only(head.account)

    def ensure_partitions(self, first_day: date, months: int = 1) -> list[str]:
        """Raise ReadOnly."""
        self._read_only(first_day, months)

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Raise ReadOnly."""
        self._read_only(head.account, len(steps))

    def _read_only(self, *asked: object) -> NoReturn:
        raise ReadOnly(f"{self._place} can only be read ({', '.join(map(str, asked))})")
