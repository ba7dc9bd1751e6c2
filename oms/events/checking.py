"""Whether an input holds what its type promises. Python promises nothing at run time, and one float in a price would
be state before anybody notices: it cannot be stored, and what was decided from it could never be proven.

Checked are the types of all fields, exactly (a bool is no number, a datetime no date), that numbers are finite and of a
size that arithmetic keeps exact, and that texts can be written down: the log relies on it (`StepRecord.is_own`). What a
value means is judged by the core (architecture 3, "Bad input").
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from oms.events.base import INPUT, Event, Stamped
from oms.events.market import BarClosed, DepthReported, QuoteReported, TradePrinted
from oms.events.session import InstrumentDefined, SessionOpened
from oms.values import SECOND, ZERO

MAGNITUDE: Final = 18
"""Numbers lie between 1e-18 and 1e19; a price times a quantity then fits into the 60 digits of the arithmetic."""
LONGEST: Final = 40
"""Characters of a number as text."""
LATEST: Final = 7_258_118_400_000_000
"""The year 2200 in microseconds: a later time is in another unit, and would end every deadline there is."""
AHEAD: Final = 60 * SECOND
"""Clocks differ by less; what is said to come from later than this would count as fresh for as long."""
_INTEGER_LIMIT: Final = 1 << 63
_SHOWN: Final = 60

_Check = Callable[[Any], str | None]


class _Field(NamedTuple):
    name: str
    types: frozenset[type]
    check: _Check | None


_plans: Final[dict[type, tuple[_Field, ...]]] = {}
_envelope: Final = attrgetter("logical_time", "event_time", "received_at", "source", "dedupe_key", "raw")
_ENVELOPES: Final = frozenset(
    (int, one, two, three, four, five)
    for one in (int, NoneType)
    for two in (int, NoneType)
    for three in (str, NoneType)
    for four in (str, NoneType)
    for five in (bytes, NoneType)
)


def problem_of(stamped: Any) -> str | None:
    """What is wrong with an input, in one sentence, or None. Never raises."""
    if type(stamped) is not Stamped:
        return f"{_shown(stamped)} is not a Stamped event"
    if tuple(map(type, _envelope(stamped))) not in _ENVELOPES:
        return "the times of a Stamped event are whole microseconds, source and key are texts, raw is bytes"
    if not 0 <= stamped.logical_time < LATEST:
        return f"logical_time {stamped.logical_time} is not between 1970 and 2200; times are in microseconds"
    for name, text in (("source", stamped.source), ("dedupe_key", stamped.dedupe_key)):
        if text is not None and (found := _key(text)) is not None:
            return name + found
    return problem_of_event(stamped.event) or _from_the_future(stamped)


def problem_of_event(event: Any) -> str | None:
    """What is wrong with the event of an input, or None. Never raises."""
    if not isinstance(event, Event):
        return f"{_shown(event)} is not an event"
    if event.KIND != INPUT:
        return f"{type(event).__name__} is a decision; only the core decides"
    found = _problem(event)
    if found is None and (rule := _RULES.get(type(event))) is not None:
        found = rule(event)
    return None if found is None else f"{type(event).__name__}.{found}"


def _from_the_future(stamped: Stamped) -> str | None:
    name = _TIMES.get(type(stamped.event))
    if name is None or (at := getattr(stamped.event, name)) <= stamped.logical_time + AHEAD:
        return None
    kind, ahead = type(stamped.event).__name__, (at - stamped.logical_time) // SECOND
    return f"{kind}.{name} {at} lies {ahead} s ahead of the present; times are in microseconds"


def _problem(struct: Struct) -> str | None:
    kind = type(struct)
    plan = _plans.get(kind)
    if plan is None:
        plan = _plans[kind] = _plan(kind)
    for name, types, check in plan:
        value = getattr(struct, name)
        if type(value) not in types:
            wanted = " or ".join(sorted(one.__name__ for one in types if one is not NoneType))
            return f"{name} is {_shown(value)}, not {wanted}"
        if check is not None and value is not None and (found := check(value)) is not None:
            return f"{name}{found}"
    return None


def _plan(kind: type[Struct]) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    return tuple(_Field(name, *_of_hint(hints[name])) for name in kind.__struct_fields__)


def _of_hint(hint: Any) -> tuple[frozenset[type], _Check | None]:
    """The exact types of a field, and what else its value has to be."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        parts = [_of_hint(one) for one in get_args(hint)]
        checks = [check for _, check in parts if check is not None]
        assert len(checks) <= 1, hint
        return frozenset[type]().union(*(types for types, _ in parts)), checks[0] if checks else None
    if origin is tuple:
        return frozenset({tuple}), _items(*_of_hint(get_args(hint)[0]))
    if origin is dict:
        return frozenset({dict}), _data
    assert isinstance(hint, type), hint
    if hint in _VALUES:
        return frozenset({hint}), _VALUES[hint]
    return frozenset({hint}), _part if issubclass(hint, Struct) else None


