"""Flat before the close: limits from fifteen minutes before, market orders from five, then an emergency."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from oms.events.broker import CancelCause
from oms.events.decisions import (
    Alerted,
    CancelRequested,
    CloseRequested,
    EntryAccepted,
    IntentRefused,
    KillLevelRaised,
    OrderPlaced,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.events.session import SessionOpened
from oms.policies.forced_close import STUCK
from oms.values import OrderType, PositionSide, Role, Severity
from tests.answers import ack, cancelled, fill, in_position, replaced
from tests.builders import CLOSE, MINUTE, act, entry, leave, session, settings
from tests.given import again, given, like, quote, until, wait
from tests.unit.policies.test_exit import targets_gone

START = CLOSE - 15 * MINUTE
END = CLOSE - 5 * MINUTE


@pytest.mark.req("OD-088", "OD-117", "C-35")
def test_begins_with_a_limit_fifteen_minutes_before_the_close() -> None:
    story = given(in_position()).when(until(START - 1)).then()
    story.when(until(START)).then(
        like(CloseRequested, reason="FORCED_CLOSE", market=False, priority=10),
        like(CancelRequested, policy="targets"),
        like(CancelRequested, policy="targets"),
    )
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="99.99"))


def test_stays_quiet_when_flat() -> None:
    given().when(until(CLOSE)).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position(), until(START))) == []
    assert again(given(in_position(), until(END))) == []


@pytest.mark.req("OD-088", "C-19")
def test_reprices_until_the_end_of_the_window() -> None:
    story = given(in_position(), until(START), targets_gone, replaced(Role.STOP))
    for cents in range(95, 85, -1):
        story.given(quote(f"99.{cents}", "100")).when(wait(5)).then(
            like(ReplaceRequested, price_limit=f"99.{cents}")
        )
        story.given(replaced(Role.EXIT))


@pytest.mark.req("OD-019", "OD-023", "OD-118")
def test_goes_to_market_five_minutes_before_the_close() -> None:
    story = given(in_position(), until(START), targets_gone, replaced(Role.STOP), until(END - 1))
    story.when(until(END)).then_among(
        like(CloseRequested, reason="FORCED_CLOSE", market=True),
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="FORCED_CLOSE"),
    )


@pytest.mark.req("C-19")
def test_the_profile_may_go_to_market_at_once() -> None:
    story = given(in_position(), settings=settings(forced_close__mode="market"))
    story.when(until(START)).then_among(like(CloseRequested, market=True))


def test_takes_over_from_a_planned_exit() -> None:
    story = given(in_position(), until(START - 30_000_000), leave(), targets_gone, replaced(Role.STOP))
    story.when(until(START)).then_among(like(CloseRequested, reason="FORCED_CLOSE"))


def test_closes_what_is_filled_in_the_window() -> None:
    story = given(until(START - 1_000_000), entry(), ack(Role.ENTRY)).when(until(START))
    story.then(like(CancelRequested, policy="entry", reason="forced close"))
    story.when(fill(Role.ENTRY, 40)).then_among(
        like(CloseRequested, reason="FORCED_CLOSE"), like(OrderPlaced, role=Role.EXIT, quantity=40)
    )


def test_after_the_close_a_collared_limit_stands_in() -> None:
    story = given(entry(), ack(Role.ENTRY), until(CLOSE)).when(fill(Role.ENTRY, 10))
    story.then_among(like(OrderPlaced, role=Role.EXIT, order_type=OrderType.LIMIT, price_limit="99.49"))


@pytest.mark.req("OD-090")
def test_what_cannot_be_sold_is_an_emergency() -> None:
    story = given(
        in_position(), until(START), targets_gone, replaced(Role.STOP), until(END), replaced(Role.EXIT)
    )
    story.when(wait(ms=1999)).then_none(Alerted, code=STUCK)
    story.when(wait(ms=1)).then(
        like(Alerted, severity=Severity.EMERGENCY, code=STUCK, quantity=100), like(KillLevelRaised, level=1)
    )
    story.when(wait(60)).then_none(Alerted, code=STUCK)
    assert again(story) == []


@pytest.mark.req("OD-088", "OD-077")
def test_a_stop_that_was_taken_away_is_no_obstacle() -> None:
    story = given(in_position(), until(START)).when(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED))
    story.then_among(like(Alerted, code="canceled_unasked"))
    story.when(targets_gone).then_among(
        like(OrderPlaced, role=Role.EXIT, order_type=OrderType.LIMIT, quantity=100, price_limit="99.99")
    )


def test_what_cannot_be_bought_back_is_an_emergency_too() -> None:
    story = given(
        in_position(), until(START), targets_gone, replaced(Role.STOP), until(END), replaced(Role.EXIT)
    )
    story.given(fill(Role.EXIT, at="99.99"), until(CLOSE)).when(fill(Role.TARGET, 5, nth=0))
    story.then_among(like(Alerted, severity=Severity.EMERGENCY, code=STUCK, quantity=-5))


def test_an_account_that_takes_no_entries_anyway_is_stopped_no_further() -> None:
    story = given(
        in_position(), act(Act.KILL, level=1), until(START), targets_gone, replaced(Role.STOP), until(END)
    )
    story.given(replaced(Role.EXIT)).when(wait(2)).then(like(Alerted, code=STUCK))


@pytest.mark.req("OD-117", "OD-087")
def test_by_default_begins_for_entries_too_at_a_quarter_to_four_in_new_york() -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START)
    assert start.astimezone(ZoneInfo("America/New_York")).time() == time(15, 45)
    given(until(START - 1)).when(entry()).then_among(like(EntryAccepted))
    given(until(START)).when(entry()).then(like(IntentRefused, code="forced_close"))


@pytest.mark.req("OD-117", "C-35")
def test_begins_fifteen_minutes_before_an_early_close() -> None:
    early, opened = 180 * MINUTE, session()
    assert isinstance(opened, SessionOpened)
    story = given(replace(opened, close_at=CLOSE - early), in_position())
    story.when(until(START - early - 1)).then()
    story.when(until(START - early)).then_among(like(CloseRequested, reason="FORCED_CLOSE", market=False))


@pytest.mark.req("OD-117", "OD-088", "C-20")
def test_a_short_position_is_bought_back_from_the_same_time_on() -> None:
    short = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
    story = given(in_position(short)).when(until(START - 1)).then()
    story.when(until(START)).then_among(like(CloseRequested, reason="FORCED_CLOSE", market=False))
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="100.01"))
