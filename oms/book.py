"""The state a writer or a verifier holds: account, pipelines, deadlines; it moves by whole steps.

Steps are speculative until `commit`; `rollback` returns to the last committed state. Deadlines are a cache over
the state and are kept the same way live and in replay, because which pipelines are due decides who is asked.
"""

from typing import Final

from oms.events.base import Event, Stamped
from oms.events.clock import ClockAdvanced
from oms.state.account import ACCOUNT_WIDE, Account
from oms.state.pipeline import Pipeline
from oms.state.root import Deadlines
from oms.step import StepResult, decide, fold_recorded, next_due
from oms.values import MILLISECOND, Micros

PAUSE: Final = MILLISECOND
"""Least time between two clock inputs for one pipeline: a deadline that stays due cannot stop time."""


class Book:
    """Mutable holder of immutable state. Not for several threads; published values may be read by any."""

    def __init__(self, account: Account | None = None, pipelines: dict[str, Pipeline] | None = None) -> None:
        self.account = account or Account()
        self.pipelines = dict(pipelines or {})
        self.deadlines = Deadlines()
        self._kept = self.account
        self._undo: list[tuple[str, Pipeline | None]] = []
        for name in self.pipelines:
            self._schedule(name, None)

    def decide(self, stamped: Stamped) -> StepResult:
        """Step an input on the present state and move to the result."""
        is_clock = isinstance(stamped.event, ClockAdvanced)
        due = self.deadlines.due(stamped.logical_time) if is_clock else ()
        result = decide(self.account, self.pipelines, stamped, due)
        for name, pipeline in result.changed.items():
            self._undo.append((name, self.pipelines.get(name)))
            self.pipelines[name] = pipeline
        self.account = result.account
        for name in self.pipelines if type(stamped.event) in ACCOUNT_WIDE else dict.fromkeys((*result.changed, *due)):
            self._schedule(name, stamped.event)
        return result

    def fold(self, event: Event, now: Micros, seq: int, pipeline: str | None) -> None:
        """Fold a logged event without deciding. Deadlines are rebuilt by `reschedule` afterwards."""
        self.account = fold_recorded(self.account, self.pipelines, event, now, seq, pipeline)
        self._kept = self.account

    def reschedule(self) -> None:
        """Compute all deadlines anew."""
        for name in self.pipelines:
            self._schedule(name, None)

    def commit(self) -> None:
        """The steps so far are durable."""
        self._kept = self.account
        self._undo.clear()

    def rollback(self) -> None:
        """Return to the last committed state."""
        self.account = self._kept
        for name, pipeline in reversed(self._undo):
            if pipeline is None:
                self.pipelines.pop(name, None)
                self.deadlines.put(name, None)
            else:
                self.pipelines[name] = pipeline
        touched = {name for name, _ in self._undo}
        self._undo.clear()
        for name in sorted(touched):
            if name in self.pipelines:
                self._schedule(name, None)

    def next_due(self) -> Micros | None:
        """The earliest deadline of any pipeline."""
        return self.deadlines.earliest()

    def _schedule(self, name: str, event: Event | None) -> None:
        due = next_due(self.account, self.pipelines[name], self.account.now)
        if due is not None and isinstance(event, ClockAdvanced):
            due = max(due, self.account.now + PAUSE)
        self.deadlines.put(name, due)