def _number(value: Decimal) -> str | None:
    if not value.is_finite():
        return f" is {value}, which is no number"
    if (value and not -MAGNITUDE <= value.adjusted() <= MAGNITUDE) or len(str(value)) > LONGEST:
        return f" is {str(value)[:_SHOWN]}, which is too large, too small or too long"
    return None


def _whole(value: int) -> str | None:
    if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        return None
    return " needs more than 64 bits"


def _text(value: str) -> str | None:
    if value.isascii():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return f" is {_shown(value)}, which holds half a surrogate pair"
    return None


def _key(value: str) -> str | None:
    # The log is asked for it before anything is appended, and could not even be asked for such a text.
    return " holds U+0000" if "\0" in value else _text(value)


def _data(value: dict[str, Any]) -> str | None:
    try:
        msgspec.json.encode(value)
    except (UnicodeError, TypeError, RecursionError) as error:
        return f" cannot be written as JSON: {error}"
    return None


_VALUES: Final[Mapping[type, _Check]] = {Decimal: _number, int: _whole, str: _text}
"""What else a plain value has to be, so that what our encoder writes of it is what the log stores."""


def _part(value: Struct) -> str | None:
    found = _problem(value)
    return None if found is None else f".{found}"


def _items(types: frozenset[type], check: _Check | None) -> _Check:
    def items(values: Iterable[Any]) -> str | None:
        for place, value in enumerate(values):
            if type(value) not in types:
                return f"[{place}] is {_shown(value)}"
            if check is not None and (found := check(value)) is not None:
                return f"[{place}]{found}"
        return None

    return items


def _instrument(event: InstrumentDefined) -> str | None:
    for name in ("tick", "lot", "multiplier"):
        if (value := getattr(event, name)) <= ZERO:
            return f"{name} is {value}, not above zero"
    return None if event.instrument else "instrument is empty; it needs a permanent id"


def _session(event: SessionOpened) -> str | None:
    if event.close_at is not None and event.close_at <= event.open_at:
        return f"close_at {event.close_at} is not after open_at {event.open_at}"
    return None


def _print(event: TradePrinted) -> str | None:
    return None if event.price > ZERO else f"price is {event.price}, not above zero"


def _bar(event: BarClosed) -> str | None:
    if event.open_at >= event.end_at:
        return f"end_at {event.end_at} is not after open_at {event.open_at}"
    if not ZERO < event.low <= min(event.open, event.close) <= max(event.open, event.close) <= event.high:
        return f"low {event.low}, high {event.high} do not enclose open {event.open}, close {event.close} above zero"
    return None


_RULES: Final[Mapping[type, Callable[[Any], str | None]]] = {
    InstrumentDefined: _instrument,
    SessionOpened: _session,
    TradePrinted: _print,
    BarClosed: _bar,
}
"""What nothing later could make good: every step would fail, or a stop be hit by a price that was none."""


_TIMES: Final[Mapping[type, str]] = {
    QuoteReported: "received_at",
    TradePrinted: "received_at",
    DepthReported: "received_at",
    BarClosed: "end_at",
}


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a value from outside may do anything, and must not end the writer.
        text = "..."
    short = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return f"the {type(value).__name__} {short}"
