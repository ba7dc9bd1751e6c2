"""Verification: decide everything again from the logged inputs and compare with the logged decisions.

Recovery folds what was decided; this never looks at a logged decision except to compare it, byte for byte and
column by column. Rows are streamed, so the length of the log costs time and no memory. The chain is another
question, which `eventlog.verify` answers: a log may be forged and consistent, or intact and not reproducible.
"""

import time
from collections.abc import Callable, Iterator
from decimal import localcontext
from typing import Final, Literal

from msgspec import Struct, ValidationError
from msgspec.structs import replace

from eventlog.envelope import Envelope
from eventlog.errors import LogCorrupt
from eventlog.log import EventLog
from oms.book import Book
from oms.errors import ConfigError
from oms.events.base import Stamped, UnknownEvent
from oms.events.clock import ClockAdvanced
from oms.events.operator import ConfigActivated
from oms.events.session import WriterStarted
from oms.policies import mismatch
from oms.shell.record import envelope, stamped_of
from oms.state.account import Account
from oms.state.digest import FOLD_VERSION, digest
from oms.state.pipeline import Pipeline
from oms.step import StepResult, next_due
from oms.values import CONTEXT
from replay.differences import Difference, differences

Result = Literal["identical", "divergent", "other_code", "incomplete", "unsupported_version"]
Progress = Callable[[int], None]

PROGRESS_EVENTS: Final = 2048


class Divergence(Struct, frozen=True, kw_only=True):
    """The first place where log and program part. A side that has no decision there is None.

    `seq` is the row that differs, `input` the step it belongs to.
    """

    seq: int
    input: int
    input_type: str
    input_body: str
    logged: Envelope | None
    regenerated: Envelope | None
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        said = "; ".join(str(one) for one in self.differences)
        return f"event {self.seq}, decided on input {self.input} {self.input_type}: {said}"


