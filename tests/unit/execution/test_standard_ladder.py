"""The ladder of the middle size class, what it does with partial fills, and how TRAIL_ONLY takes it back."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.decisions import CancelRequested, OrderPlaced, ReplaceRequested
from oms.events.operator import ConfigActivated
from oms.events.strategy import EntryRequested, TrailOnlyRequested
from oms.values import PositionSide, Role
from tests import builders
from tests.answers import ack, confirmed, fill, in_position
from tests.builders import NAME, STRATEGY, entry, opening, settings
from tests.given import Input, Story, given, like, quote

COMPACT = ["1R", "2R", "RUNNER"]
STANDARD = ["1R", "KEY_LEVEL", "2R", "RUNNER"]
FULL = ["1R", "KEY_LEVEL", "2R", "3R", "RUNNER"]


def wish(side: PositionSide, quantity: int = 100, **more: Any) -> EntryRequested:
    """An entry at 100.00 with a dollar of risk and a key level halfway between 1R and 2R, on either side."""
    if side is PositionSide.LONG:
        return entry(quantity, key_level="101.50", **more)
    return entry(quantity, side=side, zone_max="99.90", stop="101.00", key_level="98.50", **more)


def triggers(story: Story) -> list[str]:
    return [rung.trigger for rung in story.trade.rungs]


def targets(story: Story) -> list[tuple[str, Decimal | None]]:
    live = story.pipeline.live(story.trade.targets)
    return [(str(order.quantity), order.price_limit) for order in live]


@pytest.mark.req("OD-044")
@pytest.mark.parametrize(
    ("ideal", "ladder"),
    [("49.99", COMPACT), ("50.00", STANDARD), ("150.00", STANDARD), ("150.01", FULL)],
)
def test_a_cent_per_share_decides_at_both_thresholds(ideal: str, ladder: list[str]) -> None:
    stop = Decimal(ideal) - 1
    story = given(entry(ideal=ideal, zone_max=ideal, stop=stop, key_level="200.00"))
    assert triggers(story) == ladder


@pytest.mark.req("OD-044")
def test_the_value_of_a_contract_is_its_price_times_its_multiplier() -> None:
    story = given(builders.instrument(multiplier=10), entry(10, key_level="101.50"))
    assert triggers(story) == STANDARD


@pytest.mark.req("OD-044", "C-30")
def test_what_the_caps_leave_of_a_request_decides() -> None:
    small = settings(account__day_capital=Decimal(20_000))
    story = given(entry(200, key_level="101.50"), settings=small)
    assert (story.trade.quantity, triggers(story)) == (100, STANDARD)


@pytest.mark.req("OD-044")
@pytest.mark.parametrize(
    ("side", "prices"),
    [(PositionSide.LONG, ["101", "101.5", "102"]), (PositionSide.SHORT, ["99", "98.5", "98"])],
)
def test_sells_30_30_and_25_percent_and_leaves_15(side: PositionSide, prices: list[str]) -> None:
    story = given(in_position(wish(side)))
    expected = zip(["30", "30", "25"], map(Decimal, prices), strict=True)
    assert targets(story) == list(expected)
    assert story.trade.rungs[-1].pct == Decimal("0.15")


@pytest.mark.req("OD-011", "C-20")
@pytest.mark.parametrize("side", list(PositionSide))
def test_stop_and_targets_grow_with_every_part_of_an_entry(side: PositionSide) -> None:
    story = given(wish(side), ack(Role.ENTRY))
    for part, held, shares in (
        (40, 40, ["12", "12", "10"]),
        (20, 60, ["18", "18", "15"]),
        (40, 100, ["30", "30", "25"]),
    ):
        story.given(fill(Role.ENTRY, part), confirmed)
        assert story.order(Role.STOP).leaves == held
        assert [quantity for quantity, _ in targets(story)] == shares


@pytest.mark.req("OD-011", "C-14")
@pytest.mark.parametrize(
    ("side", "near"),
    [(PositionSide.LONG, quote("100.99", "101.01")), (PositionSide.SHORT, quote("98.99", "99.01"))],
)
def test_a_part_of_a_target_makes_only_the_stop_smaller(side: PositionSide, near: Input) -> None:
    story = given(wish(side), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, near)
    story.when(fill(Role.TARGET, 5, nth=0)).then_none(ReplaceRequested, policy="targets")
    story.then_among(like(ReplaceRequested, policy="protective_stop", quantity=35)).given(confirmed)
    story.when(fill(Role.TARGET, 2, nth=0)).then(
        like(ReplaceRequested, policy="protective_stop", quantity=33)
    )
    story.given(confirmed).when(fill(Role.ENTRY, 60), confirmed)
    assert story.order(Role.STOP).leaves == 93
    assert [quantity for quantity, _ in targets(story)] == ["12", "30", "25"]


def asked(story: Story) -> None:
    """The strategy gives up its targets."""
    story.take(TrailOnlyRequested(instrument=NAME, strategy=STRATEGY, intent_id="t"))


def configured(story: Story) -> None:
    """A configuration that is for open trades as well gives up the targets."""
    activated = opening(settings(targets__policy="TRAIL_ONLY"))[2]
    assert isinstance(activated, ConfigActivated)
    story.take(replace(activated, apply_to_open=True))


@pytest.mark.req("OD-051")
@pytest.mark.parametrize("switch", [asked, configured])
@pytest.mark.parametrize(
    ("side", "near"),
    [(PositionSide.LONG, quote("100.99", "101.01")), (PositionSide.SHORT, quote("98.99", "99.01"))],
)
def test_trail_only_cancels_every_target_and_nothing_else(
    side: PositionSide, near: Input, switch: Input
) -> None:
    """Of the four of a large position one is filled in part."""
    story = given(in_position(wish(side, 200)), near, fill(Role.TARGET, 5, nth=0), confirmed)
    live = [order.client_order_id for order in story.pipeline.live(story.trade.targets)]
    assert len(live) == 4
    story.when(switch).then(
        *(like(CancelRequested, client_order_id=one, reason="trail only") for one in live)
    )
    story.when(confirmed).then_none(OrderPlaced)
    assert story.pipeline.live(story.trade.targets) == []
    assert story.order(Role.STOP).leaves == story.trade.held == 195
