"""A filled target tranche takes its quantity from the stop: one stop, for just what is still held."""

from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.broker import CapabilitiesDeclared
from oms.events.decisions import CancelRequested, GuardArmed, OrderPlaced, ReplaceRequested, TradeClosed
from oms.state.protection import Protection
from oms.values import OrderType, PositionSide, Role
from tests.answers import cancelled, confirmed, fill, refused, replaced
from tests.builders import entry, opening, settings
from tests.given import Input, Story, again, given, like, wait
from tests.unit.policies.test_add_on import MIRROR, at, held, market

STOP: dict[str, Any] = {"policy": "protective_stop", "order_type": OrderType.STOP_LIMIT}


def covers(story: Story) -> bool:
    """Whether one confirmed stop is for the whole remaining position."""
    live = story.pipeline.live(story.trade.stops)
    return [one.leaves for one in live] == [story.trade.held] and story.protection is Protection.BROKER_STOP


def ladder(side: PositionSide) -> Input:
    """Five tranches: 40, 40, 40 and 24 of 160 are out, 16 run."""

    def tell(story: Story) -> None:
        wish = entry(
            160, side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"), key_level=at(side, "1.50")
        )
        story.given(wish, confirmed, fill(Role.ENTRY), confirmed, market(side, "3"))

    return tell


@MIRROR
@pytest.mark.req("OD-064")
def test_tranche_by_tranche_down_to_the_runner(side: PositionSide) -> None:
    story = given(ladder(side))
    for nth, left in enumerate((120, 80, 40, 16)):
        story.when(fill(Role.TARGET, nth=nth)).then_among(like(ReplaceRequested, quantity=left, **STOP))
        story.then_none(OrderPlaced).then_none(CancelRequested)
        story.given(confirmed)
        assert (story.trade.held, covers(story), again(story)) == (left, True, [])


@MIRROR
@pytest.mark.req("OD-064")
def test_tranches_that_fill_in_any_order_count_alike(side: PositionSide) -> None:
    story = given(ladder(side))
    for nth, left in ((3, 136), (1, 96), (0, 56), (2, 16)):
        story.when(fill(Role.TARGET, nth=nth)).then_among(like(ReplaceRequested, quantity=left, **STOP))
        story.given(confirmed)
        assert (story.trade.held, covers(story)) == (left, True)


@MIRROR
@pytest.mark.req("OD-064")
def test_one_that_fills_while_the_change_is_under_way_is_taken_off_when_it_is_answered(
    side: PositionSide,
) -> None:
    story = given(ladder(side), fill(Role.TARGET, nth=0))
    story.when(fill(Role.TARGET, nth=1)).then_none(ReplaceRequested)
    story.when(replaced(Role.STOP)).then_among(like(ReplaceRequested, quantity=80, **STOP))
    story.given(confirmed)
    assert covers(story)


@MIRROR
@pytest.mark.req("OD-064")
def test_a_refused_change_is_asked_for_again_with_what_is_left_then(side: PositionSide) -> None:
    story = given(ladder(side), fill(Role.TARGET, nth=0))
    story.when(refused(Role.STOP)).then_among(like(ReplaceRequested, quantity=120, **STOP))
    story.given(fill(Role.TARGET, nth=1), refused(Role.STOP))
    story.when(wait(ms=249), market(side, "3")).then_none(ReplaceRequested)
    story.when(wait(ms=1)).then_among(like(ReplaceRequested, quantity=80, **STOP))
    story.given(confirmed)
    assert covers(story)


@MIRROR
@pytest.mark.req("OD-064")
@pytest.mark.parametrize(
    ("modifies", "mode"), [(False, "modify"), (True, "cancel_then_place")], ids=["broker", "setting"]
)
def test_where_it_cannot_be_changed_a_smaller_one_takes_its_place(
    side: PositionSide, modifies: bool, mode: str
) -> None:
    story = given(
        ladder(side),
        capabilities=CapabilitiesDeclared(modify_stop=modifies),
        settings=settings(stop__replace_mode=mode),
    )
    old = story.order(Role.STOP).client_order_id
    story.when(fill(Role.TARGET, nth=0)).then_none(ReplaceRequested).then_none(OrderPlaced)
    story.then_among(like(CancelRequested, policy="protective_stop", client_order_id=old), like(GuardArmed))
    story.when(cancelled(Role.STOP)).then_among(like(OrderPlaced, role=Role.STOP, quantity=120, **STOP))
    story.given(confirmed)
    assert covers(story)


@MIRROR
@pytest.mark.req("OD-064", "C-08")
@pytest.mark.parametrize("apply_to_open", [False, True])
@pytest.mark.parametrize(("own", "new"), [("modify", "cancel_then_place"), ("cancel_then_place", "modify")])
def test_an_open_trade_keeps_the_way_in_which_its_stop_is_changed(
    side: PositionSide, own: str, new: str, apply_to_open: bool
) -> None:
    *_, activated = opening(settings(stop__replace_mode=new))
    story = given(
        ladder(side),
        replace(activated, apply_to_open=apply_to_open),
        settings=settings(stop__replace_mode=own),
    )
    asked = ReplaceRequested if (new if apply_to_open else own) == "modify" else CancelRequested
    story.when(fill(Role.TARGET, nth=0)).then_among(like(asked, policy="protective_stop"))
    story.then_none(CancelRequested if asked is ReplaceRequested else ReplaceRequested)
    assert again(story) == []


@MIRROR
@pytest.mark.req("OD-064")
def test_when_the_last_tranche_leaves_nothing_the_stop_goes(side: PositionSide) -> None:
    ladder_of_all = settings(targets__scale_out_profile="AGGRESSIVE")
    story = given(held(side), market(side, "2"), fill(Role.TARGET, nth=0), confirmed, settings=ladder_of_all)
    assert covers(story)
    stop = story.order(Role.STOP).client_order_id
    story.when(fill(Role.TARGET, nth=1)).then(
        like(CancelRequested, policy="protective_stop", client_order_id=stop, reason="no position")
    )
    story.when(confirmed).then_among(like(TradeClosed, quantity=100, reason="TARGETS"))
    assert story.pipeline.live(story.trade.stops) == []
