"""The answer to what was asked after all that is on record tells the broker's count (architecture 6).

Event number n of a story has seq n: the order is the second, so the first event that is given is the third.
"""

import pytest
from msgspec.structs import replace

from oms.events.base import Event
from oms.events.broker import RejectCode, ReportedStatus
from oms.state.order import CANCELED, FILLED, PARTIAL_FILLED, SUBMITTED
from tests.unit.state.order_story import (
    D,
    Story,
    accepted,
    busted,
    cancel,
    cancel_rejected,
    canceled,
    change,
    corrected,
    filled,
    given,
    query,
    reported,
)

PART = ReportedStatus.PARTIALLY_FILLED


def overtaken() -> Story:
    """5 filled, then 3, corrected to 2, and the 5 taken back: the broker counts 2. The bust came first, so what the
    correction at seq 7 counts is history."""
    return given(
        accepted(), filled("a", 5, 5, 5), busted("a", 2, 8), filled("b", 3, 8, 2), corrected("b", 2, 7, 3)
    ).then(PARTIAL_FILLED, 2, leaves=3, total=7)


@pytest.mark.parametrize(("asked", "total", "leaves"), [(None, 7, 3), (6, 7, 3), (7, 2, 8), (8, 2, 8)])
def test_an_older_count_gives_way_to_the_answer_asked_after_it(
    asked: int | None, total: int, leaves: int
) -> None:
    """Once a count from before a bust stood for ever, and the order was held for nearly filled."""
    story = overtaken().when(reported(PART, 2, 8, asked=asked))
    story.then(PARTIAL_FILLED, 2, total=total, leaves=leaves)


def test_a_count_that_grows_after_the_question_is_not_taken_back() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 8, 2))
    story.when(reported(PART, 4, 6, asked=4)).then(PARTIAL_FILLED, 8, total=8, leaves=2)


def test_a_new_price_changes_no_count() -> None:
    """A question asked before it is as good as one asked after it."""
    story = overtaken().when(corrected("b", 2, 7, 3, revision=2, price="101"))
    story.when(reported(PART, 2, 8, asked=7)).then(PARTIAL_FILLED, 2, total=2, leaves=8)


@pytest.mark.parametrize("event", [filled("c", 1, 5, 5), corrected("b", 1, 7, 3, revision=2)])
def test_what_was_booked_after_the_question_makes_its_answer_old(event: Event) -> None:
    """Also where the broker's highest count stays what it was."""
    story = overtaken().when(event, reported(PART, 2, 8, asked=7))
    assert story.order.total == 7


def test_a_count_that_a_status_has_raised_is_newer_than_what_was_asked_before() -> None:
    story = overtaken().when(reported(PART, 9, 1)).then(PARTIAL_FILLED, 2, total=9)
    story.when(reported(PART, 2, 8, asked=7)).then(PARTIAL_FILLED, 2, total=9)
    story.when(reported(PART, 2, 8, asked=8)).then(PARTIAL_FILLED, 2, total=2, leaves=8)


def test_an_answer_that_counts_less_than_we_know_leaves_the_question_open() -> None:
    story = overtaken().when(query(), reported(PART, 2, 8, asked=6))
    assert "X" in story.pipeline.questions
    story.when(reported(PART, 2, 8, asked=8))
    assert not story.pipeline.questions


def test_a_status_that_answers_nothing_ends_the_question_as_before() -> None:
    story = overtaken().when(query(), reported(PART, 2, 8))
    assert not story.pipeline.questions


@pytest.mark.parametrize(("asked", "booked"), [(5, 0), (6, 4), (7, 4)])
def test_one_answer_is_enough_for_a_fill_that_overtook_a_bust(asked: int, booked: int) -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 4, 6), busted("a", 0, 10))
    story.then(SUBMITTED, 0).when(reported(PART, 4, 6, asked=asked))
    story.then(None, booked, judged=[("b", None, True)] if booked else [])


def test_a_refusal_that_calls_the_order_filled_books_a_fill_that_overtook_a_bust() -> None:
    """A broker that forgets what has ended says it nowhere else."""
    fills = (filled("a", 5, 5, 5), filled("b", 5, 5, 5), filled("c", 5, 10, 0))
    refused = cancel_rejected(code=RejectCode.TOO_LATE, status=ReportedStatus.FILLED)
    story = given(accepted(), *fills, busted("a", 0, 10), cancel()).when(refused)
    story.then(FILLED, 10, judged=[("b", None, True)], alerts=["request_refused", "fill_not_comparable"])


