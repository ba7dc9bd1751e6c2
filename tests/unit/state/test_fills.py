"""Executions: each counts once, at its highest revision, whatever the order's state."""

import pytest

from oms.events.base import Event
from oms.events.broker import Fee, FeeReported, ReportedStatus
from oms.values import OrderStatus, Role, Side
from tests.unit.state.order_story import (
    D,
    accepted,
    busted,
    cancel,
    canceled,
    change,
    corrected,
    failed,
    filled,
    given,
    rejected,
    replaced,
    reported,
    unknown,
)

NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus


@pytest.mark.req("OD-006")
@pytest.mark.parametrize(("role", "side"), [(Role.ENTRY, Side.BUY), (Role.TARGET, Side.SELL)])
def test_is_filled_by_its_last_share_and_not_before(role: Role, side: Side) -> None:
    story = given(role=role).then(NEW, 0, leaves=10, side=side).when(accepted()).then(SUBMITTED, 0, leaves=10)
    story.when(filled("a", 4, 4, 6, side=side)).then(PARTIAL_FILLED, 4, leaves=6, alerts=[])
    story.when(filled("b", 5, 9, 1, side=side)).then(PARTIAL_FILLED, 9, leaves=1, alerts=[])
    story.when(filled("c", 1, 10, 0, side=side)).then(FILLED, 10, leaves=0, alerts=[], value=D(1000))


@pytest.mark.req("OD-006")
def test_fills_lead_from_submitted_to_filled() -> None:
    story = given(accepted()).then(SUBMITTED, 0, leaves=10, pending=[])
    story.when(filled("a", 4, 4, 6)).then(PARTIAL_FILLED, 4, leaves=6, alerts=[])
    story.when(filled("b", 1, 5, 5)).then(PARTIAL_FILLED, 5, leaves=5, alerts=[])
    story.when(filled("c", 5, 10, 0)).then(FILLED, 10, leaves=0, alerts=[], value=D(1000))


def test_fill_proves_the_order_before_its_acknowledgement() -> None:
    given().then(NEW, pending=["SUBMIT"]).when(filled("a", 4, 4, 6)).then(PARTIAL_FILLED, 4, pending=[])


def test_late_acknowledgement_changes_nothing() -> None:
    story = given(filled("a", 4, 4, 6))
    before = story.order
    assert story.when(accepted()).order == before


@pytest.mark.req("OD-010", "OD-013", "OD-075")
@pytest.mark.parametrize("copies", [1, 2, 50])
def test_duplicate_fills_count_once(copies: int) -> None:
    story = given(accepted(), filled("a", 4, 4, 6))
    before = story.pipeline
    story.when(*[filled("a", 4, 4, 6)] * copies).then(PARTIAL_FILLED, 4, alerts=[])
    assert story.pipeline is before


@pytest.mark.req("OD-013", "I20")
def test_same_stretch_under_another_id_is_the_same_fill() -> None:
    story = given(accepted(), filled("stream-77", 4, 4, 6), filled("stream-78", 2, 6, 4))
    story.when(filled("poll-9", 2, 6, 4)).then(
        PARTIAL_FILLED, 6, alerts=[], judged=[("poll-9", "stream-78", False)]
    )
    before = story.pipeline
    story.when(filled("poll-9", 2, 6, 4)).then(PARTIAL_FILLED, 6, alerts=[], judged=[], value=D(600))
    assert story.pipeline is before


@pytest.mark.parametrize("names", [("stream-7", "poll-7"), ("poll-7", "stream-7")])
def test_restatement_under_either_id_is_of_the_same_fill(names: tuple[str, str]) -> None:
    story = given(accepted(), *(filled(name, 4, 4, 6) for name in names))
    story.when(corrected("stream-7", 4, 4, 6, price="101")).then(PARTIAL_FILLED, 4, alerts=[], value=D(404))
    story.when(corrected("poll-7", 4, 4, 6, price="101")).then(PARTIAL_FILLED, 4, alerts=[], value=D(404))
    story.when(busted("stream-7", 0, 10, revision=2)).then(SUBMITTED, 0, leaves=10, alerts=[])


