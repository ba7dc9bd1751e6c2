"""A stop that was elected and does not fill, or fills in part."""

from decimal import Decimal

import pytest

from oms.events.base import Event
from oms.events.broker import ExecutionBusted
from oms.events.decisions import CancelRequested, CloseRequested, ReplaceRequested
from oms.events.operator import Act
from oms.policies.stop_fallback import levels
from oms.values import OrderType, PositionSide, Role
from tests.answers import ack, cancelled, confirmed, fill, in_position, triggered
from tests.builders import CLOSE, MINUTE, NAME, act, entry, halt, leave, settings
from tests.given import Story, again, given, like, until, wait


@pytest.mark.req("OD-022", "OD-030", "OD-025")
def test_becomes_a_market_order_after_5_seconds() -> None:
    story = given(in_position()).when(triggered)
    story.then(like(CancelRequested, policy="targets"), like(CancelRequested, policy="targets"))
    story.given(cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1))
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(
        like(CloseRequested, reason="STOP_FALLBACK", market=True),
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="STOP_FALLBACK"),
    )


def test_stays_quiet_while_the_stop_waits() -> None:
    given(in_position()).when(wait(60)).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position(), triggered, wait(5))) == []


def test_a_fill_in_time_is_enough() -> None:
    story = given(in_position(), triggered, cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1), wait(4))
    story.when(fill(Role.STOP)).then_none(CloseRequested)
    story.when(wait(60)).then()


@pytest.mark.req("OD-071", "I43", "C-15")
def test_a_partly_filled_stop_is_an_emergency() -> None:
    story = given(in_position(), triggered).when(fill(Role.STOP, 30))
    story.then_among(like(CloseRequested, reason="STOP_PARTIAL_FILL", evidence=(story.book.account.seq - 1,)))
    story.given(cancelled(Role.TARGET, 0)).when(cancelled(Role.TARGET, 1)).then(
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="STOP_PARTIAL_FILL")
    )


@pytest.mark.req("OD-067")
def test_targets_leave_when_the_stop_is_elected() -> None:
    given(in_position()).when(triggered).then_among(
        like(CancelRequested, policy="targets", reason="stop triggered"),
        like(CancelRequested, policy="targets", reason="stop triggered"),
    )


def test_a_stop_at_market_needs_no_fallback() -> None:
    market = settings(stop__type="stop_market")
    story = given(in_position(), triggered, confirmed, settings=market)
    story.when(wait(60)).then_none(CloseRequested, reason="STOP_FALLBACK")


@pytest.mark.req("I59")
def test_waits_for_the_end_of_a_halt() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed, triggered, halt())
    story.when(wait(60)).then_none(CloseRequested)


def test_a_stop_that_is_an_exit_by_a_gap_already_needs_no_fallback() -> None:
    story = given(in_position(), triggered, act(Act.KILL, level=3))
    story.when(wait(60)).then_none(CloseRequested)


def test_a_planned_exit_gives_way_to_the_fallback() -> None:
    story = given(in_position(), leave(), triggered)
    story.when(wait(5)).then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True))


def test_levels_are_those_of_stop_limits_alone() -> None:
    assert levels(given(in_position()).pipeline) == [(PositionSide.LONG, 99)]
    market = settings(stop__type="stop_market")
    assert levels(given(in_position(), settings=market).pipeline) == []


def test_the_fallback_goes_to_market_whatever_closes_by_limits() -> None:
    """A forced close by limits has the lower number."""
    story = given(in_position(), until(CLOSE - 15 * MINUTE), triggered)
    story.when(wait(5)).then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True))


def test_an_elected_stop_of_what_is_sold_needs_no_fallback() -> None:
    story = given(in_position(entry(1)), triggered, fill(Role.TARGET, nth=0))
    assert story.pipeline.open_trades, "the cancel of the stop is not answered"
    story.when(wait(6)).then_none(CloseRequested)


def test_a_fill_that_never_was_is_no_evidence() -> None:
    def busted_before(story: Story) -> Event:
        stop = story.order(Role.STOP)
        return ExecutionBusted(
            instrument=NAME, client_order_id=stop.wire_id, execution="X", revision=1, cumulative=Decimal(0)
        )

    story = given(in_position(), busted_before).when(fill(Role.STOP, 10, at="99"))
    (close,) = [one for one in story.told if isinstance(one, CloseRequested)]
    assert close.evidence == (story.order(Role.STOP).executions[-1].seq,)
