"""Whole books list the executions of the day: what seemed to be told twice is known for a fill by its own name.

Event number n of a story has seq n: the order is the second, so the first event that is given is the third.
"""

import pytest

from oms.events.base import Event
from oms.events.broker import BrokerSnapshotReported, ReportedStatus
from oms.state.order import CANCELED, FILLED, PARTIAL_FILLED, SUBMITTED
from tests.unit.state.order_story import (
    D,
    Story,
    accepted,
    busted,
    canceled,
    change,
    corrected,
    filled,
    given,
    query,
    reported,
    unknown,
)

PART = ReportedStatus.PARTIALLY_FILLED
ALL = ("a", "b", "c", "f")


def doubted() -> Story:
    """The broker counts 2: f and b, on one stretch because a was busted between them, so that b is taken for f. That c
    was counted and busted since hides it. The answer at seq 10 books nothing."""
    story = given(
        accepted(), filled("a", 1, 1, 9), filled("f", 1, 2, 8), filled("b", 1, 2, 8), busted("a", 1, 9)
    )
    story.when(filled("c", 1, 3, 7), busted("c", 2, 8)).then(PARTIAL_FILLED, 1, total=2)
    return story.when(reported(PART, 2, 8, asked=9)).then(PARTIAL_FILLED, 1, total=2)


def books(*executions: str, complete: bool = True) -> Event:
    return BrokerSnapshotReported(asked_at_seq=9, complete=complete, executions=executions)


def test_a_fill_that_the_broker_lists_beside_another_is_booked_by_the_next_answer() -> None:
    """Books book nothing themselves (I68)."""
    story = doubted().when(books(*ALL)).then(PARTIAL_FILLED, 1, alerts=[])
    assert "X" in story.pipeline.questions
    story.when(query(), reported(PART, 2, 8, asked=12))
    story.then(PARTIAL_FILLED, 2, leaves=8, value=D(200), judged=[("b", None, True)])
    story.when(books(*ALL)).then(PARTIAL_FILLED, 2, alerts=[])
    assert not story.pipeline.questions


@pytest.mark.parametrize(
    "told",
    [books("a", "c", "f"), books("a", "b", "c"), books(), books(*ALL, complete=False)],
    ids=["not it", "not the one it was taken for", "no list", "incomplete"],
)
def test_a_second_id_that_is_not_listed_stays_one(told: Event) -> None:
    story = doubted().when(told).then(PARTIAL_FILLED, 1, alerts=[])
    assert not story.pipeline.questions
    story.when(query(), reported(PART, 2, 8, asked=12)).then(PARTIAL_FILLED, 1, total=2)


@pytest.mark.parametrize(("asked", "count"), [(8, 2), (12, 1), (12, 3), (None, 3)])
def test_an_answer_that_does_not_count_it_books_no_listed_fill(asked: int | None, count: int) -> None:
    """Neither an older one nor one by whose count something else is missing, too, or nothing."""
    story = doubted().when(books(*ALL), reported(PART, count, 10 - count, asked=asked))
    story.then(PARTIAL_FILLED, 1, judged=[])


def test_the_question_is_asked_with_all_books_until_the_fill_is_booked() -> None:
    story = doubted().when(books(*ALL), reported(PART, 1, 9, asked=12)).then(PARTIAL_FILLED, 1)
    assert not story.pipeline.questions
    story.when(reported(PART, 2, 8), books(*ALL))
    assert "X" in story.pipeline.questions


def test_a_listed_fill_is_booked_when_the_broker_does_not_know_its_order_any_more() -> None:
    """No count will come by which it could be booked."""
    story = doubted().when(books(*ALL), unknown())
    story.then(CANCELED, 2, value=D(200), judged=[("b", None, True)], repeats=(), listed=())
    story.when(books(*ALL), unknown()).then(CANCELED, 2, judged=[])
    assert not story.pipeline.questions


def test_of_an_order_that_is_not_known_any_more_the_list_is_asked_about() -> None:
    """Whatever came first: nothing is known to be missing, and only the answer says that no count will come."""
    story = doubted().when(unknown()).then(CANCELED, 1).when(books(*ALL)).then(CANCELED, 1, judged=[])
    assert "X" in story.pipeline.questions
    story.when(unknown()).then(CANCELED, 2, judged=[("b", None, True)])
    assert not story.pipeline.questions


def test_an_order_that_ends_after_the_list_is_asked_about_with_the_next_one() -> None:
    """While it worked nothing was known to be missing."""
    story = doubted().when(reported(PART, 1, 9, asked=11), books(*ALL)).then(PARTIAL_FILLED, 1, listed=("b",))
    assert not story.pipeline.questions
    story.when(canceled(), books(*ALL)).then(CANCELED, 1)
    assert "X" in story.pipeline.questions
    story.when(unknown()).then(CANCELED, 2, judged=[("b", None, True)])