def test_fee_under_either_id_counts_for_the_trade() -> None:
    story = given(accepted(), filled("poll-7", 4, 4, 6), filled("stream-7", 4, 4, 6))
    fees = (Fee(amount=D("0.05"), currency="USD", kind="commission"),)
    story.when(FeeReported(instrument="ACME", execution="stream-7", fees=fees))
    assert story.pipeline.trades[1].fees == D("0.05")


def test_a_fill_at_another_price_that_overtook_a_bust_is_the_next_one() -> None:
    """Once it was taken for the busted fill under a second id, and was lost with it."""
    story = given(accepted(), filled("a", 2, 2, 2), filled("b", 2, 2, 2, price="101"), filled("c", 1, 3, 1))
    story.when(busted("a", 0, 4)).then(PARTIAL_FILLED, 3, alerts=["fill_not_comparable"], value=D(302))


def test_a_second_id_after_a_corrected_price_is_the_same_fill() -> None:
    story = given(
        accepted(), filled("a", 4, 4, 6), corrected("a", 4, 4, 6, price="101"), filled("b", 4, 4, 6)
    )
    story.when(busted("b", 0, 10, revision=2)).then(SUBMITTED, 0, leaves=10, alerts=[])


def test_a_fill_that_overtook_a_bust_is_booked_once_the_broker_counts_it_twice() -> None:
    """At the price of the busted one it looks like that one's second id; only the broker's count tells it apart."""
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 4, 6), busted("a", 0, 10))
    story.then(SUBMITTED, 0).when(reported(ReportedStatus.PARTIALLY_FILLED, 4, 6))
    story.then(SUBMITTED, 0, alerts=["gap_detected"], queried=["gap_detected"])
    story.when(reported(ReportedStatus.PARTIALLY_FILLED, 4, 6))
    story.then(
        PARTIAL_FILLED, 4, leaves=6, alerts=["fill_not_comparable"], value=D(400), judged=[("b", None, True)]
    )
    story.when(busted("b", 0, 10)).then(SUBMITTED, 0, alerts=[], judged=[])


@pytest.mark.parametrize(
    "restated", [[], [filled("c", 3, 5, 5), busted("c", 2, 8)]], ids=["", "another is busted"]
)
def test_the_second_id_of_a_fill_that_stands_is_never_the_fill_that_is_missing(restated: list[Event]) -> None:
    """Where a broker tells each fill under two ids, a lost one of the same quantity must not count twice."""
    story = given(accepted(), filled("a", 2, 2, 8), filled("a2", 2, 2, 8), *restated).then(PARTIAL_FILLED, 2)
    for _ in range(3):
        story.when(reported(ReportedStatus.PARTIALLY_FILLED, 4, 6)).then(PARTIAL_FILLED, 2)
    story.when(filled("b", 2, 4, 6)).then(PARTIAL_FILLED, 4)


@pytest.mark.parametrize("second", [3, 5])
def test_a_count_that_the_second_id_does_not_explain_books_nothing(second: int) -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 4, 6), busted("a", 0, 10))
    for _ in range(3):
        story.when(reported(ReportedStatus.PARTIALLY_FILLED, second, 10 - second)).then(SUBMITTED, 0)


def test_a_count_said_once_more_while_it_is_being_answered_books_nothing() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 4, 6), busted("a", 0, 10))
    for _ in range(3):
        story.when(reported(ReportedStatus.PENDING_CANCEL, 4, 6)).then(SUBMITTED, 0)


def test_a_second_id_goes_on_naming_its_fill_after_a_bust_elsewhere() -> None:
    story = given(
        accepted(), filled("a", 4, 4, 6), filled("a2", 4, 4, 6), filled("b", 2, 6, 4), busted("b", 4, 6)
    )
    story.then(PARTIAL_FILLED, 4).when(busted("a2", 0, 10)).then(SUBMITTED, 0, alerts=[])


