"""The fate of unanswered requests, and the comparison with the broker's books."""

import itertools
from decimal import Decimal

import pytest

from oms.events.base import Event
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    BrokerSnapshotReported,
    CommandFailed,
    OrderStatusReported,
    PositionLine,
    ReportedStatus,
)
from oms.events.decisions import Alerted, EntryAccepted, IntentRefused, PolicyNoted, QueryRequested
from oms.events.session import WriterStarted
from oms.values import Role
from tests.answers import ack, cancelled, confirmed, in_position, rejected, unknown
from tests.builders import NAME, entry
from tests.given import Input, Story, again, given, like, wait

LOST = BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED)
BACK = BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED)


def snapshot(held: int, *, complete: bool = True, age: int = 0) -> Input:
    def answer(story: Story) -> Event:
        live = [order for order in story.pipeline.orders.values() if order.is_live]
        return BrokerSnapshotReported(
            asked_at_seq=story.book.account.seq - age,
            complete=complete,
            positions=(PositionLine(instrument=NAME, quantity=Decimal(held)),),
            open_orders=tuple(order.wire_id for order in live),
        )

    return answer


@pytest.mark.req("I62", "I87")
def test_questions_become_rarer() -> None:
    story = given(entry())
    asked = []
    while story.now < 120_000_000 + story.trade.accepted_at:
        story.given(wait(0, ms=500))
        found = [one for one in story.results[-1].events if isinstance(one.event, QueryRequested)]
        if found and story.results[-1].events[0].seq not in [seq for seq, _ in asked]:
            asked.append(
                (story.results[-1].events[0].seq, (story.now - story.trade.accepted_at) // 1_000_000)
            )
    seconds = [at for _, at in asked]
    assert seconds[:3] == [2, 6, 14]
    gaps = [later - sooner for sooner, later in itertools.pairwise(seconds)]
    assert all(gap <= 20 for gap in gaps)
    assert len(seconds) < 12


def test_stays_quiet_when_everything_is_answered() -> None:
    given(in_position()).when(wait(60)).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(entry(), wait(2))) == []


def test_a_command_of_unknown_fate_is_asked_for_at_once() -> None:
    story = given(entry())
    order = story.order(Role.ENTRY)
    failed = CommandFailed(
        instrument=NAME, client_order_id=order.wire_id, command_seq=order.placed_seq, sent=True
    )
    story.when(failed).then(like(QueryRequested, wire_id=order.wire_id))


def test_nobody_is_asked_while_the_link_is_down() -> None:
    story = given(entry(), LOST).when(wait(19)).then_none(QueryRequested)
    story.when(BACK).then_among(like(QueryRequested, policy="reconciliation"))


@pytest.mark.req("I25", "I70")
def test_a_difference_is_reported_once_and_blocks_entries() -> None:
    story = (
        given()
        .when(snapshot(7))
        .then(like(PolicyNoted, policy="reconciliation"), like(Alerted, code="position_mismatch", quantity=7))
    )
    story.when(snapshot(7)).then()
    story.when(entry()).then(like(IntentRefused, code="mismatch"))
    story.when(snapshot(0)).then(like(PolicyNoted))
    story.when(entry(intent="2")).then_among(like(EntryAccepted))


@pytest.mark.req("I67", "I68")
def test_an_incomplete_or_old_snapshot_proves_nothing() -> None:
    given(in_position()).when(snapshot(0, complete=False)).then()
    given(in_position()).when(snapshot(0, age=20)).then()


@pytest.mark.req("I67", "I70")
@pytest.mark.parametrize("flaps", [(LOST, BACK), (LOST, BACK, LOST, BACK), (LOST, BACK, BACK), (BACK,)])
def test_books_that_were_asked_for_over_an_earlier_link_prove_nothing(flaps: tuple[Event, ...]) -> None:
    """They tell nothing of what the broker did since that link fell, whether or not its fall was told."""
    story = given(*flaps[:-1])
    story.given(flaps[-1])
    ended = story.book.account.seq if flaps[-2:] != (LOST, BACK) else story.book.account.seq - 1
    story.given(books(ended - 1, 0)).when(entry()).then(like(IntentRefused, code="not_reconciled"))
    story.given(books(ended, 0)).when(entry(intent="2")).then_among(like(EntryAccepted))


@pytest.mark.req("I70")
def test_a_new_writer_compares_as_of_the_commands_that_it_holds_back() -> None:
    """They may be older than the link over which it asks, even if that one falls before the first answer."""
    story = given(LOST, BACK, WriterStarted(epoch=2, code="code", python="3.11", dependencies="none"))
    started = story.book.account.seq
    story.given(BACK, LOST, BACK).when(entry()).then(like(IntentRefused, code="not_reconciled"))
    story.given(books(started, 0)).when(entry(intent="2")).then_among(like(EntryAccepted))


@pytest.mark.req("I71")
def test_reconciling_twice_yields_nothing() -> None:
    given(in_position(), snapshot(100)).when(snapshot(100)).then()


def test_an_order_the_broker_does_not_list_is_asked_for() -> None:
    empty = BrokerSnapshotReported(asked_at_seq=1_000_000, complete=True)
    story = given(entry(), ack(Role.ENTRY)).when(empty)
    story.then(like(QueryRequested, reason="not among the broker's open orders"))