class Verification(Struct, frozen=True, kw_only=True):
    """What came out. Counts and `digest` are those of the part that was compared and found equal.

    `why` explains every result but `identical`, `at_seq` says where; `codes` are the program versions that wrote
    the log.
    """

    account: str
    result: Result
    until: int
    events: int
    decisions: int
    seconds: float
    events_per_second: int
    digest: str
    fold_version: int = FOLD_VERSION
    first_divergence: Divergence | None = None
    at_seq: int | None = None
    why: str = ""
    codes: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether every decision of the log was made again, byte for byte."""
        return self.result == "identical"


class _Stopped(Exception):
    """Verification cannot go on."""

    def __init__(self, result: Result, seq: int, why: str, divergence: Divergence | None = None) -> None:
        super().__init__(why)
        self.result = result
        self.seq = seq
        self.divergence = divergence


def verify(
    log: EventLog, account: str, until: int | None = None, progress: Progress | None = None
) -> Verification:
    """Decide every step that begins at or before `until` (default: all) again and compare.

    `progress` is called now and then with the number of events since its last call. Raises UnknownAccount.
    """
    run = _Run(log)
    begun = time.perf_counter()
    stopped: _Stopped | None = None
    with localcontext(CONTEXT):
        try:
            run.through(_steps(log.read(account), until), progress or _silent)
        except _Stopped as reason:
            stopped = reason
        except LogCorrupt as error:
            stopped = _Stopped("incomplete", int(str(error.details["seq"])), str(error))
        found = digest(run.book.account, run.book.pipelines)
    seconds = time.perf_counter() - begun
    return Verification(
        account=account,
        result=stopped.result if stopped else "identical",
        until=run.events,
        events=run.events,
        decisions=run.decisions,
        seconds=seconds,
        events_per_second=round(run.events / seconds) if seconds else 0,
        digest=found,
        first_divergence=stopped.divergence if stopped else None,
        at_seq=stopped.seq if stopped else None,
        why=str(stopped) if stopped else "",
        codes=tuple(run.codes),
    )


def _silent(_count: int) -> None:
    return None


def _steps(rows: Iterator[Envelope], until: int | None) -> Iterator[list[Envelope]]:
    """An input and all rows up to the next input. The rows of one step are all that is held."""
    step: list[Envelope] = []
    for expected, row in enumerate(rows, start=1):
        if row.seq != expected:
            raise _Stopped("incomplete", expected, f"row {expected} is missing or stands twice")
        if row.kind == "I" and step:
            yield step
            if until is not None and row.seq > until:
                return
            step = []
        step.append(row)
    if step:
        yield step


class LazyBook(Book):
    """A book that computes a pipeline's deadline when the next clock input asks, from the state it had back then.

    State is immutable, so late is as good as at once; most deadlines are replaced before anybody asks for them.
    """

    def __init__(self) -> None:
        self._late: dict[str, tuple[Account, Pipeline]] = {}
        super().__init__()

    def decide(self, stamped: Stamped) -> StepResult:
        """As live. A writer that took over had folded the log and computed every deadline anew."""
        if isinstance(stamped.event, WriterStarted):
            self.reschedule()
        elif isinstance(stamped.event, ClockAdvanced):
            self.settle()
        return super().decide(stamped)

    def reschedule(self) -> None:
        """Compute all deadlines anew; what was put off is no longer wanted."""
        self._late.clear()
        super().reschedule()

    def settle(self) -> None:
        """Compute what was put off."""
        for name, (account, pipeline) in self._late.items():
            self.deadlines.put(name, next_due(account, pipeline, account.now))
        self._late.clear()

    def _schedule(self, name: str, *, is_steady: bool) -> None:  # noqa: ARG002 - later is as good
        self._late[name] = (self.account, self.pipelines[name])


class _Run:
    """The state of one verification."""

    def __init__(self, log: EventLog) -> None:
        self.book = LazyBook()
        self.events = 0
        self.decisions = 0
        self.codes: list[str] = []
        self._log = log

    def through(self, steps: Iterator[list[Envelope]], progress: Progress) -> None:
        """Verify step after step. Raises _Stopped at the first that is not as logged."""
        reported = 0
        for rows in steps:
            self._step(rows)
            self.events += len(rows)
            self.decisions += len(rows) - 1
            if self.events - reported >= PROGRESS_EVENTS:
                progress(self.events - reported)
                reported = self.events
        progress(self.events - reported)

    def _step(self, rows: list[Envelope]) -> None:
        first, book = rows[0], self.book
        wrong = _misplaced(first, book)
        if wrong:
            raise _parted(first, first, wrong)
        try:
            stamped = stamped_of(first)
        except UnknownEvent as error:
            raise _Stopped("unsupported_version", first.seq, str(error)) from None
        except ValidationError as error:
            raise _Stopped(
                "unsupported_version", first.seq, f"{first.type} cannot be read: {error}"
            ) from None
        event = stamped.event
        if isinstance(event, ConfigActivated | WriterStarted):
            self._admit(first.seq, event)
        try:
            result = book.decide(stamped)
        except Exception as error:  # A forged input may break anything; that is the log's fault.
            raise _raised(first, error) from error
        book.commit()
        if len(rows) > 1 or len(result.events) > 1:
            _compare(rows, result, stamped)
        elif first.pipeline != result.events[0].pipeline or first.trading_day != result.account.trading_day:
            raise _parted(first, first, _row(result, 0, stamped))

    def _admit(self, seq: int, event: ConfigActivated | WriterStarted) -> None:
        """Stop where the log was decided by rules that this program does not have."""
        if isinstance(event, WriterStarted):
            if event.code not in self.codes:
                self.codes.append(event.code)
            return
        if self._log.config(event.config_sha256) is None:
            raise _Stopped("other_code", seq, f"the configuration {event.config_sha256} is not in the log")
        why = other_rules(event)
        if why:
            raise _Stopped("other_code", seq, why)


def other_rules(event: ConfigActivated) -> str:
    """Which rule of a logged configuration this program does not have, or ""."""
    enabled = (event.settings.get("policies") or {}).get("enabled")
    if not isinstance(enabled, dict):
        return "the logged configuration does not list its policies"
    other = mismatch(enabled)
    return f"the log was decided with {other}" if other else ""


def _compare(rows: list[Envelope], result: StepResult, stamped: Stamped) -> None:
    """Compare the rows of a step with what was decided now: columns, canonical bodies, order and number."""
    for index in range(max(len(rows), len(result.events))):
        logged = rows[index] if index < len(rows) else None
        made = _row(result, index, stamped) if index < len(result.events) else None
        if logged != made:
            raise _parted(rows[0], logged, made)


def _row(result: StepResult, index: int, stamped: Stamped) -> Envelope:
    day = result.account.trading_day
    assert day is not None, "the first event of a log names its trading day"
    return envelope(result.events[index], result.events[0].seq, stamped, day)


def _parted(first: Envelope, logged: Envelope | None, made: Envelope | None) -> _Stopped:
    there = logged or made
    assert there is not None
    divergence = Divergence(
        seq=there.seq,
        input=first.seq,
        input_type=first.type,
        input_body=first.body,
        logged=logged,
        regenerated=made,
        differences=differences(logged, made),
    )
    return _Stopped("divergent", there.seq, str(divergence), divergence)


def _misplaced(row: Envelope, book: Book) -> Envelope | None:
    """The row as it would have to stand, if it cannot begin a step here."""
    seq, now = book.account.seq + 1, max(book.account.now, row.logical_time)
    if (row.seq, row.cause_seq, row.kind, row.logical_time) == (seq, seq, "I", now):
        return None
    return replace(row, seq=seq, cause_seq=seq, kind="I", logical_time=now)


def _raised(row: Envelope, error: Exception) -> _Stopped:
    if isinstance(error, ConfigError):
        return _Stopped(
            "other_code", row.seq, f"the logged configuration is not this program's: {error.what}"
        )
    said = f"{type(error).__name__}: {error}".strip()
    divergence = Divergence(
        seq=row.seq,
        input=row.seq,
        input_type=row.type,
        input_body=row.body,
        logged=row,
        regenerated=None,
        differences=(Difference(field="step", logged="was decided", regenerated=f"raised {said}"),),
    )
    return _Stopped("divergent", row.seq, f"the program cannot step this input: {said}", divergence)
