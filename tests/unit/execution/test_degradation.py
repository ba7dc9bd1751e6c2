"""The fill rate, and all ratios against a second count of any session."""

from decimal import Decimal

import pytest
from hypothesis import given as given_any
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oms.events.base import Event
from oms.events.broker import OrderFilled
from oms.events.decisions import (
    CancelRequested,
    DegradationEntered,
    DegradationLeft,
    EntryAccepted,
    IntentRefused,
    OrderPlaced,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.events.session import DayRolled
from oms.execution.degradation import Reading, value
from oms.values import Role
from tests.answers import ack, cancelled, confirmed, fill, rejected, triggered
from tests.builders import DAY, MINUTE, NAME, act, entry, leave, settings
from tests.given import Story, again, given, like, quote, wait
from tests.unit.policies.sending import FILLS, RATE, RATIO, abandoned, asked, cycle, filled, only, said

# --- fill rate --------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-061", "OD-062")
def test_the_fill_rate_degrades_below_thirty_percent_and_not_at_thirty() -> None:
    at_thirty = given(filled(100), filled(50), *[abandoned] * 3, settings=only(fill_rate_attempts=5))
    assert said(at_thirty) == []
    below = given(filled(100), filled(49), *[abandoned] * 3, settings=only(fill_rate_attempts=5))
    assert [(one.metric, one.value, one.sent, one.filled, one.effect) for one in said(below)] == [
        (FILLS, Decimal("0.298"), 5, Decimal("1.49"), "half size")
    ]
    assert again(below) == []


@pytest.mark.req("OD-061")
def test_four_attempts_say_nothing_of_the_fill_rate() -> None:
    story = given(*[abandoned] * 4, settings=only(fill_rate_attempts=5))
    assert said(story) == []
    story.given(abandoned)
    assert [one.value for one in said(story)] == [Decimal(0)]


@pytest.mark.req("OD-061")
def test_only_the_last_five_attempts_count() -> None:
    story = given(*[filled(100)] * 2, *[abandoned] * 4, settings=only(fill_rate_attempts=5))
    assert [(one.metric, one.value) for one in said(story)] == [(FILLS, Decimal("0.2"))]


def test_rejected_entries_and_those_of_a_close_are_no_attempts() -> None:
    story = given(settings=only(fill_rate_attempts=1))
    story.given(entry(intent="a"), rejected(Role.ENTRY))
    story.given(entry(intent="b"), ack(Role.ENTRY), leave(), cancelled(Role.ENTRY))
    assert story.pipeline.traffic.attempts == ()
    assert said(story) == []


@pytest.mark.req("OD-061")
@pytest.mark.parametrize(("wanted", "given_size"), [(100, 50), (99, 49), (2, 1)])
def test_a_bad_fill_rate_halves_the_size(wanted: int, given_size: int) -> None:
    story = given(*[abandoned] * 5, settings=only(fill_rate_attempts=5))
    story.when(entry(wanted, intent="next")).then(
        like(EntryAccepted, quantity=given_size, cap="degradation.fill_rate"),
        like(OrderPlaced, role=Role.ENTRY, quantity=given_size),
    )


@pytest.mark.req("OD-061")
def test_half_of_the_smallest_size_is_nothing() -> None:
    story = given(*[abandoned] * 5, settings=only(fill_rate_attempts=5))
    story.when(entry(1, intent="next")).then(
        like(IntentRefused, code="no_size", text="degradation.fill_rate leaves less than one lot")
    )


@pytest.mark.req("OD-061")
def test_halving_comes_after_the_caps() -> None:
    changes = only(fill_rate_attempts=5)
    story = given(*[abandoned] * 5, settings=changes)
    story.when(entry(1000, intent="next")).then_among(
        like(EntryAccepted, quantity=250, cap="risk.max_position_pct, degradation.fill_rate")
    )


@pytest.mark.req("OD-061", "OD-062")
def test_a_bad_fill_rate_observes_where_the_settings_say_so() -> None:
    story = given(*[abandoned] * 5, settings=only(fill_rate_attempts=5, fill_rate_action="observe"))
    assert [one.effect for one in said(story)] == ["observing"]
    story.when(entry(intent="next")).then(like(IntentRefused, code="observing"))
    story.when(wait(7200)).then()
    story.when(entry(intent="later")).then(like(IntentRefused, code="observing"))


@pytest.mark.req("OD-061", "OD-063", "OD-062")
def test_a_bad_fill_rate_ends_with_the_next_strategy_cycle() -> None:
    story = given(cycle(1), *[abandoned] * 5, settings=only(fill_rate_attempts=5))
    story.when(cycle(2)).then(
        like(DegradationLeft, metric=FILLS, value=Decimal(0), sent=5, reason="next strategy cycle")
    )
    story.when(entry(intent="next")).then_among(like(EntryAccepted, quantity=100, cap=""))


@pytest.mark.req("OD-061")
def test_after_a_bad_fill_rate_five_new_attempts_are_judged() -> None:
    story = given(*[abandoned] * 5, cycle(1), *[abandoned] * 4, settings=only(fill_rate_attempts=5))
    assert len(said(story)) == 1
    story.given(abandoned)
    assert len(said(story)) == 2


@pytest.mark.req("OD-062")
def test_a_bad_fill_rate_ends_with_the_day() -> None:
    story = given(*[abandoned] * 5, settings=only(fill_rate_attempts=5))
    story.when(DayRolled(trading_day=DAY)).then(
        like(
            DegradationLeft,
            instrument=NAME,
            metric=FILLS,
            value=Decimal(0),
            sent=5,
            filled=Decimal(0),
            reason="new day",
        )
    )


@pytest.mark.req("OD-062")
def test_each_metric_is_told_of_by_itself_while_another_is_degraded() -> None:
    """Entries that are moved and given up: the rate goes first, then the fills, and after eleven orders the ratio."""
    story = given(*[asked(4)] * 5, *[abandoned] * 6, settings=settings(degradation__fill_rate_attempts=5))
    assert [(one.metric, one.instrument) for one in said(story)] == [
        (RATE, NAME),
        (FILLS, NAME),
        (RATIO, NAME),
    ]
    assert set(story.pipeline.traffic.degraded) == {RATE, FILLS, RATIO}
    assert said(story, DegradationLeft) == []


# --- against a second count --------------------------------------------------------------------------------------


def recount(story: Story) -> list[tuple[str, bool]]:
    """What two thresholds and a list of times say about the same log: (metric, whether it was entered), in order."""
    requests: list[int] = []
    orders: list[int] = []
    executions: list[int] = []
    standing = {RATE: False, RATIO: False}
    found: list[tuple[str, bool]] = []
    for at, events in steps(story):
        for event in events:
            role = getattr(event, "role", None)
            if isinstance(event, ReplaceRequested | CancelRequested) and event.policy in COUNTED:
                requests.append(at)
            elif isinstance(event, OrderPlaced) and role in (Role.ENTRY, Role.TARGET):
                orders.append(at)
            elif isinstance(event, OrderFilled):
                executions.append(at)
        for metric, sent, minutes, least, warn, recover in (
            (RATE, requests, 30, 6, 5, 3),
            (RATIO, orders, 60, 11, 10, 6),
        ):
            count, divisor = (
                sum(1 for one in times if at - one < minutes * MINUTE) for times in (sent, executions)
            )
            divisor = max(1, divisor)
            if (
                not standing[metric]
                and at in (*sent, *executions)
                and count >= least
                and count > warn * divisor
            ):
                standing[metric] = True
                found.append((metric, True))
            elif standing[metric] and count < recover * divisor:
                standing[metric] = False
                found.append((metric, False))
    return found


def steps(story: Story) -> list[tuple[int, list[Event]]]:
    return [(result.account.now, [one.event for one in result.events]) for result in story.results]


COUNTED = ("entry", "targets", "kill_switch")
PACE = st.sampled_from([0, 1, 37, 300, 1100])


@given_any(st.lists(st.tuples(st.sampled_from(["gives up", "asks", "fills"]), PACE), min_size=8, max_size=18))
@hypothesis_settings(max_examples=25, deadline=None)
@pytest.mark.req("OD-059", "OD-060", "I50")
def test_any_session_degrades_as_a_second_count_says(acts: list[tuple[str, int]]) -> None:
    story = given(cycle(0), settings=only(min_requests=6, min_orders=11))
    for number, (kind, pause) in enumerate(acts, start=1):
        made = {"gives up": asked(4), "asks": asked(2), "fills": bought_and_sold}[kind]
        story.given(cycle(number), quote("99.99", "100.01"), made, wait(pause))
        if kind == "asks":
            own = story.order(Role.ENTRY).client_order_id
            story.given(act(Act.CANCEL, instrument=NAME, client_order_id=own), confirmed)
    told = [
        (one.metric, isinstance(one, DegradationEntered))
        for _, events in steps(story)
        for one in events
        if isinstance(one, DegradationEntered | DegradationLeft)
    ]
    assert told == recount(story)


def bought_and_sold(story: Story) -> None:
    """An entry filled whole and closed by its stop."""
    story.given(entry(intent=f"i{story.book.account.seq}"), ack(Role.ENTRY), fill(Role.ENTRY), confirmed)
    story.given(triggered, fill(Role.STOP, at="98.90"), confirmed)


# --- exactness ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "sent", "filled", "expected"),
    [(RATE, 16, "3", "5.3333"), (RATE, 7, "0", "7"), (FILLS, 3, "2", "0.6667"), (FILLS, 0, "0", "0")],
)
def test_a_metric_is_logged_with_four_places(metric: str, sent: int, filled: str, expected: str) -> None:
    assert value(metric, Reading(sent, Decimal(filled))) == Decimal(expected)


def test_another_strategy_retries_nothing() -> None:
    story = given(*[abandoned] * 11, settings=only(min_orders=11))
    story.when(replace(entry(intent="next"), strategy="another")).then_among(like(EntryAccepted))


def test_a_cycle_at_the_instant_of_the_abandonment_counts_as_the_next() -> None:
    story = given(*[abandoned] * 11, cycle(1), settings=only(min_orders=11))
    story.when(entry(intent="again")).then_among(like(EntryAccepted))
