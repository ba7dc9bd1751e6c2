"""The sizing chain: what was asked for, the caps, the factors, and the day's budget over several cycles."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import EntryAccepted, IntentRefused, SizingStep
from oms.sizing import CAPS, day_budget
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, fees, fill, in_position
from tests.builders import entry, leave, settings
from tests.given import Input, Story, given, like, wait

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


@pytest.mark.req("OD-093")
@pytest.mark.parametrize(("side", "loss"), [(PositionSide.LONG, "98.00"), (PositionSide.SHORT, "102.00")])
def test_the_second_cycle_has_what_the_first_left_of_the_budget(side: PositionSide, loss: str) -> None:
    chosen = settings(risk__daily_loss_limit=500, **LOT_BY_LOT)
    story = given(cycle(loss, side), settings=chosen)
    assert day_budget(story.view) == 300
    story.when(entry(301, intent="2")).then_among(
        like(EntryAccepted, cycle=2, quantity=300, cap="risk.daily_loss_limit")
    )


@pytest.mark.req("OD-093")
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
