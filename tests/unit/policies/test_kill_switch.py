"""Operators and the kill switch."""

import pytest

from oms.events.decisions import (
    Alerted,
    CancelRequested,
    CloseRequested,
    KillLevelRaised,
    PauseChanged,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.values import OrderType, Role
from tests.answers import ack, cancelled, fill, in_position
from tests.builders import NAME, act, entry
from tests.given import again, given, like, wait
from tests.unit.policies.test_exit import targets_gone


@pytest.mark.req("OD-020", "OD-024", "I74")
def test_level_3_flattens_at_market() -> None:
    story = given(in_position()).when(act(Act.KILL, level=3))
    raised = story.book.account.kill_seq
    story.then_among(
        like(KillLevelRaised, level=3),
        like(CloseRequested, reason="KILL_SWITCH", market=True, priority=0, evidence=(raised,)),
        like(CancelRequested, policy="targets"),
    )
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.MARKET, reason="KILL_SWITCH"))


@pytest.mark.req("I74", "OM-010")
@pytest.mark.parametrize(("level", "cancels"), [(1, False), (2, True)])
def test_level_2_cancels_openers(level: int, cancels: bool) -> None:
    story = given(entry(), ack(Role.ENTRY)).when(act(Act.KILL, level=level))
    assert any(isinstance(one, CancelRequested) for one in story.told) is cancels
    assert not any(isinstance(one, CloseRequested) for one in story.told)


@pytest.mark.req("I73")
def test_the_level_only_rises() -> None:
    given(act(Act.KILL, level=2)).when(act(Act.KILL, level=1)).then()


def test_flat_is_level_3() -> None:
    given().when(act(Act.FLAT)).then(like(KillLevelRaised, level=3))


def test_stays_quiet_without_an_act() -> None:
    given(in_position()).when(wait(60)).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position(), act(Act.FLAT))) == []


def test_what_fills_after_the_kill_is_flattened() -> None:
    story = given(entry(), ack(Role.ENTRY), act(Act.FLAT)).when(fill(Role.ENTRY, 10))
    story.then_among(like(CloseRequested, reason="KILL_SWITCH"))


def test_one_pipeline_can_be_flattened_alone() -> None:
    story = given(in_position()).when(act(Act.FLAT, instrument=NAME))
    story.then_among(like(CloseRequested, reason="KILL_SWITCH", market=True)).then_none(KillLevelRaised)


@pytest.mark.parametrize(
    "where", [{"instrument": NAME}, {"trade_no": 1}, {"instrument": NAME, "trade_no": 1}]
)
def test_an_operator_closes_a_trade_by_limits(where: dict[str, object]) -> None:
    story = given(in_position()).when(act(Act.CLOSE, **where))
    story.then_among(like(CloseRequested, reason="OPERATOR_CLOSE", market=False))


def test_closing_another_trade_does_nothing_but_say_so() -> None:
    story = given(in_position()).when(act(Act.CLOSE, instrument=NAME, trade_no=9))
    story.then(like(Alerted, code="act_without_effect"))


def test_an_operator_cancels_an_order() -> None:
    story = given(in_position())
    target = story.order(Role.TARGET, 0).client_order_id
    story.when(act(Act.CANCEL, client_order_id=target)).then(
        like(CancelRequested, client_order_id=target, reason="because", policy="kill_switch")
    )
    story.given(cancelled(Role.TARGET, 0)).when(act(Act.CANCEL, instrument=NAME, client_order_id=target))
    story.then(like(Alerted, code="act_without_effect"))


def test_a_stop_that_an_operator_cancels_comes_back() -> None:
    story = given(in_position())
    stop = story.order(Role.STOP).client_order_id
    story.given(act(Act.CANCEL, client_order_id=stop)).when(cancelled(Role.STOP))
    assert len(story.trade.stops) == 2


def test_pause_and_resume_are_said_once() -> None:
    story = given().when(act(Act.PAUSE)).then(like(PauseChanged, paused=True))
    story.when(act(Act.PAUSE)).then()
    story.when(act(Act.RESUME)).then(like(PauseChanged, paused=False))
