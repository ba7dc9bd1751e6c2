"""The ladder: exact quantities, independent orders, never topped up."""

from typing import Any

import pytest

from oms.events.decisions import CancelRequested, OrderPlaced, ReplaceRequested
from oms.events.strategy import ExhaustionReported, TrailOnlyRequested
from oms.values import OrderType, PositionSide, Role, ScaleOut, Side
from tests.answers import (
    ack,
    bust,
    cancelled,
    confirmed,
    fill,
    in_position,
    refused,
    rejected,
    replaced,
    unknown,
)
from tests.builders import NAME, STRATEGY, entry, settings
from tests.given import Story, again, given, like, quote, wait

LADDER = [
    {"trigger": "1R", "pct": "0.5"},
    {"trigger": "2R", "pct": "0.2"},
    {"trigger": "RUNNER", "pct": "0.3"},
]


def quantities(story: Story) -> list[tuple[str, str]]:
    """(quantity, price) of the targets that work."""
    live = story.pipeline.live(story.trade.targets)
    return [(str(order.quantity), str(order.price_limit)) for order in live]


@pytest.mark.req("OD-033", "OD-039", "OD-044")
def test_are_placed_with_the_stop() -> None:
    story = given(entry(key_level="101.50"), ack(Role.ENTRY)).when(fill(Role.ENTRY))
    story.then_among(
        like(OrderPlaced, role=Role.STOP),
        like(OrderPlaced, role=Role.TARGET, side=Side.SELL, quantity=30, price_limit="101", rung=0),
        like(
            OrderPlaced,
            role=Role.TARGET,
            order_type=OrderType.LIMIT,
            quantity=30,
            price_limit="101.50",
            rung=1,
        ),
        like(OrderPlaced, role=Role.TARGET, quantity=25, price_limit="102", rung=2),
    )


@pytest.mark.req("OD-045", "OD-047", "C-12")
@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (49, ["20", "19"]),
        (50, ["15", "15", "13"]),
        (150, ["45", "45", "38"]),
        (151, ["38", "38", "38", "22"]),
    ],
)
def test_the_size_class_picks_the_ladder(quantity: int, expected: list[str]) -> None:
    story = given(entry(quantity, key_level="101.50"), ack(Role.ENTRY), fill(Role.ENTRY))
    assert [one for one, _ in quantities(story)] == expected


@pytest.mark.req("OD-048")
def test_r_is_counted_from_the_real_entry() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, at="99.995"))
    assert [price for _, price in quantities(story)] == ["101.00", "102.00"]


@pytest.mark.req("OD-044")
@pytest.mark.parametrize(
    ("side", "key", "fills", "expected"),
    [
        (PositionSide.LONG, "100.10", "100.09", ["101.09", "100.10", "102.09"]),
        (PositionSide.LONG, "100.10", "100.10", ["101.10", "102.10", "102.10"]),
        (PositionSide.LONG, "100.10", "100.11", ["101.11", "102.11", "102.11"]),
        (PositionSide.SHORT, "99.90", "99.91", ["98.91", "99.90", "97.91"]),
        (PositionSide.SHORT, "99.90", "99.90", ["98.90", "97.90", "97.90"]),
        (PositionSide.SHORT, "99.90", "99.89", ["98.89", "97.89", "97.89"]),
    ],
)
def test_a_key_level_that_the_entry_has_passed_sells_nothing_at_a_loss(
    side: PositionSide, key: str, fills: str, expected: list[str]
) -> None:
    """Its share waits for the price of the next rung. The stop keeps its distance in R."""
    zone, stop = ("100.50", "99.00") if side is PositionSide.LONG else ("99.50", "101.00")
    wish = entry(key_level=key, side=side, zone_max=zone, stop=stop)
    story = given(wish, ack(Role.ENTRY), fill(Role.ENTRY, at=fills))
    assert [price for _, price in quantities(story)] == expected


@pytest.mark.req("OD-044", "OD-047")
def test_a_key_level_that_later_entry_fills_pass_moves_to_the_next_rung() -> None:
    wish = entry(key_level="100.10", zone_max="100.50")
    story = given(wish, ack(Role.ENTRY), fill(Role.ENTRY, 10, at="100.00"), confirmed)
    assert quantities(story)[1] == ("3", "100.10")
    story.when(fill(Role.ENTRY, 90, at="100.30")).then_among(
        like(ReplaceRequested, quantity=30, price_limit="102.27", reason="the entry has passed its price")
    )
    story.given(confirmed)
    assert again(story) == []
    assert sorted(price for _, price in quantities(story)) == ["101.00", "102.00", "102.27"]


