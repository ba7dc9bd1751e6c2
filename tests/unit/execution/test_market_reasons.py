"""Kill switch and partly filled stop: what permits their market orders, how much they sell, and what does not."""

from typing import Any

import pytest

from oms.events.decisions import CancelRequested, CloseRequested, OrderPlaced, ReplaceRequested
from oms.events.operator import Act
from oms.events.strategy import EntryRequested
from oms.values import OrderType, PositionSide, Role
from tests.answers import fill, in_position, replaced, triggered
from tests.builders import NAME, act, entry
from tests.given import Story, given, like, wait
from tests.unit.policies.test_exit import targets_gone

SHORT = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
SIDES = pytest.mark.parametrize("wish", [entry(), SHORT], ids=["long", "short"])


def went_to_market(story: Story) -> bool:
    return any(
        isinstance(one, OrderPlaced | ReplaceRequested) and one.order_type is OrderType.MARKET
        for one in story.told
    )


@pytest.mark.req("OD-024")
@SIDES
@pytest.mark.parametrize("where", [{}, {"level": 3}, {"instrument": NAME}])
@pytest.mark.parametrize("kind", [Act.KILL, Act.FLAT])
def test_the_kill_switch_sends_the_whole_position_to_market(
    wish: EntryRequested, where: dict[str, Any], kind: Act
) -> None:
    """Without a level it is the third, for one instrument as for the account."""
    story = given(in_position(wish)).when(act(kind, **where))
    story.then_among(like(CloseRequested, reason="KILL_SWITCH", market=True))
    story.when(targets_gone).then(
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="KILL_SWITCH")
    )


@pytest.mark.req("OD-024")
@SIDES
@pytest.mark.parametrize("level", [1, 2])
def test_a_kill_level_that_only_ends_entries_sends_nothing_to_market(
    wish: EntryRequested, level: int
) -> None:
    story = given(in_position(wish)).when(act(Act.KILL, level=level), wait(10))
    story.then_none(CloseRequested)
    assert not went_to_market(story)


@pytest.mark.req("OD-026", "OD-071", "C-15")
@SIDES
def test_a_stop_filled_in_part_sends_its_rest_and_all_targets_to_market(wish: EntryRequested) -> None:
    """The targets leave first; of the hundred that the order is for, thirty are sold already."""
    story = given(in_position(wish), triggered).when(fill(Role.STOP, 30))
    story.then_among(like(CloseRequested, reason="STOP_PARTIAL_FILL", market=True))
    assert not went_to_market(story)
    story.when(targets_gone).then(
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="STOP_PARTIAL_FILL")
    )
    story.given(replaced(Role.STOP))
    assert story.order(Role.EXIT).leaves == story.trade.held == 70
    assert story.pipeline.live(story.trade.targets) == []


@pytest.mark.req("OD-026", "OD-071")
@SIDES
def test_a_stop_filled_in_part_cancels_the_targets_even_unelected(wish: EntryRequested) -> None:
    story = given(in_position(wish)).when(fill(Role.STOP, 1))
    story.then_among(
        like(CloseRequested, reason="STOP_PARTIAL_FILL", market=True),
        like(CancelRequested, policy="targets"),
        like(CancelRequested, policy="targets"),
    )


@pytest.mark.req("OD-026", "OD-071")
@SIDES
@pytest.mark.parametrize("sold", [0, 100])
def test_a_stop_filled_not_at_all_or_as_a_whole_is_no_such_emergency(wish: EntryRequested, sold: int) -> None:
    story = given(in_position(wish)).when(triggered, *([fill(Role.STOP, sold)] if sold else []))
    story.then_none(CloseRequested)
    assert not went_to_market(story)
