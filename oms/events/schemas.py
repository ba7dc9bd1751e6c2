"""What the bodies of each event type look like, told to readers who do not have this program."""

import json
from functools import cache
from typing import Any, NamedTuple

import msgspec

import oms.events.registry  # noqa: F401 - makes all types known.
from oms.events.base import REGISTRY, Kind


class Described(NamedTuple):
    """One event type as it is today. `body_schema` is a JSON schema."""

    type: str
    version: int
    kind: Kind
    meaning: str
    body_schema: dict[str, Any]


@cache
def described() -> tuple[Described, ...]:
    """All event types, by name."""
    return tuple(
        Described(name, cls.VERSION, cls.KIND, _meaning(cls), _body_schema(cls))
        for name, cls in sorted(REGISTRY.items())
    )


def _meaning(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split())


def _body_schema(cls: type) -> dict[str, Any]:
    # As it comes back from JSON, so that it can be compared with what is stored.
    found: dict[str, Any] = json.loads(json.dumps(msgspec.json.schema(cls)))
    return found