def test_a_passed_key_level_before_the_runner_runs_with_it() -> None:
    ladder = [
        {"trigger": "1R", "pct": "0.4"},
        {"trigger": "KEY_LEVEL", "pct": "0.4"},
        {"trigger": "RUNNER", "pct": "0.2"},
    ]
    wish = entry(key_level="100.10", zone_max="100.50")
    story = given(
        wish, ack(Role.ENTRY), fill(Role.ENTRY, at="100.20"), settings=settings(targets__standard=ladder)
    )
    assert quantities(story) == [("40", "101.20")]


def test_second_run_yields_nothing() -> None:
    assert again(given(entry(), ack(Role.ENTRY), fill(Role.ENTRY))) == []


def test_stay_quiet_once_placed() -> None:
    given(in_position()).when(wait(300)).then()


@pytest.mark.req("OD-074", "OD-011")
def test_grow_with_the_entry_in_proportion() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed)
    assert [one for one, _ in quantities(story)] == ["12", "22"]
    story.given(fill(Role.ENTRY, 60), confirmed)
    assert [one for one, _ in quantities(story)] == ["30", "55"]


@pytest.mark.req("OD-066", "OD-068", "OD-070")
def test_a_partly_filled_target_is_never_topped_up() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, quote("100.99", "101.01"))
    story.given(fill(Role.TARGET, 5, nth=0), confirmed).when(fill(Role.ENTRY, 60), confirmed)
    assert story.order(Role.TARGET, 0).quantity == 12
    assert story.order(Role.TARGET, 1).quantity == 55


@pytest.mark.req("OD-040", "OD-041", "OD-066")
def test_one_that_fills_leaves_the_others_as_they_are() -> None:
    story = given(in_position(), quote("100.99", "101.01"))
    story.when(fill(Role.TARGET, nth=0)).then_none(CancelRequested).then_none(
        ReplaceRequested, policy="targets"
    )
    story.then_among(like(ReplaceRequested, policy="protective_stop", quantity=70))
    assert quantities(story) == [("55", "102.00")]


@pytest.mark.req("OD-046")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # A hundred at 100.00: both thresholds themselves belong to the middle class, wherever they are.
        ({"targets__compact_below": 10_001}, ["40", "40"]),
        ({"targets__compact_below": 10_000}, ["30", "55"]),
        ({"targets__compact_below": "10000.01", "targets__full_above": "10000.01"}, ["40", "40"]),
        ({"targets__full_above": 9_999, "targets__compact_below": 5_000}, ["25", "50", "15"]),
        ({"targets__full_above": 10_000}, ["30", "55"]),
        ({"targets__full_above": "9999.99"}, ["25", "50", "15"]),
        ({"targets__full_above": 10_000, "targets__compact_below": 10_000}, ["30", "55"]),
        # Every class has its own ladder, and only that of the class counts.
        ({"targets__standard": LADDER}, ["50", "20"]),
        ({"targets__compact": LADDER, "targets__compact_below": 10_001}, ["50", "20"]),
        ({"targets__full": LADDER, "targets__full_above": 9_999}, ["50", "20"]),
        ({"targets__compact": LADDER, "targets__full": LADDER}, ["30", "55"]),
    ],
)
def test_thresholds_and_percentages_are_settings(change: dict[str, Any], expected: list[str]) -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), settings=settings(**change))
    assert [one for one, _ in quantities(story)] == expected


def test_a_filled_target_is_not_placed_again() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0), confirmed)
    story.when(wait(60)).then_none(OrderPlaced)


def test_a_cancelled_target_is_not_placed_again() -> None:
    given(in_position()).when(cancelled(Role.TARGET, 0), wait(60)).then_none(OrderPlaced)


@pytest.mark.req("OD-076", "I87")
def test_a_rejected_target_is_tried_again_a_few_times() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.STOP))
    story.when(rejected(Role.TARGET, 0)).then_none(OrderPlaced)
    for _ in range(3):
        story.when(wait(0, ms=249)).then_none(OrderPlaced)
        story.when(wait(0, ms=1)).then_among(like(OrderPlaced, role=Role.TARGET, rung=0))
        story.given(rejected(Role.TARGET))
    story.when(wait(60)).then_none(OrderPlaced, role=Role.TARGET, rung=0)


