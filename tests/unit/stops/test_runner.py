"""The runner's trail, bar by bar: the average of nine closes, the last higher low, the buffer, and when it counts.

Distances are from the entry at 100.00 in the trade's own direction, so that a short is the same story mirrored.
"""

from decimal import Decimal
from typing import Any

import pytest

from oms.config import Settings
from oms.events.decisions import ReplaceRequested, StopMoved
from oms.stops import CANDIDATES
from oms.values import PositionSide, Role
from tests.answers import cancelled, confirmed, fill
from tests.builders import instrument, settings
from tests.given import Input, Story, bar, given, like, wait
from tests.unit.policies.test_add_on import LONG, MIRROR, at, held, market

NO_LOCK = {"mfe_lock__pct": 0}
"""So that no other candidate moves the stop."""


def runner_left(side: PositionSide, chosen: Settings | None = None, *first: Input) -> Story:
    """Both targets have filled; the market is far above whatever the stop could be."""
    story = given(*first, held(side), market(side, "2"), settings=chosen or settings(**NO_LOCK))
    story.given(fill(Role.TARGET, nth=0), confirmed, fill(Role.TARGET, nth=1), confirmed)
    return story.given(market(side, "4"))


def minute(side: PositionSide, worst: str | Decimal, best: str | Decimal, close: str | Decimal) -> Input:
    """The bar of the next minute."""
    ends = sorted((Decimal(at(side, str(worst))), Decimal(at(side, str(best)))))

    def tell(story: Story) -> None:
        story.given(wait(60), bar(ends[0], ends[1], at(side, str(close))))

    return tell


def around(side: PositionSide, close: str) -> Input:
    """A bar that reaches ten cents to both sides of its close: a series of rising ones has no turning point."""
    return minute(side, Decimal(close) - Decimal("0.10"), Decimal(close) + Decimal("0.10"), close)


def candidate(story: Story, side: PositionSide) -> Decimal | None:
    """Its distance from the entry."""
    level = CANDIDATES["runner"](story.view, story.trade)
    return None if level is None else (level - 100) * (1 if side is LONG else -1)


def distances(*texts: str | None) -> list[Decimal | None]:
    return [None if text is None else Decimal(text) for text in texts]


RISING = ("1.50", "1.60", "1.70", "1.80", "1.90", "2.00", "2.10", "2.20")


@MIRROR
@pytest.mark.req("OD-083")
def test_the_stop_goes_a_tick_behind_the_average_of_nine_closes(side: PositionSide) -> None:
    """1.50 to 2.30 are 1.90 on average; a fifth of what 2.40 is beyond that makes 2.00, and of 2.33 then 2.066."""
    story = runner_left(side).when(*(around(side, close) for close in RISING)).then_none(StopMoved)
    assert candidate(story, side) is None
    for close, level in (("2.30", "1.89"), ("2.40", "1.99"), ("2.33", "2.05")):
        story.when(around(side, close)).then(
            like(StopMoved, level=at(side, level), candidate="runner"),
            like(ReplaceRequested, policy="protective_stop", quantity=15, price_stop=at(side, level)),
        )
        story.given(confirmed)


TURNING = [
    # (worst price of each minute, the trail after it); every close is 2.00.
    *[("1.60", None), ("1.60", None), ("1.60", None)],
    # Two equal turning points, of which none is higher.
    *[("1.40", None), ("1.55", None), ("1.60", None), ("1.40", None), ("1.50", None)],
    # The average is known from the ninth bar on.
    *[("1.60", "1.99"), ("1.58", "1.99")],
    # A higher one, known two bars later; of two equal lows beside each other the first counts.
    *[("1.45", "1.99"), ("1.45", "1.99"), ("1.48", "1.44")],
    # A dip that the second bar before it has reached already is none.
    *[("1.50", "1.44"), ("1.60", "1.44"), ("1.50", "1.44"), ("1.60", "1.44"), ("1.65", "1.44")],
    # Nor is what is reached again by the bars after it. A lower one leaves the last higher one.
    *[("1.55", "1.44"), ("1.42", "1.44"), ("1.50", "1.44"), ("1.60", "1.44")],
    # One that is higher than that counts again.
    *[("1.43", "1.44"), ("1.55", "1.44"), ("1.60", "1.42")],
]


