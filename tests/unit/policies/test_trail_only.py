"""Trail only, said by the strategy or set: nothing but the trailing stop leads out of the position."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import CancelRequested, CloseRequested, OrderPlaced, ReplaceRequested, StopMoved
from oms.events.strategy import ExhaustionReported, TrailOnlyRequested
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, fill, in_position
from tests.builders import NAME, STRATEGY, entry, settings
from tests.given import Input, Story, again, bar, given, like, wait
from tests.unit.policies.test_add_on import MIRROR, at, market

SAID = TrailOnlyRequested(instrument=NAME, strategy=STRATEGY, intent_id="t")


def wish(side: PositionSide, **more: Any) -> Any:
    return entry(
        side=side, zone_max=at(side, "1.00"), stop=at(side, "-1"), key_level=at(side, "1.50"), **more
    )


def minute(side: PositionSide, worst: str, best: str, close: str) -> Input:
    low, high = sorted((Decimal(at(side, worst)), Decimal(at(side, best))))
    return bar(low, high, at(side, close))


def said(side: PositionSide, **more: Any) -> Story:
    """A working entry of which the strategy says it."""
    return given(wish(side), ack(Role.ENTRY), SAID, settings=settings(**more))


def chosen(side: PositionSide, **more: Any) -> Story:
    """A working entry under settings that say it."""
    return given(wish(side), ack(Role.ENTRY), settings=settings(targets__policy="TRAIL_ONLY", **more))


WAYS = pytest.mark.parametrize("working", [said, chosen])
Working = Callable[..., Story]


@MIRROR
@WAYS
@pytest.mark.req("OD-052")
def test_a_fill_is_given_a_stop_and_no_target(working: Working, side: PositionSide) -> None:
    story = working(side).when(fill(Role.ENTRY))
    placed = [(one.role, one.quantity) for one in story.told if isinstance(one, OrderPlaced)]
    assert placed == [(Role.STOP, 100)]
    assert again(story) == []


@MIRROR
@pytest.mark.req("OD-052")
def test_in_a_position_the_targets_are_taken_back(side: PositionSide) -> None:
    story = given(in_position(wish(side))).when(SAID)
    told = [(type(one), getattr(one, "client_order_id", "")) for one in story.told]
    assert told == [(CancelRequested, target) for target in story.trade.targets]
    assert len(told) == 3
    story.given(confirmed)
    assert story.pipeline.live(story.trade.targets) == []


@MIRROR
@WAYS
@pytest.mark.req("OD-052")
def test_a_market_beyond_every_target_moves_the_stop_and_sells_nothing(
    working: Working, side: PositionSide
) -> None:
    story = working(side).given(fill(Role.ENTRY), confirmed, wait(120))
    story.when(*(market(side, far) for far in ("1.00", "1.50", "2.00", "3.00"))).then()
    story.when(minute(side, "0.90", "1.20", "1.20")).then(
        like(StopMoved, level=at(side, "0.60"), candidate="mfe_lock"),
        like(ReplaceRequested, policy="protective_stop", price_stop=at(side, "0.60"), quantity=100),
    )
    gone = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    story.given(confirmed).when(gone, wait(60)).then()


@MIRROR
@WAYS
@pytest.mark.req("OD-052", "OD-081")
def test_the_trail_by_atr_goes_on(working: Working, side: PositionSide) -> None:
    def before(trade: Story) -> Story:
        return trade.given(wait(30), minute(side, "-0.20", "0.20", "0"), fill(Role.ENTRY), confirmed)

    story = before(working(side, trail__atr_length=1, mfe_lock__pct=0, entry__valid_for_ms=60_000))
    story.given(wait(120), market(side, "1.20"))
    story.when(minute(side, "0.90", "1.20", "1.20")).then(
        like(StopMoved, level=at(side, "0.40"), candidate="atr_trail"),
        like(ReplaceRequested, policy="protective_stop", price_stop=at(side, "0.40")),
    )


@MIRROR
@pytest.mark.req("OD-052")
def test_a_bad_fill_is_not_judged_by_a_target_that_is_none(side: PositionSide) -> None:
    """Before the key level less than one R is left of it; the ladder would end the trade, a trail does not."""
    bad = fill(Role.ENTRY, at=at(side, "0.51"))
    usual = given(wish(side), ack(Role.ENTRY), market(side, "0.50")).when(bad)
    usual.then_among(like(CloseRequested, reason="SLIPPAGE"))
    for working in (said, chosen):
        story = working(side).given(market(side, "0.50")).when(bad)
        story.then_none(CloseRequested).then_among(like(OrderPlaced, role=Role.STOP))
