"""The sizing chain: what was asked for, the caps, the factors, and the day's budget over several cycles."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import EntryAccepted, IntentRefused, SizingStep
from oms.sizing import CAPS, day_budget
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, corrected, fees, fill, in_position, triggered
from tests.builders import entry, instrument, leave, settings
from tests.given import Input, Story, given, like, quote, wait
from tests.unit.policies.test_add_on import MIRROR, at, market, more
from tests.unit.policies.test_exit import targets_gone

LOT_BY_LOT = {"risk__max_position_pct": 1}
"""So that nothing but the day's budget binds."""


def steps(*pairs: tuple[str, str]) -> tuple[SizingStep, ...]:
    return tuple(SizingStep(rule=rule, quantity=Decimal(quantity)) for rule, quantity in pairs)


def accepted(story: Story) -> EntryAccepted:
    return next(one for one in story.told if isinstance(one, EntryAccepted))


@pytest.mark.req("C-30", "OD-119")
def test_every_step_is_in_the_decision() -> None:
    story = given().when(entry(600))
    assert accepted(story).sizing == steps(
        ("asked", "600"),
        ("risk.max_position_pct", "500"),
        ("risk.daily_loss_limit", "500"),
        ("gate.max_order_value", "500"),
        ("gate.max_order_quantity", "500"),
    )
    assert accepted(story).cap == "risk.max_position_pct"


@pytest.mark.parametrize(
    ("changes", "quantity", "cap"),
    [
        ({"risk__max_position_pct": "0.50"}, 500, "risk.max_position_pct"),
        ({"risk__max_position_pct": "0.4999"}, 499, "risk.max_position_pct"),
        ({"gate__max_order_value": 50000}, 500, "gate.max_order_value"),
        ({"gate__max_order_value": 49999}, 499, "gate.max_order_value"),
        ({"gate__max_order_quantity": 500}, 500, "gate.max_order_quantity"),
        ({"gate__max_order_quantity": 499}, 499, "gate.max_order_quantity"),
        ({"risk__daily_loss_limit": 500}, 500, "risk.daily_loss_limit"),
        ({"risk__daily_loss_limit": 499}, 499, "risk.daily_loss_limit"),
    ],
)
@pytest.mark.req("OD-119", "C-30")
def test_each_cap_binds_at_its_own_number(changes: dict[str, Any], quantity: int, cap: str) -> None:
    chosen = settings(**{**LOT_BY_LOT, **changes})
    given(settings=chosen).when(entry(501)).then_among(like(EntryAccepted, quantity=quantity, cap=cap))


def test_what_is_at_a_cap_is_not_cut() -> None:
    given().when(entry(500)).then_among(like(EntryAccepted, quantity=500, cap=""))


def test_the_tightest_cap_names_itself() -> None:
    chosen = settings(risk__max_position_pct="0.30", gate__max_order_quantity=299)
    given(settings=chosen).when(entry(600)).then_among(
        like(EntryAccepted, quantity=299, cap="gate.max_order_quantity")
    )


def cycle(exit_at: str, side: PositionSide = PositionSide.LONG, quantity: int = 100) -> Input:
    """A whole cycle: entered at 100.00 and left by a planned exit at a price."""

    def tell(story: Story) -> None:
        long = side is PositionSide.LONG
        wish = entry(
            quantity, side=side, zone_max="100.10" if long else "99.90", stop="99" if long else "101"
        )
        story.given(in_position(wish), leave(), confirmed, wait(1), fill(Role.EXIT, at=exit_at), confirmed)
        assert story.pipeline.open_trades == ()

    return tell


@pytest.mark.req("OD-093", "OD-100")
@pytest.mark.parametrize(("side", "loss"), [(PositionSide.LONG, "98.00"), (PositionSide.SHORT, "102.00")])
def test_the_second_cycle_has_what_the_first_left_of_the_budget(side: PositionSide, loss: str) -> None:
    chosen = settings(risk__daily_loss_limit=500, **LOT_BY_LOT)
    story = given(cycle(loss, side), settings=chosen)
    assert day_budget(story.view) == 300
    story.when(entry(301, intent="2")).then_among(
        like(EntryAccepted, cycle=2, quantity=300, cap="risk.daily_loss_limit")
    )


@pytest.mark.req("OD-093", "OD-100")
def test_what_the_first_cycle_earned_and_cost_counts_too() -> None:
    chosen = settings(risk__daily_loss_limit=500, **LOT_BY_LOT)
    story = given(in_position(entry()), fees("7.50"), leave(), confirmed, wait(1), settings=chosen)
    story.given(fill(Role.EXIT, at="100.25"), confirmed, fees("7.50"))
    assert day_budget(story.view) == Decimal(510)


