"""What follows when protection cannot be had."""

import pytest

from oms.events.decisions import (
    AlertCleared,
    Alerted,
    CloseRequested,
    KillLevelRaised,
    OrderPlaced,
)
from oms.events.market import FeedStale
from oms.state.protection import Protection
from oms.values import OrderType, Role, Severity
from tests.answers import ack, cancelled, confirmed, fill, in_position, refused, rejected, replaced
from tests.builders import NAME, entry, leave, settings
from tests.given import Story, again, bar, given, like, quote, silent, wait


def refused_until_the_last(story: Story) -> None:
    """Three stops are refused; the fourth is on its way."""
    story.given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.TARGET, 0), ack(Role.TARGET, 1))
    story.given(rejected(Role.STOP), rejected(Role.STOP), wait(1), rejected(Role.STOP), wait(1))
    assert len(story.trade.stops) == 4


@pytest.mark.req("OD-012", "OD-076", "I44")
def test_a_rejected_stop_is_critical_at_once() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY)).when(rejected(Role.STOP, text="no"))
    story.then_among(like(Alerted, severity=Severity.CRITICAL, code="stop_rejected", text="no"))
    story.when(rejected(Role.STOP)).then_none(Alerted, code="stop_rejected")
    story.given(wait(1)).when(ack(Role.STOP)).then_among(like(AlertCleared, code="stop_rejected"))


@pytest.mark.req("OD-077", "C-33")
def test_the_fourth_rejection_ends_in_a_market_exit() -> None:
    story = given(refused_until_the_last).when(rejected(Role.STOP))
    story.then_among(like(CloseRequested, reason="PROTECTION_LOST", market=True))
    story.then_none(OrderPlaced, role=Role.STOP)
    assert len(next(one for one in story.told if isinstance(one, CloseRequested)).evidence) == 4
    story.when(confirmed).then_among(
        like(OrderPlaced, role=Role.EXIT, order_type=OrderType.MARKET, reason="PROTECTION_LOST")
    )


def test_a_fourth_stop_that_is_taken_ends_the_matter() -> None:
    story = given(refused_until_the_last).when(ack(Role.STOP))
    story.then_none(CloseRequested)
    assert story.protection is Protection.BROKER_STOP


def test_the_profile_may_pull_the_kill_switch() -> None:
    hard = settings(protection__on_exhausted="kill_switch")
    given(refused_until_the_last, settings=hard).when(rejected(Role.STOP)).then_among(
        like(KillLevelRaised, level=3), like(CloseRequested, reason="KILL_SWITCH")
    )


def test_stays_quiet_while_protected() -> None:
    given(in_position()).when(wait(60)).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(refused_until_the_last, rejected(Role.STOP))) == []


@pytest.mark.req("I31", "OD-042")
def test_naked_time_is_measured_when_the_feed_is_stale() -> None:
    story = given(
        entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.TARGET, 0), ack(Role.TARGET, 1), silent
    )
    story.when(wait(1, ms=500), FeedStale(instrument=NAME)).then_none(Alerted)
    story.when(wait(0, ms=500)).then_among(like(Alerted, code="unprotected"))
    story.given(wait(3)).when(ack(Role.STOP)).then_among(like(AlertCleared, code="unprotected"))
    assert story.trade.naked_us == 3_000_000


def test_ten_seconds_naked_end_in_a_market_exit() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.TARGET, 0), ack(Role.TARGET, 1))
    story.given(wait(2)).when(wait(9, ms=999)).then_none(CloseRequested)
    story.when(wait(0, ms=1)).then_among(like(CloseRequested, reason="PROTECTION_LOST"))


def test_naked_time_ends_when_the_trade_does() -> None:
    story = given(entry(10), ack(Role.ENTRY), fill(Role.ENTRY), wait(3))
    assert story.trade.naked_since is not None
    story.given(ack(Role.TARGET, 0), ack(Role.TARGET, 1), wait(10))
    story.given(confirmed).when(fill(Role.EXIT, at="99.9"), confirmed)
    assert story.trade.naked_since is None
    assert story.trade.held == 0
    assert not story.trade.alerts


def test_a_rejected_target_is_told_whichever_it_is() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY)).when(rejected(Role.TARGET, 0, text="no"))
    story.then_among(like(Alerted, severity=Severity.CRITICAL, code="target_rejected", text="no"))
    story.given(ack(Role.TARGET, 1)).when(wait(1)).then_none(AlertCleared, code="target_rejected")
    story.when(ack(Role.TARGET)).then_among(like(AlertCleared, code="target_rejected"))


def test_a_planned_exit_that_works_is_no_lost_protection() -> None:
    story = given(refused_until_the_last, leave())
    story.given(cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1), wait(2), ack(Role.EXIT))
    assert story.protection is Protection.EXIT_IN_FLIGHT
    story.when(rejected(Role.STOP)).then_none(CloseRequested)
    assert story.trade.close is not None
    assert story.trade.close.reason == "strategy"


def test_a_planned_exit_without_any_price_becomes_one_at_market_when_naked_for_too_long() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.TARGET, 0), ack(Role.TARGET, 1))
    story.given(silent, wait(4), leave())
    story.when(wait(9)).then_among(like(CloseRequested, reason="PROTECTION_LOST", market=True))


def test_an_exit_at_market_that_nobody_answers_is_lost_protection_in_the_end() -> None:
    story = given(entry(), ack(Role.ENTRY), quote("98.98", "99.00"), fill(Role.ENTRY))
    assert story.trade.close is not None
    story.when(wait(11, ms=999)).then_none(CloseRequested)
    story.when(wait(0, ms=1)).then_among(like(CloseRequested, reason="PROTECTION_LOST"))


def test_an_oversell_stays_a_repair_however_long_it_takes() -> None:
    story = given(in_position(entry(10)), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT))
    story.given(fill(Role.TARGET, nth=0))
    assert story.trade.held < 0
    story.when(wait(30)).then_none(CloseRequested)


def test_a_stop_that_may_not_grow_is_lost_protection_after_the_last_retry() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, fill(Role.ENTRY, 60))
    for _ in range(2):
        story.given(refused(Role.STOP), wait(1))
    story.when(refused(Role.STOP), wait(1)).then_none(CloseRequested)
    story.when(refused(Role.STOP)).then_among(like(CloseRequested, reason="PROTECTION_LOST"))


def test_a_stop_that_only_may_not_move_covers_the_position_still() -> None:
    story = given(in_position(), wait(120), quote("101.19", "101.21"), bar("100.9", "101.2", "101.2"))
    for _ in range(4):
        story.when(refused(Role.STOP), wait(1)).then_none(CloseRequested)
    assert story.order(Role.STOP).leaves == story.trade.held
