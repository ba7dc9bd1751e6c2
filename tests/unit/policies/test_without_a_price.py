"""A close at market that the profile does not permit, while there is no price to put a limit at."""

from decimal import Decimal

import pytest

from oms.events.broker import CancelCause, OrderStatusReported, ReportedStatus
from oms.events.decisions import (
    AlertCleared,
    Alerted,
    CancelRequested,
    DecisionFailed,
    GuardArmed,
    GuardDisarmed,
    OrderPlaced,
    ReplaceRequested,
    RepriceSkipped,
)
from oms.events.operator import Act
from oms.values import OrderType, Role
from tests.answers import ack, cancelled, confirmed, fill, in_position, replaced
from tests.builders import NAME, act, entry, leave, settings
from tests.given import Input, Story, given, like, quote, wait
from tests.unit.policies.test_add_on import grown
from tests.unit.policies.test_exit import targets_gone

FLAT = act(Act.FLAT)
FEW = settings(market_orders__allowed_reasons=["FORCED_CLOSE"])


def priceless(**changed: object) -> Story:
    """A position whose market has offers only, and never had a print."""
    few = settings(market_orders__allowed_reasons=["FORCED_CLOSE"], **changed) if changed else FEW
    return given(in_position(), quote(None, "100.00"), settings=few)


@pytest.mark.req("OD-029", "C-11")
@pytest.mark.parametrize("mode", ["modify", "cancel_then_place"])
def test_the_stop_stays_until_there_is_a_price(mode: str) -> None:
    story = priceless(stop__replace_mode=mode).given(FLAT, targets_gone)
    story.when(wait(1), quote(None, "100.01"), wait(30))
    for kind in (DecisionFailed, ReplaceRequested, OrderPlaced, CancelRequested):
        story.then_none(kind)
    assert story.order(Role.STOP).is_confirmed
    story.when(quote("99.00", "99.02"), wait(1))
    asked = ReplaceRequested if mode == "modify" else CancelRequested
    story.then_among(like(asked, reason="KILL_SWITCH"))


def test_an_exit_that_works_keeps_its_limit_until_there_is_a_price() -> None:
    story = given(in_position(), FLAT, targets_gone, settings=FEW)
    story.given(replaced(Role.STOP), quote(None, "99.02"))
    story.when(wait(1)).then(like(RepriceSkipped, reason="no usable quote"))
    story.when(quote(None, "99.03")).then()
    story.given(quote("99.00", "99.02")).when(wait(1)).then_among(
        like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="98.50")
    )
    story.given(replaced(Role.EXIT), fill(Role.EXIT, at="99.00"))
    assert story.trade.held == 0


def test_a_guard_that_is_armed_on_a_bad_quote_says_so_in_the_same_step() -> None:
    story = given(in_position(), quote(None, "100.00")).when(
        cancelled(Role.STOP, cause=CancelCause.UNSOLICITED)
    )
    story.then_among(like(GuardArmed), like(Alerted, code="bad_quote"))
    story.when(quote("99.98", "100.00")).then_among(like(AlertCleared, code="bad_quote"))


def test_an_exit_for_more_than_is_held_shrinks_without_a_price() -> None:
    """A target whose cancel was not proven fills late."""
    story = given(in_position(), FLAT, wait(2), settings=FEW).given(replaced(Role.STOP), quote(None, "99.02"))
    story.given(wait(1)).when(fill(Role.TARGET, 30, nth=0))
    story.then_among(like(ReplaceRequested, quantity=70, order_type=OrderType.LIMIT))


def test_a_moment_without_a_bid_delays_no_exit_that_could_not_have_left() -> None:
    """The stop is still to be proven gone."""
    story = given(
        in_position(),
        settings=settings(
            market_orders__allowed_reasons=["FORCED_CLOSE"], stop__replace_mode="cancel_then_place"
        ),
    )
    story.given(FLAT, targets_gone, quote(None, "100.00"), quote("99.98", "100.00"))
    story.when(cancelled(Role.STOP)).then_among(like(OrderPlaced, role=Role.EXIT, order_type=OrderType.LIMIT))


