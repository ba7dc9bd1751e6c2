"""Slippage: every fill against its intent, the averages over closed trades, and the one fill that is too far off."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.broker import ExecutionCorrected, OrderFilled
from oms.events.decisions import (
    Alerted,
    CloseRequested,
    EntryAccepted,
    OrderPlaced,
    StopMoved,
)
from oms.events.slippage import SlippageEased, SlippageEscalated, SlippageExceeded, SlippageMeasured
from oms.values import OrderType, PositionSide, Role, Side
from tests.answers import ack, bust, confirmed, corrected, fill, in_position, triggered
from tests.builders import NAME, entry, leave, settings
from tests.given import Input, Story, again, bar, given, like, quote, wait
from tests.unit.policies.test_exit import targets_gone

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def wish(side: PositionSide = LONG, **more: Any) -> Any:
    """At 100.00 with one dollar of risk and room for bad fills."""
    zone, stop = ("102.00", "99.00") if side is LONG else ("98.00", "101.00")
    return entry(side=side, zone_max=zone, stop=stop, **more)


def entered(at: str, side: PositionSide = LONG, **more: Any) -> Input:
    def tell(story: Story) -> None:
        story.given(wish(side, **more), ack(Role.ENTRY)).when(fill(Role.ENTRY, at=at))

    return tell


def cycle(entry_at: str, exit_at: str, side: PositionSide = LONG) -> Input:
    """A whole trade of 100; entry and exit are both meant to be at 100.00."""

    def tell(story: Story) -> None:
        story.given(
            quote("100.00", "100.00"), entered(entry_at, side), confirmed, leave(), confirmed, wait(1)
        )
        story.when(fill(Role.EXIT, at=exit_at))
        assert story.pipeline.open_trades == ()

    return tell


def costs(*pcts: str) -> list[Input]:
    """Trades that cost these percents of their value, half of it at each end."""
    halves = [Decimal(pct) for pct in pcts]
    return [cycle(str(100 + half), str(100 - half)) for half in halves]


def measured(story: Story) -> SlippageMeasured:
    return next(one for one in story.told if isinstance(one, SlippageMeasured))


# --- each fill --------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-106", "C-31", "I56")
@pytest.mark.parametrize(
    ("side", "entry_at", "exit_at", "slippages", "costs_of"),
    [
        (LONG, "100.10", "99.95", ["0.10", "-0.05"], ["0.10", "0.05"]),
        (SHORT, "99.90", "100.05", ["-0.10", "0.05"], ["0.10", "0.05"]),
        (LONG, "99.90", "100.05", ["-0.10", "0.05"], ["-0.10", "-0.05"]),
        (LONG, "100.00", "100.00", ["0", "0"], ["0", "0"]),
    ],
)
def test_each_fill_is_compared_with_its_intent(
    side: PositionSide, entry_at: str, exit_at: str, slippages: list[str], costs_of: list[str]
) -> None:
    story = given(cycle(entry_at, exit_at, side))
    fills = measured(story).fills
    assert [one.slippage for one in fills] == [Decimal(one) for one in slippages]
    assert [one.cost for one in fills] == [Decimal(one) for one in costs_of]
    assert [one.price_intent for one in fills] == [100, 100]
    reports = [
        one.seq
        for result in story.results
        for one in result.events
        if type(one.event).__name__ == "OrderFilled"
    ]
    assert [one.seq for one in fills] == reports


@pytest.mark.req("C-31")
def test_the_cost_of_a_trade_is_that_of_its_whole_value() -> None:
    story = given(cycle("100.30", "99.90"))
    assert measured(story).cost_pct == Decimal("0.002")


@pytest.mark.req("OD-106")
def test_a_stop_is_meant_to_fill_at_its_level_and_a_target_at_its_limit() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0, at="101.02"), confirmed)
    story.given(quote("98.98", "99.00"), triggered, targets_gone).when(fill(Role.STOP, at="98.90"))
    level = story.order(Role.STOP).price_stop
    assert [one.price_intent for one in measured(story).fills] == [100, 101, level]


@pytest.mark.req("OD-106")
def test_the_exit_of_a_stop_that_was_left_behind_is_meant_to_fill_at_the_level() -> None:
    story = given(in_position(), quote("98.90", "98.92"), triggered, targets_gone, wait(5), confirmed)
    story.when(fill(Role.EXIT, at="98.80"))
    assert measured(story).fills[-1].slippage == Decimal("-0.20")


def repriced(price: str, quantity: int = 100) -> Input:
    """The broker restates the fill of the newest entry."""

    def tell(story: Story) -> ExecutionCorrected:
        order = story.order(Role.ENTRY)
        return ExecutionCorrected(
            instrument=NAME,
            client_order_id=order.wire_id,
            execution=order.executions[0].root,
            revision=1,
            quantity=Decimal(quantity),
            price=Decimal(price),
            cumulative=Decimal(quantity),
        )

    return tell


@pytest.mark.req("OD-106")
def test_a_corrected_fill_is_measured_again() -> None:
    story = given(*costs("0.10"), cycle("100.20", "100.00"))
    assert story.pipeline.slippage.costs == {1: Decimal("0.001"), 2: Decimal("0.001")}
    story.when(repriced("100.40")).then_among(like(SlippageMeasured, trade_no=2))
    assert measured(story).fills[-1].cost == Decimal("0.40")
    assert story.pipeline.slippage.costs == {1: Decimal("0.001"), 2: Decimal("0.002")}


def test_fills_that_were_restated_are_measured_again_where_the_result_is_the_same() -> None:
    """Once only a changed result was measured: the log told of fills that had been taken back and replaced."""
    story = given(cycle("100.20", "100.00"))
    story.when(repriced("100.20")).then(like(SlippageMeasured, trade_no=1))
    restated = story.order(Role.ENTRY).executions[0]
    assert restated.seq in [one.seq for one in measured(story).fills]


def test_what_was_never_bought_is_not_measured() -> None:
    story = given(wish(), ack(Role.ENTRY), fill(Role.ENTRY)).when(bust(Role.ENTRY))
    story.then_none(SlippageMeasured).given(confirmed)
    assert story.pipeline.open_trades == ()
    assert story.pipeline.slippage.costs == {}
    assert not story.pipeline.safe_mode


# --- averages ---------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-107")
def test_warns_above_a_fifth_of_a_percent_over_five_trades_and_not_at_it() -> None:
    story = given(*costs(*["0.20"] * 5))
    assert story.pipeline.slippage.measures == ()
    story = given(*costs("0.21", *["0.20"] * 3)).when(*costs("0.20"))
    escalated = next(one for one in again_told(story) if isinstance(one, SlippageEscalated))
    assert (escalated.measure, escalated.average_pct, escalated.trades) == ("warn", Decimal("0.00202"), 5)
    assert escalated.effect == "monitoring is told"
    assert story.pipeline.slippage.measures == ("warn",)
    assert story.pipeline.alerts == ("slippage_warn",)
    assert again(story) == []


def again_told(story: Story) -> list[Any]:
    """The decisions of the newest step."""
    return [one.event for one in story.results[-1].events]


@pytest.mark.req("OD-107")
def test_four_trades_say_nothing_and_only_the_last_five_count() -> None:
    story = given(*costs(*["0.40"] * 4))
    assert story.pipeline.slippage.measures == ()
    story = given(*costs("0.40", *["0.20"] * 5))
    assert [type(one) for one in again_told(story)][-1:] == [SlippageEased]
    assert story.pipeline.slippage.measures == ()


@pytest.mark.req("OD-107")
def test_warns_once_until_the_cause_changes() -> None:
    story = given(*costs(*["0.21"] * 5)).when(*costs("0.21"))
    assert not [one for one in again_told(story) if isinstance(one, Alerted | SlippageEscalated)]


@pytest.mark.req("OD-108")
def test_reduces_the_largest_position_above_three_tenths_over_ten_trades_and_not_at_it() -> None:
    story = given(*costs(*["0.30"] * 10))
    assert story.pipeline.slippage.measures == ("warn",)
    story.when(entry(600, intent="n")).then_among(
        like(EntryAccepted, quantity=500, cap="risk.max_position_pct")
    )
    story = given(*costs("0.31", *["0.30"] * 9))
    assert story.pipeline.slippage.measures == ("warn", "reduce")
    escalated = next(one for one in again_told(story) if isinstance(one, SlippageEscalated))
    assert escalated.effect == "largest position less 0.25"
    story.when(entry(376, intent="n")).then_among(like(EntryAccepted, quantity=375, cap="slippage.reduce_by"))


@pytest.mark.req("OD-108")
def test_what_is_smaller_than_the_reduced_maximum_stays_as_it_is() -> None:
    story = given(*costs("0.31", *["0.30"] * 9))
    story.when(entry(375, intent="n")).then_among(like(EntryAccepted, quantity=375, cap=""))


@pytest.mark.req("OD-108")
def test_nine_trades_do_not_reduce_and_a_good_one_ends_it() -> None:
    story = given(*costs(*["0.40"] * 9))
    assert story.pipeline.slippage.measures == ("warn",)
    story.given(*costs("0.40"))
    assert story.pipeline.slippage.measures == ("warn", "reduce")
    story.given(*costs(*["0.20"] * 10))
    assert story.pipeline.slippage.measures == ()
    story.when(entry(600, intent="n")).then_among(like(EntryAccepted, quantity=500))


# --- one fill ---------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-109")
@pytest.mark.parametrize(
    ("side", "at", "beyond", "level"),
    [(LONG, "100.50", "100.51", "99.51"), (SHORT, "99.50", "99.49", "100.49")],
)
def test_half_a_percent_is_not_too_far_and_a_tick_more_moves_the_stop(
    side: PositionSide, at: str, beyond: str, level: str
) -> None:
    given(entered(at, side)).then_none(SlippageExceeded).then_none(CloseRequested)
    story = given(entered(beyond, side))
    story.then_among(
        like(SlippageExceeded, price=beyond, price_intent=100, level=level, reward_risk=Decimal(1)),
        like(StopMoved, level=level, candidate="slippage"),
        like(OrderPlaced, role=Role.STOP, price_stop=level),
    ).then_none(CloseRequested)
    assert again(story) == []


@pytest.mark.req("OD-109")
@pytest.mark.parametrize(
    ("side", "first", "at", "beyond", "level"),
    [(LONG, "100.20", "100.50", "100.51", "99.51"), (SHORT, "99.80", "99.50", "99.49", "100.49")],
)
def test_a_price_that_was_corrected_for_the_worse_is_judged_like_a_fill(
    side: PositionSide, first: str, at: str, beyond: str, level: str
) -> None:
    story = given(entered(first, side)).when(corrected(Role.ENTRY, 100, at)).then_none(SlippageExceeded)
    story.when(corrected(Role.ENTRY, 100, beyond)).then_among(
        like(SlippageExceeded, price=beyond),
        like(StopMoved, level=level, candidate="slippage"),
    )
    assert again(story) == []


@pytest.mark.req("OD-109")
def test_the_worst_of_several_fills_that_count_at_once_is_judged() -> None:
    """A correction proves that two fills, which seemed to tell the first again, were counted after it."""

    def told(execution: str, quantity: int, at: str, cumulative: int) -> Input:
        return lambda story: OrderFilled(
            instrument=NAME, client_order_id=story.order(Role.ENTRY).wire_id, execution=execution, side=Side.BUY,
            quantity=Decimal(quantity), price=Decimal(at), cumulative=Decimal(cumulative),
        )  # fmt: skip

    def restated(story: Story) -> Event:
        return ExecutionCorrected(
            instrument=NAME, client_order_id=story.order(Role.ENTRY).wire_id, execution="a", revision=1,
            quantity=Decimal(5), price=Decimal(100), cumulative=Decimal(5),
        )  # fmt: skip

    story = given(
        wish(), ack(Role.ENTRY), told("a", 10, "100", 10), told("b", 3, "105", 8), told("c", 2, "101", 10)
    )
    assert story.trade.price_worst == Decimal(100)
    story.when(restated).then_among(like(SlippageExceeded, price=105))
    assert story.trade.price_worst == Decimal(105)


@pytest.mark.req("OD-109")
def test_a_bad_price_that_was_taken_back_or_made_better_is_not_judged_again() -> None:
    story = given(entered("100.60")).then_among(like(SlippageExceeded, price="100.60"))
    story.when(corrected(Role.ENTRY, 100, "100.55")).then_none(SlippageExceeded).then_none(CloseRequested)
    assert story.trade.price_worst == Decimal("100.55")
    story.when(corrected(Role.ENTRY, 100, "100.10")).then_none(SlippageExceeded).then_none(CloseRequested)
    assert story.trade.price_worst == Decimal("100.10")


@pytest.mark.req("OD-109")
@pytest.mark.parametrize(
    ("side", "at", "enough", "too_little"),
    [(LONG, "100.51", "101.51", "101.50"), (SHORT, "99.49", "98.49", "98.50")],
)
def test_leaves_by_limit_when_the_first_target_is_not_worth_the_risk(
    side: PositionSide, at: str, enough: str, too_little: str
) -> None:
    given(entered(at, side, key_level=enough)).then_none(CloseRequested)
    story = given(entered(at, side, key_level=too_little))
    story.then_among(
        like(SlippageExceeded, reward_risk=Decimal("0.99")),
        like(CloseRequested, reason="SLIPPAGE", market=False, priority=60, policy="slippage"),
    ).then_none(OrderPlaced, role=Role.TARGET)
    assert again(story) == []
    assert story.order(Role.EXIT).order_type is OrderType.LIMIT
    assert story.trade.guard is not None


@pytest.mark.req("OD-109")
def test_the_reward_that_is_enough_is_a_setting() -> None:
    chosen = settings(risk__min_rr="1.01")
    given(entered("100.51"), settings=chosen).then_among(like(CloseRequested, reason="SLIPPAGE"))
    given(entered("100.50"), settings=chosen).then_none(CloseRequested)


@pytest.mark.req("OD-109")
def test_without_a_target_the_stop_moves_and_nothing_is_closed() -> None:
    chosen = settings(targets__scale_out_profile="OFF")
    given(entered("100.51", key_level="101.00"), settings=chosen).then_among(
        like(SlippageExceeded, reward_risk=None), like(StopMoved, level="99.51")
    ).then_none(CloseRequested)


@pytest.mark.req("OD-109")
def test_a_stop_that_is_tighter_already_stays() -> None:
    story = given(wish(), ack(Role.ENTRY), fill(Role.ENTRY, 50, at="100.00"), confirmed, wait(60))
    story.given(
        bar("100.00", "101.00", "100.60"), confirmed, wait(60), bar("100.60", "101.20", "100.80"), confirmed
    )
    before = story.trade.level
    assert before is not None
    assert before > Decimal("99.60")
    story.when(fill(Role.ENTRY, 50, at="100.60")).then_among(like(SlippageExceeded, level="99.60"))
    story.then_none(StopMoved)
    assert story.trade.level == before


@pytest.mark.req("OD-109")
def test_only_entries_are_judged_alone() -> None:
    given(in_position(), leave(), confirmed, wait(1)).when(fill(Role.EXIT, at="95.00")).then_none(
        SlippageExceeded
    )


def test_nothing_of_it_happens_where_the_policy_is_off() -> None:
    chosen = settings(policies__enabled={"slippage": 0})
    story = given(entered("100.80"), settings=chosen).then_none(SlippageExceeded)
    story.given(confirmed, leave(), confirmed, wait(1)).when(fill(Role.EXIT)).then_none(SlippageMeasured)


def test_stays_quiet_while_nothing_is_filled() -> None:
    given(in_position()).when(quote("100.10", "100.12"), wait(60)).then_none(SlippageMeasured)


@pytest.mark.parametrize(("side", "at", "level"), [(LONG, "100.605", "99.60"), (SHORT, "99.395", "100.40")])
def test_the_stop_that_moves_with_a_bad_fill_is_rounded_away_from_the_market(
    side: PositionSide, at: str, level: str
) -> None:
    given(entered(at, side)).then_among(like(SlippageExceeded, level=level))


def test_a_bad_fill_of_what_is_closing_by_limits_asks_for_no_second_close() -> None:
    story = given(wish(key_level="101.50"), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, leave())
    story.when(fill(Role.ENTRY, 10, at="101.40")).then_among(like(SlippageExceeded)).then_none(CloseRequested)


def test_a_bad_fill_of_what_is_sold_already_moves_no_stop() -> None:
    story = given(wish(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, quote("98.99", "99.01"))
    story.given(fill(Role.STOP, at="99"), bust(Role.ENTRY))
    assert story.trade.held == -40
    story.when(fill(Role.ENTRY, 40, at="101.40")).then_none(SlippageExceeded)
    assert story.trade.held == 0
