"""Time as an input. Nothing in the core reads a clock."""

from oms.events.base import Event, register
from oms.events.market import QuoteTick
from oms.values import Micros


@register
class ClockAdvanced(Event, frozen=True, kw_only=True):
    """Logical time reached a deadline. `quotes` are the newest quotes of the instruments that are due."""

    quotes: tuple[QuoteTick, ...] = ()


@register
class ClockSuspect(Event, frozen=True, kw_only=True):
    """The wall clock jumped against elapsed time by more than the bound; it was not adopted."""

    wall: Micros
    expected: Micros