@pytest.mark.req("OD-051", "OD-052", "OD-054")
def test_trail_only_gives_them_up() -> None:
    wish = TrailOnlyRequested(instrument=NAME, strategy=STRATEGY, intent_id="t")
    given(in_position()).when(wish).then(
        like(CancelRequested, reason="trail only"), like(CancelRequested, reason="trail only")
    )


@pytest.mark.req("OD-050", "OD-053")
@pytest.mark.parametrize("change", [{"targets__policy": "TRAIL_ONLY"}, {"targets__scale_out_profile": "OFF"}])
def test_the_profile_may_switch_them_off(change: dict[str, str]) -> None:
    story = given(entry(), ack(Role.ENTRY), settings=settings(**change))
    story.when(fill(Role.ENTRY)).then_none(OrderPlaced, role=Role.TARGET)


@pytest.mark.req("OD-050")
@pytest.mark.parametrize(
    ("profile", "sold", "left"),
    [
        ("OFF", [], 100),
        ("CONSERVATIVE", [15, 15, 13], 57),
        ("STANDARD", [30, 30, 25], 15),
        ("AGGRESSIVE", [30, 30, 40], 0),
    ],
)
def test_the_profile_says_how_much_is_sold_in_tranches(profile: str, sold: list[int], left: int) -> None:
    """As a setting, and for one trade where its request names it."""
    by_setting = given(
        in_position(entry(key_level="101.50")), settings=settings(targets__scale_out_profile=profile)
    )
    wish = entry(key_level="101.50", profile=ScaleOut(profile))
    for other in ("OFF", "STANDARD"):
        by_request = given(in_position(wish), settings=settings(targets__scale_out_profile=other))
        for story in (by_setting, by_request):
            assert [int(one) for one, _ in quantities(story)] == sold
            assert story.trade.held - sum(sold) == left
            assert sum(rung.pct for rung in story.trade.rungs) == 1


@pytest.mark.req("OD-050", "OD-046")
def test_how_much_a_conservative_profile_sells_is_a_setting() -> None:
    some = {"targets__scale_out_profile": "CONSERVATIVE", "targets__conservative_share": "0.2"}
    assert quantities(given(in_position(), settings=settings(**some))) == [("6", "101.00"), ("11", "102.00")]
    all_of_it = {
        **some,
        "targets__conservative_share": "1",
        "targets__standard": [{"trigger": "1R", "pct": "1"}],
    }
    story = given(in_position(), settings=settings(**all_of_it))
    assert quantities(story) == [("100", "101.00")]
    assert len(story.trade.rungs) == 1


@pytest.mark.req("OD-050")
def test_a_position_that_is_sold_in_tranches_as_a_whole_is_closed_by_the_last() -> None:
    story = given(
        in_position(), quote("101.99", "102.01"), settings=settings(targets__scale_out_profile="AGGRESSIVE")
    )
    story.given(fill(Role.TARGET, nth=0), confirmed, fill(Role.TARGET, nth=1), confirmed)
    assert story.pipeline.open_trades == ()


@pytest.mark.req("OD-049")
def test_exhaustion_takes_the_ladder_at_once() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    story = given(in_position(), quote("100.50", "100.52")).when(wish)
    story.then(
        like(ReplaceRequested, policy="targets", price_limit="100.50", quantity=30),
        like(ReplaceRequested, policy="targets", price_limit="100.50", quantity=55),
    )
    story.given(confirmed).when(quote("100.40", "100.42"), wait(10)).then()


@pytest.mark.req("OD-047", "I46")
def test_shrink_from_the_far_end_when_the_position_does() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 60), fill(Role.ENTRY, 40), confirmed)
    story.when(bust(Role.ENTRY)).then_among(like(ReplaceRequested, policy="targets", quantity=30))
    story.given(replaced(Role.TARGET, 1), replaced(Role.STOP))
    assert [one for one, _ in quantities(story)] == ["30", "30"]


def test_a_refused_cancel_is_asked_again() -> None:
    wish = TrailOnlyRequested(instrument=NAME, strategy=STRATEGY, intent_id="t")
    story = given(in_position(), wish).when(refused(Role.TARGET, 0)).then(like(CancelRequested))
    story.when(refused(Role.TARGET, 0)).then()
    story.when(wait(0, ms=250)).then_among(like(CancelRequested, policy="targets"))


