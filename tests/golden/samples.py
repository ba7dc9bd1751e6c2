"""`python -m tests.golden.samples`: write a stored sample of every event type and version that has none.

A file of `versions/` holds bodies of one type and version as they were logged, one a line. Lines are never changed, for
logs hold such bodies for ever; a field that is added later gets a further line that has it.
"""

import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from oms.events import registry
from oms.events.base import REGISTRY, Event, body_text

FOLDER: Final = Path(__file__).parent / "versions"
PLAIN: Final[dict[Any, Any]] = {int: 7, Decimal: Decimal("12.5"), date: date(2026, 3, 9), Any: {"number": 1}}


def path_of(type_name: str, version: int) -> Path:
    return FOLDER / f"{type_name}.{version}.jsonl"


def stored(path: Path) -> tuple[str, int, list[str]]:
    """(type, version, bodies) of a file."""
    type_name, version, _ = path.name.split(".")
    return type_name, int(version), path.read_text(encoding="utf-8").splitlines()


def fields_of(cls: type[Struct]) -> frozenset[str]:
    return frozenset(cls.__struct_fields__)


def made(cls: type[Event]) -> Iterator[str]:
    """A body with what is required, and one in which every field has another value than its default."""
    needed = {field.name for field in msgspec.structs.fields(cls) if field.required}
    yield body_text(cls(**{name: value for name, value in _fields(cls).items() if name in needed}))
    if needed != fields_of(cls):
        yield body_text(cls(**_fields(cls)))


def _fields(cls: type[Struct]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    defaults = {field.name: field.default for field in msgspec.structs.fields(cls)}
    return {name: _value(hints[name], name, defaults[name]) for name in cls.__struct_fields__}


def _value(hint: Any, name: str, default: Any = None) -> Any:
    if hint is str:
        return f"some {name}"
    if hint is bool:
        return default is not True
    if hint in PLAIN:
        return PLAIN[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _value(next(arg for arg in args if arg is not type(None)), name)
    if origin is tuple:
        return (_value(args[0], name),)
    if origin is dict:
        return {_value(args[0], name): _value(args[1], name)}
    if issubclass(hint, Enum):
        return next(one for one in reversed(hint) if one is not default)
    return hint(**_fields(hint))


def main() -> int:
    assert registry, "imported to know all types"
    for type_name, cls in sorted(REGISTRY.items()):
        path = path_of(type_name, cls.VERSION)
        if not path.exists():
            path.write_text("".join(f"{body}\n" for body in made(cls)), encoding="utf-8")
            print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
