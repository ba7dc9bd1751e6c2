"""The effective stop at the broker: each move is one modification of the same order, with its level and its limit."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import ReplaceRequested, StopMoved
from oms.values import OrderType, PositionSide, Role
from tests.answers import confirmed, fill, in_position, replaced
from tests.builders import entry
from tests.given import Input, Story, again, bar, given, like, wait
from tests.unit.policies.test_add_on import LONG, MIRROR, SHORT, at, market


def best(side: PositionSide, distance: str) -> Input:
    """A minute whose best price, and last, is so far from the entry; half of it is locked."""
    low, high = sorted((Decimal(at(side, "0.90")), Decimal(at(side, distance))))
    return bar(low, high, at(side, distance))


def trailed(side: PositionSide) -> Story:
    """A hundred whose stop stands at 0.60 from the entry, confirmed."""
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(in_position(wish), wait(120), market(side, "1.20"), best(side, "1.20"), confirmed)
    assert story.order(Role.STOP).price_stop == Decimal(at(side, "0.60"))
    return story


@pytest.mark.req("OD-085", "OD-078")
@pytest.mark.parametrize(
    ("side", "moves"),
    [
        # The limits lie a thousandth of the level beyond it, on the tick toward a fill.
        (LONG, [("1.22", "100.61", "100.50"), ("1.24", "100.62", "100.51"), ("1.80", "100.90", "100.79")]),
        (SHORT, [("1.22", "99.39", "99.49"), ("1.24", "99.38", "99.48"), ("1.80", "99.10", "99.20")]),
    ],
)
def test_every_move_is_sent_and_be_it_of_one_tick(
    side: PositionSide, moves: list[tuple[str, str, str]]
) -> None:
    story = trailed(side)
    own = story.order(Role.STOP).client_order_id
    for high, level, limit in moves:
        story.given(wait(60), market(side, high)).when(best(side, high)).then(
            like(StopMoved, level=level),
            like(
                ReplaceRequested,
                client_order_id=own,
                quantity=100,
                order_type=OrderType.STOP_LIMIT,
                price_stop=level,
                price_limit=limit,
            ),
        )
        story.given(replaced(Role.STOP))
        order = story.order(Role.STOP)
        assert (order.client_order_id, order.price_stop) == (own, Decimal(level))
        assert again(story) == []
    assert len(story.trade.stops) == 1


@pytest.mark.req("OD-085")
@pytest.mark.parametrize(("side", "limit"), [(LONG, "100.39"), (SHORT, "99.60")])
def test_a_level_and_a_quantity_are_changed_by_one_modification(side: PositionSide, limit: str) -> None:
    wish: Any = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(in_position(wish), market(side, "1")).when(fill(Role.TARGET, nth=0))
    story.then(
        like(StopMoved, level=at(side, "0.50"), candidate="mfe_lock"),
        like(ReplaceRequested, quantity=70, price_stop=at(side, "0.50"), price_limit=limit),
    )


@pytest.mark.req("OD-085")
@MIRROR
def test_a_move_during_an_unanswered_one_is_sent_after_it(side: PositionSide) -> None:
    story = trailed(side).given(wait(60), market(side, "1.40"), best(side, "1.40"))
    story.given(wait(0, ms=1), market(side, "1.60"), fill(Role.TARGET, 10, nth=0, at=at(side, "1.60")))
    story.when(replaced(Role.STOP)).then_among(
        like(ReplaceRequested, quantity=90, price_stop=at(side, "0.80"))
    )