@pytest.mark.req("C-20")
def test_shorts_take_profit_below() -> None:
    short = entry(zone_max="99.9", stop="101", side=PositionSide.SHORT)
    story = given(short, ack(Role.ENTRY), fill(Role.ENTRY))
    assert quantities(story) == [("30", "99"), ("55", "98")] or quantities(story) == [
        ("30", "99.00"),
        ("55", "98.00"),
    ]
    assert story.order(Role.TARGET).side is Side.BUY


@pytest.mark.parametrize(("stop", "placed"), [("150.00", 1), ("149.99", 2)])
def test_a_short_has_no_target_at_a_price_of_nothing(stop: str, placed: int) -> None:
    """Two R below the entry lie at 0, and a cent above it."""
    story = given(
        entry(side=PositionSide.SHORT, zone_max="99.90", stop=stop), ack(Role.ENTRY), fill(Role.ENTRY)
    )
    assert len(story.trade.targets) == placed


def test_gives_up_the_second_target_of_a_tranche() -> None:
    # The first was unknown to the broker, so it was sent again; then the first appeared after all.
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), unknown(Role.TARGET, nth=0), wait(1))
    lost = story.pipeline.orders[story.trade.targets[0]]
    assert [order.rung for order in story.pipeline.of(story.trade.targets)].count(lost.rung) == 2
    story.when(ack(Role.TARGET, nth=0))
    story.then_among(like(CancelRequested, client_order_id=lost.client_order_id))
    assert not story.pipeline.safe_mode


def test_the_target_that_stays_is_not_given_up_for_the_one_that_leaves() -> None:
    """An unanswered cancel once made the second target the one to keep, and the tranche ended without any."""
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), unknown(Role.TARGET, nth=0), wait(1))
    lost = story.pipeline.orders[story.trade.targets[0]]
    story.given(confirmed, ack(Role.TARGET, nth=0)).when(quote("100.40", "100.42"), wait(1))
    story.then_none(CancelRequested)
    asked = [one for one in story.pipeline.live(story.trade.targets) if one.is_pending]
    assert asked == [story.pipeline.orders[lost.client_order_id]]


@pytest.mark.req("I46")
def test_targets_shrink_with_the_position_also_while_one_too_many_leaves() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 60), fill(Role.ENTRY, 40))
    story.given(unknown(Role.TARGET, nth=0), wait(1), confirmed, ack(Role.TARGET, nth=0))
    assert [one for one, _ in quantities(story)] == ["18", "55", "30"]
    story.when(bust(Role.ENTRY)).then_among(like(ReplaceRequested, policy="targets", quantity=30))


def test_exhaustion_takes_the_ladder_also_while_one_too_many_leaves() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), unknown(Role.TARGET, nth=0), wait(1), confirmed)
    story.given(ack(Role.TARGET, nth=0), quote("100.40", "100.42")).when(wish)
    moved = like(ReplaceRequested, policy="targets", reason="exhaustion")
    story.then_among(moved, moved)


def test_exhaustion_moves_the_only_target_of_a_single_share_too() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    story = given(in_position(entry(1)), quote("100.50", "100.52")).when(wish)
    story.then(like(ReplaceRequested, policy="targets", price_limit="100.50", quantity=1))


def test_exhaustion_leaves_a_target_that_is_at_the_market_already() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    given(in_position(), quote("101.00", "101.02")).when(wish).then(like(ReplaceRequested, quantity=55))
    short = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
    given(in_position(short), quote("98.98", "99.00")).when(wish).then(like(ReplaceRequested, quantity=55))


def test_targets_of_what_never_was_held_say_so_when_they_leave() -> None:
    given(in_position()).when(bust(Role.ENTRY)).then_among(
        like(CancelRequested, policy="targets", reason="no position")
    )


def test_a_target_that_is_refused_again_and_again_is_given_up() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.STOP), ack(Role.TARGET))
    story.given(rejected(Role.TARGET, 0))
    for _ in range(2):
        story.given(wait(1), rejected(Role.TARGET))
    story.given(wait(1)).when(rejected(Role.TARGET), wait(60)).then_none(OrderPlaced, role=Role.TARGET)


def test_exhaustion_rounds_to_the_tick_toward_the_market() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    given(in_position(), quote("100.505", "100.52")).when(wish).then_among(
        like(ReplaceRequested, policy="targets", price_limit="100.50")
    )
    short = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
    given(in_position(short), quote("99.48", "99.495")).when(wish).then_among(
        like(ReplaceRequested, policy="targets", price_limit="99.50")
    )
