"""What a broker says of an order apart from executions, and what becomes of our requests."""

import pytest

from oms.events.base import Event
from oms.events.broker import (
    CancelCause,
    Fee,
    FeeReported,
    OrderTriggered,
    RejectCode,
    ReportedStatus,
)
from oms.values import OrderStatus, Role
from tests.unit.state.order_story import (
    NAME,
    D,
    accepted,
    cancel,
    cancel_rejected,
    canceled,
    change,
    filled,
    given,
    rejected,
    replace_rejected,
    replaced,
    reported,
)

NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus
Said = ReportedStatus


@pytest.mark.req("OD-007")
@pytest.mark.parametrize("before", [[], [accepted()]], ids=["new", "submitted"])
def test_cancel_ends_an_order_without_fills(before: list[Event]) -> None:
    given(*before, cancel()).when(canceled(0)).then(CANCELED, 0, leaves=0, pending=[], alerts=[])


@pytest.mark.req("OD-008")
@pytest.mark.parametrize(
    "before", [[], [accepted()], [accepted(), cancel()]], ids=["new", "submitted", "asked"]
)
def test_rejection_ends_an_order(before: list[Event]) -> None:
    given(*before).when(rejected()).then(
        REJECTED, 0, leaves=0, pending=[], alerts=[], assumed=False, text="no"
    )


@pytest.mark.req("OD-008")
@pytest.mark.parametrize(
    "before", [[], [accepted()], [accepted(), cancel()]], ids=["new", "submitted", "asked"]
)
def test_rejection_told_as_a_status_ends_an_order_too(before: list[Event]) -> None:
    story = (
        given(*before)
        .when(reported(Said.REJECTED, 0, 0))
        .then(REJECTED, 0, leaves=0, pending=[], alerts=[], assumed=False, text="reported rejected")
    )
    assert not story.order.is_live


@pytest.mark.req("OD-009", "C-02")
def test_cancel_keeps_what_was_filled() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), cancel()).when(canceled(4))
    story.then(CANCELED, 4, leaves=0, cancel_cause=CancelCause.REQUESTED)


@pytest.mark.req("I16")
def test_cancel_and_full_fill_cross() -> None:
    story = given(accepted(), cancel()).when(filled("a", 10, 10, 0)).then(FILLED, 10, pending=["CANCEL"])
    story.when(cancel_rejected(code=RejectCode.TOO_LATE, status=Said.FILLED)).then(
        FILLED, 10, pending=[], alerts=[]
    )


def test_filled_outranks_cancelled() -> None:
    given(accepted(), filled("a", 10, 10, 0)).when(canceled(10)).then(FILLED, 10, alerts=[])


def test_cancel_with_a_lower_count_keeps_the_fills() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(canceled(1))
    story.then(CANCELED, 4, alerts=["count_below_fills"], queried=["count_below_fills"])


@pytest.mark.parametrize("role", [Role.STOP, Role.EXIT])
@pytest.mark.parametrize("cause", [CancelCause.UNSOLICITED, CancelCause.EXPIRED])
def test_stop_or_exit_that_ends_unasked_alerts(role: Role, cause: CancelCause) -> None:
    story = given(accepted(), role=role).when(canceled(0, "X", cause))
    story.then(CANCELED, alerts=["canceled_unasked"], cancel_cause=cause)


def test_cancel_by_somebody_else_is_unasked_though_announced() -> None:
    story = given(accepted(), reported(Said.PENDING_CANCEL), role=Role.STOP).then(
        SUBMITTED, pending=["CANCEL"]
    )
    story.when(reported(Said.CANCELED)).then(CANCELED, pending=[], alerts=["canceled_unasked"])


def test_status_cancelled_answers_our_cancel() -> None:
    story = given(accepted(), cancel(), role=Role.STOP).when(reported(Said.CANCELED))
    story.then(CANCELED, pending=[], alerts=[], cancel_cause=CancelCause.REQUESTED)


def test_entry_that_expires_does_not_alert() -> None:
    given(accepted()).when(reported(Said.EXPIRED)).then(CANCELED, alerts=[], cancel_cause=CancelCause.EXPIRED)


def test_rejection_after_a_fill_cancels_the_rest_and_asks() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(rejected())
    story.then(CANCELED, 4, alerts=["rejected_out_of_turn"], queried=["rejected_out_of_turn"], assumed=True)
    story.when(reported(Said.PARTIALLY_FILLED, 4, 6)).then(PARTIAL_FILLED, 4, leaves=6, alerts=["reinstated"])


