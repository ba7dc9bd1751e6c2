"""Flat before the close: limits from fifteen minutes before, market orders from five, then an emergency."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
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
from oms.events.session import DayRolled, SessionOpened
from oms.policies.forced_close import STUCK
from oms.values import OrderType, PositionSide, Role, Severity
from tests.answers import ack, cancelled, fill, in_position, replaced
from tests.builders import CLOSE, DAY, MINUTE, OPEN, PRE_OPEN, act, entry, halt, leave, session, settings
from tests.given import Input, Story, again, given, like, quote, until, wait
from tests.unit.policies.test_add_on import grown
from tests.unit.policies.test_exit import targets_gone

START = CLOSE - 15 * MINUTE
END = CLOSE - 5 * MINUTE
A_DAY = 24 * 60 * MINUTE
SHORT = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")


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


def sent(request: Any = None) -> Input:
    """A position whose market order has been sent at the end of the window and stands at the broker."""

    def tell(story: Story) -> None:
        story.given(in_position(request), until(START), targets_gone, replaced(Role.STOP), until(END))
        story.given(replaced(Role.EXIT))

    return tell


@pytest.mark.req("OD-090")
@pytest.mark.parametrize("filled", [0, 99])
@pytest.mark.parametrize("wish", [entry(), SHORT], ids=["long", "short"])
def test_what_cannot_be_sold_is_an_emergency(wish: Any, filled: int) -> None:
    """The market order has two seconds; whatever comes in before is no reason yet."""
    story = given(sent(wish), *([fill(Role.EXIT, filled, at="100.00")] if filled else []))
    story.when(wait(ms=1999), quote("99.99", "100.01")).then()
    story.when(wait(ms=1)).then(
        like(
            Alerted,
            severity=Severity.EMERGENCY,
            code="cannot_liquidate",
            quantity=100 - filled,
            trade_no=1,
            policy="forced_close",
        ),
        like(KillLevelRaised, level=1, reason="cannot_liquidate", policy="forced_close"),
    )
    story.when(wait(60), quote("99.98", "100.02")).then_none(Alerted, code=STUCK).then_none(KillLevelRaised)
    assert again(story) == []


@pytest.mark.req("OD-090")
@pytest.mark.parametrize("wish", [entry(), SHORT], ids=["long", "short"])
def test_what_is_sold_in_the_last_moment_is_no_emergency(wish: Any) -> None:
    story = given(sent(wish), wait(ms=1999), fill(Role.EXIT, at="100.00"))
    story.when(until(CLOSE), quote("99.98", "100.02")).then_none(Alerted).then_none(KillLevelRaised)
    assert story.book.account.kill_level == 0


@pytest.mark.req("OD-090")
def test_a_halt_that_lasts_into_the_close_is_an_emergency_too() -> None:
    """Nothing can be sent in it, and somebody has to know."""
    story = given(in_position(), until(START), targets_gone, halt(), until(END))
    story.when(wait(ms=1999), quote("99.99", "100.01")).then_none(Alerted).then_none(KillLevelRaised)
    story.when(wait(ms=1)).then_among(
        like(Alerted, severity=Severity.EMERGENCY, code="cannot_liquidate", quantity=100),
        like(KillLevelRaised, level=1, reason="cannot_liquidate"),
    )


@pytest.mark.req("OD-090")
@pytest.mark.parametrize("level", [0, 1])
def test_every_lot_that_is_left_is_told_of(level: int) -> None:
    killed = [act(Act.KILL, level=level)] if level else []
    story = given(grown(), *killed, until(END), wait(ms=1999)).when(wait(ms=1))
    alerts = [one for one in story.told if isinstance(one, Alerted) and one.code == "cannot_liquidate"]
    assert [(one.severity, one.trade_no, one.quantity) for one in alerts] == [
        (Severity.EMERGENCY, 1, 100),
        (Severity.EMERGENCY, 2, 50),
    ]
    raised = [one for one in story.told if isinstance(one, KillLevelRaised)]
    assert [one.level for one in raised] == ([] if level else [1])
    assert story.book.account.kill_level == 1


@pytest.mark.req("OD-090")
def test_after_what_could_not_be_sold_nothing_is_begun_not_even_on_the_next_day() -> None:
    story = given(sent(), wait(2)).when(entry(intent="next"))
    story.then(like(IntentRefused, code="killed", text="kill level 1: cannot_liquidate"))
    tomorrow = replace(session(), pre_open_at=PRE_OPEN + A_DAY, open_at=OPEN + A_DAY, close_at=CLOSE + A_DAY)
    story.given(fill(Role.EXIT, at="99.99"), DayRolled(trading_day=DAY + timedelta(days=1)), tomorrow)
    assert story.pipeline.open_trades == ()
    story.given(until(OPEN + A_DAY)).when(entry(intent="tomorrow"))
    story.then(like(IntentRefused, code="killed", text="kill level 1: cannot_liquidate"))


@pytest.mark.req("OD-088", "OD-077")
def test_a_stop_that_was_taken_away_is_no_obstacle() -> None:
    story = given(in_position(), until(START)).when(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED))
    story.then_among(like(Alerted, code="canceled_unasked"))
    story.when(targets_gone).then_among(
        like(OrderPlaced, role=Role.EXIT, order_type=OrderType.LIMIT, quantity=100, price_limit="99.99")
    )


@pytest.mark.req("OD-090")
def test_what_cannot_be_bought_back_is_an_emergency_too() -> None:
    story = given(
        in_position(), until(START), targets_gone, replaced(Role.STOP), until(END), replaced(Role.EXIT)
    )
    story.given(fill(Role.EXIT, at="99.99"), until(CLOSE)).when(fill(Role.TARGET, 5, nth=0))
    story.then_among(like(Alerted, severity=Severity.EMERGENCY, code=STUCK, quantity=-5))


@pytest.mark.req("OD-090")
@pytest.mark.parametrize("level", [1, 2])
def test_an_account_that_takes_no_entries_anyway_is_stopped_no_further(level: int) -> None:
    story = given(in_position(), act(Act.KILL, level=level), until(START), targets_gone)
    story.given(replaced(Role.STOP), until(END))
    story.given(replaced(Role.EXIT)).when(wait(2)).then(like(Alerted, code=STUCK))
    assert story.book.account.kill_level == level


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
    story = given(in_position(SHORT)).when(until(START - 1)).then()
    story.when(until(START)).then_among(like(CloseRequested, reason="FORCED_CLOSE", market=False))
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="100.01"))
