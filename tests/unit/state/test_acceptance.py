"""Acceptance is the answer to the submission. That the broker has an order, or works on a request for it, is not:
it may still refuse it, so a stop protects nobody and an entry is not worked before (FIX OrdStatus A, 6 and E)."""

import pytest

from oms.events.broker import ReportedStatus as Said
from oms.state.order import PendingKind
from oms.values import OrderStatus, Role
from tests.unit.state.order_story import (
    accepted,
    cancel,
    cancel_rejected,
    canceled,
    change,
    filled,
    given,
    query,
    rejected,
    replaced,
    reported,
    unknown,
)

NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus
ONLY_RECEIVED = pytest.mark.parametrize("said", [Said.PENDING_NEW, Said.PENDING_CANCEL, Said.PENDING_REPLACE])


def is_open(story) -> bool:
    return story.order.pending_of(PendingKind.SUBMIT) is not None


@ONLY_RECEIVED
def test_order_that_is_only_received_is_not_confirmed(said: Said) -> None:
    story = given(role=Role.STOP).when(reported(said, 0, 10))
    story.then(SUBMITTED, leaves=10, alerts=[])
    assert is_open(story)
    assert not story.order.is_confirmed


@ONLY_RECEIVED
def test_question_that_is_answered_so_ends_nothing(said: Said) -> None:
    story = given(query()).when(reported(said, 0, 10))
    assert is_open(story)
    assert story.order.pending_of(PendingKind.SUBMIT).queries == 1


@ONLY_RECEIVED
def test_order_that_is_only_received_may_still_be_refused(said: Said) -> None:
    given(reported(said, 0, 10)).when(rejected()).then(REJECTED, pending=[], alerts=[])


@ONLY_RECEIVED
def test_acceptance_follows(said: Said) -> None:
    story = given(cancel(), reported(said, 0, 10)).when(accepted())
    assert not is_open(story)


@ONLY_RECEIVED
@pytest.mark.parametrize("proof", [filled("a", 4, 4, 6), canceled(0)], ids=["filled", "canceled"])
def test_execution_or_end_answers_the_submission(said: Said, proof) -> None:
    story = given(cancel(), reported(said, 0, 10)).when(proof)
    assert not is_open(story)


@ONLY_RECEIVED
def test_accepted_order_stays_accepted(said: Said) -> None:
    story = given(accepted(), change(8)).when(reported(said, 0, 10))
    assert not is_open(story)
    assert story.order.is_confirmed
    assert story.when(replaced(8)).order.is_confirmed


@ONLY_RECEIVED
def test_refused_cancel_that_tells_of_receipt_accepts_nothing(said: Said) -> None:
    story = given(cancel()).when(cancel_rejected(status=said))
    assert is_open(story)


@ONLY_RECEIVED
def test_order_believed_lost_that_is_only_received_is_not_confirmed(said: Said) -> None:
    story = given(query(), unknown(), role=Role.STOP)
    story.when(reported(said, 0, 10)).then(
        SUBMITTED, leaves=10, alerts=["reinstated"], queried=["reinstated"]
    )
    assert is_open(story)
    assert not story.order.is_confirmed
    assert story.when(reported(Said.NEW, 0, 10)).order.is_confirmed