@pytest.mark.req("OD-013")
def test_a_new_price_under_the_first_id_is_of_the_fill_known_under_its_second() -> None:
    """Once it was booked beside that one."""
    story = given(accepted(), filled("b", 4, 4, 6), corrected("a", 4, 4, 6, price="101"))
    story.then(PARTIAL_FILLED, 4, alerts=[], value=D(404))
    story.when(filled("a", 4, 4, 6)).then(PARTIAL_FILLED, 4, alerts=[], value=D(404))


def test_a_new_price_of_a_fill_not_seen_yet_is_its_own() -> None:
    # The broker counts 8: 4 of them are a. What was counted after the new price cannot be it either.
    given(accepted(), filled("b", 4, 4, 6), corrected("a", 4, 8, 2, price="101")).then(value=D(804))
    given(accepted(), filled("b", 4, 8, 2), corrected("a", 4, 4, 6, price="101")).then(value=D(804))


def test_a_new_price_is_not_of_a_fill_of_another_quantity_or_one_restated_before() -> None:
    given(accepted(), filled("b", 4, 4, 6), corrected("a", 2, 4, 6, price="101")).then(value=D(602))
    story = given(accepted(), filled("b", 4, 4, 6), corrected("b", 4, 4, 6, price="102"))
    story.when(corrected("a", 4, 4, 6, price="101")).then(value=D(812))


def test_one_report_over_two_fills_repeats_both() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 2, 6, 4)).when(filled("ab", 6, 6, 4))
    story.then(PARTIAL_FILLED, 6, alerts=[], judged=[("ab", None, False)])
    story.when(filled("ab", 6, 6, 4)).then(PARTIAL_FILLED, 6, judged=[("ab", None, False)])


def test_price_and_time_alone_never_make_two_fills_one() -> None:
    given(accepted(), filled("a", 2)).when(filled("b", 2)).then(PARTIAL_FILLED, 4, alerts=[])


def test_partial_overlap_counts_and_is_asked_about() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(filled("b", 4, 6, 4))
    story.then(PARTIAL_FILLED, 8, alerts=["fill_overlap"], queried=["fill_overlap"])
    assert story.anomalies[0].quantity == 2


def test_overlap_of_overlapping_fills_is_measured_once() -> None:
    # (0,4] and (2,6] together cover six, not eight: a report of (0,6] repeats all of it.
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 6, 4)).when(filled("c", 6, 6, 4))
    story.then(PARTIAL_FILLED, 8, alerts=[])


def test_fill_under_a_new_id_counts_again_after_a_bust() -> None:
    story = given(accepted(), filled("a", 2, 2, 8), filled("b", 3, 5, 5), busted("a", 3, 7))
    story.then(PARTIAL_FILLED, 3, leaves=7)
    story.when(filled("b2", 3, 5, 5))
    story.then(PARTIAL_FILLED, 6, alerts=["fill_not_comparable"], queried=["fill_not_comparable"])


def test_fills_after_a_bust_compare_with_each_other() -> None:
    story = given(accepted(), filled("a", 2, 2, 8), busted("a", 0, 10), filled("b", 3, 3, 7))
    story.when(filled("b2", 3, 3, 7)).then(PARTIAL_FILLED, 3, alerts=[])


def test_fill_that_crossed_a_correction_hides_no_later_fill() -> None:
    # The broker counted b as (4,5], then made a one share smaller; c is its next share, and is (4,5] too.
    story = given(accepted(), filled("a", 4, 4, 6), corrected("a", 3, 4, 6), filled("b", 1, 5, 5))
    story.then(PARTIAL_FILLED, 4).when(filled("c", 1, 5, 5))
    story.then(PARTIAL_FILLED, 5, alerts=["fill_not_comparable"], queried=["fill_not_comparable"])


