"""Whole books list the executions of the day: what seemed to be told twice is known for a fill by its own name.

Event number n of a story has seq n: the order is the second, so the first event that is given is the third.
"""

import pytest

from oms.events.base import Event
from oms.events.broker import BrokerSnapshotReported, ReportedStatus
from oms.state.order import CANCELED, PARTIAL_FILLED
from tests.unit.state.order_story import (
    D,
    Story,
    accepted,
    busted,
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
    story = doubted().when(books(*ALL), unknown()).then(CANCELED, 1)
    assert not story.pipeline.questions
    story.when(books(*ALL))
    assert "X" in story.pipeline.questions


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
