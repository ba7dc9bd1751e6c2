"""An event log that can be away: what it cannot take goes to the emergency journal and follows when it is back.

To the writer nothing changes but that `is_away` is true: steps are durable when `append` returns, in the log or in
the journal, and their places and links are those they will have. While the log is away nothing may leave that adds
risk (the gate sees to it). Architecture 10, F6.

The journal of a writer that died is taken in when the account is acquired, before anything else is stepped. If the
log has gone on without it, another writer has taken over: then the journal is evidence and nothing more.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from eventlog.envelope import Envelope, Head, OutboxRow, Snapshot, StepRecord
from eventlog.errors import DatabaseAway, DuplicateKey, Fenced, MissingPartition
from eventlog.log import EventLog, StoredRow
from eventlog.postgres import PostgresLog
from oms.events.base import Event
from oms.events.broker import DuplicateConflict
from oms.events.session import JournalSetAside, LogLinkChanged, LogLinkStatus
from oms.shell.journal import Journal, Mark, Record, records_of

PATIENCE_S: Final = 0.5
"""How long a live writer waits for the database, refusing or silent, before it goes on without it."""
RETRY_S: Final = 0.5
RETRY_SHARE: Final = 4
"""Trying to reach a database that makes us wait may take a fifth of the time at most."""


class JournaledLog:
    """An EventLog over another one. `arm` begins the use of the journal; before, errors pass as they come."""

    def __init__(self, log: EventLog, directory: Path) -> None:
        self._log = log
        self._directory = directory
        self._journal: Journal | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._is_armed = False
        self._backlog: list[Record] = []
        self._keys: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._account = ""
        self._next_try = 0.0
        self._unwritable = ""
        self._news: list[Event] = []
        self.is_away = False

    def arm(self, clock: Callable[[], float] = time.monotonic) -> None:
        """From now on go on without the database when it does not answer. `clock` gives seconds."""
        self._is_armed = True
        self._clock = clock
        self._journal = self._journal or self._journal_of(self._account)
        if isinstance(self._log, PostgresLog):
            self._log.answer_within(PATIENCE_S)
        self._be_patient(PATIENCE_S)

    def _journal_of(self, account: str) -> Journal:
        """The journal of this very log: another log of the same account id begins with another random id."""
        if isinstance(self._log, PostgresLog):
            # The row itself may have left for an archive.
            link = self._log.first_link(account)
        else:
            link = next(iter(self._log.read_stored(account, 0, 1))).chain
        assert link is not None, "a log with a head has a first row"
        return Journal(self._directory / f"{link.hex()[:16]}.journal")

    @property
    def durable(self) -> str:
        """Where the last step is kept: "log", "journal", or "memory" alone when neither can be written."""
        if not self.is_away:
            return "log"
        return "memory" if self._unwritable else "journal"

    def news(self) -> list[Event]:
        """What has happened to log and journal since the last call; inputs for the writer."""
        told, self._news = self._news, []
        return told

    # What a writer does

    def acquire(self, account: str, owner: str) -> Head:
        """Become the writer, and take in what the last one could only write into its journal."""
        head = self._log.acquire(account, owner)
        self._account = account
        if not head.seq:
            return head
        self._journal = self._journal_of(account)
        found = self._journal.read()
        if not found.records and not found.unread:
            return head
        place = _place(head, found.records)
        if place is None or any(one.account != account for one in found.records):
            self._set_aside(len(found.records), "the log has gone on without it: another writer took over")
            return head
        self._backlog = list(found.records[place:])
        taken = len(self._backlog)
        while self._backlog:
            head = self._store_first(head)
        if found.unread:
            self._set_aside(len(found.records), f"its last {found.unread} bytes are no whole record")
        self._journal.clear()
        if taken:
            self._tell(LogLinkStatus.BACK, f"{taken} steps came from the emergency journal")
        return head

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Store all steps or none, in the log or in the journal; return the new head."""
        if not steps:
            return head
        if not self.catch_up():
            return self._keep(head, steps)
        try:
            return self._log.append(head, steps)
        except (DatabaseAway, MissingPartition) as failure:
            if not self._is_armed:
                raise
            self._leave(str(failure))
            return self._keep(head, steps)

    def renew(self, head: Head) -> None:
        """Prolong the lease where that is possible. Raises Fenced when it was lost."""
        if self.is_away:
            return
        try:
            self._log.renew(head)
        except DatabaseAway as failure:
            if not self._is_armed:
                raise
            self._leave(str(failure))

    def catch_up(self) -> bool:
        """Whether the log has everything; tries now and then to reach it. Raises Fenced when it went on without us."""
        if not self.is_away:
            return True
        begun = self._clock()
        if begun < self._next_try:
            return False
        try:
            self._drain()
        except (DatabaseAway, MissingPartition):
            now = self._clock()
            self._next_try = now + max(RETRY_S, RETRY_SHARE * (now - begun))
            return False
        except Fenced:
            self._file().set_aside()
            raise
        self._file().clear()
        self._keys.clear()
        self.is_away = False
        self._be_patient(PATIENCE_S)
        return True

    def _drain(self) -> None:
        """Append the backlog from wherever the log stands: an append of unknown outcome may have been stored."""
        taken = len(self._backlog)
        while True:
            head = self._log.head(self._account)
            place = _place(head, self._backlog) if head is not None else None
            if head is None or place is None:
                raise Fenced(f"account {self._account}: the log has gone on without this writer")
            self._backlog = self._backlog[place:]
            try:
                while self._backlog:
                    head = self._store_first(head)
                break
            except Fenced:
                # An append that was on its way arrived after all: look again, as long as the log moves.
                if self._log.head(self._account) == head:
                    raise
        self._tell(LogLinkStatus.BACK, f"{taken} steps came from the emergency journal")

    def _store_first(self, head: Head) -> Head:
        """Append the first step of the backlog. What came under a used key keeps its row; the key stays the first's."""
        step = self._backlog[0].step
        try:
            after = self._log.append(head, [step])
        except DuplicateKey:
            after = self._log.append(head, [replace(step, inbox=None)])
            self._compare(step)
        self._backlog = self._backlog[1:]
        return after

    def _compare(self, step: StepRecord) -> None:
        key = step.inbox
        found = self._log.inbox(self._account, key.source, key.dedupe_key) if key is not None else None
        if key is not None and found is not None and found[1] != key.body_hash:
            text = f"row {step.events[0].seq}, stored while the log was away"
            self._news.append(
                DuplicateConflict(
                    first_seq=found[0], conflict_source=key.source, conflict_key=key.dedupe_key, text=text
                )
            )

    def _keep(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        keys = [(one.inbox.source, one.inbox.dedupe_key) for one in steps if one.inbox is not None]
        if len(set(keys)) < len(keys) or any(key in self._keys for key in keys):
            raise DuplicateKey(f"account {head.account}: the emergency journal holds an inbox key already")
        records = records_of(head, steps)
        self._backlog += records
        for one in steps:
            if one.inbox is not None:
                key = one.inbox.source, one.inbox.dedupe_key
                self._keys[key] = (one.events[0].seq, one.inbox.body_hash)
        self._write(records)
        last = steps[-1].events[-1]
        mark = records[-1].after
        return Head(head.account, mark.seq, mark.chain, head.epoch, last.logical_time, last.trading_day)

    def _write(self, records: list[Record]) -> None:
        """A journal that cannot be written is told and stops nobody: leaving a position alone would be worse."""
        try:
            self._file().write(records)
        except OSError as failure:
            if not self._unwritable:
                self._unwritable = str(failure)
                self._tell(LogLinkStatus.UNWRITABLE, f"{self._file().path}: {failure}")
        else:
            self._unwritable = ""

    def _leave(self, why: str) -> None:
        self.is_away = True
        self._next_try = self._clock() + RETRY_S
        self._be_patient(0.0)
        self._tell(LogLinkStatus.AWAY, why)

    def _file(self) -> Journal:
        assert self._journal is not None, "it is there once the log is armed"
        return self._journal

    def _set_aside(self, count: int, why: str) -> None:
        kept = self._file().set_aside()
        assert kept is not None, "what was read is there"
        digest = sha256(kept.read_bytes()).hexdigest()
        self._news.append(JournalSetAside(file=str(kept), file_sha256=digest, records=count, text=why))

    def _tell(self, status: LogLinkStatus, text: str) -> None:
        self._news.append(LogLinkChanged(status=status, text=text))

    def _be_patient(self, seconds: float) -> None:
        if isinstance(self._log, PostgresLog):
            self._log.patience_s = seconds

    def excess(self) -> tuple[str, ...]:
        """What the login of the log could do to logged events beyond appending."""
        return self._log.excess() if isinstance(self._log, PostgresLog) else ()

    def forgetful(self) -> tuple[str, ...]:
        """What could make the log lose what it acknowledged."""
        return self._log.forgetful() if isinstance(self._log, PostgresLog) else ()

    # What passes through

    def heads(self) -> list[Head]:
        """Heads of all accounts, sorted by account id."""
        return self._log.heads()

    def head(self, account: str) -> Head | None:
        """The head of one account, or None if the account has no log."""
        return self._log.head(account)

    def release(self, head: Head) -> None:
        """Give the lease back. What is still in the journal stays there for the next writer."""
        if not self.catch_up():
            return
        try:
            self._log.release(head)
        except DatabaseAway:
            # The lease ends by itself.
            if not self._is_armed:
                raise

    def ensure_partitions(self, first_day: date, months: int = 1) -> list[str]:
        """Make room for the months from that of `first_day` on; return the partitions created."""
        return self._log.ensure_partitions(first_day, months)

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        """(seq, body_hash) of the input that used this key, or None; while away, as far as the journal knows."""
        if self.is_away or self._backlog:
            return self._keys.get((source, dedupe_key))
        return self._log.inbox(account, source, dedupe_key)

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order; raises LogCorrupt on a hole."""
        return self._log.read(account, after, until)

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[StoredRow]:
        """As `read`, with chain links, for verification."""
        return self._log.read_stored(account, after, until)

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""
        return self._log.raw_frame(account, seq)

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""
        return self._log.config(config_sha256)

    def last_seq(self, account: str) -> int:
        """The seq of the last stored row, whatever the head says; 0 without rows."""
        return self._log.last_seq(account)

    def outbox(self, account: str) -> list[OutboxRow]:
        """Commands without a logged outcome, by (priority, seq)."""
        return self._log.outbox(account)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Cache a fold. Failing to do so loses nothing."""
        self._log.save_snapshot(snapshot)

    def snapshot(self, account: str, fold_version: int, until: int | None = None) -> Snapshot | None:
        """The newest usable snapshot at or before `until`."""
        return self._log.snapshot(account, fold_version, until)

    def close(self) -> None:
        """Release connections. The log itself is untouched."""
        self._log.close()


def _place(head: Head, records: Sequence[Record]) -> int | None:
    """How many of these records the log has, or None if it went another way."""
    if not records:
        return 0
    mark = Mark(head.seq, head.chain)
    marks = [records[0].before, *(one.after for one in records)]
    return marks.index(mark) if mark in marks else None