def test_fill_that_overtook_a_correction_is_booked_with_it() -> None:
    # The broker made a one share smaller and then filled that share; the fill came first, and looked covered by a.
    story = given(accepted(), filled("a", 4, 4, 6), filled("c", 1, 4, 6)).then(PARTIAL_FILLED, 4)
    story.when(corrected("a", 3, 3, 7))
    story.then(PARTIAL_FILLED, 4, leaves=6, alerts=["fill_not_comparable"], queried=["fill_not_comparable"])
    story.when(filled("c", 1, 4, 6)).then(PARTIAL_FILLED, 4, alerts=[])


def test_part_of_a_fill_stays_covered_by_its_correction() -> None:
    story = given(accepted(), filled("ab", 4, 4, 6), filled("a", 2, 2, 8), filled("b", 2, 4, 6))
    story.when(corrected("ab", 3, 3, 7)).then(PARTIAL_FILLED, 3, alerts=[])
    story.when(corrected("ab", 2, 2, 8, revision=2)).then(PARTIAL_FILLED, 2, alerts=[])
    story.when(reported(ReportedStatus.PARTIALLY_FILLED, 4, 6, asked=99)).then(PARTIAL_FILLED, 2, judged=[])


def test_covered_fills_are_kept_within_a_bound() -> None:
    parts = [filled(f"p{number}", 1, 1 + number % 4, 6) for number in range(40)]
    story = given(accepted(), filled("a", 4, 4, 6), *parts)
    assert [one.execution for one in story.order.repeats] == [f"p{number}" for number in range(24, 40)]


def test_count_from_before_a_correction_is_no_gap() -> None:
    # The broker counts 9 once a is one share smaller; b and its new price still speak of 10.
    story = given(accepted(), filled("a", 4, 4, 6), corrected("a", 3, 9, 1))
    story.then(PARTIAL_FILLED, 3, leaves=1, missing=D(6))
    story.when(filled("b", 6, 10, 0)).then(PARTIAL_FILLED, 9, missing=D(0), queried=["fill_not_comparable"])
    story.when(corrected("b", 6, 10, 0, price="101")).then(PARTIAL_FILLED, 9, missing=D(0), alerts=[])
    story.when(reported(ReportedStatus.PARTIALLY_FILLED, 9, 1)).then(PARTIAL_FILLED, 9, leaves=1, alerts=[])


def test_fills_out_of_order_leave_a_gap_until_both_are_there() -> None:
    story = given(accepted()).when(filled("b", 3, 5, 5))
    story.then(PARTIAL_FILLED, 3, leaves=5, alerts=["gap_detected"], queried=["gap_detected"], missing=D(2))
    assert story.anomalies[0].quantity == 2
    story.when(filled("a", 2, 2, 8)).then(PARTIAL_FILLED, 5, leaves=5, alerts=[], missing=D(0))


@pytest.mark.req("I17")
def test_late_fill_changes_quantity_and_alerts() -> None:
    story = given(accepted(), cancel(), canceled(0)).when(filled("a", 4, 4, 0))
    story.then(CANCELED, 4, leaves=0, alerts=["late_fill"])
    assert story.pipeline.position == 4


def test_fill_announced_by_the_cancel_is_not_late() -> None:
    story = given(accepted(), filled("a", 1, 1, 9), cancel()).when(canceled(3))
    story.then(CANCELED, 1, alerts=["gap_detected"])
    story.when(filled("b", 2, 3, 0)).then(CANCELED, 3, alerts=[])


@pytest.mark.req("C-02")
def test_late_fill_of_everything_ends_filled() -> None:
    story = given(accepted(), cancel(), canceled(0)).when(filled("a", 10, 10, 0))
    story.then(FILLED, 10, alerts=["late_fill"])


def test_bust_of_a_late_fill_leaves_the_order_cancelled() -> None:
    given(accepted(), cancel(), canceled(0), filled("a", 10, 10, 0)).when(busted("a", 0, 0)).then(CANCELED, 0)


