"""Degradation: what is counted, when it begins and ends, and what follows. Equal to a threshold is not beyond it."""

from decimal import Decimal

import pytest

from oms.events.decisions import (
    CancelRequested,
    DegradationEntered,
    DegradationLeft,
    EntryAccepted,
    IntentRefused,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.values import MILLISECOND, SECOND, PositionSide, Role
from tests.answers import ack, bust, cancelled, confirmed, fill, replaced
from tests.builders import CLOSE, MINUTE, NAME, OPEN, act, entry, leave, opening, settings
from tests.given import again, given, like, quote, until, wait
from tests.unit.policies.sending import RATE, RATIO, TIGHT, abandoned, asked, cycle, filled, only, said

# --- cancel/replace rate ----------------------------------------------------------------------------------------


@pytest.mark.req("OD-059", "OD-120", "OD-062")
def test_the_rate_degrades_above_five_and_not_at_five() -> None:
    """Five requests are enough to be judged here, so that it is the rate which is not above 5 : 1."""
    five = settings(degradation__min_requests=5)
    story = given(asked(4), TIGHT, entry(intent="next"), ack(Role.ENTRY), settings=five)
    story.given(wait(5), replaced(Role.ENTRY))
    assert (len(story.pipeline.traffic.requests), said(story)) == (5, [])
    story.when(wait(5)).then(
        like(ReplaceRequested, reason="cycle 2 of 3"),
        like(
            DegradationEntered,
            instrument=NAME,
            policy="degradation",
            metric=RATE,
            value=Decimal(6),
            sent=6,
            filled=Decimal(0),
            effect="reprice every 10000 ms",
        ),
    )
    assert again(story) == []


@pytest.mark.req("OD-059")
def test_a_degraded_rate_moves_the_price_every_ten_seconds() -> None:
    story = given(asked(4), TIGHT, entry(intent="next"), ack(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.given(wait(5), replaced(Role.ENTRY))
    story.when(wait(9, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, reason="cycle 3 of 3"))
    story.given(replaced(Role.ENTRY))
    story.when(wait(9, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested))


@pytest.mark.req("OD-120")
def test_executions_divide_the_rate() -> None:
    story = given(filled(100), settings=only(min_requests=1))
    made = len(story.pipeline.traffic.requests)
    assert (len(story.pipeline.traffic.executions), said(story)) == (2, [])
    requests = 10 - made
    story.given(*[asked(4)] * (requests // 4))
    rest = requests % 4
    story.given(TIGHT, entry(intent="next"), ack(Role.ENTRY))
    for _ in range(rest):
        story.given(wait(5), replaced(Role.ENTRY))
    assert (len(story.pipeline.traffic.requests), said(story)) == (10, [])  # 10 : 2
    story.when(wait(5)).then_among(like(DegradationEntered, value=Decimal("5.5"), sent=11, filled=Decimal(2)))


@pytest.mark.parametrize(("smallest", "degrades"), [(6, True), (7, False)])
@pytest.mark.req("OD-059")
def test_the_rate_needs_its_smallest_sample(smallest: int, degrades: bool) -> None:
    story = given(asked(4), asked(2), settings=only(min_requests=smallest))
    assert bool(said(story)) is degrades


@pytest.mark.parametrize(("late", "entered"), [(-1, True), (0, False)])
@pytest.mark.req("OD-059", "OD-120")
def test_a_request_counts_until_it_is_thirty_minutes_old(late: int, entered: bool) -> None:
    # The first request is made 5 s after the open; the sixth exactly 30 minutes later, or a millisecond before.
    story = given(asked(4), TIGHT, settings=only(min_requests=6))
    sixth = OPEN + 5 * SECOND + 30 * MINUTE + late * MILLISECOND
    story.given(
        until(sixth - 10 * SECOND), entry(intent="next"), ack(Role.ENTRY), wait(5), replaced(Role.ENTRY)
    )
    story.given(wait(5))
    assert story.now == sixth
    assert len(story.pipeline.traffic.requests) == 6
    assert bool(said(story)) is entered


@pytest.mark.req("OD-059", "OD-063", "OD-062")
def test_the_rate_recovers_below_three_by_time_alone_and_not_at_three() -> None:
    story = given(asked(4), asked(4), settings=only(min_requests=6))
    times = story.pipeline.traffic.requests
    assert (len(said(story)), story.pipeline.open_trades) == (1, ())
    # Three are left: 3 : 1 is not below 3 : 1.
    story.when(until(times[5] + 30 * MINUTE - MILLISECOND)).then()
    story.when(wait(0, ms=1)).then(
        like(
            DegradationLeft,
            instrument=NAME,
            metric=RATE,
            value=Decimal(2),
            sent=2,
            filled=Decimal(0),
            reason="recovered",
        )
    )
    assert story.pipeline.traffic.degraded == {}
    story.when(wait(3600)).then()
    story.when(TIGHT, entry(), ack(Role.ENTRY), wait(5)).then_among(
        like(ReplaceRequested, reason="cycle 1 of 3")
    )


@pytest.mark.req("OD-063")
def test_the_rate_recovers_at_once_when_something_is_filled() -> None:
    story = given(asked(4), TIGHT, entry(intent="next"), ack(Role.ENTRY), settings=only(min_requests=6))
    story.given(wait(5), replaced(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.when(fill(Role.ENTRY, 40)).then_none(DegradationLeft)
    story.when(fill(Role.ENTRY, 40)).then_none(DegradationLeft)  # 6 : 2 is 3 : 1.
    story.when(fill(Role.ENTRY, 10)).then_among(like(DegradationLeft, metric=RATE, sent=6, filled=Decimal(3)))


def test_a_busted_execution_does_not_count() -> None:
    story = given(asked(4), TIGHT, entry(intent="next"), ack(Role.ENTRY), settings=only(min_requests=6))
    story.given(wait(5), replaced(Role.ENTRY), fill(Role.ENTRY, 40), bust(Role.ENTRY))
    assert story.pipeline.traffic.executions == ()


@pytest.mark.req("OD-063", "I50")
def test_between_the_thresholds_nothing_flaps() -> None:
    story = given(asked(4), asked(4), settings=only(min_requests=6))
    times = story.pipeline.traffic.requests
    story.given(until(times[3] + 30 * MINUTE), TIGHT, entry(intent="next"), ack(Role.ENTRY))
    story.given(wait(10), replaced(Role.ENTRY))
    assert len(said(story)) == 1
    assert said(story, DegradationLeft) == []


# --- order/trade ratio ------------------------------------------------------------------------------------------


@pytest.mark.req("OD-060", "OD-121", "OD-062")
def test_the_ratio_degrades_above_ten_and_not_at_ten() -> None:
    """Ten orders are enough to be judged here, so that it is the ratio which is not above 10 : 1."""
    story = given(*[abandoned] * 10, settings=only(min_orders=10))
    assert (len(story.pipeline.traffic.orders), said(story)) == (10, [])
    story.when(entry(intent="next")).then_among(
        like(
            DegradationEntered,
            instrument=NAME,
            metric=RATIO,
            value=Decimal(11),
            sent=11,
            filled=Decimal(0),
            effect="one cycle, no retry",
        )
    )
    assert again(story) == []


@pytest.mark.req("OD-060", "OD-121")
def test_ten_and_a_half_orders_for_an_execution_are_too_many() -> None:
    story = given(filled(100), settings=only(min_orders=11))
    made, executions = len(story.pipeline.traffic.orders), len(story.pipeline.traffic.executions)
    assert executions == 2
    story.given(*[abandoned] * (20 - made))
    assert said(story) == []  # 20 : 2
    story.given(abandoned)
    assert [(one.metric, one.value) for one in said(story)] == [(RATIO, Decimal("10.5"))]


@pytest.mark.parametrize(("smallest", "degrades"), [(11, True), (12, False)])
@pytest.mark.req("OD-060")
def test_the_ratio_needs_its_smallest_sample(smallest: int, degrades: bool) -> None:
    story = given(*[abandoned] * 11, settings=only(min_orders=smallest))
    assert bool(said(story)) is degrades


@pytest.mark.req("OD-060")
def test_a_degraded_ratio_leaves_one_cycle() -> None:
    story = given(
        *[abandoned] * 10, TIGHT, entry(intent="next"), ack(Role.ENTRY), settings=only(min_orders=11)
    )
    story.when(wait(5)).then(like(ReplaceRequested, reason="cycle 1 of 1", price_limit="100.07"))
    story.given(replaced(Role.ENTRY))
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested, reason="no fill after the last cycle"))


@pytest.mark.req("OD-060")
def test_a_degraded_ratio_refuses_to_try_an_abandoned_entry_again() -> None:
    story = given(*[abandoned] * 11, settings=only(min_orders=11))
    story.when(entry(intent="again")).then(like(IntentRefused, code="no_retry"))
    other_side = entry(intent="short", side=PositionSide.SHORT, stop="101", zone_max="99.90")
    story.when(other_side).then_among(like(EntryAccepted))


@pytest.mark.req("OD-060")
def test_an_abandoned_entry_may_be_tried_again_at_the_next_cycle_and_after_recovery() -> None:
    story = given(*[abandoned] * 11, settings=only(min_orders=11))
    story.given(wait(1), cycle(1))
    story.when(entry(intent="again")).then_among(like(EntryAccepted))
    story = given(*[abandoned] * 11, wait(3600), settings=only(min_orders=11))
    story.when(entry(intent="again")).then_among(like(EntryAccepted))


def test_an_abandoned_entry_may_be_tried_again_while_nothing_is_degraded() -> None:
    given(abandoned).when(entry(intent="again")).then_among(like(EntryAccepted))


@pytest.mark.req("OD-060", "OD-063", "OD-062")
def test_the_ratio_recovers_below_six_and_not_at_six() -> None:
    story = given(settings=only(min_orders=11))
    for _ in range(11):
        story.given(abandoned, wait(10))
    times = story.pipeline.traffic.orders
    story.when(until(times[4] + 60 * MINUTE)).then()  # Six are left.
    story.when(until(times[5] + 60 * MINUTE - MILLISECOND)).then()
    recovered = {"sent": 5, "filled": Decimal(0), "reason": "recovered", "policy": "degradation"}
    story.when(wait(0, ms=1)).then(like(DegradationLeft, metric=RATIO, value=Decimal(5), **recovered))


@pytest.mark.parametrize(("late", "entered"), [(-1, True), (0, False)])
@pytest.mark.req("OD-060", "OD-121")
def test_an_order_counts_until_it_is_sixty_minutes_old(late: int, entered: bool) -> None:
    story = given(abandoned, *[wait(1), *[abandoned] * 9], settings=only(min_orders=11))
    story.given(until(OPEN + 60 * MINUTE + late * MILLISECOND), abandoned)
    assert len(story.pipeline.traffic.orders) == 11
    assert bool(said(story)) is entered


# --- what is not counted, and not slowed ------------------------------------------------------------------------


@pytest.mark.req("OD-059", "OD-060")
def test_requests_of_stops_are_not_counted() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed)
    before = story.pipeline.traffic
    assert len(before.orders) == 1 + len(story.trade.targets)
    story.given(quote("101.00", "101.02"))
    story.when(fill(Role.TARGET, nth=0)).then_among(like(ReplaceRequested, policy="protective_stop"))
    assert story.pipeline.traffic.requests == before.requests
    assert len(story.pipeline.traffic.executions) == 2


@pytest.mark.req("OD-059", "OD-060")
def test_requests_of_an_emergency_are_not_counted() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed)
    before = story.pipeline.traffic
    story.when(act(Act.KILL, level=3), confirmed).then_among(like(CancelRequested, policy="targets"))
    assert story.pipeline.traffic.requests == before.requests
    assert story.pipeline.traffic.orders == before.orders


@pytest.mark.req("OD-059")
def test_requests_of_a_planned_exit_are_counted() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed)
    before = len(story.pipeline.traffic.requests)
    story.given(leave(), confirmed)
    cancels = len(story.trade.targets)
    assert len(story.pipeline.traffic.requests) == before + cancels
    story.given(quote("99.90", "99.95"), wait(5))
    assert len(story.pipeline.traffic.requests) == before + cancels + 1


@pytest.mark.req("OD-059")
def test_a_planned_exit_is_slowed() -> None:
    story = given(asked(4), asked(4), settings=only(min_requests=6, cancel_replace_rate_recover="0.01"))
    story.given(entry(intent="next"), ack(Role.ENTRY), fill(Role.ENTRY), confirmed, leave(), confirmed)
    assert RATE in story.pipeline.traffic.degraded
    story.when(quote("99.90", "99.95"), wait(9, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="exit"))


@pytest.mark.req("OD-059")
def test_a_forced_exit_is_not_slowed() -> None:
    begin = CLOSE - 15 * MINUTE
    story = given(
        until(begin - 5 * MINUTE), settings=only(min_requests=6, cancel_replace_rate_recover="0.01")
    )
    story.given(asked(4), asked(4), quote("99.99", "100.01"), entry(intent="next"), ack(Role.ENTRY))
    story.given(fill(Role.ENTRY), confirmed, until(begin), confirmed)
    assert RATE in story.pipeline.traffic.degraded
    story.when(quote("99.90", "99.95"), wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="exit", reason="FORCED_CLOSE"))


@pytest.mark.req("OD-059")
def test_an_interval_that_is_longer_anyway_stays_as_it_is() -> None:
    slow = settings(
        degradation__cancel_replace_rate_recover="0.01",
        degradation__min_orders=1000,
        entry__reprice_interval_ms=12000,
    )
    story = given(TIGHT, settings=slow)
    for number in range(2):
        story.given(entry(intent=str(number)), ack(Role.ENTRY))
        for _ in range(3):
            story.given(wait(12), replaced(Role.ENTRY))
        story.given(wait(12), cancelled(Role.ENTRY))
    story.given(entry(intent="next"), ack(Role.ENTRY))
    assert RATE in story.pipeline.traffic.degraded
    story.when(wait(11, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, reason="cycle 1 of 3"))


# --- off --------------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-059", "OD-060", "OD-061")
def test_without_the_policy_nothing_is_degraded() -> None:
    off = settings(policies__enabled={"degradation": 0})
    story = given(*[asked(4)] * 12, settings=off)
    assert (said(story), story.pipeline.traffic.degraded) == ([], {})


def test_switching_the_policy_off_ends_what_it_did() -> None:
    story = given(asked(4), asked(4))
    assert RATE in story.pipeline.traffic.degraded
    off = settings(policies__enabled={"degradation": 0})
    story.given(*opening(off)[2:])
    story.given(TIGHT, entry(intent="next"), ack(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.when(wait(5)).then(like(ReplaceRequested, reason="cycle 2 of 3"))