def test_rejection_of_a_second_copy_leaves_the_order() -> None:
    story = given(accepted(), filled("a", 4, 4, 6))
    before = story.order
    assert story.when(rejected(code="DUPLICATE_ORDER")).order == before
    assert story.queried == ["duplicate_refused"]


def test_refusal_ends_only_the_request_it_names() -> None:
    story = given(accepted(), change(8, "Y"), change(7, "Z")).when(replace_rejected("Y"))
    story.then(SUBMITTED, pending=["REPLACE"], alerts=[], refusals=1)
    before = story.order
    assert story.when(replace_rejected("Y")).order == before
    story.when(replace_rejected("Z")).then(SUBMITTED, pending=[], quantity=D(10), refusals=2)


def test_refusal_that_names_the_order_alone_ends_the_oldest() -> None:
    given(accepted(), change(8, "Y"), change(7, "Z")).when(replace_rejected("X")).then(pending=["REPLACE"])


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RejectCode.TOO_LATE, Said.NEW),
        (RejectCode.UNKNOWN_ORDER, None),
        (RejectCode.OTHER, Said.FILLED),
        (RejectCode.OTHER, Said.CANCELED),
    ],
)
def test_refusal_that_doubts_the_order_is_asked_about(code: RejectCode, status: Said | None) -> None:
    story = given(accepted(), cancel()).when(cancel_rejected(code=code, status=status))
    story.then(SUBMITTED, leaves=10, pending=[], queried=["request_refused"])


def test_plain_refusal_leaves_the_order() -> None:
    story = given(accepted(), cancel()).when(cancel_rejected(status=Said.NEW))
    story.then(SUBMITTED, leaves=10, pending=[], alerts=[])


@pytest.mark.req("I21")
def test_replace_brings_new_terms_and_a_new_id() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), change(8, price="99")).when(replaced(8, cum=4, leaves=4))
    story.then(PARTIAL_FILLED, 4, leaves=4, pending=[], quantity=D(8), price_limit=D(99), wire_ids=("X", "Y"))
    story.when(filled("b", 4, 8, 0, own="Y")).then(FILLED, 8, alerts=[])


def test_replace_reopens_a_filled_order() -> None:
    story = given(accepted(), filled("a", 10, 10, 0), change(12)).when(replaced(12, cum=10, leaves=2))
    story.then(PARTIAL_FILLED, 10, leaves=2, ended_at=None)


@pytest.mark.req("I14", "I15")
@pytest.mark.parametrize("told", [6, 8])
def test_replace_below_what_is_filled(told: int) -> None:
    story = given(accepted(), change(6)).when(filled("a", 8, 8, 2), replaced(told, cum=8, leaves=0))
    story.then(FILLED, 8, leaves=0, quantity=D(8), alerts=[])


def test_replace_without_a_count_below_what_is_filled() -> None:
    story = given(accepted(), change(6), filled("a", 8)).when(replaced(6))
    story.then(FILLED, 8, leaves=0, quantity=D(8), alerts=[])


def test_replace_below_what_the_broker_counts() -> None:
    story = given(accepted(), change(6), filled("a", 5, 5, 5)).when(replaced(6, cum=8, leaves=0))
    story.then(PARTIAL_FILLED, 5, leaves=0, quantity=D(8), alerts=["gap_detected"])
    story.when(filled("b", 3, 8, 0)).then(FILLED, 8, alerts=[])


@pytest.mark.req("I21")
def test_chained_replaces_are_answered_one_by_one() -> None:
    story = given(accepted(), change(8, "Y"), change(6, "Z"))
    story.when(reported(Said.PENDING_REPLACE, own="Y")).then(pending=["REPLACE", "REPLACE"])
    story.when(replaced(8, "Y")).then(pending=["REPLACE"], quantity=D(8))
    story.when(replaced(6, "Z")).then(pending=[], quantity=D(6), wire_ids=("X", "Y", "Z"))


def test_older_replace_told_again_is_history() -> None:
    story = given(accepted(), change(8, "Y"), replaced(8, "Y"), change(6, "Z"))
    before = story.order
    assert story.when(replaced(8, "X")).order == before
    story.when(replaced(6, "Z"))
    before = story.order
    assert story.when(replaced(8, "Y")).order == before