def test_cancel_told_after_the_last_fill_shows_after_its_bust() -> None:
    story = given(accepted(), filled("a", 10, 10, 0)).when(canceled(10)).then(FILLED, 10)
    story.when(busted("a", 0, 0)).then(CANCELED, 0, leaves=0)


def test_late_fill_after_a_rejection() -> None:
    given(accepted(), rejected()).when(filled("a", 4)).then(REJECTED, 4, leaves=0, alerts=["late_fill"])


@pytest.mark.req("I14")
def test_a_count_beyond_the_quantity_makes_no_larger_order() -> None:
    """Once the fill that followed was no overfill, and a share of it busted left an order larger than was asked for."""
    story = given(accepted(), reported(ReportedStatus.FILLED, 13, 0, quantity=10)).then(quantity=D(10))
    story.when(filled("a", 13)).then(FILLED, 13, alerts=["overfill"], quantity=D(10))
    story.when(reported(ReportedStatus.FILLED, 13, 0, quantity=10)).then(FILLED, 13, quantity=D(10))
    story.when(corrected("a", 9, 9, 1)).then(PARTIAL_FILLED, 9, leaves=1, quantity=D(10))


def test_overfill_is_booked_and_alarmed() -> None:
    story = given(accepted()).when(filled("a", 12, 12, 0)).then(FILLED, 12, leaves=0, alerts=["overfill"])
    assert story.anomalies[0].quantity == 2
    story.when(filled("b", 1, 13, 0)).then(FILLED, 13, alerts=["overfill"])
    assert story.anomalies[0].quantity == 3


def test_wrong_side_is_never_booked() -> None:
    story = given(accepted())
    story.when(filled("a", 4, 4, 6, side=Side.SELL))
    story.then(SUBMITTED, 0, leaves=10, alerts=["wrong_side"], queried=["wrong_side"])


@pytest.mark.parametrize("quantity", [0, -1])
def test_fill_of_nothing_is_never_booked(quantity: int) -> None:
    given(accepted()).when(filled("a", quantity)).then(SUBMITTED, 0, alerts=["fill_without_quantity"])


def test_negative_correction_is_never_booked() -> None:
    story = given(accepted(), filled("a", 4))
    story.when(corrected("a", -1)).then(PARTIAL_FILLED, 4, alerts=["fill_without_quantity"])
    story.when(filled("a", -1, revision=1)).then(PARTIAL_FILLED, 4, alerts=["fill_without_quantity"])


def test_correction_of_the_price_keeps_the_quantity() -> None:
    story = given(accepted(), filled("a", 4, 4, 6)).when(corrected("a", 4, 4, 6, price="101"))
    story.then(PARTIAL_FILLED, 4, leaves=6, alerts=[], value=D(404))
    story.when(filled("poll", 4, 4, 6)).then(PARTIAL_FILLED, 4, alerts=[])


def test_correction_is_the_whole_value_and_highest_revision_wins() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), corrected("a", 6, 6, 4, revision=2))
    story.then(PARTIAL_FILLED, 6, value=D(600))
    story.when(corrected("a", 5, 5, 5, revision=1)).then(PARTIAL_FILLED, 6, alerts=[])
    story.when(corrected("a", 6, 6, 4, revision=2)).then(PARTIAL_FILLED, 6, alerts=[])


def test_correction_before_its_fill_is_kept() -> None:
    story = given(accepted()).when(corrected("a", 3, 3, 7, price="101")).then(PARTIAL_FILLED, 3, value=D(303))
    story.when(filled("a", 4, 4, 6)).then(PARTIAL_FILLED, 3, value=D(303))


def test_bust_before_its_fill_is_kept() -> None:
    given(accepted(), busted("a", 0, 10)).when(filled("a", 4, 4, 6)).then(SUBMITTED, 0, leaves=10)


