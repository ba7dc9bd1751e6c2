"""The shape of an event, its registry, and its canonical text.

An event is a frozen struct of a few fields. Its stored text is what PostgreSQL prints for `body::text`:
keys by (byte length, bytes), `", "` and `": "` between. Fields keep their natural order in the code; the
stored order and the conversion of each type are computed once, at import.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from oms.values import Micros, plain

Kind = Literal["I", "D"]
INPUT: Final[Kind] = "I"
DECISION: Final[Kind] = "D"


class Event(Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """Base of all events. VERSION rises when an old body would be misread; KIND is input or decision."""

    VERSION: ClassVar[int] = 1
    KIND: ClassVar[Kind] = INPUT


class Part(Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """Base of the structs inside events."""


class Stamped(Struct, frozen=True, gc=False, kw_only=True):
    """An input with its clocks (`Micros`) and its once-only key.

    `logical_time` is the only clock a decision sees. `source` names the id namespace of `dedupe_key`.
    """

    event: Event
    logical_time: Micros
    event_time: Micros | None = None
    received_at: Micros | None = None
    source: str | None = None
    dedupe_key: str | None = None
    raw: bytes | None = None


_EventType = TypeVar("_EventType", bound=type[Event])
_Convert = Callable[[Any], Any]

REGISTRY: Final[dict[str, type[Event]]] = {}
"""Event class by type name. Filled by `register`, complete once `oms.events.registry` is imported."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_stored: Final[dict[type[Struct], _Convert]] = {}
_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {}


def register(cls: _EventType) -> _EventType:
    """Class decorator: make an event type known by its name."""
    assert cls.__name__ not in REGISTRY, cls.__name__
    REGISTRY[cls.__name__] = cls
    return cls


def stored_key(name: str) -> tuple[int, bytes]:
    """PostgreSQL's order of jsonb keys: shorter first, then by bytes."""
    encoded = name.encode()
    return len(encoded), encoded


def stored_mapping(value: Any) -> Any:
    """Plain JSON data with the keys of every object in stored order."""
    if isinstance(value, dict):
        return {key: stored_mapping(value[key]) for key in sorted(value, key=stored_key)}
    if isinstance(value, list | tuple):
        return [stored_mapping(item) for item in value]
    return value


def body_text(event: Event) -> str:
    """Canonical JSON text of an event's body; fields at their default are left out."""
    encoded = _encode(_converter(type(event))(event))
    return msgspec.json.format(encoded, indent=0).decode()


@cache
def is_closed(cls: type[Struct]) -> bool:
    """Whether the fields alone say what a body holds, so that `body_text` of values of these types is canonical."""
    hints = get_type_hints(cls)
    return all(_is_closed_hint(hints[name]) for name in cls.__struct_fields__)


def _is_closed_hint(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType, tuple):
        return all(map(_is_closed_hint, get_args(hint)))
    if hint in (str, int, bool, Decimal, date, NoneType, ...):
        return True
    return isinstance(hint, type) and (
        issubclass(hint, Enum) or (issubclass(hint, Struct) and is_closed(hint))
    )


def decode(type_name: str, version: int, body: str | bytes) -> Event:
    """The event behind a stored row.

    Raises `UnknownEvent` for a type or version that this program does not know.
    """
    decoder = _decoders.get(type_name)
    if decoder is None:
        cls = REGISTRY.get(type_name)
        if cls is None:
            raise UnknownEvent(type_name, version)
        decoder = _decoders[type_name] = msgspec.json.Decoder(cls, strict=True)
    if version != decoder.type.VERSION:
        raise UnknownEvent(type_name, version)
    event: Event = decoder.decode(body)
    return event


class UnknownEvent(Exception):
    """The log holds an event type or version that this program does not know."""

    def __init__(self, type_name: str, version: int, seq: int | None = None) -> None:
        where = "" if seq is None else f" in row {seq}"
        super().__init__(f"unknown event {type_name} version {version}{where}")
        self.type_name = type_name
        self.version = version
        self.seq = seq


def _converter(cls: type[Struct]) -> _Convert:
    convert = _stored.get(cls)
    if convert is None:
        convert = _stored[cls] = _struct_converter(cls)
    return convert


def _struct_converter(cls: type[Struct]) -> _Convert:
    """Compile `event -> the same data in a struct whose fields stand in stored order`."""
    hints = get_type_hints(cls)
    names = sorted(cls.__struct_fields__, key=stored_key)
    defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
    target = msgspec.defstruct(
        cls.__name__,
        # A required field gets a default that no event holds, so that any order of fields is allowed.
        [
            (name, Any, msgspec.UNSET if defaults[name] is msgspec.NODEFAULT else defaults[name])
            for name in names
        ],
        omit_defaults=True,
        gc=False,
    )
    if not names:
        return lambda _event: target()
    getter = attrgetter(*names) if len(names) > 1 else _single(attrgetter(names[0]))
    converters = [(index, convert) for index, name in enumerate(names) if (convert := _value(hints[name]))]

    def convert_struct(event: Any) -> Any:
        values = list(getter(event))
        for index, convert in converters:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return target(*values)

    return convert_struct


def _single(getter: Callable[[Any], Any]) -> Callable[[Any], tuple[Any]]:
    return lambda event: (getter(event),)


def _value(hint: Any) -> _Convert | None:
    """How to convert a value of this type, or None where it may stay as it is."""
    if get_origin(hint) in (Union, UnionType):
        converts = [convert for arg in get_args(hint) if (convert := _value(arg))]
        assert len(converts) <= 1, hint
        return converts[0] if converts else None
    if hint is Decimal:
        return plain
    if get_origin(hint) is tuple:
        item = _value(get_args(hint)[0])
        return (lambda values: [item(value) for value in values]) if item else None
    if get_origin(hint) is dict:
        return stored_mapping
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _converter(hint)
    return None
