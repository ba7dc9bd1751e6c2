"""Two rows field by field: what a person needs to see where log and program part.

Fields of the body are named `body.quantity`, columns by their own name. Both sides are canonical text.
"""

from typing import Any

import msgspec
from msgspec import Struct

from eventlog.envelope import Envelope

ABSENT = "(absent)"


class Difference(Struct, frozen=True, kw_only=True):
    """One field on both sides, as text."""

    field: str
    logged: str
    regenerated: str

    def __str__(self) -> str:
        return f"{self.field} logged {self.logged}, now {self.regenerated}"


def differences(logged: Envelope | None, regenerated: Envelope | None) -> tuple[Difference, ...]:
    """Every field that differs, columns first. A row that only one side has is one difference, `event`."""
    if logged is None or regenerated is None:
        sides = [ABSENT if row is None else f"{row.type} {row.body}" for row in (logged, regenerated)]
        return (Difference(field="event", logged=sides[0], regenerated=sides[1]),)
    found = [
        Difference(field=name, logged=_said(was), regenerated=_said(now))
        for name in Envelope.__struct_fields__
        if name != "body" and (was := getattr(logged, name)) != (now := getattr(regenerated, name))
    ]
    if logged.body != regenerated.body:
        found += _bodies(logged.body, regenerated.body)
    return tuple(found)


def _bodies(logged: str, regenerated: str) -> list[Difference]:
    was, now = _fields(logged), _fields(regenerated)
    found = [
        Difference(field=f"body.{name}", logged=_part(was, name), regenerated=_part(now, name))
        for name in dict.fromkeys((*was, *now))
        if _part(was, name) != _part(now, name)
    ]
    # The same values written in another way are a difference as well: the bytes are what is promised.
    return found or [Difference(field="body", logged=logged, regenerated=regenerated)]


def _fields(body: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _part(fields: dict[str, Any], name: str) -> str:
    return _said(fields[name]) if name in fields else ABSENT


def _said(value: Any) -> str:
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