def test_a_request_that_has_its_time_yet_is_not_asked_about_because_it_is_not_listed() -> None:
    """The broker may not have taken it yet: asked now it would know nothing, and a second one be sent."""
    empty = BrokerSnapshotReported(asked_at_seq=1_000_000, complete=True)
    given(entry(), wait(0, ms=1999)).when(empty).then_none(QueryRequested)
    given(entry(), wait(2)).when(empty).then_none(QueryRequested)  # It was asked about when it was overdue.


@pytest.mark.req("BB-054")
def test_an_order_that_the_broker_lists_although_it_ended_is_asked_for() -> None:
    def listed(story: Story) -> Event:
        wire_id = story.order(Role.STOP, 0).wire_id
        return BrokerSnapshotReported(asked_at_seq=1_000_000, complete=True, open_orders=(wire_id,))

    story = given(in_position(), cancelled(Role.STOP), confirmed).when(listed)
    story.then_among(like(QueryRequested, reason="among the broker's open orders"))


def without_stop(story: Story) -> Event:
    """A snapshot in which the stop is missing."""
    stop = story.order(Role.STOP)
    live = [order for order in story.pipeline.orders.values() if order.is_live and order is not stop]
    return BrokerSnapshotReported(
        asked_at_seq=story.book.account.seq,
        complete=True,
        positions=(PositionLine(instrument=NAME, quantity=Decimal(100)),),
        open_orders=tuple(order.wire_id for order in live),
    )


def missing_from_snapshot() -> Story:
    return given(in_position(), without_stop)


def status(role: Role, code: ReportedStatus) -> Input:
    return lambda story: OrderStatusReported(
        instrument=NAME, client_order_id=story.order(role, 0).wire_id, status=code
    )


def asked_at(story: Story, seconds: int) -> list[int]:
    """In which of the next seconds a question is asked."""
    found = []
    for second in range(1, seconds + 1):
        known = len(story.results)
        story.given(wait(1))
        events = [one.event for result in story.results[known:] for one in result.events]
        found += [second for event in events if isinstance(event, QueryRequested)]
    return found


@pytest.mark.req("I62", "I87")
def test_a_question_whose_answer_is_lost_is_asked_again_ever_more_rarely() -> None:
    assert asked_at(missing_from_snapshot(), 60) == [2, 6, 14, 30, 50]


@pytest.mark.req("I62")
@pytest.mark.parametrize("again", [0, 1])
def test_a_definite_answer_ends_the_question(again: int) -> None:
    answers = (
        status(Role.STOP, ReportedStatus.NEW),
        status(Role.STOP, ReportedStatus.CANCELED),
        unknown(Role.STOP),
        cancelled(Role.STOP),
    )
    for answer in answers:
        story = missing_from_snapshot()
        if again:
            story.given(wait(2))
        assert story.pipeline.questions
        story.given(answer)
        assert not story.pipeline.questions
        story.given(confirmed)
        assert asked_at(story, 60) == []


def test_a_pending_status_is_no_answer() -> None:
    story = missing_from_snapshot().given(status(Role.STOP, ReportedStatus.PENDING_NEW))
    assert asked_at(story, 3) == [2]


def test_a_question_outlives_the_link_and_a_second_snapshot() -> None:
    story = missing_from_snapshot().given(LOST)
    assert asked_at(story, 30) == []
    story.when(BACK).then_among(like(QueryRequested, reason="unanswered"))
    story.when(without_stop).then_none(QueryRequested)


def test_an_order_of_a_closed_trade_is_asked_about_again() -> None:
    """An acknowledgement after the end puts the end in doubt, even when nothing else is open."""
    story = given(entry(), rejected(Role.ENTRY))
    assert not story.pipeline.open_trades
    story.when(ack(Role.ENTRY)).then_among(like(QueryRequested, policy="step"))
    assert asked_at(story, 7) == [2, 6]
    story.given(status(Role.ENTRY, ReportedStatus.REJECTED))
    assert asked_at(story, 60) == []


def books(seq: int, held: int) -> Event:
    line = PositionLine(instrument=NAME, quantity=Decimal(held))
    return BrokerSnapshotReported(asked_at_seq=seq, complete=True, positions=(line,))


@pytest.mark.req("I68")
def test_what_was_asked_for_after_the_newest_fill_counts_it() -> None:
    newest = max(one.seq for one in given(in_position()).order(Role.ENTRY).executions)
    given(in_position()).when(books(newest - 1, 7)).then_none(Alerted)
    given(in_position()).when(books(newest, 7)).then_among(like(Alerted, code="position_mismatch"))


def test_without_any_fill_the_first_snapshot_is_compared() -> None:
    given().when(books(0, 7)).then_among(like(Alerted, code="position_mismatch"))


def test_an_order_is_missed_from_the_moment_of_its_decision_on() -> None:
    story = given(entry(), ack(Role.ENTRY))
    placed = story.order(Role.ENTRY).placed_seq
    given(entry(), ack(Role.ENTRY)).when(books(placed - 1, 0)).then_none(QueryRequested)
    given(entry(), ack(Role.ENTRY)).when(books(placed, 0)).then_among(like(QueryRequested))
