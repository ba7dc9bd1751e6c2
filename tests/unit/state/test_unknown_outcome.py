"""Silence, loss and "unknown": what is held of an order whose fate nobody has told."""

import pytest

from oms.events.base import Event
from oms.events.broker import (
    CommandExpired,
    CommandRefused,
    ReportedStatus,
)
from oms.state.order import PendingKind
from oms.values import OrderStatus, Role
from tests.unit.state.order_story import (
    NAME,
    PLACED_SEQ,
    D,
    accepted,
    cancel,
    cancel_rejected,
    canceled,
    change,
    corrected,
    failed,
    filled,
    given,
    query,
    rejected,
    replaced,
    reported,
    unknown,
)

NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus
Said = ReportedStatus


@pytest.mark.req("I62")
@pytest.mark.parametrize(
    "silence",
    [
        [],
        [failed(sent=True)],
        [failed(sent=True), query()],
        [query(), query()],
        [failed(7, sent=False)],
        [unknown(asked_at_seq=PLACED_SEQ - 1)],
        [cancel_rejected()],
    ],
    ids=[
        "nothing",
        "maybe-sent",
        "asked",
        "asked-twice",
        "another-command",
        "asked-before",
        "another-answer",
    ],
)
def test_unknown_is_not_rejected(silence: list[Event]) -> None:
    story = given(*silence)
    story.then(NEW, 0, leaves=10, pending=["SUBMIT"])
    assert story.order.is_live


@pytest.mark.req("I62")
@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        (accepted(), SUBMITTED),
        (rejected(), REJECTED),
        (filled("a", 1), PARTIAL_FILLED),
        (reported(Said.NEW), SUBMITTED),
        (reported(Said.REJECTED), REJECTED),
        (canceled(0), CANCELED),
        (unknown(), REJECTED),
        (failed(sent=False), REJECTED),
        (CommandExpired(instrument=NAME, client_order_id="X", command_seq=PLACED_SEQ), REJECTED),
        (CommandRefused(instrument=NAME, client_order_id="X", command_seq=PLACED_SEQ, limit="l"), REJECTED),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Event) else one.value,
)
def test_unknown_ends_by_evidence(evidence: Event, status: OrderStatus) -> None:
    given(failed(sent=True), query()).when(evidence).then(status, pending=[], alerts=[])


def test_order_that_is_only_received_stays_unanswered() -> None:
    story = given().when(reported(Said.PENDING_NEW, 0, 10)).then(SUBMITTED, leaves=10, alerts=[])
    assert [one.kind for one in story.order.pending] == [PendingKind.SUBMIT]
    assert not story.order.is_confirmed
    story.when(reported(Said.NEW, 0, 10)).then(SUBMITTED, leaves=10, pending=[], alerts=[])
    assert story.order.is_confirmed


def test_order_that_is_only_received_may_still_be_refused() -> None:
    given().when(reported(Said.PENDING_NEW, 0, 10), rejected()).then(REJECTED, pending=[], alerts=[])


def test_failure_that_leaves_doubt_is_marked_once() -> None:
    story = given(failed(sent=True))
    assert [one.unknown for one in story.order.pending] == [True]
    story.when(query(), failed(sent=True))
    assert [(one.unknown, one.queries) for one in story.order.pending] == [(False, 1)]


@pytest.mark.parametrize("sign", [accepted(), reported(Said.NEW, 0, 10)], ids=["accepted", "reported"])
@pytest.mark.parametrize("loss", [failed(sent=False), unknown()], ids=["not-sent", "unknown"])
def test_assumed_end_is_taken_back_by_a_sign_of_life(loss: Event, sign: Event) -> None:
    story = given(loss).then(REJECTED, assumed=True)
    story.when(sign).then(SUBMITTED, leaves=10, alerts=["reinstated"], assumed=False, ended_at=None)


def test_order_that_vanished_is_taken_back_by_a_sign_of_life() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), role=Role.ENTRY).when(unknown())
    story.then(CANCELED, 4, leaves=0, assumed=True)
    story.when(reported(Said.PARTIALLY_FILLED, 4, 6)).then(PARTIAL_FILLED, 4, leaves=6, alerts=["reinstated"])