@pytest.mark.parametrize("name", ["f", "b"])
def test_what_is_left_of_two_after_a_bust_is_booked_once_the_order_is_not_known_any_more(name: str) -> None:
    """The bust comes before the list or behind it, under the name that is on record or the other one."""
    for told in ((busted(name, 1, 9), books(*ALL)), (books(*ALL), busted(name, 1, 9))):
        story = doubted().when(*told).then(SUBMITTED, 0)
        story.when(unknown()).then(CANCELED, 1, value=D(100), repeats=())


def test_of_two_that_were_both_busted_none_is_booked() -> None:
    story = doubted().when(busted("f", 1, 9), busted("b", 0, 10), books(*ALL), unknown())
    story.then(CANCELED, 0, judged=[])


def test_without_a_bust_two_names_on_one_list_are_no_two_fills_yet() -> None:
    """One of them must have been taken back, or the second could not have ended where the first one did."""
    story = given(accepted(), filled("f", 1, 1, 9), filled("b", 1, 1, 9)).when(books("f", "b"), unknown())
    story.then(CANCELED, 1, judged=[]).when(busted("f", 1, 9)).then(CANCELED, 0)
    story.when(books("f", "b"), unknown()).then(CANCELED, 1, judged=[("b", None, True)])


def test_a_request_that_is_asked_about_needs_no_question_beside_it() -> None:
    story = doubted().when(change(8), books(*ALL))
    assert not story.pipeline.questions
    assert story.order.listed == ("b",)


def test_a_fill_that_overtook_a_correction_and_lies_within_another_is_booked_once_it_is_listed() -> None:
    """At another price, and so nobody's second id; the correction, which comes last, counts what came after it too."""
    story = given(accepted(), filled("a", 2, 2, 8), filled("b", 1, 2, 8, price="99"), filled("c", 1, 3, 7))
    story.then(PARTIAL_FILLED, 3).when(corrected("a", 1, 3, 7, revision=2)).then(PARTIAL_FILLED, 2, total=3)
    story.when(reported(PART, 3, 7, asked=9)).then(PARTIAL_FILLED, 2)
    story.when(books("a", "b", "c"), reported(PART, 3, 7, asked=10)).then(PARTIAL_FILLED, 3, value=D(299))


def test_nothing_is_asked_while_the_count_is_explained() -> None:
    story = given(accepted(), filled("f", 1, 1, 9), filled("b", 1, 1, 9)).when(books("f", "b"))
    story.then(PARTIAL_FILLED, 1, alerts=[])
    assert not story.pipeline.questions


def within_another() -> Story:
    """b lies within a at another price; the broker counts a as 1, b and c, and lists them."""
    story = given(accepted(), filled("a", 2, 2, 8), filled("b", 1, 2, 8, price="99"), filled("c", 1, 3, 7))
    story.when(corrected("a", 1, 3, 7, revision=2), reported(PART, 3, 7, asked=8)).then(PARTIAL_FILLED, 2)
    return story.when(books("a", "b", "c")).then(PARTIAL_FILLED, 2, listed=("b",))


@pytest.mark.parametrize(
    ("told", "filled_", "count"),
    [
        (filled("b", 1, 2, 8, price="99"), 3, 4),
        (filled("b", 1, price="99"), 3, 4),
        (busted("b", 2, 8), 2, 3),
        (corrected("b", 2, 4, 6), 4, 5),
    ],
    ids=["told again", "without totals", "busted", "corrected"],
)
def test_a_listed_fill_that_is_on_record_is_not_booked_again(told: Event, filled_: int, count: int) -> None:
    """The answer counts one more, whose report is still on its way."""
    story = within_another().when(told).then(PARTIAL_FILLED, filled_, repeats=())
    story.when(reported(PART, count, 10 - count, asked=99)).then(PARTIAL_FILLED, filled_, judged=[])
    story.when(filled("g", 1, count, 10 - count)).then(PARTIAL_FILLED, count)


def test_a_list_that_calls_the_others_by_names_we_do_not_know_tells_nothing() -> None:
    """f may be in it as b, and what the broker counts beside it may be lost."""
    story = given(accepted(), filled("f", 1, 1, 9), filled("b", 1, 1, 9, price="99"), reported(PART, 2, 8))
    story.when(books("b"), reported(PART, 2, 8, asked=6)).then(PARTIAL_FILLED, 1)
    story.when(filled("g", 1, 2, 8)).then(PARTIAL_FILLED, 2)


