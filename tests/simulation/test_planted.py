"""The corpus of planted bugs can be planted, is large enough, and some of it is caught at once in every run."""

import pytest

from tests.checkout import nothing
from tests.simulation import planted

FEW = ("a bust is ignored", "stops are day orders", "a restart sends the outbox again")


def test_every_planted_bug_can_be_planted() -> None:
    nothing([problem for wrong in planted.ALL for problem in planted.problems(wrong)])


def test_there_are_enough_of_them_under_different_names() -> None:
    names = [wrong.name for wrong in planted.ALL]
    assert len(names) == len(set(names)) >= 60


@pytest.mark.parametrize("name", FEW)
def test_planted_bug_is_caught(name: str) -> None:
    wrong = next(wrong for wrong in planted.ALL if wrong.name == name)
    found = planted.caught(wrong, seeds=20)
    assert found.is_caught, found
