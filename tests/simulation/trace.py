"""A plan as a story: what came in, what was decided, and what the broker's books say, in order of time."""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any

from msgspec import Struct

from oms.events.base import DECISION, Event
from oms.events.market import BarClosed
from oms.shell.runner import Committed

QUIET_TYPES = (BarClosed,)
_LEFT_OUT = {"instrument", "policy", "broker_order_id", "settings", "config_sha256", "strategy"}


def storyteller(write: Callable[[str], object], origin: Callable[[], int]) -> Callable[[Committed], None]:
    """A listener that writes every step: the input, then indented what was decided on it."""

    def tell(committed: Committed) -> None:
        if isinstance(committed.stamped.event, QUIET_TYPES) and len(committed.result.events) == 1:
            return
        at = (committed.stamped.logical_time - origin()) / 1_000_000
        for one in committed.result.events:
            mark = "    > " if one.event.KIND == DECISION else f"{at:+11.3f} "
            write(f"{one.seq:5} {mark}{sentence(one.event)}")

    return tell


def sentence(event: Event) -> str:
    """An event in one line: its name, where, and what of it is not at its default."""
    name = type(event).__name__
    words = [str(getattr(event, "instrument", "") or "")]
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if field in _LEFT_OUT or value in (None, "", (), 0) or isinstance(value, dict):
            continue
        words.append(f"{field}={_short(value)}")
    return " ".join([name, *filter(None, words)])


def _short(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, tuple):
        return "[" + " ".join(_short(one) for one in value) + "]"
    if isinstance(value, Struct):
        return (
            "("
            + " ".join(
                _short(getattr(value, one))
                for one in value.__struct_fields__
                if getattr(value, one) is not None
            )
            + ")"
        )
    return str(value)