def test_a_planned_exit_that_found_no_quote_does_not_delay_a_permitted_market_order() -> None:
    story = given(in_position(), quote(None, "100.00"), leave(), targets_gone)
    story.when(FLAT).then_among(like(ReplaceRequested, order_type=OrderType.MARKET))


def test_two_lots_wait_side_by_side() -> None:
    """Each step is asked twice and says nothing the second time."""
    story = given(grown(), quote(None, "100.62"), FLAT, wait(2), quote(None, "100.63"), settings=FEW)
    story.when(wait(3), quote(None, "100.64"), wait(3)).then_none(OrderPlaced)


@pytest.mark.req("I31")
def test_a_stop_that_is_lost_meanwhile_is_placed_again() -> None:
    story = priceless().given(FLAT, targets_gone)
    story.when(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED))
    story.then_among(like(OrderPlaced, role=Role.STOP, quantity=100), like(GuardArmed)).then_none(
        GuardDisarmed
    )


def test_a_stop_that_was_given_up_for_the_exit_is_placed_again() -> None:
    """The bid is gone when its cancel is confirmed."""
    few = settings(market_orders__allowed_reasons=["FORCED_CLOSE"], stop__replace_mode="cancel_then_place")
    story = given(in_position(), FLAT, targets_gone, quote(None, "100.00"), settings=few)
    story.when(cancelled(Role.STOP)).then_among(like(OrderPlaced, role=Role.STOP, quantity=100))
    story.given(ack(Role.STOP)).when(quote("99.98", "100.00"), wait(1)).then_among(like(CancelRequested))


def test_the_stop_covers_what_is_bought_meanwhile() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 50), confirmed, settings=FEW)
    story.given(quote(None, "100.00"), FLAT, targets_gone, wait(1))
    story.when(fill(Role.ENTRY, 50)).then_among(
        like(ReplaceRequested, quantity=100, policy="protective_stop")
    )


def test_an_exit_at_its_own_limit_grows_without_a_price() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 50), confirmed, settings=FEW)
    story.given(FLAT, targets_gone, replaced(Role.STOP), quote(None, "100.00"))
    story.when(fill(Role.ENTRY, 50)).then_among(
        like(ReplaceRequested, quantity=100, order_type=OrderType.LIMIT)
    )


def test_an_exit_is_not_shrunk_below_what_the_broker_counts() -> None:
    """It answers that with the count, and would be asked again at once."""
    story = given(in_position(), FLAT, wait(2), settings=FEW).given(replaced(Role.STOP), quote(None, "99.02"))
    story.given(counted(60), fill(Role.TARGET, 30, nth=0), replaced(Role.EXIT))
    story.when(fill(Role.TARGET, 15, nth=1)).then_among(like(ReplaceRequested, quantity=60))


def counted(cumulative: int) -> Input:
    return lambda story: OrderStatusReported(
        instrument=NAME,
        client_order_id=story.order(Role.EXIT).wire_id,
        status=ReportedStatus.PARTIALLY_FILLED,
        cumulative=Decimal(cumulative),
        leaves=100 - Decimal(cumulative),
    )


def test_what_shrinks_a_planned_exit_leaves_the_close_at_market_to_come() -> None:
    """As soon as there is a price, whatever the interval."""
    slow = settings(market_orders__allowed_reasons=["FORCED_CLOSE"], exit__collar_reprice_ms=10_000)
    story = given(in_position(), leave(), wait(2), settings=slow).given(replaced(Role.STOP), wait(1))
    story.given(quote(None, "99.02"), FLAT, fill(Role.TARGET, 30, nth=0), replaced(Role.EXIT))
    story.when(quote("99.00", "99.02")).then_among(like(ReplaceRequested, reason="KILL_SWITCH", quantity=70))