@pytest.mark.parametrize(("leaves", "expected"), [(4, 4), (None, 0)])
def test_bust_reopens_with_what_the_broker_reports(leaves: int | None, expected: int) -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 6, 10, 0))
    story.when(busted("a", 6, leaves)).then(PARTIAL_FILLED, 6, leaves=expected, ended_at=None)


def test_bust_of_the_only_fill_leaves_a_working_order() -> None:
    given(accepted(), filled("a", 10, 10, 0)).when(busted("a", 0, 10)).then(SUBMITTED, 0, leaves=10)


def test_bust_of_a_part_never_adds_leaves_by_itself() -> None:
    given(accepted(), filled("a", 4, 4, 6)).when(busted("a", 0)).then(SUBMITTED, 0, leaves=6)


def test_bust_without_totals_is_asked_about() -> None:
    story = given(accepted(), filled("a", 4)).when(busted("a"))
    story.then(SUBMITTED, 0, queried=["restated_without_totals"])


def test_fill_under_the_id_of_a_replace_proves_it() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), change(20, price="101"))
    story.when(filled("b", 12, 16, 4, own="Y"))
    story.then(PARTIAL_FILLED, 16, leaves=4, pending=[], alerts=[], quantity=D(20), price_limit=D(101))
    story.when(replaced(20, cum=4, leaves=16)).then(PARTIAL_FILLED, 16, leaves=4, alerts=[])


def test_fill_under_the_old_id_leaves_the_replace_open() -> None:
    given(accepted(), change(20)).when(filled("a", 4, 4, 6)).then(
        PARTIAL_FILLED, 4, leaves=6, pending=["REPLACE"]
    )


@pytest.mark.parametrize("end", [failed(sent=False), unknown()], ids=["not-sent", "unknown"])
def test_fill_takes_back_an_assumed_end(end: object) -> None:
    story = given(end).then(REJECTED, 0, assumed=True)  # type: ignore[arg-type]
    story.when(filled("a", 4, 4, 6))
    story.then(PARTIAL_FILLED, 4, leaves=6, alerts=["reinstated"], queried=["reinstated"], assumed=False)


def test_last_fill_of_an_order_assumed_gone_is_late() -> None:
    story = given(accepted(), unknown()).then(CANCELED, 0, assumed=True)
    story.when(filled("a", 4, 4, 0)).then(CANCELED, 4, alerts=["late_fill"])


def test_counts_of_the_broker_bound_what_is_left() -> None:
    story = given(accepted()).when(filled("b", 2, 8)).then(PARTIAL_FILLED, 2, leaves=2)
    assert story.order.is_live
    story.when(filled("c", 2, 10)).then(PARTIAL_FILLED, 4, leaves=0)
    # Six are still to be reported, so the order is not over.
    assert story.order.is_live
    story.when(filled("a", 6, 6, 4)).then(FILLED, 10)


def test_ids_of_the_broker_come_with_a_fill() -> None:
    story = given(filled("a", 4, broker_order_id="B"))
    story.when(reported(ReportedStatus.NEW, own=None, broker_order_id="B")).then(PARTIAL_FILLED, 4, alerts=[])
    assert story.order.broker_order_id == "B"


def test_fills_of_a_stop_close_the_trade() -> None:
    story = given(accepted(), filled("x", 3, side=Side.SELL), role=Role.STOP)
    assert (story.pipeline.trades[1].exited, story.pipeline.position) == (3, -3)


def test_restated_fill_that_comes_first_bounds_no_stretch() -> None:
    # IBKR style: a correction is the fill again under a higher revision, with the totals of that moment.
    story = given(accepted()).when(filled("b", 3, 9, 1, revision=1), filled("c", 2, 9, 1, revision=1))
    story.when(filled("a", 4, 4, 6)).then(filled=9)
    story.when(filled("b", 3, 7, 3), filled("c", 2, 9, 1)).then(filled=9)