@pytest.mark.req("OD-093")
def test_a_used_up_budget_allows_no_further_cycle() -> None:
    chosen = settings(risk__daily_loss_limit=200, **LOT_BY_LOT)
    story = given(cycle("98.01"), settings=chosen)
    story.when(entry(intent="2")).then_among(like(EntryAccepted, quantity=1))
    story = given(cycle("98.00"), settings=chosen)
    story.when(entry(intent="2")).then(
        like(IntentRefused, code="no_size", text="risk.daily_loss_limit leaves less than one lot")
    )


@pytest.mark.req("OD-100")
def test_the_result_of_partial_exits_counts_before_the_trade_is_closed() -> None:
    story = given(in_position(), fill(Role.TARGET, nth=0))
    assert story.pipeline.open_trades == (1,)
    assert story.book.account.at_risk == {1: 100}
    assert day_budget(story.view) == 10000 + 30 - 100


def test_what_a_trade_has_at_risk_is_free_again_at_its_end() -> None:
    story = given(in_position(entry(50)))
    assert story.book.account.at_risk == {1: 50}
    story.given(leave(), confirmed, wait(1), fill(Role.EXIT, at="100.00"), confirmed)
    assert story.book.account.at_risk == {}
    story.given(entry(50, intent="2"), ack(Role.ENTRY), wait(20), confirmed)
    assert story.book.account.at_risk == {}


def test_every_cap_has_a_name_of_a_setting() -> None:
    assert len({name for name, _ in CAPS}) == len(CAPS)


@MIRROR
@pytest.mark.req("OD-100")
@pytest.mark.parametrize(("quantity", "multiplier"), [(100, 1), (10, 10)])
@pytest.mark.parametrize(("out", "result"), [("1", 30), ("-0.5", -15)])
def test_what_a_part_earned_or_lost_is_in_the_budget_while_the_rest_is_held(
    side: PositionSide, quantity: int, multiplier: int, out: str, result: int
) -> None:
    """Three tenths are out; the hundred dollars that were at risk stay so."""
    wish = entry(quantity, side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(instrument(multiplier=multiplier), in_position(wish))
    story.given(fill(Role.TARGET, nth=0, at=at(side, out)))
    assert story.pipeline.open_trades == (1,)
    assert day_budget(story.view) == 10000 + result - 100


@MIRROR
@pytest.mark.req("OD-100", "OD-093")
@pytest.mark.parametrize(("limit", "quantity", "out"), [(316, 100, "-2"), (96, 50, "0.40")])
def test_the_result_of_the_first_cycle_bounds_an_addition_in_the_second(
    side: PositionSide, limit: int, quantity: int, out: str
) -> None:
    """116 are left after a loss of 200 or a profit of 20; the entry takes 100, and ten units lose 1.60 each."""
    story = given(cycle(at(side, out), side, quantity), settings=settings(risk__daily_loss_limit=limit))
    assert day_budget(story.view) == 116
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"), intent="2")
    story.given(market(side, "0"), in_position(wish), market(side, "0.60"))
    assert day_budget(story.view) == 16
    story.when(more(side)).then_among(
        like(EntryAccepted, quantity=10, cycle=3, parent_trade_no=2, cap="risk.daily_loss_limit")
    )


@pytest.mark.req("OD-100")
def test_the_fees_of_the_first_cycle_are_in_the_budget_and_no_result_counts_twice() -> None:
    story = given(cycle("100.40"), fees("1.50"), settings=settings(risk__daily_loss_limit=100))
    assert day_budget(story.view) == Decimal("138.50")
    story.given(cycle("99.80"))
    assert day_budget(story.view) == Decimal("118.50")
    late = corrected(Role.EXIT, 100, "99.90")
    story.given(late)
    assert day_budget(story.view) == Decimal("128.50")


@pytest.mark.req("OD-100")
def test_a_closed_trade_that_a_late_fill_opens_again_is_in_the_budget_once() -> None:
    story = given(
        in_position(), quote("98.98", "99.00"), triggered, targets_gone, fill(Role.STOP, at="99.00")
    )
    assert (story.pipeline.open_trades, day_budget(story.view)) == ((), 9900)
    story.given(fill(Role.TARGET, 1, nth=0))
    assert (story.pipeline.open_trades, day_budget(story.view)) == ((1,), 9900)
    story.given(ack(Role.EXIT), fill(Role.EXIT, at="99.00"))
    assert (story.pipeline.open_trades, day_budget(story.view)) == ((), 9902)
