"""One SHA-256 over the whole state: equal states have equal digests, whoever holds them and however they came about.

It proves that the published state of a writer, the fold of its log and the decisions made again are one thing.
What is a cache or lives only inside a step is left out; numbers, dicts and types enter in one form only, so that
neither the order of a dict, nor the hash seed, nor the way a decimal was written matters.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct

from oms.config import Settings
from oms.state.account import Account
from oms.state.pipeline import Pipeline
from oms.values import plain

FOLD_VERSION: Final = 10
"""Rises when the same log folds to another state. Digests of different versions are never compared."""

_fields: dict[type[Struct], tuple[str, ...]] = {}


def digest(account: Account, pipelines: Mapping[str, Pipeline]) -> str:
    """Lower-case hex of the canonical state. Deadlines are no part of it: they follow from the state."""
    tree = ["oms-state", FOLD_VERSION, _canonical(account), _canonical(pipelines)]
    return sha256(msgspec.json.encode(tree)).hexdigest()


def _canonical(value: Any) -> Any:
    """Plain JSON data; objects become lists, so that only their own order counts. Raises TypeError."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Decimal):
        return format(plain(value), "f")
    if isinstance(value, Struct):
        return _struct(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_canonical(item) for item in value]
    if isinstance(value, Mapping):
        return [[key, _canonical(value[key])] for key in sorted(value)]
    if isinstance(value, Settings):
        return value.sha256
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a state cannot hold a {type(value).__name__}")


def _struct(value: Struct) -> list[Any]:
    cls = type(value)
    names = _fields.get(cls)
    if names is None:
        names = _fields[cls] = tuple(sorted(cls.__struct_fields__))
    return [cls.__name__, *((name, _canonical(getattr(value, name))) for name in names)]
