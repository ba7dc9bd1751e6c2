"""Golden sessions: what goes in and exactly what is decided on it, in files that a person can read and edit.

A line is an input; the lines with `>` below it are its decisions, all of them, in order, each with the fields that
matter. Nothing writes these files: a change of behaviour is a change by hand.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest

from oms.events.base import Event
from oms.events.broker import CapabilitiesDeclared
from oms.events.market import BarClosed
from oms.events.operator import Act
from oms.events.strategy import ExhaustionReported
from oms.values import MILLISECOND, PositionSide, Role
from tests import answers
from tests import given as words
from tests.builders import CLOSE, MINUTE, NAME, OPEN, STRATEGY, act, add, entry, halt, leave, resume, settings
from tests.given import Input, Story, text_of

FILES = sorted(Path(__file__).parent.glob("*.txt"))
Words = list[str]


def enter(args: Words) -> Input:
    side, quantity, ideal, zone_max, stop, *key = args
    return entry(
        quantity,
        ideal=ideal,
        zone_max=zone_max,
        stop=stop,
        side=PositionSide[side.upper()],
        key_level=key[0] if key else None,
    )


def answer(make: Callable[..., Input]) -> Callable[[Words], Input]:
    """An answer of the broker: a role and which of its orders, from 1; without a number the newest."""

    def read(args: Words) -> Input:
        nth = int(args[1]) - 1 if len(args) > 1 else -1
        return make(Role[args[0].upper()], nth)

    return read


def exhaustion() -> Event:
    """The strategy reports that the move is exhausted."""
    return ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")


def traded(volume: str) -> Input:
    """A minute ends in which so much was traded, at 100."""
    price = Decimal(100)
    return lambda story: BarClosed(
        instrument=NAME, open_at=story.now - MINUTE, end_at=story.now, open=price, high=price, low=price,
        close=price, volume=Decimal(volume),
    )  # fmt: skip


def filled(args: Words) -> Input:
    """`fill ROLE [NTH] [QUANTITY shares] [at PRICE]`."""
    role, rest = Role[args[0].upper()], args[1:]
    price = rest.pop(rest.index("at") + 1) if "at" in rest else None
    quantity = rest[rest.index("shares") - 1] if "shares" in rest else None
    nth = int(rest[0]) - 1 if rest and rest[0].isdigit() and rest[1:2] != ["shares"] else -1
    return answers.fill(role, quantity, price, nth)


INPUTS: dict[str, Callable[[Words], Input]] = {
    "enter": enter,
    "add": lambda args: add(ideal=args[0], zone_max=args[1], stop=args[2] if len(args) > 2 else None),
    "about": lambda args: words.about(int(args[0])),
    "leave": lambda _: leave(),
    "kill": lambda args: act(Act.KILL, level=int(args[0])),
    "quote": lambda args: words.quote(*args),
    "print": lambda args: words.printed(args[0]),
    "bar": lambda args: words.bar(*args),
    "silent": lambda _: words.silent,
    "halt": lambda _: halt(),
    "resume": lambda _: resume(),
    "wait": lambda args: words.wait(args[0]),
    "before_close": lambda args: words.until(CLOSE - int(Decimal(args[0]) * 60_000) * MILLISECOND),
    "ack": answer(answers.ack),
    "fill": filled,
    "replaced": answer(answers.replaced),
    "cancelled": answer(answers.cancelled),
    "rejected": answer(answers.rejected),
    "refused": answer(answers.refused),
    "triggered": lambda _: answers.triggered,
    "confirmed": lambda _: answers.confirmed,
    "bust": answer(answers.bust),
    "again": answer(answers.told_again),
    "corrected": lambda args: answers.corrected(Role[args[0].upper()], args[1], args[2]),
    "exhaustion": lambda _: exhaustion(),
    "traded": lambda args: traded(args[0]),
}

BEFORE = ("setting", "broker", "before_open")
"""Words of the lines a session may begin with: what is not as by default."""


def begun(path: Path) -> Story:
    """The story of a file before its first input: with its settings, its broker, and from its time on."""
    can = {name: value == "yes" for name, value in _said(path, "broker")}
    early = sum(int(minutes) for (minutes,) in _said(path, "before_open"))
    return Story(settings(**changes(path)), CapabilitiesDeclared(**can), OPEN - early * MINUTE)


def changes(path: Path) -> dict[str, str]:
    """The settings of a session that are not the defaults."""
    return {name.replace(".", "__"): value for name, value in _said(path, "setting")}


def _said(path: Path, word: str) -> list[Words]:
    return [text.split()[1:] for _, text, _ in _lines(path) if text.split()[0] == word]


def read(path: Path) -> list[tuple[int, str, list[str]]]:
    """(line number, input, expected decisions) of a file."""
    return [line for line in _lines(path) if not line[1].startswith(BEFORE)]


def _lines(path: Path) -> list[tuple[int, str, list[str]]]:
    told: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.split("#")[0].strip()
        if text.startswith(">"):
            told[-1][2].append(text[1:].strip())
        elif text:
            told.append((number, text, []))
    return told


def plain(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def matches(expected: str, decision: Event) -> bool:
    name, *fields = expected.split()
    pairs = (field.split("=", 1) for field in fields)
    return type(decision).__name__ == name and all(
        same(plain(getattr(decision, key)), value) for key, value in pairs
    )


def same(value: str, expected: str) -> bool:
    """Numbers are compared as numbers; an underscore stands for a blank."""
    try:
        return Decimal(value) == Decimal(expected)
    except ArithmeticError:
        return value == expected.replace("_", " ") or value == expected


def play(story: Story, number: int, text: str, expected: list[str]) -> None:
    name, *args = text.split()
    told = story.take(INPUTS[name](args))
    seen = "\n  ".join(text_of(one) for one in told) or "nothing"
    assert len(told) == len(expected), (
        f"line {number}, {text}: {len(expected)} decisions expected, told\n  {seen}"
    )
    for one, decision in zip(expected, told, strict=True):
        assert matches(one, decision), f"line {number}, {text}: expected {one}, told\n  {seen}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_session(path: Path) -> None:
    story = begun(path)
    for number, text, expected in read(path):
        play(story, number, text, expected)


def test_there_are_golden_sessions() -> None:
    assert len(FILES) >= 18