def test_the_newest_list_stands() -> None:
    story = doubted().when(books(*ALL)).then(listed=("b",)).when(books("a", "c", "f")).then(listed=())
    story.when(reported(PART, 2, 8, asked=13)).then(PARTIAL_FILLED, 1)


@pytest.mark.parametrize("also", [filled("g", 1, 2, 8), filled("g", 1), corrected("g", 1, 2, 8)])
def test_a_list_says_nothing_of_what_comes_on_record_after_it(also: Event) -> None:
    """g may be b by another name."""
    story = doubted().when(books(*ALL), also).then(PARTIAL_FILLED, 2, listed=())
    story.when(reported(PART, 3, 7, asked=99)).then(PARTIAL_FILLED, 2, judged=[])


def test_a_fill_whose_price_was_corrected_as_that_of_another_is_never_booked_beside_it() -> None:
    """The correction stands with f; a bust of f at that revision would be taken for known."""
    story = (
        doubted()
        .when(books(*ALL), corrected("b", 1, 2, 8, price="101"))
        .then(PARTIAL_FILLED, 1, value=D(101))
    )
    story.when(books(*ALL), reported(PART, 2, 8, asked=99)).then(PARTIAL_FILLED, 1, judged=[])


@pytest.mark.parametrize("name", ["told", "own"])
def test_one_execution_under_two_ids_of_which_the_books_list_one_is_gone_with_its_bust(name: str) -> None:
    """There is nothing on record beside which it could be listed."""
    story = given(accepted(), filled("told", 1, 1, 9), filled("own", 1, 1, 9), busted(name, 0, 10))
    story.when(canceled(0), books("own"), unknown()).then(CANCELED, 0, judged=[])
    assert not story.pipeline.questions


def overtaken() -> Story:
    """b overtook the bust of a, which it covers, and was taken for it."""
    return given(accepted(), filled("a", 2, 2, 8), filled("b", 2, 2, 8), busted("a", 0, 10))


def test_a_fill_that_is_corrected_while_it_is_kept_is_booked_as_it_is_then() -> None:
    """The correction is at a revision that is on record, of the bust of the other one."""
    story = overtaken().when(corrected("b", 1, 1, 9, price="101"), canceled(1))
    story.when(books("a", "b"), unknown()).then(CANCELED, 1, value=D(101))
    story = (
        overtaken().when(corrected("b", 0, 0, 10), canceled(0), books("a", "b"), unknown()).then(CANCELED, 0)
    )


def test_a_kept_fill_that_takes_the_place_of_the_other_one_is_not_booked_beside_it() -> None:
    """Its second correction is above what is on record, so that it stands there from then on."""
    story = overtaken().when(
        corrected("b", 2, 2, 8, price="101"), corrected("b", 2, 2, 8, price="102", revision=2)
    )
    story.then(PARTIAL_FILLED, 2, value=D(204))
    story.when(canceled(2), books("a", "b"), unknown()).then(CANCELED, 2, value=D(204), judged=[])


def test_a_fill_busted_before_it_was_told_may_be_one_on_record_under_another_id() -> None:
    """The first report was lost and its copy told under another id. Nobody can tell it from a fill after the bust."""
    story = given(accepted(), filled("a", 1, 1, 9), filled("poll-b", 2, 3, 7), busted("b", 1, 9))
    story.then(PARTIAL_FILLED, 3).when(filled("b", 2, 3, 7))
    story.then(PARTIAL_FILLED, 3, alerts=["fill_not_comparable"], queried=["fill_not_comparable"])
    story.when(filled("b", 2, 3, 7)).then(PARTIAL_FILLED, 3, alerts=[], queried=[])


@pytest.mark.parametrize(
    "told", [filled("b", 1, 3, 7), filled("b", 2, 4, 6), filled("b", 2, 3, 7, price="99"), filled("b", 2)]
)
def test_a_fill_busted_before_it_was_told_that_covers_something_else_is_just_gone(told: Event) -> None:
    story = given(accepted(), filled("a", 1, 1, 9), filled("poll-b", 2, 3, 7), busted("b", 1, 9))
    story.when(told).then(PARTIAL_FILLED, 3, alerts=[], queried=[])


def test_a_list_that_the_newest_count_contradicts_is_settled() -> None:
    """The broker lists both and counts one: it is not asked again with every list."""
    story = given(accepted(), filled("a", 10, 10, 0), filled("b", 10, 10, 0), books("a", "b"))
    assert "X" in story.pipeline.questions
    story.when(query(), reported(ReportedStatus.FILLED, 10, 0, asked=99)).then(
        FILLED, 10, repeats=(), listed=()
    )
    story.when(books("a", "b"))
    assert not story.pipeline.questions
