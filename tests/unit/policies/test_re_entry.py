"""Re-entry: a new trade begins when the former one is out as a whole, and not before."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import EntryAbandoned, EntryAccepted, IntentRefused, OrderPlaced, TradeClosed
from oms.values import PositionSide, Role, Side
from tests.answers import ack, cancelled, confirmed, fill, in_position, triggered, unknown
from tests.builders import entry
from tests.given import Story, given, like, wait
from tests.unit.policies.test_add_on import LONG, MIRROR, at, market
from tests.unit.policies.test_exit import targets_gone
from tests.unit.policies.test_others_trade import stranger


def wish(side: PositionSide, intent: str = "1") -> Any:
    return entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"), intent=intent)


def refused(story: Story, side: PositionSide, intent: str) -> None:
    story.when(wish(side, intent)).then(like(IntentRefused, code="not_flat", intent_id=intent))


def accepted(story: Story, side: PositionSide, cycle: int) -> None:
    story.given(market(side, "0")).when(wish(side, "after")).then(
        like(EntryAccepted, intent_id="after", trade_no=cycle, cycle=cycle, parent_trade_no=None),
        like(OrderPlaced, role=Role.ENTRY, trade_no=cycle),
    )


@MIRROR
@pytest.mark.req("OD-094", "OD-092", "I30")
def test_not_for_a_part_and_not_while_anything_of_it_may_execute(side: PositionSide) -> None:
    story = given(in_position(wish(side)), market(side, "1"))
    refused(story, side, "nothing is out")
    story.given(fill(Role.TARGET, nth=0), confirmed)
    refused(story, side, "thirty are out")
    story.given(market(side, "-1"), triggered, fill(Role.STOP, 69, at=at(side, "-1")))
    refused(story, side, "one is left")
    story.given(fill(Role.STOP, 1, at=at(side, "-1")))
    assert story.pipeline.position == 0
    refused(story, side, "a target still works")
    story.when(targets_gone).then_among(like(TradeClosed, trade_no=1))
    accepted(story, side, 2)


@MIRROR
@pytest.mark.req("OD-094", "OD-058")
def test_an_entry_that_works_is_no_trade_that_is_over(side: PositionSide) -> None:
    """Nothing is held yet. Once it is given up the pipeline seeks an entry again."""
    story = given(wish(side), ack(Role.ENTRY))
    refused(story, side, "it works")
    story.given(wait(20))
    refused(story, side, "its cancel is not answered")
    story.when(cancelled(Role.ENTRY)).then(like(EntryAbandoned, trade_no=1, pipeline_state="SEEKING_ENTRY"))
    accepted(story, side, 2)


@pytest.mark.req("OD-094")
@pytest.mark.parametrize(("others", "back"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
def test_not_beside_a_position_that_others_hold(others: Side, back: Side) -> None:
    story = given(stranger(others, 1))
    assert (story.pipeline.open_trades, abs(story.pipeline.position)) == ((), 1)
    refused(story, LONG, "a share is held")
    story.given(stranger(back, 1))
    accepted(story, LONG, 1)


@MIRROR
@pytest.mark.req("OD-094", "OD-092")
def test_a_late_fill_opens_the_former_trade_again(side: PositionSide) -> None:
    story = given(in_position(wish(side)), market(side, "-1"), triggered, targets_gone)
    story.given(fill(Role.STOP, at=at(side, "-1")))
    assert story.pipeline.open_trades == ()
    story.given(fill(Role.TARGET, 1, nth=0))
    refused(story, side, "a target has oversold")
    story.given(ack(Role.EXIT)).when(fill(Role.EXIT, at=at(side, "-1"))).then_among(
        like(TradeClosed, trade_no=1)
    )
    assert story.pipeline.position == Decimal(0)
    accepted(story, side, 2)


@MIRROR
@pytest.mark.req("OD-094", "I30")
def test_an_order_that_comes_back_to_life_opens_the_former_trade_again(side: PositionSide) -> None:
    """The broker had never heard of the targets; after the end of the trade it confirms one."""
    story = given(in_position(wish(side)), market(side, "-1"), triggered)
    story.given(unknown(Role.TARGET, 0), unknown(Role.TARGET, 1), fill(Role.STOP, at=at(side, "-1")))
    assert story.pipeline.open_trades == ()
    story.given(ack(Role.TARGET, 0))
    assert story.pipeline.position == 0
    refused(story, side, "it may fill")
    story.given(cancelled(Role.TARGET, 0))
    accepted(story, side, 2)