def test_a_refusal_of_what_was_asked_before_the_bust_books_nothing() -> None:
    fills = (filled("a", 5, 5, 5), filled("b", 5, 5, 5), filled("c", 5, 10, 0))
    refused = cancel_rejected(code=RejectCode.TOO_LATE, status=ReportedStatus.FILLED)
    story = given(accepted(), *fills, cancel(), busted("a", 0, 10)).when(refused)
    story.then(PARTIAL_FILLED, 5, judged=[], alerts=["request_refused"])


@pytest.mark.parametrize("status", [ReportedStatus.CANCELED, None])
def test_a_refusal_that_says_something_else_books_nothing(status: ReportedStatus | None) -> None:
    fills = (filled("a", 5, 5, 5), filled("b", 5, 5, 5), filled("c", 5, 10, 0))
    story = given(accepted(), *fills, busted("a", 0, 10), cancel())
    story.when(cancel_rejected(code=RejectCode.TOO_LATE, status=status)).then(PARTIAL_FILLED, 5, judged=[])


def test_an_end_counts_at_its_own_time() -> None:
    """What it says is final, and a later answer that was asked before it is not newer."""
    story = overtaken().when(canceled(8)).when(reported(ReportedStatus.CANCELED, 2, 0, asked=7))
    assert story.order.total == 8


def test_a_fill_after_an_answer_below_our_own_counts_once() -> None:
    """The bust of the first was lost: what covers the stretch of one on record is that one, whatever was answered."""
    story = given(accepted(), filled("a", 5, 5, 5)).when(reported(PART, 0, 10, asked=4))
    story.then(PARTIAL_FILLED, 5, total=0, alerts=["count_lowered", "count_below_fills"])
    story.when(filled("b", 5, 5, 5)).then(PARTIAL_FILLED, 5, leaves=5)
    again = given(accepted(), filled("a", 4, 4, 6), filled("b", 4, 8, 2), reported(PART, 4, 6, asked=5))
    again.when(filled("b2", 4, 8, 2)).then(PARTIAL_FILLED, 8)


def test_a_second_id_is_not_the_fill_that_is_missing_where_its_own_execution_stands() -> None:
    """Two of the same quantity, one of them under two ids, the other still on its way."""
    story = given(
        accepted(),
        filled("a", 4, 4, 16),
        filled("b", 4, 8, 12),
        filled("b2", 4, 8, 12),
        busted("a", 4, 16),
        filled("d", 4, 8, 12),
        quantity=20,
    )
    story.when(reported(PART, 12, 8, asked=8)).then(PARTIAL_FILLED, 8)
    story.when(filled("c", 4, 12, 8)).then(PARTIAL_FILLED, 12)


def test_a_second_id_is_not_the_fill_that_is_missing_where_another_took_its_stretch() -> None:
    story = given(
        accepted(),
        filled("a", 4, 4, 16),
        filled("a2", 4, 4, 16),
        busted("a", 0, 20),
        filled("d", 4, 4, 16),
        quantity=20,
    )
    story.when(reported(PART, 8, 12, asked=7)).then(PARTIAL_FILLED, 4)
    story.when(filled("c", 4, 8, 12)).then(PARTIAL_FILLED, 8)


def test_a_second_id_is_kept_in_mind_until_its_own_execution_is_taken_back() -> None:
    """A bust of a later fill came first, and forgot it (I72: the broker held nothing, the log 22)."""
    fills = (filled("a", 3, 3, 7), filled("b", 3, 3, 7), filled("c", 5, 8, 2))
    story = given(accepted(), *fills, busted("c", 3, 7), busted("a", 0, 10)).then(SUBMITTED, 0)
    story.when(reported(PART, 3, 7, asked=8)).then(PARTIAL_FILLED, 3, judged=[("b", None, True)])


def test_a_refusal_says_nothing_of_the_quantity_while_a_replace_is_unanswered() -> None:
    """The order may be filled at another quantity."""
    fills = (filled("a", 5, 5, 5), filled("b", 5, 5, 5), filled("c", 5, 10, 0))
    refused = cancel_rejected(code=RejectCode.TOO_LATE, status=ReportedStatus.FILLED)
    story = given(accepted(), *fills, busted("a", 0, 10), change(8, "R"), cancel()).when(refused)
    story.then(PARTIAL_FILLED, 5, judged=[])


