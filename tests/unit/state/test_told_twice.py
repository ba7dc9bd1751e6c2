"""A fill that is told twice, in whatever way, is in the position once."""

import pytest

from oms.events.broker import ReportedStatus
from oms.values import OrderStatus, Role, Side
from tests.unit.state.order_story import accepted, filled, given, reported

PART = OrderStatus.PARTIAL_FILLED


@pytest.mark.req("OD-013")
@pytest.mark.parametrize("own", [None, "of another session"])
def test_under_the_id_of_the_broker_alone_it_is_the_same_fill(own: str | None) -> None:
    """It is no execution of an order that is not ours either."""
    story = given(accepted(), filled("a", 4, 4, 6, broker_order_id="B"))
    before = story.pipeline
    story.when(filled("a", 4, 4, 6, own=own, broker_order_id="B")).then(PART, 4, alerts=[])
    assert story.pipeline is before
    assert (story.pipeline.position, story.pipeline.external) == (4, 0)


@pytest.mark.req("OD-013")
def test_after_an_answer_that_counts_less_it_is_the_same_fill_under_another_id() -> None:
    """What the broker leaves out of a count is still on record here."""
    story = given(accepted(), filled("a", 4, 4, 6), reported(ReportedStatus.PARTIALLY_FILLED, 2, 8, asked=4))
    assert (story.order.total, story.order.filled) == (2, 4)
    story.when(filled("a2", 2, 4, 6)).then(PART, 4)
    assert story.pipeline.position == 4


@pytest.mark.req("OD-013")
@pytest.mark.parametrize("ends", [(4, 6), (None, None)])
@pytest.mark.parametrize(("role", "side"), [(Role.ENTRY, Side.BUY), (Role.STOP, Side.SELL)])
def test_every_fill_of_several_is_known_again(
    role: Role, side: Side, ends: tuple[int | None, int | None]
) -> None:
    fills = [filled("a", 4, *ends, side=side), filled("b", 2, *(6, 4) if ends[0] else ends, side=side)]
    story = given(accepted(), *fills, role=role)
    before = story.pipeline
    story.when(*fills, *reversed(fills), fills[0]).then(PART, 6, alerts=[])
    assert story.pipeline is before
    assert abs(story.pipeline.position) == 6


@pytest.mark.req("OD-013")
def test_of_an_order_that_is_not_ours_it_counts_once_too() -> None:
    story = given(accepted(), filled("x", 7, own="?", broker_order_id="H"))
    story.when(*[filled("x", 7, own="?", broker_order_id="H")] * 3)
    assert (story.pipeline.external, story.pipeline.position) == (7, 7)