@MIRROR
@pytest.mark.req("OD-083")
def test_it_follows_the_last_higher_low_below_the_average(side: PositionSide) -> None:
    """Of a short: the last lower high above it."""
    story, found = runner_left(side), list[Decimal | None]()
    for worst, _ in TURNING:
        story.given(minute(side, worst, "2.20", "2.00"), confirmed)
        found.append(candidate(story, side))
    assert found == distances(*(trail for _, trail in TURNING))


@MIRROR
@pytest.mark.req("OD-083")
def test_a_higher_low_beyond_the_average_counts_when_the_average_has_passed_it(side: PositionSide) -> None:
    """From the tenth bar on every close is 3.00: the average is 2.67232 when 2.75 is known, then 2.737856 and 2.79."""
    story, found = runner_left(side), list[Decimal | None]()
    for worst in ("1.60", "1.60", "1.40", "1.50", "1.60", "1.60", "1.60", "1.60", "1.60"):
        story.given(minute(side, worst, "2.20", "2.00"), confirmed)
    for worst in ("2.80", "2.85", "2.75", "2.85", "2.90", "2.90", "2.90"):
        story.given(minute(side, worst, "3.10", "3.00"), confirmed)
        found.append(candidate(story, side))
    swings = story.pipeline.market.swings
    assert (swings.higher_low if side is LONG else swings.lower_high) == Decimal(at(side, "2.75"))
    assert found[4:] == distances("2.66", "2.72", "2.74")


@MIRROR
@pytest.mark.req("OD-083")
def test_a_higher_low_alone_makes_no_trail_before_the_average_is_known(side: PositionSide) -> None:
    story, found = runner_left(side), list[Decimal | None]()
    for worst in ("1.60", "1.60", "1.40", "1.50", "1.60", "1.45", "1.50", "1.60", "1.60"):
        story.given(minute(side, worst, "2.20", "2.00"), confirmed)
        found.append(candidate(story, side))
    swings = story.pipeline.market.swings
    assert (swings.higher_low if side is LONG else swings.lower_high) == Decimal(at(side, "1.45"))
    assert found == distances(*[None] * 8, "1.44")


@MIRROR
@pytest.mark.req("OD-083")
@pytest.mark.parametrize(
    ("ticks", "tick", "trail"),
    [(0, "0.01", "2.00"), (1, "0.05", "1.95"), (3, "0.01", "1.97"), (2, "0.05", "1.90")],
)
def test_the_buffer_is_a_number_of_ticks(side: PositionSide, ticks: int, tick: str, trail: str) -> None:
    chosen = settings(**NO_LOCK, runner__buffer_ticks=ticks)
    story = runner_left(side, chosen, lambda _story: instrument(tick=tick))
    story.given(*(around(side, "2.00") for _ in range(9)))
    assert candidate(story, side) == Decimal(trail)


def averaged(story: Story, side: PositionSide) -> Story:
    """The average is known, and far from the stop."""
    return story.given(market(side, "4"), *(around(side, "2.00") for _ in range(9)))


@MIRROR
@pytest.mark.req("OD-083")
@pytest.mark.parametrize(
    ("what", "trails"),
    [
        ([fill(Role.TARGET, nth=0), confirmed], False),
        ([cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1)], False),
        ([fill(Role.TARGET, 1, nth=0), confirmed, cancelled(Role.TARGET, 0)], False),
        (
            [fill(Role.TARGET, 1, nth=0), confirmed, cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1)],
            True,
        ),
        ([fill(Role.TARGET, nth=0), fill(Role.TARGET, 54, nth=1), confirmed], False),
        ([fill(Role.TARGET, nth=0), fill(Role.TARGET, 55, nth=1), confirmed], True),
    ],
    ids=[
        "one still works",
        "none has filled",
        "one works, one began",
        "one began",
        "a share too few",
        "both filled",
    ],
)
def test_it_counts_when_targets_have_filled_and_none_works_any_more(
    side: PositionSide, what: list[Any], trails: bool
) -> None:
    story = averaged(given(held(side), market(side, "2"), *what, settings=settings(**NO_LOCK)), side)
    assert candidate(story, side) == (Decimal("1.99") if trails else None)
    assert (story.trade.level_source == "runner") is trails
