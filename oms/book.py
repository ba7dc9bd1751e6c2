"""The state a writer or a verifier holds: account, pipelines, deadlines; it moves by whole steps.

Steps are speculative until `commit`; `rollback` returns to the last committed state. Deadlines are a cache over
the state and are kept the same way live and in replay, because which pipelines are due decides who is asked.
"""

from typing import Final

from oms.events.base import Event, Stamped
from oms.events.clock import ClockAdvanced
from oms.state.account import Account
from oms.state.calm import Calm
from oms.state.pipeline import Pipeline
from oms.state.root import Deadlines
from oms.step import StepResult, decide, fold_recorded, next_due
from oms.values import Micros

NEVER: Final[Micros] = -1
"""Before all times."""
PAUSE: Final[Micros] = 0
"""Least time between two clock inputs for one pipeline; no deadline stays due, so that none is needed."""


class Book:
    """Mutable holder of immutable state. Not for several threads; published values may be read by any."""

    def __init__(self, account: Account | None = None, pipelines: dict[str, Pipeline] | None = None) -> None:
        self.account = account or Account()
        self.pipelines = dict(pipelines or {})
        self.deadlines = Deadlines()
        self._calm: dict[str, Calm | None] = {}
        self._kept = self.account
        self._undo: list[tuple[str, Pipeline | None, Micros | None]] = []
        self.reschedule()

    def decide(self, stamped: Stamped) -> StepResult:
        """Step an input on the present state and move to the result."""
        is_clock = isinstance(stamped.event, ClockAdvanced)
        due = self.deadlines.due(stamped.logical_time) if is_clock else ()
        result = decide(self.account, self.pipelines, stamped, due, self._calm)
        for name in dict.fromkeys((*result.changed, *result.decided)):
            self._undo.append((name, self.pipelines.get(name), self.deadlines.get(name)))
        self.pipelines.update(result.changed)
        self.account = result.account
        self._calm.update(result.calm)
        for name in result.decided:
            self._schedule(name, is_steady=name in result.steady)
        return result

    def fold(self, event: Event, now: Micros, seq: int, pipeline: str | None) -> None:
        """Fold a logged event without deciding. Deadlines are rebuilt by `reschedule` afterwards."""
        self.account = fold_recorded(self.account, self.pipelines, event, now, seq, pipeline)
        self._kept = self.account

    def reschedule(self) -> None:
        """Compute all deadlines anew, overdue ones included: which pipelines decided when is not known here."""
        for name, pipeline in self.pipelines.items():
            self.deadlines.put(name, next_due(self.account, pipeline, self.account.now, decided_at=NEVER))

    def commit(self) -> None:
        """The steps so far are durable."""
        self._kept = self.account
        self._undo.clear()

    def rollback(self) -> None:
        """Return to the last committed state."""
        self.account = self._kept
        for name, pipeline, due in reversed(self._undo):
            self.deadlines.put(name, due)
            # What was calm after an undone step says nothing of the deadline before it.
            self._calm.pop(name, None)
            if pipeline is None:
                self.pipelines.pop(name, None)
            else:
                self.pipelines[name] = pipeline
        self._undo.clear()

    def next_due(self) -> Micros | None:
        """The earliest deadline of any pipeline."""
        return self.deadlines.earliest()

    def _schedule(self, name: str, *, is_steady: bool) -> None:
        """The pipeline's policies have just seen this time, so that whatever is still due is due later."""
        if is_steady:
            known = self.deadlines.get(name)
            if known is None or known > self.account.now:
                return
        due = next_due(self.account, self.pipelines[name], self.account.now, calm=self._calm.get(name))
        self.deadlines.put(name, due)
