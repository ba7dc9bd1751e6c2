"""The cadence: bars move the stop and the averages, seconds move a price, and nothing in between moves anything."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from oms.config import load_settings
from oms.errors import ConfigError
from oms.events.decisions import ReplaceRequested, StopMoved
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, in_position, replaced
from tests.builders import entry, leave
from tests.given import Input, Story, bar, given, like, printed, quote, wait
from tests.unit.policies.test_add_on import LONG, MIRROR, SHORT, at, market


def flicker(times: int, ms: int, told: Callable[[int], tuple[Input, ...]]) -> list[Input]:
    """So many times something of the market, each so many milliseconds after the one before."""
    return [one for number in range(times) for one in (wait(0, ms=ms), *told(number))]


def wish(side: PositionSide) -> Any:
    return entry(side=side, zone_max=at(side, "0.50"), stop=at(side, "-1"))


@pytest.mark.req("OD-002", "OD-078")
@pytest.mark.parametrize("seconds", [60, 180])
@pytest.mark.parametrize(("side", "level"), [(LONG, "100.77"), (SHORT, "99.23")])
def test_quotes_prints_and_the_clock_leave_the_stop_to_the_bar(
    side: PositionSide, level: str, seconds: int
) -> None:
    def better(number: int) -> tuple[Input, ...]:
        best = at(side, f"1.{number + 10}")
        return market(side, f"1.{number + 10}"), printed(best), Story.clock

    story = given(in_position(wish(side)), wait(seconds)).when(*flicker(50, 10, better))
    story.then()
    assert story.trade.mfe == 100
    ends = sorted((Decimal(at(side, "1.00")), Decimal(at(side, "1.55"))))
    story.when(bar(ends[0], ends[1], at(side, "1.20"), seconds=seconds)).then(
        like(StopMoved, level=level, candidate="mfe_lock"),
        like(ReplaceRequested, policy="protective_stop", price_stop=level),
    )
    story.given(replaced(Role.STOP)).when(*flicker(50, 10, better)).then()


@MIRROR
@pytest.mark.req("OD-002", "OD-015")
def test_a_flickering_market_moves_an_entry_once_in_five_seconds(side: PositionSide) -> None:
    """The ideal is on the passive side of the book, and every quote is worth another price."""

    def farther(number: int) -> tuple[Input, ...]:
        return (market(side, f"0.{number % 40 + 10}"),)

    story = given(market(side, "0.10"), wish(side), ack(Role.ENTRY))
    for _ in range(3):
        story.when(*flicker(49, 100, farther), wait(0, ms=99)).then()
        story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="entry"))
        story.given(replaced(Role.ENTRY))


@MIRROR
@pytest.mark.req("OD-002", "OD-018")
def test_a_flickering_market_moves_a_planned_exit_once_in_five_seconds(side: PositionSide) -> None:
    def from_(cents: int) -> Callable[[int], tuple[Input, ...]]:
        return lambda number: (market(side, f"-0.{cents + number % 9}"),)

    story = given(in_position(wish(side)), leave(), confirmed)
    for cents in (10, 20, 30):
        story.when(*flicker(49, 100, from_(cents)), wait(0, ms=99)).then()
        story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="exit"))
        story.given(replaced(Role.EXIT))


@pytest.mark.req("OD-002")
@pytest.mark.parametrize("seconds", [60, 180])
def test_the_averages_take_a_bar_and_nothing_else(seconds: int) -> None:
    def other(number: int) -> tuple[Input, ...]:
        return quote(f"100.{number + 10}", f"100.{number + 12}"), printed(f"100.{number + 11}"), Story.clock

    story = given(wait(seconds), bar("99", "101", "100", seconds=seconds))
    before = story.pipeline.market
    story.given(*flicker(50, 10, other))
    after = story.pipeline.market
    assert (after.atr, after.ema, after.swings) == (before.atr, before.ema, before.swings)
    story.given(wait(seconds), bar("99", "102", "101", seconds=seconds))
    after = story.pipeline.market
    assert after.atr != before.atr
    assert after.ema != before.ema
    assert after.swings != before.swings


@pytest.mark.req("OD-002")
@pytest.mark.parametrize(
    "name", ["entry.reprice_interval_ms", "exit.reprice_interval_ms", "degradation.degraded_interval_ms"]
)
def test_no_setting_moves_a_price_more_often_than_ten_times_a_second(name: str) -> None:
    assert load_settings(arguments={name: 100})
    with pytest.raises(ConfigError, match="OMS-C014"):
        load_settings(arguments={name: 99})
