"""The writer of one account: steps inputs, appends them, and only then publishes state and releases commands.

Batches are invisible: a batch ends at the first command, so nothing outside can tell how inputs were grouped. A
refused append drops all speculative state; the inputs are stepped again, one per transaction. Architecture 3.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from eventlog import failpoints
from eventlog.envelope import Head
from eventlog.errors import DuplicateKey, Unstorable
from eventlog.log import EventLog
from oms.book import Book
from oms.commands import Command
from oms.events.base import Stamped, body_text
from oms.events.broker import DuplicateConflict, UnparsedFrame
from oms.events.checking import LATEST, problem_of
from oms.shell.journaled import JournaledLog
from oms.shell.record import inbox_key, record
from oms.state.account import Account
from oms.state.pipeline import Pipeline
from oms.step import StepResult
from oms.values import Micros

BATCH_LIMIT: Final = 1000
RENEWAL_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Published:
    """The last committed state. Immutable: any thread may read it."""

    account: Account
    pipelines: Mapping[str, Pipeline]


@dataclass(frozen=True, slots=True)
class Committed:
    """One durable step, as observers see it."""

    stamped: Stamped
    result: StepResult


Observer = Callable[[Committed], None]


class Runner:
    """Single-threaded: whoever calls `process` is the writer.

    Raises what the log raises; then nothing of the batch was published.
    """

    def __init__(self, log: EventLog, head: Head, book: Book, *, batch_limit: int = BATCH_LIMIT) -> None:
        self._log = log
        self._head = head
        self._book = book
        self._renewed = time.monotonic()
        self._batch_limit = batch_limit
        self._observers: list[Observer] = []
        self._batch: list[Committed] = []
        self._undone: list[Stamped] = []
        self._owed: list[Command] = []
        self._opening: list[Command] = []
        self.published = Published(book.account, dict(book.pipelines))
        self.counts: Counter[str] = Counter()
        self.snapshot_seq = 0
        """The row of the snapshot that this writer began with; 0 if it folded the whole log."""

    @property
    def head(self) -> Head:
        """The end of the log as this writer knows it."""
        return self._head

    @property
    def is_away(self) -> bool:
        """Whether what was appended last is in the emergency journal alone, because the log does not answer."""
        return isinstance(self._log, JournaledLog) and self._log.is_away

    @property
    def now(self) -> Micros:
        """Logical time of the last committed input."""
        return self.published.account.now

    def observe(self, observer: Observer) -> None:
        """Call `observer` with every step once it is durable, in order."""
        self._observers.append(observer)

    @property
    def book(self) -> Book:
        """The speculative state; read it only on the writer's thread."""
        return self._book

    def next_due(self) -> Micros | None:
        """The earliest deadline of the present state, speculative steps included."""
        return self._book.next_due()

    def process(self, inputs: Iterable[Stamped]) -> list[Command]:
        """Step and append all inputs; return the commands of all, in order.

        They are durable: should the caller lose them, reconciliation asks for their fate at the next connection.
        """
        released: list[Command] = []
        for stamped in inputs:
            self.step(stamped)
            if self.is_full:
                released += self.flush()
        return released + self.flush()

    def open(self, inputs: Iterable[Stamped]) -> None:
        """Step and append what every writer begins with. Its commands wait for `take_opening`."""
        self._opening += self.process(inputs)

    def take_opening(self) -> list[Command]:
        """The commands of the opening, in order, once. None has left; they are due when the broker was asked."""
        taken, self._opening = self._opening, []
        return taken

    def step(self, stamped: Stamped) -> StepResult:
        """Step one input speculatively. Nothing is published or released before `flush`.

        An input that does not hold what its type promises is stepped as the `UnparsedFrame` that it is.
        """
        self._take_up()
        problem = problem_of(stamped)
        if problem is not None:
            self.counts["unstorable"] += 1
            stamped = _unparsed(stamped, problem, self._book.account.now)
        return self._speculate(stamped)

    def _take_up(self) -> None:
        """Step again, before anything else, what the log could not take when it was stepped first."""
        undone, self._undone = self._undone, []
        for stamped in undone:
            self._speculate(stamped)

    def _speculate(self, stamped: Stamped) -> StepResult:
        stamped = self._on_time(stamped)
        result = self._book.decide(stamped)
        failpoints.reach("input.stepped")
        self._batch.append(Committed(stamped, result))
        return result

    @property
    def is_full(self) -> bool:
        """Whether the batch should be flushed before another step."""
        return len(self._batch) >= self._batch_limit

    def flush(self) -> list[Command]:
        """Append the batch in one transaction, publish it, and return its commands in order.

        When the log does not answer nothing is lost: the inputs are kept and stepped again with the next one.
        """
        self.renew()
        self._take_up()
        batch, self._batch = self._batch, []
        if not batch:
            return self._with_owed([])
        try:
            failpoints.reach("batch.appending")
            self._head = self._log.append(self._head, [record(one.result, one.stamped) for one in batch])
            failpoints.reach("batch.appended")
        except (DuplicateKey, Unstorable):
            self._book.rollback()
            return self._one_by_one([one.stamped for one in batch])
        except BaseException:
            self._book.rollback()
            self._undone = [one.stamped for one in batch]
            raise
        self._publish(batch)
        failpoints.reach("batch.published")
        return self._with_owed([command for one in batch for command in one.result.commands])

    def _with_owed(self, commands: list[Command]) -> list[Command]:
        """The commands, behind those of steps that were stored before the log stopped answering."""
        owed, self._owed = self._owed, []
        return owed + commands

    def renew(self) -> None:
        """Keep the lease; a third of its life is early enough. Raises Fenced when it was lost."""
        if time.monotonic() - self._renewed >= RENEWAL_SECONDS:
            self._renewed = time.monotonic()
            self._log.renew(self._head)

    def _on_time(self, stamped: Stamped) -> Stamped:
        """Logical time never goes back, whatever an input says of itself."""
        latest = self._book.account.now
        return stamped if stamped.logical_time >= latest else replace(stamped, logical_time=latest)

    def _one_by_one(self, inputs: list[Stamped]) -> list[Command]:
        """Find out which input the log refused, and store what can be stored."""
        for done, stamped in enumerate(inputs):
            try:
                self._owed += self._single(stamped)
            except BaseException:
                self._undone = inputs[done:]
                raise
        return self._with_owed([])

    def _single(self, stamped: Stamped) -> list[Command]:
        known = self._known(stamped)
        if known is not None:
            seq, same = known
            if same:
                self.counts["duplicates"] += 1
                return []
            self.counts["conflicts"] += 1
            stamped = _conflict(stamped, seq)
            if self._known(stamped) is not None:
                self.counts["duplicates"] += 1
                return []
        try:
            return self._append_one(stamped)
        except Unstorable as error:
            self._book.rollback()
            self.counts["unstorable"] += 1
            return self._append_one(_unparsed(stamped, str(error), self._book.account.now))

    def _append_one(self, stamped: Stamped) -> list[Command]:
        stamped = self._on_time(stamped)
        result = self._book.decide(stamped)
        try:
            failpoints.reach("single.appending")
            self._head = self._log.append(self._head, [record(result, stamped)])
            failpoints.reach("single.appended")
        except BaseException:
            self._book.rollback()
            raise
        self._publish([Committed(stamped, result)])
        return list(result.commands)

    def _known(self, stamped: Stamped) -> tuple[int, bool] | None:
        """(seq, same content) of the input that used this key before, or None."""
        key = inbox_key(stamped, body_text(stamped.event))
        if key is None:
            return None
        found = self._log.inbox(self._head.account, key.source, key.dedupe_key)
        return (found[0], found[1] == key.body_hash) if found is not None else None

    def _publish(self, batch: list[Committed]) -> None:
        self._book.commit()
        self.published = Published(self._book.account, dict(self._book.pipelines))
        for committed in batch:
            for observer in self._observers:
                observer(committed)


