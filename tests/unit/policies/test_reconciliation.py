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
    PositionLine,
)
from oms.events.decisions import Alerted, EntryAccepted, IntentRefused, PolicyNoted, QueryRequested
from oms.values import Role
from tests.answers import ack, in_position
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


@pytest.mark.req("I71")
def test_reconciling_twice_yields_nothing() -> None:
    given(in_position(), snapshot(100)).when(snapshot(100)).then()


def test_an_order_the_broker_does_not_list_is_asked_for() -> None:
    empty = BrokerSnapshotReported(asked_at_seq=1_000_000, complete=True)
    story = given(entry(), ack(Role.ENTRY)).when(empty)
    story.then(like(QueryRequested, reason="not among the broker's open orders"))
