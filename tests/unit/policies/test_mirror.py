"""Long and short are mirrored everywhere: a day turned upside down is decided upside down, row by row.

Prices are mirrored around 100 and sides swapped. What is a share of a price (offset of a stop-limit, slippage) has no
mirror image, so it is set to nothing or left out of the comparison.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.events.base import DECISION, Event
from oms.events.slippage import SlippageMeasured
from oms.values import PositionSide, Side
from tests.builders import CLOSE, OPEN, settings
from tests.unit.policies.days import Day, Move, Played
from tests.unit.policies.test_days import BOUNDED, entries, events, milliseconds, scripts

TWICE = Decimal(200)
PRICES = (
    "price_limit",
    "price_stop",
    "level",
    "ideal",
    "zone_max",
    "stop",
    "key_level",
    "price_entry",
    "price_exit",
)
UNTOLD = ("text", "sizing")
SWAPPED: dict[Any, Any] = {
    Side.BUY: Side.SELL,
    Side.SELL: Side.BUY,
    PositionSide.LONG: PositionSide.SHORT,
    PositionSide.SHORT: PositionSide.LONG,
}
EVEN = settings(
    stop__limit_offset_pct=0, slippage__warn_pct=1, slippage__reduce_pct=1, slippage__single_pct=1
)
WIDTHS = st.sampled_from([1, 1, 1, 2, 300])
quotes = st.builds(
    Move, st.just("quote"), milliseconds, st.one_of(st.integers(-40, 40), st.integers(1, 81)), WIDTHS
)
even = events.filter(lambda one: one.what not in ("one_sided", "crossed"))
"""Quotes of these days that have their own mirror image."""
moves = st.lists(st.one_of(quotes, quotes, quotes, quotes, even, entries), max_size=45)
tapes = st.builds(
    lambda first, rest: [Move("quote", 100), first, *rest], entries.filter(lambda one: one.value != 0), moves
)
days = st.builds(
    Day,
    moves=tapes.map(lambda tape: [one for one in tape if one.what != "enter" or one.value]),
    script=scripts,
    seed=st.integers(1, 50),
    settings=st.just(EVEN),
    start=st.sampled_from([OPEN, CLOSE - 16 * 60_000_000]),
)


def upside_down(day: Day) -> Day:
    """Every move of a price and every side turned round; times and quantities stay."""
    turned = ("quote", "print", "enter")
    return replace(
        day, moves=[replace(one, value=-one.value) if one.what in turned else one for one in day.moves]
    )


def told(day: Day) -> list[Event]:
    """The decisions of a day that has ended."""
    played = Played(day)
    for _ in played.play():
        pass
    played.finish()
    return [
        one.event
        for step in played.steps
        for one in step.result.events
        if one.event.KIND == DECISION and not isinstance(one.event, SlippageMeasured)
    ]


def fields(event: Event, *, mirrored: bool) -> dict[str, Any]:
    """What is compared of a decision; `mirrored` gives the mirror image."""
    found: dict[str, Any] = {"type": type(event).__name__}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name in UNTOLD:
            continue
        if mirrored and name in PRICES and value:
            value = TWICE - value
        elif mirrored and isinstance(value, Side | PositionSide):
            value = SWAPPED[value]
        found[name] = value
    return found


@pytest.mark.req("OD-078", "I36", "I39")
@hypothesis.settings(BOUNDED, max_examples=100)
@given(days)
def test_a_mirrored_day_is_decided_mirrored(day: Day) -> None:
    here, there = told(day), told(upside_down(day))
    assert [fields(one, mirrored=False) for one in here] == [fields(one, mirrored=True) for one in there]


def test_the_mirror_image_of_a_decision_is_another_one() -> None:
    """The comparison would notice a side or a price that is not turned round."""
    day = Day([Move("quote", 100), Move("enter", 0, 40), Move("quote", 500, -30)], settings=EVEN)
    here, there = told(day), told(upside_down(day))
    assert here
    assert [fields(one, mirrored=False) for one in here] != [fields(one, mirrored=False) for one in there]
    assert msgspec.to_builtins(here[0]) != msgspec.to_builtins(there[0])
