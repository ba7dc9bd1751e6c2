"""A large append in parts: while the server stores one, the next is prepared. All of them are one transaction.

Each part is a statement of its own that expects the head which the part before left; none is committed before the last.
Between them the head is locked: it is for imports and backtests, a live writer sends one statement.
"""

from collections.abc import Iterator, Sequence

from eventlog.batch import Batch, prepare
from eventlog.envelope import Head, StepRecord

PART_ROWS = 256
"""Enough that a statement's own cost does not matter, few enough that the server soon has something to do."""


class Parts:
    """The batches of an append. Each is prepared when it is first asked for, and only once.

    Iterating raises Unstorable for data and ValueError for misuse.
    """

    def __init__(self, before: Head, steps: Sequence[StepRecord], *, is_whole: bool = False) -> None:
        self.before = before
        self.steps = [steps] if is_whole else _split(steps)
        """The steps of each part; of one that has to be `is_whole` all of them."""
        self._ready: list[Batch] = []

    def __iter__(self) -> Iterator[Batch]:
        for number, steps in enumerate(self.steps):
            if number == len(self._ready):
                self._ready.append(prepare(self._ready[-1].after if self._ready else self.before, steps))
            yield self._ready[number]

    @property
    def after(self) -> Head:
        """The head that stands when all is stored."""
        *_, last = self
        return last.after


def _split(steps: Sequence[StepRecord]) -> list[Sequence[StepRecord]]:
    """Whole steps, in parts of about `PART_ROWS` rows."""
    if len(steps) < PART_ROWS // 2 or sum(len(step.events) for step in steps) < 2 * PART_ROWS:
        return [steps]
    found: list[Sequence[StepRecord]] = []
    first = rows = 0
    for number, step in enumerate(steps):
        if rows >= PART_ROWS:
            found.append(steps[first:number])
            first, rows = number, 0
        rows += len(step.events)
    return [*found, steps[first:]]
