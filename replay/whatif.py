"""What if: decide a logged day again under another configuration, up to where the two part, and say why there.

The inputs are those of the log. After the parting they answer orders that the other profile never sent, so that
nothing more can be said without a market to send its own orders to.
"""

from decimal import localcontext
from itertools import takewhile
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.envelope import Envelope
from eventlog.log import EventLog
from oms.book import Book
from oms.config import Settings
from oms.config_problems import leaves, spoken
from oms.events.base import Event, Stamped
from oms.events.clock import ClockAdvanced
from oms.events.operator import ConfigActivated
from oms.events.session import WriterStarted
from oms.shell.record import envelope, stamped_of, steps_of
from oms.step import StepResult, decide, next_due
from oms.values import CONTEXT, Micros
from replay.differences import Difference, differences
from replay.rules import settings_read

NAMES_PROFILE = "body.config_sha256"
"""Every accepted entry names its configuration; that alone is no other decision."""


class Changed(Struct, frozen=True, kw_only=True):
    """A setting with another value, as one writes it."""

    name: str
    logged: str
    other: str


class Parting(Struct, frozen=True, kw_only=True):
    """The first place where the other profile decides otherwise. A side without a decision there is None.

    `input` is the step's input in the log, None where the other profile has a deadline at which the log has no input.
    `read` are the settings that the rule reads and that differ; empty, the difference lies in what came before.
    """

    at: Micros
    input: int | None
    input_type: str
    input_body: str
    pipeline: str | None
    policy: str
    logged: Envelope | None
    other: Envelope | None
    differences: tuple[Difference, ...]
    read: tuple[Changed, ...]


class WhatIf(Struct, frozen=True, kw_only=True):
    """How far both go together. `changed` are all settings that differ from the newest logged configuration.

    `unproven` is the first row that this program does not decide again even by the log's own configuration.
    """

    account: str
    events: int
    decisions: int
    changed: tuple[Changed, ...]
    parting: Parting | None
    unproven: int | None


def whatif(log: EventLog, account: str, other: Settings, until: int | None = None) -> WhatIf:
    """Decide again under `other` every step that begins at or before `until`. Raises UnknownEvent, UnknownAccount."""
    run = _Run(other)
    steps = takewhile(lambda rows: until is None or rows[0].seq <= until, steps_of(log.read(account)))
    with localcontext(CONTEXT):
        parting = next((found for rows in steps if (found := run.step(rows))), None)
    return WhatIf(
        account=account,
        events=run.events,
        decisions=run.decisions,
        changed=changes(run.logged, other),
        parting=parting,
        unproven=run.unproven,
    )


def changes(logged: Settings | None, other: Settings) -> tuple[Changed, ...]:
    """The settings that differ, in the order of declaration. The profile's own name decides nothing."""
    if logged is None:
        return ()
    pairs = ((name, _value(logged, name), _value(other, name)) for name in leaves(Settings))
    return tuple(
        Changed(name=name, logged=spoken(was), other=spoken(now))
        for name, was, now in pairs
        if was != now and name != "profile"
    )


