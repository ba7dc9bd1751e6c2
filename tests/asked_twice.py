"""Every step of every test, decided once more with all policies asked: leaving some out must never change anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from oms import book
from oms.book import Book
from oms.events.base import Stamped
from oms.state.account import Account
from oms.state.calm import Calm
from oms.state.pipeline import Pipeline
from oms.step import StepResult, decide, next_due


@contextmanager
def compared() -> Iterator[None]:
    """While this lasts, books compare."""
    schedule = Book._schedule

    def schedule_twice(self: Book, name: str, *, is_steady: bool) -> None:
        schedule(self, name, is_steady=is_steady)
        if type(self) is Book:
            due = next_due(self.account, self.pipelines[name], self.account.now)
            assert self.deadlines.get(name) == due, f"another deadline of {name} than {due}"

    patch = pytest.MonkeyPatch()
    patch.setattr(book, "decide", decide_twice)
    patch.setattr(Book, "_schedule", schedule_twice)
    yield
    patch.undo()


def decide_twice(
    account: Account,
    pipelines: Mapping[str, Pipeline],
    stamped: Stamped,
    due: list[str] | tuple[str, ...],
    calm: Mapping[str, Calm | None],
) -> StepResult:
    """The step as the book takes it; all that leaves it must be what it is when every policy is asked."""
    result = decide(account, pipelines, stamped, due, calm)
    if any(calm.values()):
        whole = decide(account, pipelines, stamped, due)
        for field in ("events", "account", "changed", "commands", "settled", "decided"):
            gated, full = getattr(result, field), getattr(whole, field)
            assert gated == full, f"{field} after {stamped.event}:\n{gated}\nwith all policies:\n{full}"
    return result
