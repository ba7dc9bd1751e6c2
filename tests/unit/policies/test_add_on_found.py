"""An addition without a request, at the average of closes, once the trade has earned it."""

from decimal import Decimal

import pytest

from oms.events.decisions import CancelRequested, EntryAccepted
from oms.values import PositionSide, Role
from tests.answers import ack, confirmed, fill
from tests.builders import add, settings
from tests.given import about, again, bar, given, like, quote, wait
from tests.unit.policies.test_add_on import MIRROR, at, held, market, more

FOUND = {"add_on__condition": "profit_ema", "runner__ema_length": 1, "mfe_lock__pct": 0}


@MIRROR
@pytest.mark.req("BB-021", "BB-022", "C-21")
@pytest.mark.parametrize(("distance", "found"), [("0.50", True), ("0.51", False), ("0.49", False)])
def test_profit_near_the_average_is_found_without_a_request(
    side: PositionSide, distance: str, found: bool
) -> None:
    story = given(held(side), wait(60), settings=settings(**FOUND)).given(bar("99.90", "100.10", "100.00"))
    story.when(market(side, distance))
    accepted = [one for one in story.told if isinstance(one, EntryAccepted)]
    assert [(one.ideal, one.zone_max, one.parent_trade_no) for one in accepted] == [(100, 100, 1)] * found
    assert again(story) == []


def test_stays_quiet_where_it_is_not_asked_to_look() -> None:
    story = given(held(), wait(60), bar("99.90", "100.10", "100.00"), settings=settings(runner__ema_length=1))
    story.when(quote("100.50", "100.52")).then_none(EntryAccepted)


def test_the_entry_of_an_addition_ends_when_its_trade_is_sold() -> None:
    story = given(
        held(), quote("100.60", "100.62"), more(), ack(Role.ENTRY), quote("98.99", "99.01"), about(1)
    )
    story.when(fill(Role.STOP, at="99")).then_among(
        like(CancelRequested, trade_no=2, policy="entry", reason="the trade it adds to is closing")
    )


def test_what_is_found_is_not_begun_with_nothing() -> None:
    story = given(held(quantity=1), wait(60), settings=settings(**FOUND)).given(
        bar("99.90", "100.10", "100.00")
    )
    story.when(quote("100.50", "100.52")).then_none(EntryAccepted)


def test_an_addition_that_was_found_is_numbered_and_has_the_stop_of_its_trade() -> None:
    story = given(held(), wait(60), settings=settings(**FOUND)).given(bar("99.90", "100.10", "100.00"))
    story.when(quote("100.50", "100.52"))
    (accepted,) = [one for one in story.told if isinstance(one, EntryAccepted)]
    assert accepted.intent_id == "1+1"
    assert accepted.stop == story.pipeline.trades[1].level == 99


def test_an_addition_has_the_stop_where_it_is_now() -> None:
    story = given(held(), quote("101.00", "101.02"), fill(Role.TARGET, nth=0), confirmed)
    assert story.trade.level == Decimal("100.5")
    story.when(add(ideal="101.10", zone_max="101.20")).then_among(like(EntryAccepted, stop=Decimal("100.5")))


@MIRROR
def test_an_average_between_two_ticks_is_rounded_away_from_the_market(side: PositionSide) -> None:
    chosen = settings(**{**FOUND, "runner__ema_length": 2})
    story = given(held(side), wait(60), settings=chosen).given(bar("99.90", "100.10", "100.00"))
    story.given(wait(60), bar("99.90", "100.10", at(side, "0.01"))).when(market(side, "0.50"))
    (accepted,) = [one for one in story.told if isinstance(one, EntryAccepted)]
    assert accepted.ideal == 100
