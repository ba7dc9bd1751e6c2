"""What a scale-up sends: a limit order that is named an addition and belongs to a trade, never a trade of its own."""

from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.decisions import EntryAccepted, IntentRefused, OrderPlaced, TradeClosed
from oms.events.strategy import AddRequested
from oms.values import OrderType, PositionSide, Role, Side
from tests.answers import ack, fill, triggered
from tests.builders import entry, settings
from tests.given import Input, Story, about, bar, given, like, quote, wait
from tests.unit.policies.test_add_on import MIRROR, at, grown, held, market, more
from tests.unit.policies.test_add_on_found import FOUND
from tests.unit.policies.test_exit import targets_gone

ADDITION: dict[str, Any] = {
    "role": Role.ENTRY,
    "order_type": OrderType.LIMIT,
    "price_stop": None,
    "reason": "ADD_TO_POSITION",
    "policy": "add_on",
}


def wanting(side: PositionSide) -> Side:
    """The side that enlarges the position."""
    return Side.BUY if side is PositionSide.LONG else Side.SELL


@MIRROR
@pytest.mark.req("OD-096")
def test_a_requested_addition_is_a_limit_order_of_that_type(side: PositionSide) -> None:
    story = given(held(side), market(side, "0.60")).when(more(side))
    story.then(
        like(EntryAccepted, trade_no=2, parent_trade_no=1, quantity=50),
        like(
            OrderPlaced, trade_no=2, side=wanting(side), quantity=50, price_limit=at(side, "0.60"), **ADDITION
        ),
    )


@MIRROR
@pytest.mark.req("OD-096")
def test_an_addition_that_nobody_asked_for_is_one_too(side: PositionSide) -> None:
    story = given(held(side), wait(60), settings=settings(**FOUND)).given(bar("99.90", "100.10", "100.00"))
    story.when(market(side, "0.50")).then_among(
        like(EntryAccepted, trade_no=2, parent_trade_no=1, quantity=50),
        like(OrderPlaced, trade_no=2, side=wanting(side), quantity=50, price_limit="100", **ADDITION),
    )


@MIRROR
@pytest.mark.req("OD-096")
def test_the_order_that_opens_a_trade_is_none(side: PositionSide) -> None:
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    given().when(wish).then(
        like(EntryAccepted, trade_no=1, parent_trade_no=None, cycle=1),
        like(OrderPlaced, trade_no=1, role=Role.ENTRY, reason="", policy="entry"),
    )


def working(story: Story) -> None:
    """An entry of which nothing is filled yet."""
    story.given(entry(), ack(Role.ENTRY))


def sold(story: Story) -> None:
    """A position that its stop has closed."""
    story.given(held(), triggered, targets_gone, fill(Role.STOP, at="98.95"))


@pytest.mark.req("OD-096")
@pytest.mark.parametrize(
    ("before", "wish"),
    [
        (quote("100.60", "100.62"), more()),
        (working, more()),
        (sold, more()),
        (held(), replace(more(), strategy="another")),
        (held(), more(trade_no=2)),
        (grown(), more(trade_no=2)),
    ],
    ids=["nothing", "entry works", "sold", "another strategy's", "unknown trade", "an addition itself"],
)
def test_where_there_is_nothing_to_add_to_no_trade_is_opened_instead(
    before: Input, wish: AddRequested
) -> None:
    story = given(before, quote("100.60", "100.62"), settings=settings(add_on__max_count=2)).when(wish)
    story.then(like(IntentRefused, code="nothing_to_add_to", intent_id="add"))


@MIRROR
@pytest.mark.req("OD-096")
def test_the_report_of_its_end_names_the_trade_it_was_added_to(side: PositionSide) -> None:
    story = given(grown(side), triggered, targets_gone).when(fill(Role.STOP, at=at(side, "-1.05")))
    story.then_among(like(TradeClosed, trade_no=2, parent_trade_no=1, quantity=50))
    story.given(about(1), triggered, targets_gone).when(fill(Role.STOP, at=at(side, "-1.05")))
    story.then_among(like(TradeClosed, trade_no=1, parent_trade_no=None, quantity=100))
