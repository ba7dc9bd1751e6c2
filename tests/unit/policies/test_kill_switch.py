"""Operators and the kill switch."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from oms.events.broker import CommandRefused
from oms.events.decisions import (
    Alerted,
    CancelRequested,
    CloseRequested,
    EntryAbandoned,
    EntryAccepted,
    IntentRefused,
    KillLevelLowered,
    KillLevelRaised,
    PauseChanged,
    ReplaceRequested,
    SecondPersonAwaited,
)
from oms.events.operator import Act, OperatorCommanded
from oms.events.session import DayRolled
from oms.policies.kill_switch import SECOND_PERSON, next_due
from oms.shell.gate import RATE
from oms.state.reports import REPEATED
from oms.values import MILLISECOND, OrderType, Role
from tests.answers import ack, cancelled, fill, in_position, refused
from tests.builders import DAY, MINUTE, NAME, act, entry, halt
from tests.given import Story, again, given, like, quote, wait
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


def by(person: str, kind: Act, level: int = 0) -> OperatorCommanded:
    return OperatorCommanded(act=kind, principal=person, reason="because", level=level)


NEXT_DAY = DayRolled(trading_day=DAY + timedelta(days=1))


@pytest.mark.req("OD-020")
def test_under_level_3_a_stop_that_no_exit_took_over_stays_until_flat() -> None:
    story = given(in_position(), halt()).when(act(Act.KILL, level=3))
    story.then_among(like(CloseRequested, reason="KILL_SWITCH", market=True))
    stop = story.order(Role.STOP)
    assert stop.is_confirmed
    assert not any(
        isinstance(one, CancelRequested) and one.client_order_id == stop.client_order_id for one in story.told
    )
    story.when(fill(Role.STOP, 100, at="99.00")).then_none(
        CancelRequested, client_order_id=stop.client_order_id
    )


def test_level_4_gives_up_stops_at_once_and_takes_two_persons() -> None:
    story = given(in_position(), halt()).when(by("alice", Act.KILL, 4))
    story.then_among(
        like(KillLevelRaised, level=3), like(SecondPersonAwaited, act="KILL", principal="alice")
    ).then_none(CancelRequested, policy="kill_switch")
    story.when(by("alice", Act.KILL, 4)).then()
    stop = story.order(Role.STOP).client_order_id
    story.when(by("bob", Act.KILL, 4)).then_among(
        like(KillLevelRaised, level=4),
        like(CancelRequested, client_order_id=stop, policy="kill_switch", reason="kill level 4"),
    )
    assert again(story) == []


@pytest.mark.parametrize(("late", "raised"), [(0, True), (1, False)])
def test_a_second_person_must_come_in_time(late: int, raised: bool) -> None:
    story = given(by("alice", Act.KILL, 4))
    story.now += SECOND_PERSON + late
    story.when(by("bob", Act.KILL, 4))
    assert any(isinstance(one, KillLevelRaised) for one in story.told) is raised
    assert any(isinstance(one, SecondPersonAwaited) for one in story.told) is not raised


def test_the_first_person_may_ask_anew_when_nobody_came() -> None:
    story = given(by("alice", Act.KILL, 4))
    story.now += SECOND_PERSON + 1
    story.when(by("alice", Act.KILL, 4)).then(like(SecondPersonAwaited, principal="alice"))


def test_the_first_person_is_waited_for_a_quarter_of_an_hour_and_told_once() -> None:
    story = given(by("alice", Act.KILL, 4))
    awaited = story.book.account.awaited
    assert awaited is not None
    assert awaited.until == story.now + 15 * MINUTE
    story.now = awaited.until
    story.when(by("alice", Act.KILL, 4)).then()


def test_a_stop_that_would_not_go_in_the_last_level_has_its_time_to_be_told_again() -> None:
    story = given(in_position(), by("alice", Act.KILL, 4), by("bob", Act.KILL, 4), refused(Role.STOP))
    story.given(refused(Role.STOP))
    again_at = story.order(Role.STOP).requested_at + 250 * MILLISECOND
    assert again_at in list(next_due(story.view))
    assert list(next_due(given(in_position(), by("alice", Act.KILL, 3)).view)) == []


def test_another_act_is_no_second_to_the_first() -> None:
    story = given(by("alice", Act.KILL, 3), NEXT_DAY, by("alice", Act.REARM))
    story.when(by("bob", Act.KILL, 4)).then(like(SecondPersonAwaited, act="KILL", principal="bob"))


def test_a_level_is_lowered_by_two_persons_on_a_later_day() -> None:
    story = given(by("alice", Act.KILL, 3)).when(by("bob", Act.REARM))
    story.then(like(Alerted, code="act_without_effect"))
    story.given(NEXT_DAY).when(by("alice", Act.REARM)).then(like(SecondPersonAwaited, act="REARM"))
    story.when(by("alice", Act.REARM)).then()
    story.when(by("bob", Act.REARM)).then(like(KillLevelLowered, level=0, reason="because"))
    assert (story.book.account.kill_level, story.book.account.awaited) == (0, None)
    story.when(by("bob", Act.REARM)).then()
    story.when(by("alice", Act.KILL, 2)).then(like(KillLevelRaised, level=2))


def test_an_operator_cancels_all_entries() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40))
    own = story.order(Role.ENTRY).client_order_id
    story.when(act(Act.CANCEL)).then(like(CancelRequested, client_order_id=own, policy="kill_switch"))
    story.when(act(Act.CANCEL)).then()
    story.given(cancelled(Role.ENTRY)).when(act(Act.CANCEL, instrument=NAME))
    story.then(like(Alerted, code="act_without_effect"))
    assert story.trade.held == 40


def test_every_act_may_be_repeated() -> None:
    acts = [
        act(Act.KILL, level=2), act(Act.PAUSE), act(Act.CANCEL), act(Act.CLOSE, instrument=NAME),
        act(Act.FLAT, instrument=NAME), act(Act.FLAT), act(Act.RESUME),
    ]  # fmt: skip
    story = given(in_position())
    for one in acts:
        story.given(one).when(one).then()


def test_an_instrument_that_is_to_be_flat_gives_up_an_entry_without_any_fill() -> None:
    for kind in (Act.FLAT, Act.KILL):
        story = given(entry(), ack(Role.ENTRY)).when(act(kind, level=3, instrument=NAME))
        story.then_among(like(CloseRequested, reason="KILL_SWITCH"), like(CancelRequested, policy="entry"))


def test_an_operators_close_gives_up_an_entry_without_any_fill() -> None:
    story = given(entry(), ack(Role.ENTRY)).when(act(Act.CLOSE, instrument=NAME))
    story.then_among(like(CloseRequested, reason="OPERATOR_CLOSE"), like(CancelRequested, policy="entry"))


def test_the_kill_switch_takes_over_a_weaker_exit_at_market() -> None:
    story = given(entry(), ack(Role.ENTRY), quote("98.98", "99.00"), fill(Role.ENTRY))
    assert story.trade.close is not None
    assert story.trade.close.reason == "GAP_THROUGH_STOP"
    story.when(act(Act.KILL, level=3)).then_among(like(CloseRequested, reason="KILL_SWITCH", priority=0))


def throttled(story: Story) -> CommandRefused:
    """The gate refuses the newest entry as one too many."""
    order = story.order(Role.ENTRY)
    return CommandRefused(
        instrument=NAME, client_order_id=order.wire_id, command_seq=order.placed_seq, limit=REPEATED
    )


@pytest.mark.req("I75", "OD-119")
def test_a_strategy_gone_mad_is_paused_until_a_person_resumes() -> None:
    story = given(entry()).when(throttled)
    story.then_among(like(Alerted, code="runaway"), like(PauseChanged, paused=True), like(EntryAbandoned))
    story.when(entry(intent="2")).then(like(IntentRefused, code="paused"))
    story.when(act(Act.RESUME)).then(like(PauseChanged, paused=False))
    story.when(wait(1)).then()
    story.when(entry(intent="3")).then_among(like(EntryAccepted))


def test_another_refusal_of_the_gate_pauses_nobody() -> None:
    given(entry()).when(lambda story: replace(throttled(story), limit=RATE)).then_none(PauseChanged)