def test_replace_told_out_of_order_ends_the_one_it_built_on() -> None:
    story = given(accepted(), change(8, "Y"), change(6, "Z")).when(replaced(6, "Z"))
    story.then(pending=[], quantity=D(6), wire_ids=("X", "Y", "Z"))
    story.when(replaced(8, "Y")).then(quantity=D(6))


def test_replace_by_somebody_else_leaves_ours_open() -> None:
    story = given(accepted(), change(8)).when(replaced(9, "X"))
    story.then(SUBMITTED, leaves=9, pending=["REPLACE"], quantity=D(9), price_limit=D(100))


def test_replace_told_under_the_old_id_answers_by_its_terms() -> None:
    given(accepted(), change(8)).when(replaced(8, "X")).then(pending=[], quantity=D(8))


def test_replace_after_the_end_is_asked_about() -> None:
    story = given(accepted(), change(8), canceled(0)).when(replaced(8))
    story.then(CANCELED, leaves=0, queried=["replaced_after_end"])


@pytest.mark.parametrize("said", [Said.PENDING_CANCEL, Said.PENDING_REPLACE])
def test_pending_status_after_the_end_means_nothing(said: Said) -> None:
    story = given(accepted(), canceled(0))
    before = story.order
    assert story.when(reported(said, 0, 10)).order == before


def test_status_never_makes_a_fill() -> None:
    story = given(accepted()).when(reported(Said.FILLED, 10, 0))
    story.then(SUBMITTED, 0, leaves=0, alerts=["gap_detected"], queried=["gap_detected"])
    assert story.order.is_live
    story.when(reported(Said.FILLED, 10, 0)).then(alerts=[])


def test_status_filled_without_a_count_is_a_gap() -> None:
    given(accepted()).when(reported(Said.FILLED)).then(SUBMITTED, 0, leaves=0, alerts=["gap_detected"])


def test_lower_count_in_a_status_is_not_believed() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(reported(Said.NEW, 0, 10))
    story.then(PARTIAL_FILLED, 4, leaves=6, alerts=["count_below_fills"], queried=[])


def test_restatement_brings_terms() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(reported(Said.PARTIALLY_FILLED, 4, 5, quantity=9))
    story.then(PARTIAL_FILLED, 4, leaves=5, quantity=D(9))
    story.when(reported(Said.FILLED, 4, 0, quantity=4)).then(FILLED, 4, leaves=0)


def test_status_of_replaced_terms_is_history() -> None:
    story = given(accepted(), change(12), replaced(12)).when(reported(Said.NEW, 0, 3, quantity=10))
    story.then(SUBMITTED, leaves=12, quantity=D(12))


def test_done_for_day_is_an_end_only_without_leaves() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(reported(Said.DONE_FOR_DAY, 4, 6))
    story.then(PARTIAL_FILLED, leaves=6, done_for_day=True)
    story.when(reported(Said.PARTIALLY_FILLED, 4, 6)).then(PARTIAL_FILLED, done_for_day=False)
    story.when(reported(Said.DONE_FOR_DAY, 4, 0)).then(CANCELED, 4, cancel_cause=CancelCause.DONE_FOR_DAY)


def test_suspended_order_is_not_confirmed_until_told_otherwise() -> None:
    story = given(accepted()).when(reported(Said.SUSPENDED)).then(SUBMITTED, suspended=True)
    assert not story.order.is_confirmed
    story.when(cancel(), reported(Said.PENDING_CANCEL)).then(suspended=True)
    assert story.when(reported(Said.NEW)).order.is_confirmed


def test_trigger_is_remembered_once() -> None:
    story = given(role=Role.STOP).when(OrderTriggered(instrument=NAME, client_order_id="X"))
    story.then(SUBMITTED, pending=[])
    before = story.order
    assert before.triggered_at is not None
    assert story.when(OrderTriggered(instrument=NAME, client_order_id="X")).order == before


def test_fees_count_against_the_trade_of_their_execution() -> None:
    story = given(accepted(), filled("a", 4, 4, 6))
    fees = (Fee(amount=D("1.5"), currency="USD", kind="c"), Fee(amount=D(9), currency="EUR", kind="c"))
    story.when(FeeReported(instrument=NAME, execution="a", fees=fees))
    story.when(FeeReported(instrument=NAME, execution="?", fees=fees))
    assert (story.pipeline.trades[1].fees, story.pipeline.trades[1].fees_entry) == (D("1.5"), D("1.5"))
