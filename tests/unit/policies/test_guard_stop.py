"""The internal stop, and the rule after a halt."""

import pytest

from oms.events.decisions import (
    AlertCleared,
    Alerted,
    CloseRequested,
    GuardArmed,
    GuardBreached,
    PolicyNoted,
)
from oms.policies.guard_stop import levels
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, fill, in_position, triggered
from tests.builders import CLOSE, MINUTE, entry, halt, resume, settings
from tests.given import again, given, like, printed, quote, silent, until, wait

FILLED = (entry(), ack(Role.ENTRY), fill(Role.ENTRY))
"""A position whose stop is not confirmed: the guard is armed at 99.00."""
BREACH = quote("98.99", "99.01")


def test_arms_a_level_for_the_quote_filter() -> None:
    assert levels(given(*FILLED).pipeline) == [(PositionSide.LONG, 99)]
    assert levels(given(in_position()).pipeline) == []


@pytest.mark.req("OD-042", "I80")
@pytest.mark.parametrize(("bid", "breached"), [("99.01", False), ("99.00", True)])
def test_equal_is_at_the_level(bid: str, breached: bool) -> None:
    story = given(*FILLED, wait(0, ms=1)).when(quote(bid, "99.02"))
    assert bool(story.told) is breached


def test_two_quotes_250_ms_apart_fire() -> None:
    story = given(*FILLED, wait(0, ms=1)).when(BREACH).then(like(GuardBreached))
    story.when(wait(0, ms=249), BREACH).then()
    story.when(wait(0, ms=1), BREACH).then_among(like(CloseRequested, reason="GUARD_STOP", market=True))


def test_two_quotes_too_close_do_not_fire_by_time_alone() -> None:
    story = given(*FILLED, wait(0, ms=1), BREACH, wait(0, ms=100), BREACH, silent)
    story.when(wait(1)).then_none(CloseRequested)


def test_second_run_yields_nothing() -> None:
    assert again(given(*FILLED, wait(0, ms=1), BREACH)) == []


def test_a_quote_inside_begins_anew() -> None:
    story = given(*FILLED, wait(0, ms=1), BREACH, wait(0, ms=100))
    story.when(quote("99.02", "99.04")).then(like(GuardArmed, reason="quote came back"))
    story.when(wait(0, ms=200), BREACH).then(like(GuardBreached))


@pytest.mark.parametrize("bad", [quote("98.99", None), quote("98.99", "98.98")])
def test_one_sided_and_crossed_quotes_never_count(bad: object) -> None:
    story = given(*FILLED, wait(0, ms=1)).when(bad)  # type: ignore[arg-type]
    story.then(like(Alerted, code="bad_quote"), like(Alerted, code="unprotected"))
    story.when(wait(0, ms=300), bad).then()  # type: ignore[arg-type]
    story.when(quote("99.99", "100.01")).then(
        like(AlertCleared, code="bad_quote"), like(AlertCleared, code="unprotected")
    )


def test_wide_quotes_are_reported_and_fire_only_after_the_fallback_time() -> None:
    wide = quote("98.00", "99.50")
    story = given(*FILLED, ack(Role.TARGET, 0), wait(0, ms=1)).when(wide)
    story.then(like(GuardBreached), like(Alerted, code="wide_spread"))
    story.when(wait(1), wide).then_none(CloseRequested)
    story.when(wait(3, ms=999)).then_none(CloseRequested, reason="GUARD_STOP")
    story.when(wait(0, ms=1)).then_among(like(CloseRequested, reason="GUARD_STOP"))


def test_after_a_wide_quote_two_narrow_ones_are_needed() -> None:
    story = given(*FILLED, wait(0, ms=1), quote("98.00", "99.50"), wait(0, ms=500))
    story.when(BREACH).then(like(PolicyNoted, policy="guard_stop"))
    story.when(wait(0, ms=250), BREACH).then_among(like(CloseRequested, reason="GUARD_STOP"))


def test_the_alert_of_a_wide_quote_ends_with_the_breach() -> None:
    story = given(*FILLED, wait(0, ms=1), quote("98.00", "99.50"))
    story.when(quote("99.50", "99.52")).then(like(GuardArmed), like(AlertCleared, code="wide_spread"))