def test_stop_that_vanished_alerts() -> None:
    given(accepted(), role=Role.STOP).when(unknown()).then(
        CANCELED, alerts=["canceled_unasked"], assumed=True
    )


def test_proven_rejection_is_doubted_before_it_is_taken_back() -> None:
    story = given(accepted(), rejected()).when(accepted())
    story.then(REJECTED, queried=["acknowledged_after_end"])
    story.when(reported(Said.REJECTED)).then(REJECTED, assumed=False, alerts=[])


def test_unknown_id_of_a_request_says_nothing_of_the_order() -> None:
    story = given(accepted(), change(8), query()).when(unknown("Y"))
    story.then(SUBMITTED, leaves=10, pending=[], queried=["request_lost"], quantity=D(10))


def test_unknown_id_of_a_cancel_does_not_answer_what_is_open_after_a_correction() -> None:
    """The order was full, its cancel lost; what the correction opened, unsaid, was asked under the cancel's id."""
    story = given(accepted(), cancel(), filled("a", 10), corrected("a", 9)).then(PARTIAL_FILLED, 9, leaves=0)
    story.when(query(), unknown("Y")).then(PARTIAL_FILLED, 9, leaves=0, pending=[], queried=["request_lost"])
    story.when(reported(Said.PARTIALLY_FILLED, 9, 1, asked=7)).then(PARTIAL_FILLED, 9, leaves=1)


def test_unknown_id_of_a_cancel_does_not_answer_which_fills_are_missing() -> None:
    story = given(accepted(), cancel(), filled("a", 10), reported(Said.FILLED, 11)).then(FILLED, 10, total=11)
    story.when(query(), unknown("Y")).then(FILLED, 10, pending=[], queried=["request_lost"])


def test_unknown_id_of_a_settled_cancel_leaves_a_question_where_fills_are_missing() -> None:
    """Asked under the cancel's id, which an unasked status has settled since: nobody has said anything of the gap."""
    story = given(accepted(), filled("a", 2, 2, 8), cancel(), reported(Said.PARTIALLY_FILLED, 5, 5), query())
    story.when(reported(Said.PARTIALLY_FILLED, 5, 5), unknown("Y")).then(
        PARTIAL_FILLED, 2, total=5, pending=[]
    )
    assert "X" in story.pipeline.questions


def test_unknown_old_id_of_a_replaced_order_says_nothing() -> None:
    given(accepted(), change(8), replaced(8)).when(unknown("X")).then(SUBMITTED, leaves=8, alerts=[])


@pytest.mark.parametrize("refused", ["Y", "X"])
def test_unknown_id_of_an_answered_cancel_says_nothing_of_the_order(refused: str) -> None:
    # The answer to a question about the cancel comes when the cancel has been refused already.
    story = given(accepted(), cancel(), query(), cancel_rejected(refused)).when(unknown("Y"))
    story.then(SUBMITTED, leaves=10, alerts=[])


def test_answer_under_the_new_id_proves_the_replace() -> None:
    story = given(accepted(), change(8, price="99"), query()).when(reported(Said.NEW, 0, own="Y"))
    story.then(SUBMITTED, leaves=8, pending=[], quantity=D(8), price_limit=D(99), wire_ids=("X", "Y"))


@pytest.mark.parametrize(("asked", "left"), [(None, ["REPLACE"]), (3, ["REPLACE"]), (4, []), (6, [])])
def test_answer_under_the_old_id_ends_what_was_asked_about(asked: int | None, left: list[str]) -> None:
    """What was said unasked, or asked before the replace at seq 4, may be older than it; its late fill had no terms."""
    story = (
        given(accepted(), change(8)).when(reported(Said.NEW, 0, 10, quantity=10)).then(pending=["REPLACE"])
    )
    story.when(query(), reported(Said.NEW, 0, 10, quantity=10, asked=asked)).then(
        pending=left, quantity=D(10)
    )
    story.when(filled("e", 8, 8, 0, own="Y")).then(FILLED if left else PARTIAL_FILLED, 8, alerts=[])


def test_request_that_never_left_is_void() -> None:
    story = given(accepted(), cancel()).when(failed(4, sent=False))
    story.then(SUBMITTED, leaves=10, pending=[], alerts=[])