def _conflict(stamped: Stamped, first_seq: int) -> Stamped:
    """What is logged when an input comes again with other content: the first one stands."""
    text = body_text(stamped.event)
    event = DuplicateConflict(
        first_seq=first_seq,
        conflict_source=stamped.source or "",
        conflict_key=stamped.dedupe_key or "",
        text=f"{type(stamped.event).__name__} {text}",
    )
    return Stamped(
        event=event,
        logical_time=stamped.logical_time,
        event_time=stamped.event_time,
        received_at=stamped.received_at,
        source="conflict",
        dedupe_key=f"{stamped.source}:{stamped.dedupe_key}:{_hash(text)}",
    )


def _unparsed(stamped: Stamped, error: str, now: Micros) -> Stamped:
    """What is logged of an input that the log cannot store: its exact text, as bytes beside the log.

    Nothing that it says of itself is taken over unless it is what it should be.
    """
    at, received_at, source = stamped.logical_time, stamped.received_at, stamped.source
    raw = repr(stamped.event).encode("utf-8", "backslashreplace")
    is_named = type(source) is str and source.isprintable()
    event = UnparsedFrame(
        raw_sha256=_hash(raw),
        error=error.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0"),
        origin=source if is_named and source is not None else type(stamped.event).__name__,
    )
    return Stamped(
        event=event,
        logical_time=at if type(at) is int and now <= at < LATEST else now,
        received_at=received_at if type(received_at) is int and 0 <= received_at < LATEST else None,
        raw=raw,
    )


def _hash(content: str | bytes) -> str:
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()