@pytest.mark.parametrize(("price", "fires"), [("99.00", True), ("99.01", False)])
def test_a_print_through_fires_at_once(price: str, fires: bool) -> None:
    story = given(*FILLED, wait(0, ms=1)).when(printed(price))
    assert any(isinstance(one, CloseRequested) for one in story.told) is fires


def test_a_print_from_before_the_arming_does_not() -> None:
    story = given(entry(), printed("98.00"), ack(Role.ENTRY), wait(1))
    story.when(fill(Role.ENTRY), wait(1)).then_none(CloseRequested)


def test_a_confirmed_stop_takes_over() -> None:
    story = given(in_position()).when(BREACH, wait(1), BREACH)
    story.then()


def test_shorts_are_guarded_from_the_ask() -> None:
    short = entry(zone_max="99.9", stop="101", side=PositionSide.SHORT)
    story = given(short, ack(Role.ENTRY), fill(Role.ENTRY), wait(0, ms=1))
    story.when(quote("100.98", "101.00")).then(like(GuardBreached))


@pytest.mark.req("OD-032", "C-11", "I59")
@pytest.mark.parametrize(
    ("first", "exits"),
    [(printed("99.00"), True), (printed("99.01"), False), (quote("98.99", "99.05"), True), (BREACH, True)],
)
def test_after_a_halt_only_a_price_at_or_through_the_stop_exits(first: object, exits: bool) -> None:
    story = given(in_position()).when(halt(), wait(30)).then()
    story.when(silent, resume()).then()
    story.when(wait(0, ms=1), first)  # type: ignore[arg-type]
    found = [one for one in story.told if isinstance(one, CloseRequested)]
    assert bool(found) is exits
    assert all(one.reason == "POST_HALT" and len(one.evidence) == 2 for one in found)


def test_only_the_first_price_after_a_halt_counts() -> None:
    story = given(in_position(), halt(), wait(30), silent, resume(), quote("99.5", "99.6"), wait(1))
    story.when(quote("98.9", "98.95")).then()


def test_the_profile_may_leave_after_every_halt() -> None:
    always = settings(halt__exit_on_resume="always")
    story = given(in_position(), halt(), wait(30), silent, resume(), settings=always)
    story.when(quote("99.99", "100.01")).then_among(like(CloseRequested, reason="POST_HALT"))


def test_a_stop_that_was_elected_in_the_halt_exits_on_resume() -> None:
    story = given(in_position(), halt(), triggered, wait(30)).when(silent, resume())
    story.then_among(like(CloseRequested, reason="STOP_FALLBACK"))
    story = given(in_position(), halt(), wait(30), triggered, wait(1), silent, resume())
    story.when(quote("99.99", "100.01")).then_among(like(CloseRequested, reason="POST_HALT"))


def test_a_print_of_the_moment_of_the_arming_does_not() -> None:
    """The filter may have let it pass unlogged, like any before it."""
    given(*FILLED).when(printed("98.00")).then_none(CloseRequested)
    given(*FILLED, wait(0, ms=1)).when(printed("98.00")).then_among(like(CloseRequested))


def test_what_was_filled_as_the_halt_ended_was_not_held_in_it() -> None:
    always = settings(halt__exit_on_resume="always")
    story = given(entry(), ack(Role.ENTRY), silent, halt(), resume(), fill(Role.ENTRY), settings=always)
    story.when(quote("99.99", "100.01")).then_none(CloseRequested)
    story = given(
        entry(), ack(Role.ENTRY), fill(Role.ENTRY), silent, halt(), wait(1), resume(), settings=always
    )
    story.when(quote("99.99", "100.01")).then_among(like(CloseRequested, reason="POST_HALT"))


def test_the_guard_goes_to_market_whatever_closes_by_limits() -> None:
    """A forced close by limits has the lower number."""
    story = given(until(CLOSE - 15 * MINUTE - 1), *FILLED, until(CLOSE - 15 * MINUTE))
    assert story.trade.close is not None
    assert not story.trade.close.market
    story.when(printed("98.00")).then_among(like(CloseRequested, reason="GUARD_STOP", market=True))


def test_what_is_sold_is_not_closed_after_a_halt() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, quote("98.99", "99.01"))
    story.given(fill(Role.STOP, at="99"), halt(), wait(1), resume())
    assert story.pipeline.open_trades, "the rest of the entry is still leaving"
    story.when(quote("98.00", "98.02")).then_none(CloseRequested)