def _value(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


class _Run:
    """The other profile's state as long as it stands where the log stands, and beside it the log's own."""

    def __init__(self, other: Settings) -> None:
        self.book = Book()
        self.own = Book()
        self.logged: Settings | None = None
        self.unproven: int | None = None
        self.events = 0
        self.decisions = 0
        self._other = other

    def step(self, rows: list[Envelope]) -> Parting | None:
        """Decide one logged step again; what came due before it in the other profile only comes first."""
        stamped = stamped_of(rows[0])
        parting = self._between(stamped.logical_time)
        if parting is not None:
            return parting
        self._prove(rows, stamped)
        result = self._decide(stamped)
        found = self._compare(rows, result, stamped)
        self.book.commit()
        if found is None:
            self.events += len(rows)
            self.decisions += len(rows) - 1
        return found

    def _prove(self, rows: list[Envelope], stamped: Stamped) -> None:
        if isinstance(stamped.event, WriterStarted):
            self.own.reschedule()
        result = self.own.decide(stamped)
        self.own.commit()
        made = [_row(result, stamped, index) for index in range(len(result.events))]
        if self.unproven is None and made[1:] != rows[1:]:
            self.unproven = rows[0].seq

    def _decide(self, stamped: Stamped) -> StepResult:
        event = stamped.event
        if isinstance(event, WriterStarted):
            self.book.reschedule()
        elif isinstance(event, ConfigActivated):
            self.logged = Settings.from_log(msgspec.json.encode(event.settings).decode())
            other = self._other
            event = ConfigActivated(
                config_sha256=other.sha256,
                profile=other.profile,
                settings=other.body(),
                apply_to_open=event.apply_to_open,
            )
        return self.book.decide(msgspec.structs.replace(stamped, event=event))

    def _between(self, until: Micros) -> Parting | None:
        """What the other profile does at a deadline of its own. One at which it does nothing leaves no trace.

        Where the log's own profile had a deadline as well, its writer was late, and the input that follows is for both.
        """
        book = self.book
        while (at := book.next_due()) is not None and at < until:
            own = self.own.next_due()
            if own is not None and own <= at:
                return None
            due = book.deadlines.due(at)
            stamped = Stamped(event=ClockAdvanced(), logical_time=max(at, book.account.now))
            result = decide(book.account, book.pipelines, stamped, due)
            if len(result.events) > 1:
                return self._parting(None, result, stamped, 1)
            for name in due:
                book.deadlines.put(name, next_due(book.account, book.pipelines[name], stamped.logical_time))
        return None

    def _compare(self, rows: list[Envelope], result: StepResult, stamped: Stamped) -> Parting | None:
        for index in range(1, max(len(rows), len(result.events))):
            found = self._parting(rows, result, stamped, index)
            if found is not None:
                return found
        return None

    def _parting(
        self, rows: list[Envelope] | None, result: StepResult, stamped: Stamped, index: int
    ) -> Parting | None:
        """How the decisions at one place of a step differ, or None."""
        logged = rows[index] if rows is not None and index < len(rows) else None
        event = result.events[index].event if index < len(result.events) else None
        other = _row(result, stamped, index) if event is not None else None
        if logged == other:
            return None
        found = tuple(one for one in differences(logged, other) if one.field != NAMES_PROFILE)
        if not found:
            return None
        policy, read = self._why(event, logged)
        first = rows[0] if rows is not None else None
        there = logged or other
        return Parting(
            at=stamped.logical_time,
            input=first.seq if first is not None else None,
            input_type=type(stamped.event).__name__,
            input_body=first.body if first is not None else "",
            pipeline=there.pipeline if there is not None else None,
            policy=policy,
            logged=logged,
            other=other,
            differences=found,
            read=read,
        )

    def _why(self, event: Event | None, logged: Envelope | None) -> tuple[str, tuple[Changed, ...]]:
        """Which rule decided, and which of the settings it reads differ."""
        if event is not None:
            said: dict[str, Any] = {name: getattr(event, name) for name in type(event).__struct_fields__}
            kind = type(event).__name__
        else:
            assert logged is not None
            said, kind = msgspec.json.decode(logged.body), logged.type
        policy = said.get("policy") or ("entry" if kind in ("EntryAccepted", "IntentRefused") else "")
        names = settings_read(policy, said.get("reason") or "", said.get("candidate") or "")
        changed = changes(self.logged, self._other)
        read = tuple(one for one in changed if one.name in names)
        if not read:
            # A rule that comes first can have been switched off or on, or its size and price be another's choice.
            read = tuple(one for one in changed if one.name.partition(".")[0] in (policy, "policies"))
        return policy, read


def _row(result: StepResult, stamped: Stamped, index: int) -> Envelope:
    day = result.account.trading_day
    assert day is not None, "the first event of a log names its trading day"
    return envelope(result.events[index], result.events[0].seq, stamped, day)