@pytest.mark.parametrize("status", [PART, ReportedStatus.CANCELED, ReportedStatus.FILLED])
def test_an_answer_without_a_count_ends_the_question(status: ReportedStatus) -> None:
    story = given(accepted(), filled("a", 4, 4, 6), query()).when(reported(status, None, asked=5))
    assert not story.pipeline.questions


def test_a_pending_status_takes_no_count_back() -> None:
    story = overtaken().when(reported(ReportedStatus.PENDING_CANCEL, 2, 8, asked=8))
    assert story.order.total == 7


def test_a_second_id_is_forgotten_once_another_fill_took_its_stretch() -> None:
    """Also where that one is recounted later: what the second id might have been has come."""
    story = given(
        accepted(),
        filled("a", 2, 2, 8),
        filled("a2", 2, 2, 8),
        busted("a", 0, 10),
        filled("c", 2, 2, 8),
        filled("d", 2, 4, 6),
        busted("d", 2, 8),
    )
    story.when(reported(PART, 4, 6, asked=9)).then(PARTIAL_FILLED, 2)
    story.when(filled("e", 2, 4, 6)).then(PARTIAL_FILLED, 4)


def test_what_was_recounted_before_a_second_id_came_says_nothing_of_it() -> None:
    story = given(
        accepted(),
        filled("d", 2, 8, 2),
        filled("a", 2, 2, 8),
        busted("d", 6, 4),
        filled("b", 2, 4, 6),
        filled("c", 2, 6, 4),
        filled("e", 2, 6, 4),
        busted("a", 4, 6),
    )
    story.when(reported(PART, 6, 4, asked=10)).then(PARTIAL_FILLED, 6)


def test_a_repeat_that_was_busted_itself_is_no_missing_fill() -> None:
    story = given(
        accepted(), filled("a", 4, 4, 6), filled("b", 2, 2, 8), busted("b", 0, 10), busted("a", 0, 10)
    )
    story.when(reported(PART, 2, 8, asked=6)).then(SUBMITTED, 0)
    story.when(filled("d", 2, 2, 8, price="101")).then(PARTIAL_FILLED, 2, value=D(202))
    story.when(busted("d", 0, 10)).then(SUBMITTED, 0)


def test_two_ids_of_a_fill_that_overtook_a_bust_are_booked_once() -> None:
    story = given(accepted(), filled("a", 4, 4, 6), filled("b", 2, 2, 8), filled("b2", 2, 2, 8))
    story.when(busted("a", 0, 10)).then(PARTIAL_FILLED, 2)


def test_what_is_open_is_no_more_than_what_the_explaining_answer_says() -> None:
    """The fill it booked told what was open before another bust, which opened nothing: 5 would have been worked."""
    story = given(accepted(), filled("b", 5, 5, 5), filled("a", 5, 5, 5), busted("b", 0, 5))
    story.when(reported(PART, 5, 0, asked=6))
    story.then(PARTIAL_FILLED, 5, leaves=0, judged=[("a", None, True)])


@pytest.mark.parametrize(("asked", "alerts"), [(5, []), (6, ["count_below_fills"])])
def test_an_ended_order_that_is_booked_beyond_the_newest_answer_is_told_of(
    asked: int, alerts: list[str]
) -> None:
    """The bust of the first was lost; the count was right already, and nothing said that more was booked."""
    story = given(accepted(), canceled(0), filled("a", 3, 3, 0), filled("b", 5, 5, 0)).then(CANCELED, 8)
    story.when(reported(ReportedStatus.CANCELED, 5, 0, asked=asked)).then(CANCELED, 8, total=5, alerts=alerts)


@pytest.mark.parametrize("again", [5, 6])
def test_an_answer_from_before_a_bust_that_comes_twice_books_nothing(again: int) -> None:
    """One fill under two ids, taken back; what was asked before that was answered before it."""
    story = given(accepted(), filled("a", 5, 5, 5), filled("a2", 5, 5, 5), query(), busted("a", 0, 10))
    story.when(reported(PART, 5, 5, asked=5)).then(SUBMITTED, 0, queried=["gap_detected"])
    story.when(reported(PART, 5, 5, asked=again)).then(SUBMITTED, 0, judged=[])
    assert "X" in story.pipeline.questions
    story.when(reported(ReportedStatus.NEW, 0, 10, asked=9)).then(SUBMITTED, 0, total=0)
    assert not story.pipeline.questions


