"""A plan: everything that will happen to the system in some trading days, written out.

A seed is expanded into a plan once; what is played, replayed, shrunk and kept is the plan. Faults are triggered by
logical occasions (the n-th request, report or append of a kind) wherever that is possible, so that leaving one out
does not move the others.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

FORMAT = 1
CLOSING_MS = 900_000
"""The forced close begins so long before the close."""
CLOSING = "closing:"
"""Before the name of an occasion: only those from the forced close on are counted."""


class Fault(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that goes wrong. `on` is the occasion and `nth` its number; on "time": day and ms after the open.

    `ms` is how long or how late, `quantity` how much or how often, `symbol` where. One that is for the `closing` is
    counted anew from the forced close on; one with an order `near` ("STOP/PARTIAL_FILLED") counts only while a live
    order has this role and state, and on "time" waits for such a moment.
    """

    kind: str
    on: str = "time"
    nth: int = 0
    day: int = 0
    at: int = 0
    ms: int = 0
    quantity: int = 0
    symbol: str = ""
    closing: bool = False
    near: str = ""

    @property
    def occasion(self) -> str:
        """What is counted for it."""
        return next(reversed(occasions((self.on,), (self.near,) if self.near else (), closing=self.closing)))


def occasions(names: Iterable[str], near: Iterable[str], *, closing: bool) -> list[str]:
    """Every name under which an occasion is counted; the last one is the narrowest."""
    found = list(names)
    found += [f"{order}:{name}" for order in near for name in tuple(names)]
    return [*found, *(CLOSING + name for name in found)] if closing else found


class Wish(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the strategy asks for at a time (ms after the open): enter, leave, trail_only, exhaustion or monitor.

    Prices are ticks from the middle of that moment: `risk` to the stop, `zone` to the worst entry price, `key` to
    the key level (0: none), `off` from the middle to the ideal price.
    """

    what: str = "enter"
    day: int = 0
    at: int = 0
    symbol: str
    side: str = "LONG"
    quantity: int = 0
    risk: int = 50
    zone: int = 8
    key: int = 0
    off: int = 0


Setting = str | int | bool | tuple[str, ...]
"""The value of one setting of the product."""


class Plan(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Days to play. `heal_at` (ms after the open) is when faults stop; what is unsettled then must settle.

    `ends_at` (ms after the open; 0: never) leaves the last day early, for small plans. Where there are
    `other_settings`, every second process begins with these added.
    """

    format: int = FORMAT
    seed: int
    first_day: str
    days: int = 1
    personality: str = "plain"
    switches: dict[str, bool | int | str | None] = {}
    settings: dict[str, Setting] = {}
    other_settings: dict[str, Setting] = {}
    symbols: tuple[str, ...] = ("AAA",)
    heal_at: int = 0
    ends_at: int = 0
    calm: bool = False
    wishes: tuple[Wish, ...] = ()
    faults: tuple[Fault, ...] = ()
    note: str = ""


def to_text(plan: Plan) -> str:
    """The plan as people read it: one fault and one wish a line."""
    lines = ["{"]
    fields = {name: value for name, value in msgspec.to_builtins(plan).items() if value is not None}
    for name, value in fields.items():
        if name in ("wishes", "faults"):
            rows = ",\n".join(f"    {msgspec.json.encode(row).decode()}" for row in value)
            lines.append(f'  "{name}": [\n{rows}\n  ],' if value else f'  "{name}": [],')
        else:
            lines.append(f'  "{name}": {msgspec.json.encode(value).decode()},')
    lines[-1] = lines[-1].rstrip(",")
    return "\n".join([*lines, "}"]) + "\n"


def read(path: Path) -> Plan:
    """A plan from its file. Raises msgspec.ValidationError for anything else."""
    return msgspec.json.decode(path.read_bytes(), type=Plan)


def write(plan: Plan, path: Path) -> None:
    """Put a plan into a file."""
    path.write_text(to_text(plan), encoding="utf-8")
