"""The tranches at work are whole units, and with the runner they are the position, fill by fill."""

from decimal import Decimal

import pytest

from oms.events.decisions import OrderPlaced, ReplaceRequested
from oms.values import PositionSide, Role, Side
from tests.answers import ack, confirmed, fill, replaced
from tests.builders import entry
from tests.given import Story, again, given, like
from tests.unit.policies.test_add_on import LONG, MIRROR, SHORT, at, market
from tests.unit.policies.test_capabilities import AT_TARGET, RESERVES
from tests.unit.policies.test_others_trade import stranger


def sold(story: Story) -> list[int]:
    """What each target that works still sells."""
    leaves = [order.leaves for order in story.pipeline.live(story.trade.targets)]
    assert all(one == int(one) > 0 for one in leaves)
    return [int(one) for one in leaves]


@MIRROR
@pytest.mark.req("OD-047", "OD-064")
@pytest.mark.parametrize(
    ("quantity", "ladders"),
    [
        # 40, 40, 20 %: the first share of several goes to the largest remainder, of equal ones to the earlier tranche.
        (48, {1: ([1], 0), 7: ([3, 3], 1), 11: ([5, 4], 2), 48: ([19, 19], 10)}),
        # 30, 30, 25, 15 %
        (97, {1: ([1], 0), 11: ([3, 3, 3], 2), 37: ([11, 11, 9], 6), 97: ([29, 29, 24], 15)}),
        # 25, 25, 25, 15, 10 %
        (153, {3: ([1, 1, 1], 0), 37: ([9, 9, 9, 6], 4), 153: ([38, 38, 38, 23], 16)}),
    ],
)
def test_with_the_runner_they_are_what_was_entered_after_each_fill(
    side: PositionSide, quantity: int, ladders: dict[int, tuple[list[int], int]]
) -> None:
    wish = entry(
        quantity, side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"), key_level=at(side, "1.50")
    )
    story = given(wish, ack(Role.ENTRY))
    for entered, (targets, runner) in ladders.items():
        story.given(fill(Role.ENTRY, entered - int(story.trade.entered)), confirmed)
        assert sold(story) == targets
        assert story.trade.held - sum(targets) == runner
        assert again(story) == []


@MIRROR
@pytest.mark.req("OD-047", "OD-064", "OD-070")
def test_what_is_entered_after_a_tranche_was_sold_goes_by_the_whole_entry(side: PositionSide) -> None:
    """Of 100 the first 40 are in, and 12 of them are sold: what the tranche would have had more runs."""
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(wish, ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed)
    assert sold(story) == [12, 22]
    story.given(market(side, "1"), fill(Role.TARGET, nth=0), confirmed)
    assert (sold(story), story.trade.held) == ([22], 28)
    story.given(fill(Role.ENTRY, 60), confirmed)
    assert (sold(story), story.trade.held) == ([55], 88)
    assert again(story) == []


@pytest.mark.req("OD-047", "I46")
@pytest.mark.parametrize(
    ("side", "against"),
    [(LONG, Side.SELL), (SHORT, Side.BUY)],
)
@pytest.mark.parametrize(("taken", "targets"), [(60, [30, 10]), (75, [25]), (10, [30, 55]), (20, [30, 50])])
def test_they_sell_no_more_than_others_have_left_of_the_position(
    side: PositionSide, against: Side, taken: int, targets: list[int]
) -> None:
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(wish, ack(Role.ENTRY), stranger(against, taken)).when(fill(Role.ENTRY))
    placed = [one for one in story.told if isinstance(one, OrderPlaced) and one.role is Role.TARGET]
    assert [one.quantity for one in placed] == targets
    story.given(confirmed)
    assert sold(story) == targets


@pytest.mark.req("OD-047", "OD-064")
@pytest.mark.parametrize(("entered", "first", "rest"), [(40, 12, 28), (37, 11, 26), (41, 12, 29)])
def test_a_tranche_held_inside_is_a_share_of_what_was_entered(entered: int, first: int, rest: int) -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, entered), confirmed, capabilities=RESERVES)
    story.when(AT_TARGET).then_among(like(ReplaceRequested, policy="protective_stop", quantity=rest))
    story.when(replaced(Role.STOP)).then_among(
        like(OrderPlaced, role=Role.TARGET, rung=0, quantity=Decimal(first))
    )