def test_the_newest_answer_ends_the_question_also_where_it_opens_the_gap() -> None:
    story = given(
        accepted(), filled("a", 5, 5, 5), filled("a2", 5, 5, 5), query(), reported(PART, 8, 2, asked=6)
    )
    story.then(PARTIAL_FILLED, 5, total=8)
    assert not story.pipeline.questions


def test_a_fill_whose_own_id_is_taken_back_too_is_not_missing() -> None:
    """It overtook the bust of an equal one; its own bust has the revision that is known, and was passed over."""
    fills = (filled("a", 2, 2, 8), filled("b", 2, 2, 8))
    story = given(accepted(), *fills, busted("a", 0, 10), canceled(2), busted("b", 0, 0))
    story.when(reported(ReportedStatus.CANCELED, 2, 0, asked=7)).then(CANCELED, 0, judged=[])
    story.when(reported(ReportedStatus.CANCELED, 0, 0, asked=8)).then(CANCELED, 0, total=0)


@pytest.mark.parametrize("copies", [1, 2])
def test_of_two_equal_fills_one_is_left_whichever_id_the_bust_names(copies: int) -> None:
    """The bust of the second came behind another fill of its stretch; a copy of it is no bust of that one."""
    story = given(accepted(), filled("a", 2, 2, 8), filled("b", 2, 2, 8), *[busted("b", 0, 10)] * copies)
    story.then(SUBMITTED, 0, alerts=[])
    assert "X" in story.pipeline.questions
    story.when(reported(PART, 2, 8, asked=9)).then(PARTIAL_FILLED, 2, total=2)
    assert not story.pipeline.questions
    story.when(busted("b", 0, 10)).then(PARTIAL_FILLED, 2)


def test_of_two_equal_fills_none_is_left_when_both_are_taken_back() -> None:
    """Under the second id first: a count from before the other bust explains nothing any more."""
    story = given(accepted(), filled("a", 2, 2, 8), filled("b", 2, 2, 8), busted("b", 2, 8), query())
    story.when(busted("a", 0, 10), reported(PART, 2, 8, asked=5)).then(SUBMITTED, 0)
    story.when(reported(ReportedStatus.NEW, 0, 10, asked=9)).then(SUBMITTED, 0, total=0)


def test_an_answer_under_a_cancel_that_explains_nothing_leaves_a_question() -> None:
    """The query went by the cancel's id; its answer resolved the cancel, and was of before the second bust."""
    fills = (filled("a", 3, 3, 7), filled("b", 3, 3, 7), filled("e", 2, 5, 5))
    story = given(accepted(), *fills, busted("a", 0, 10), cancel(), reported(PART, 5, 5), query())
    asked = story.seq
    story.when(busted("e", 3, 7), reported(PART, 3, 7, asked=asked)).then(filled=0, missing=3, pending=[])
    assert "X" in story.pipeline.questions
    story.when(reported(PART, 3, 7, asked=story.seq)).then(PARTIAL_FILLED, 3, total=3)
    assert not story.pipeline.questions


def test_the_end_of_an_order_answers_no_question_about_a_fill_that_may_be_missing() -> None:
    fills = (filled("a", 3, 3, 7), filled("b", 3, 3, 7), filled("e", 2, 5, 5))
    story = given(accepted(), *fills, busted("a", 0, 10), reported(PART, 5, 5), query())
    asked = story.seq
    story.when(busted("e", 3, 7), canceled(3), reported(ReportedStatus.CANCELED, 3, 0, asked=asked))
    assert "X" in story.pipeline.questions
    story.when(reported(ReportedStatus.CANCELED, 3, 0, asked=story.seq)).then(CANCELED, 3, total=3)
    assert not story.pipeline.questions


def test_nobody_asks_what_a_bust_leaves_of_an_order_of_others() -> None:
    fills = (filled("a", 2, 2, 8, own="E"), filled("b", 2, 2, 8, own="E"))
    story = given(accepted(), *fills).when(replace(busted("b", 0, 10), client_order_id="E"))
    order = story.pipeline.find("E")
    assert order is not None
    assert order.is_external
    assert order.repeats
    assert not story.pipeline.questions
