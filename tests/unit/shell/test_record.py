"""What our own encoders write is canonical by construction; the log relies on it."""

from datetime import date
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from eventlog.canon import NUL, require_canonical
from oms import commands
from oms.events.base import DECISION, INPUT, REGISTRY, body_text, is_closed
from oms.events.checking import problem_of_event

CLOSED = [cls for name, cls in sorted(REGISTRY.items()) if is_closed(cls)]
COMMANDS = [commands.PlaceOrder, commands.ReplaceOrder, commands.CancelOrder]
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "\0", "\\u0000", "\x7f", "\u2028", '"\\/\b\f\n\r\t', "\U0001f642"]
)
Leaves = dict[Any, st.SearchStrategy[Any]]
LEAVES: Leaves = {
    str: texts,
    int: st.integers(-(1 << 63), (1 << 63) - 1),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    date: st.dates(),
    NoneType: st.none(),
}


def values(hint: Any, leaves: Leaves) -> st.SearchStrategy[Any]:
    """Any value of a type hint."""
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([values(one, leaves) for one in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0], leaves), max_size=3).map(tuple)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return structs(hint, leaves) if issubclass(hint, Struct) else leaves[hint]


def structs(cls: type[Struct], leaves: Leaves | None = None) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{name: values(hints[name], leaves or LEAVES) for name in cls.__struct_fields__})


def check(text: str) -> None:
    """A text with an escaped U+0000, or what looks like one, is looked at by the log itself."""
    if NUL not in text:
        require_canonical(text)


def test_what_holds_any_data_is_not_taken_for_closed() -> None:
    assert [name for name, cls in sorted(REGISTRY.items()) if not is_closed(cls)] == [
        "ConfigActivated",
        "PolicyNoted",
    ]
    assert sum(cls.KIND == DECISION for cls in CLOSED) > 20


@pytest.mark.parametrize("cls", CLOSED, ids=lambda cls: cls.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_every_body_is_canonical(cls: Any, data: st.DataObject) -> None:
    check(body_text(data.draw(structs(cls))))


@pytest.mark.parametrize("cls", [cls for cls in CLOSED if cls.KIND == INPUT], ids=lambda cls: cls.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_what_the_door_lets_in_can_be_written_and_is_canonical(cls: Any, data: st.DataObject) -> None:
    """The log takes our word for it (`is_own`): a body that PostgreSQL prints differently would break its chain."""
    wild = {str: st.text(max_size=6) | st.just("\ud83d"), int: st.integers()}
    event = data.draw(structs(cls, {**LEAVES, **wild}))
    if problem_of_event(event) is None:
        check(body_text(event))


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
@settings(max_examples=50)
@given(data=st.data())
def test_every_command_is_canonical_and_comes_back(cls: Any, data: st.DataObject) -> None:
    command = data.draw(structs(cls))
    text = commands.encode(command)
    check(text)
    assert commands.decode(text) == command
