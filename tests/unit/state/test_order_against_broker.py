"""One order against its broker's truth: what is booked after any story of late, doubled and lost reports.

What nobody can tell apart by reports alone is left out of the stories where it would matter. A fill that overtakes the
bust of an equal one looks like that one's second id: their corrected prices may be confused, and an old status that
comes twice, unasked, may book the wrong one. What overtakes several restatements may stay unbooked, with its gap known.
A second id that comes after the bust of its fill looks like a new fill, until an answer counts less than is booked.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given as sampled
from hypothesis import settings
from hypothesis import strategies as st

from oms.events.base import Event
from oms.events.broker import ReportedStatus
from oms.state.order import Order
from oms.values import OrderStatus
from tests.unit.state.broker_story import ORDERED, Act, Broker, asked_last, told
from tests.unit.state.order_story import D, Story, placed, unsound

STATUS = {
    ReportedStatus.NEW: OrderStatus.SUBMITTED,
    ReportedStatus.PARTIALLY_FILLED: OrderStatus.PARTIAL_FILLED,
    ReportedStatus.FILLED: OrderStatus.FILLED,
    ReportedStatus.CANCELED: OrderStatus.CANCELED,
}
RESTATED = ("bust", "correct", "reprice")
EXECUTED = ("fill", "twin", *RESTATED)
PLAIN = ("fill", "fill", "fill", "ask", "cancel", *RESTATED)
ALL = (*PLAIN, "twin", "alias", "status")

once = st.integers(0, 7).map(lambda delay: (delay,))
some = st.lists(st.integers(0, 7), min_size=1, max_size=2).map(tuple)
any_or_none = st.lists(st.integers(0, 7), max_size=2).map(tuple)
MANY = settings(max_examples=400, deadline=None)


def stories(whats: Sequence[str], delays: st.SearchStrategy[tuple[int, ...]]) -> st.SearchStrategy[list[Act]]:
    act = st.builds(Act, st.sampled_from(whats), st.integers(1, 4), st.integers(0, 5), delays)
    return st.lists(act, min_size=1, max_size=10)


def folded(log: Sequence[Event]) -> tuple[Story, list[set[str]]]:
    """The story of the order, and what was alerted at each event."""
    story, alerts = Story().when(placed(ORDERED)), []
    for event in log:
        story.when(event)
        alerts.append(set(story.alerts))
        assert list(unsound(story.pipeline)) == []
    return story, alerts


def final(acts: list[Act], broker: Broker, *, again: int | None = None) -> Order:
    """The order after its whole story and the newest answer."""
    return folded(asked_last(told(acts, broker, again=again), broker))[0].order


def result(order: Order) -> tuple[object, ...]:
    return order.filled, order.value, order.status, order.total, order.leaves


def truth(broker: Broker) -> tuple[object, ...]:
    return broker.count, broker.value, STATUS[broker.status], broker.count, broker.leaves


def knows_how_it_stands(log: Sequence[Event], broker: Broker) -> Order:
    """The broker's count is believed after its newest answer; where more or less is booked, that has been told."""
    story, alerts = folded(log)
    order = story.order
    assert order.total == broker.count
    assert not story.pipeline.questions
    if order.filled == broker.count:
        assert (order.status, order.leaves) == (STATUS[broker.status], broker.leaves)
    elif order.filled < broker.count:
        assert order.missing == broker.count - order.filled
        assert any("gap_detected" in one for one in alerts)
        assert order.leaves == broker.leaves
    else:
        assert "count_below_fills" in alerts[-1]
        assert order.leaves <= broker.leaves
    return order


@pytest.mark.req("OD-001", "OD-009")
@MANY
@sampled(stories(ALL, any_or_none), st.booleans())
def test_a_story_folds_without_a_fault_and_always_the_same(acts: list[Act], reopens: bool) -> None:
    log = told(acts, Broker(reopens))
    (first, heard), (again, heard_again) = folded(log), folded(log)
    assert (first.pipeline, heard) == (again.pipeline, heard_again)
    assert min((one.quantity for one in first.order.executions), default=D(0)) >= 0


@pytest.mark.req("OD-010", "OD-013", "OD-075")
@MANY
@sampled(
    stories((*PLAIN, "status"), some) | stories((*PLAIN, "twin", "twin"), some),
    st.booleans(),
)
def test_executions_told_in_their_order_end_at_the_truth(acts: list[Act], reopens: bool) -> None:
    """Ends and answers may be late, and so may further copies of everything."""
    acts = [one._replace(delays=(0, *one.delays[1:])) if one.what in EXECUTED else one for one in acts]
    broker = Broker(reopens)
    assert result(final(acts, broker)) == truth(broker)


@pytest.mark.req("OD-010", "OD-013", "OD-075")
@MANY
@sampled(
    stories(("fill", "fill", "reprice", "cancel", "ask", "status"), some)
    | stories(("fill", "twin", "alias", "cancel", "ask", "status"), some)
)
def test_fills_in_any_order_end_at_the_truth(acts: list[Act]) -> None:
    broker = Broker()
    assert result(final(acts, broker)) == truth(broker)


@pytest.mark.req("I17", "I23")
@MANY
@sampled(stories(("fill", "fill", "fill", "bust", "correct", "cancel", "ask"), once), st.booleans())
def test_fills_that_overtake_one_restatement_end_at_the_truth(acts: list[Act], reopens: bool) -> None:
    first = next((one for one in acts if one.what in RESTATED), None)
    acts = [one._replace(delays=(0,)) if one.what == "fill" else one
            for one in acts if one is first or one.what not in RESTATED]  # fmt: skip
    broker = Broker(reopens)
    assert result(final(acts, broker)) == truth(broker)


@MANY
@sampled(stories(PLAIN, some), st.booleans())
def test_when_all_comes_at_last_never_too_much_is_booked(acts: list[Act], reopens: bool) -> None:
    """Restatements may be overtaken too, and what overtook several may stay out of the books as a known gap."""
    broker = Broker(reopens)
    order = knows_how_it_stands(asked_last(told(acts, broker), broker), broker)
    assert order.filled <= broker.count


@MANY
@sampled(stories((*PLAIN, "status"), any_or_none), st.booleans())
def test_what_is_lost_is_known_after_the_newest_answer(acts: list[Act], reopens: bool) -> None:
    broker = Broker(reopens)
    knows_how_it_stands(asked_last(told(acts, broker), broker), broker)


@MANY
@sampled(stories(ALL, any_or_none), st.booleans())
def test_what_second_ids_leave_wrong_is_known(acts: list[Act], reopens: bool) -> None:
    broker = Broker(reopens)
    knows_how_it_stands(asked_last(told(acts, broker), broker), broker)


@pytest.mark.req("OD-010", "OD-013")
@MANY
@sampled(stories((*PLAIN, "alias"), st.just(()) | once), st.booleans())
def test_every_report_twice_changes_nothing(acts: list[Act], reopens: bool) -> None:
    """A status that nobody asked for is the one report that counts for more when it is said once more."""
    assert result(final(acts, Broker(reopens), again=0)) == result(final(acts, Broker(reopens)))
