"""A number is its value: what is decided is the same text however the numbers of the inputs were written.

The log keeps the shortest form. A live step that said 98.50 where the log says 98.5 could never be made again from it.
"""

from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as each
from msgspec import Struct
from msgspec.structs import replace

from oms.book import Book
from oms.events.base import Stamped, body_text
from oms.events.decisions import IntentRefused
from oms.shell.record import stamped_of
from oms.values import CONTEXT
from tests.builders import entry
from tests.given import given
from tests.golden.test_golden import FILES, begun, play, read
from tests.unit.policies.days import ACCOUNT, Day
from tests.unit.policies.test_days import BOUNDED, days, played


def longer(value: Any) -> Any:
    """The same with three more zeros behind every number."""
    if isinstance(value, Decimal):
        return value + Decimal("0.000").scaleb(min(int(value.as_tuple().exponent), 0))
    if isinstance(value, Struct):
        return replace(value, **{name: longer(getattr(value, name)) for name in value.__struct_fields__})
    return tuple(map(longer, value)) if isinstance(value, tuple) else value


def decided(inputs: list[Stamped]) -> list[str]:
    """What is decided from inputs, as the log has it."""
    book, said = Book(), list[str]()
    with localcontext(CONTEXT):
        for stamped in inputs:
            said += [body_text(one.event) for one in book.decide(stamped).events[1:]]
            book.commit()
    return said


def rewritten(inputs: list[Stamped]) -> list[Stamped]:
    with localcontext(CONTEXT):
        return [replace(one, event=longer(one.event)) for one in inputs]


def test_the_rewritten_numbers_are_the_same_and_look_different() -> None:
    for text in ("98.5", "1", "0", "-0.25", "1E+2"):
        number = Decimal(text)
        assert longer(number) == number
        assert str(longer(number)) != text


@BOUNDED
@each(days)
def test_a_day_is_decided_alike_however_its_numbers_are_written(day: Day) -> None:
    inputs = [stamped_of(row) for row in played(day).log.read(ACCOUNT) if row.kind == "I"]
    assert decided(rewritten(inputs)) == decided(inputs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_session_is_decided_alike_however_its_numbers_are_written(path: Path) -> None:
    story = begun(path)
    for number, text, expected in read(path):
        play(story, number, text, expected)
    inputs = [Stamped(event=one.events[0].event, logical_time=one.account.now) for one in story.results]
    assert decided(rewritten(inputs)) == decided(inputs)


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (entry("10.50"), "quantity 10.5 is not a positive multiple of the lot 1"),
        (entry(10, ideal="100.0050"), "ideal 100.005 is not a positive multiple of the tick 0.01"),
        (entry(10, zone_max="99.90"), "zone maximum 99.9 lies on the wrong side of ideal 100"),
        (entry(10, stop="100.10"), "stop 100.1 lies on the wrong side of ideal 100"),
        (entry(10, key_level="99.90"), "key level 99.9 lies on the wrong side of ideal 100"),
    ],
)
def test_a_refusal_says_numbers_as_the_log_does(wish: Any, text: str) -> None:
    (refused,) = [one for one in given().when(wish).told if isinstance(one, IntentRefused)]
    assert refused.text == text
