"""The exit: one at a time, over the stop, planned ones by limits, emergencies at market."""

from decimal import Decimal
from typing import Any

import pytest

from oms.commands import PlaceOrder, reduces_only
from oms.config_sections import DEFAULT_REASONS
from oms.events.broker import CancelCause, CapabilitiesDeclared, RejectCode
from oms.events.decisions import (
    Alerted,
    CancelRequested,
    CloseRequested,
    GuardArmed,
    GuardDisarmed,
    IntentRefused,
    OrderPlaced,
    PolicyNoted,
    ReplaceRequested,
    RepriceSkipped,
    TradeClosed,
)
from oms.events.operator import Act
from oms.execution.market_orders import MarketOrderRefused, terms
from oms.state.protection import Protection
from oms.values import OrderType, PositionSide, Role, Side
from tests.answers import (
    ack,
    bust,
    cancelled,
    confirmed,
    fill,
    in_position,
    refused,
    rejected,
    replaced,
    unknown,
)
from tests.builders import act, entry, leave, settings
from tests.given import Story, again, given, like, quote, silent, wait

FLAT = act(Act.FLAT)


def targets_gone(story: Story) -> None:
    """The broker confirms the cancel of every target, and nothing else."""
    for nth, own in enumerate(story.trade.targets):
        if story.pipeline.orders[own].is_live:
            story.take(cancelled(Role.TARGET, nth))


@pytest.mark.req("OD-018", "I33")
def test_targets_leave_first_then_the_stop_becomes_the_exit() -> None:
    story = given(in_position()).when(leave())
    story.then(
        like(CloseRequested, reason="strategy", market=False),
        like(CancelRequested, policy="targets"),
        like(CancelRequested, policy="targets"),
    )
    story.when(targets_gone).then(
        like(ReplaceRequested, policy="exit", order_type=OrderType.LIMIT, price_limit="99.99", quantity=100)
    )
    story.when(replaced(Role.STOP)).then(like(GuardArmed))
    assert story.order(Role.EXIT).order_type is OrderType.LIMIT
    assert story.trade.stops == ()
    assert story.protection is Protection.EXIT_IN_FLIGHT
    story.when(fill(Role.EXIT)).then_among(like(TradeClosed, reason="strategy", pnl="-1.00"))


def test_of_two_stops_the_one_that_stands_becomes_the_exit() -> None:
    """The other came back from being lost, and its cancel is not answered: waiting for it once ended in an exit that
    was placed beside the stop that stood (I58)."""
    story = given(in_position(), unknown(Role.STOP), confirmed)
    first, second = story.trade.stops
    story.given(ack(Role.STOP, 0))
    assert story.pipeline.orders[first].is_pending
    story.when(leave(), targets_gone)
    story.then_among(
        like(ReplaceRequested, policy="exit", client_order_id=second, order_type=OrderType.LIMIT)
    )
    story.then_none(OrderPlaced)


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position(), leave(), targets_gone)) == []


def test_stays_quiet_without_a_close() -> None:
    given(in_position()).when(wait(300)).then_none(OrderPlaced)


@pytest.mark.req("OD-018", "C-18", "OD-056")
def test_a_planned_exit_is_repriced_three_times_and_then_keeps_working() -> None:
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP))
    for price in ("99.90", "99.80", "99.70"):
        story.given(quote(price, "100")).when(wait(4, ms=999)).then()
        story.when(wait(0, ms=1)).then(like(ReplaceRequested, price_limit=price))
        story.given(replaced(Role.EXIT))
    story.given(quote("99.60", "100")).when(wait(60)).then()


TO_MARKET: dict[str, Any] = {
    "exit__on_exhausted": "market",
    "market_orders__allowed_reasons": [*DEFAULT_REASONS, "EXIT_EXHAUSTED"],
}


@pytest.mark.req("OD-018", "C-18")
def test_a_planned_exit_goes_to_market_after_its_last_cycle_where_the_profile_says_so() -> None:
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP), settings=settings(**TO_MARKET))
    for _ in range(3):
        story.when(wait(5)).then(like(RepriceSkipped))
    asked = story.trade.close
    assert asked is not None
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then_among(
        like(CloseRequested, reason="EXIT_EXHAUSTED", market=True, evidence=(asked.seq,)),
        like(ReplaceRequested, policy="exit", order_type=OrderType.MARKET, reason="EXIT_EXHAUSTED"),
    )
    assert again(story) == []
    story.given(replaced(Role.EXIT)).when(fill(Role.EXIT, at="99.9"))
    assert story.pipeline.open_trades == ()


def test_an_unchanged_price_sends_nothing() -> None:
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP))
    story.when(wait(5)).then(like(RepriceSkipped, reason="price unchanged"))


def test_a_look_at_its_price_does_not_make_an_exit_protect_for_longer() -> None:
    """Unfilled and unwatched it protects for `resolve_timeout` since it was last asked for something."""
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP))
    story.when(wait(5)).then(like(RepriceSkipped, reason="price unchanged"))
    story.given(silent).when(wait(4, ms=999)).then_none(Alerted)
    story.when(wait(0, ms=1)).then_among(like(RepriceSkipped), like(Alerted, code="unprotected"))


def test_targets_that_do_not_answer_are_waited_for_two_seconds() -> None:
    story = given(in_position(), FLAT)
    story.when(wait(1, ms=999)).then_none(ReplaceRequested)
    story.when(wait(0, ms=1)).then_among(like(ReplaceRequested, policy="exit", order_type=OrderType.MARKET))


def test_a_stop_with_a_change_under_way_is_waited_for() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0), FLAT, targets_gone)
    assert not story.trade.exits
    story.when(replaced(Role.STOP)).then_among(
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=70)
    )


def test_a_stop_that_does_not_answer_is_overtaken_and_then_given_up() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0), FLAT, targets_gone)
    story.when(wait(2)).then_among(
        like(Alerted, code="exit_overlap"),
        like(CancelRequested, reason="the exit works"),
        like(OrderPlaced, role=Role.EXIT, quantity=70),
    )
    story.given(ack(Role.EXIT), replaced(Role.STOP)).when(refused(Role.STOP)).then_among(
        like(CancelRequested, policy="protective_stop", reason="the exit works")
    )


def test_a_refused_take_over_becomes_a_cancel_and_an_order() -> None:
    story = given(in_position(), FLAT, targets_gone)
    story.when(refused(Role.STOP)).then(like(CancelRequested, policy="exit"))
    story.when(cancelled(Role.STOP)).then(
        like(OrderPlaced, role=Role.EXIT, order_type=OrderType.MARKET, quantity=100, reason="KILL_SWITCH")
    )


def test_the_broker_that_cannot_modify_gets_a_cancel_and_an_order() -> None:
    story = given(in_position(), capabilities=CapabilitiesDeclared(modify_stop=False))
    # The guard stands in from the close on, because a cancel is proven later than it takes effect.
    story.when(FLAT).then_among(like(GuardArmed, level="99.00"))
    story.when(targets_gone).then(like(CancelRequested, policy="exit"))
    assert story.protection is Protection.GUARDED
    story.when(cancelled(Role.STOP)).then(
        like(GuardDisarmed), like(OrderPlaced, role=Role.EXIT, order_type=OrderType.MARKET)
    )


@pytest.mark.req("OD-089", "I87")
def test_a_refused_exit_is_sent_again_ever_more_slowly_and_somebody_is_called() -> None:
    story = given(entry(), ack(Role.ENTRY), quote("98.98", "99.00"), fill(Role.ENTRY))
    story.when(rejected(Role.EXIT)).then_among(like(OrderPlaced, role=Role.EXIT))
    story.when(rejected(Role.EXIT)).then_none(OrderPlaced)
    story.when(wait(0, ms=250)).then_among(like(OrderPlaced, role=Role.EXIT))
    story.when(rejected(Role.EXIT), wait(0, ms=499)).then_none(OrderPlaced)
    story.when(wait(0, ms=1)).then_among(
        like(Alerted, code="exit_refused"), like(OrderPlaced, role=Role.EXIT, quantity=100)
    )
    for _ in range(8):
        story.given(rejected(Role.EXIT), wait(70))
    codes = [
        one.event.code for result in story.results for one in result.events if isinstance(one.event, Alerted)
    ]
    assert codes.count("exit_refused") == 1
    assert codes.count("exit_rejected") == 1


def test_an_exit_the_broker_drops_is_sent_again() -> None:
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP))
    story.when(cancelled(Role.EXIT, cause=CancelCause.EXPIRED)).then_among(like(OrderPlaced, role=Role.EXIT))


def test_a_refused_change_of_the_exit_gives_a_new_one() -> None:
    story = given(in_position(), leave(), targets_gone, replaced(Role.STOP), quote("99.9", "100"), wait(5))
    story.when(refused(Role.EXIT)).then(like(CancelRequested, reason="change refused"))
    story.when(cancelled(Role.EXIT)).then(like(OrderPlaced, role=Role.EXIT, price_limit="99.90"))


def test_a_target_that_fills_beside_the_exit_shrinks_it() -> None:
    story = given(in_position(), leave(), wait(2), replaced(Role.STOP))
    story.given(quote("100.99", "101.01"))
    story.when(fill(Role.TARGET, nth=0)).then_among(like(ReplaceRequested, policy="exit", quantity=70))


def test_an_exit_without_a_position_is_cancelled() -> None:
    story = given(in_position(entry(10)), leave(), wait(2), replaced(Role.STOP), quote("100.99", "101.01"))
    filled = [story.order(Role.TARGET, nth).quantity for nth in (0, 1)]
    story.given(fill(Role.EXIT, 10 - sum(filled)), fill(Role.TARGET, nth=0), replaced(Role.EXIT))
    story.when(fill(Role.TARGET, nth=1)).then_among(
        like(CancelRequested, policy="exit", reason="no position")
    )
    story.when(confirmed).then_among(like(TradeClosed))
    assert story.pipeline.open_trades == ()


@pytest.mark.req("I80")
def test_without_a_quote_a_planned_exit_looks_again_each_interval() -> None:
    story = given(in_position(), silent, wait(4)).given(leave())
    story.when(targets_gone).then(like(PolicyNoted, policy="exit"))
    story.when(quote("99.97", "99.99")).then()
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, price_limit="99.97"))


@pytest.mark.req("OD-072")
def test_a_close_while_the_entry_still_works_cancels_it() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed)
    story.when(leave()).then_among(like(CloseRequested), like(CancelRequested, policy="entry"))
    story.given(targets_gone, replaced(Role.STOP))
    story.when(fill(Role.ENTRY, 10)).then_among(like(ReplaceRequested, policy="exit", quantity=50))
    story.given(cancelled(Role.ENTRY), replaced(Role.EXIT)).when(fill(Role.EXIT)).then_among(
        like(TradeClosed, quantity=50)
    )


def test_a_close_before_any_fill_gives_the_entry_up() -> None:
    story = given(entry(), ack(Role.ENTRY)).when(leave())
    story.then(like(CloseRequested), like(CancelRequested, policy="entry"))
    story.when(fill(Role.ENTRY, 10)).then_among(like(OrderPlaced, role=Role.EXIT, quantity=10))


@pytest.mark.req("I26", "F2")
def test_an_overshoot_is_bought_back_at_once() -> None:
    story = given(in_position(entry(10)), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT))
    sold = story.order(Role.TARGET, 0).quantity
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(CloseRequested, reason="OVERSELL_REPAIR", market=True),
        like(OrderPlaced, role=Role.EXIT, side=Side.BUY, quantity=sold, order_type=OrderType.MARKET),
    )
    story.given(ack(Role.EXIT)).when(fill(Role.EXIT, at="101")).then_none(OrderPlaced)
    assert story.trade.held == 0
    story.given(confirmed)
    assert story.pipeline.open_trades == ()
    assert story.pipeline.position == 0


@pytest.mark.req("I26")
def test_only_what_buys_an_oversell_back_may_enlarge_the_position() -> None:
    """The close keeps its reason; what it sells later, because the oversell was none, is reduce-only again."""
    story = given(in_position(entry(10)), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT))
    story.given(fill(Role.TARGET, nth=0))
    assert [(one.side, reduces_only(one)) for one in placements(story)][-1] == (Side.BUY, False)
    story.given(ack(Role.EXIT), fill(Role.EXIT, at="101"))
    story.when(bust(Role.EXIT, nth=0)).then_among(like(OrderPlaced, role=Role.EXIT, side=Side.SELL))
    assert [(one.side, reduces_only(one)) for one in placements(story)][-1] == (Side.SELL, True)


def placements(story: Story) -> list[PlaceOrder]:
    return [one for result in story.results for one in result.commands if isinstance(one, PlaceOrder)]


def test_an_oversell_waits_for_no_operator() -> None:
    story = given(in_position(entry(10)), FLAT, wait(2), replaced(Role.STOP), fill(Role.EXIT, at="99.9"))
    story.when(fill(Role.TARGET, nth=0)).then_among(like(CloseRequested, reason="OVERSELL_REPAIR"))
    story.when(wait(5)).then_none(CloseRequested)


@pytest.mark.req("OD-029", "I57")
def test_a_market_order_needs_a_listed_reason_and_evidence() -> None:
    story = given(in_position())
    with pytest.raises(MarketOrderRefused, match="does not permit"):
        terms(story.view, story.trade, reason="strategy", evidence=(1,))
    with pytest.raises(MarketOrderRefused, match="without evidence"):
        terms(story.view, story.trade, reason="KILL_SWITCH", evidence=())


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("FORCED_CLOSE", marks=pytest.mark.req("OD-023")),
        pytest.param("KILL_SWITCH", marks=pytest.mark.req("OD-024")),
        pytest.param("STOP_FALLBACK", marks=pytest.mark.req("OD-025")),
        pytest.param("STOP_PARTIAL_FILL", marks=pytest.mark.req("OD-026")),
        pytest.param("GAP_THROUGH_STOP", marks=pytest.mark.req("OD-027")),
    ],
)
def test_a_listed_reason_with_evidence_permits_a_market_order(reason: str) -> None:
    story = given(in_position())
    assert terms(story.view, story.trade, reason=reason, evidence=(1,)) == (OrderType.MARKET, None)
    with pytest.raises(MarketOrderRefused, match="without evidence"):
        terms(story.view, story.trade, reason=reason, evidence=())
    others = settings(market_orders__allowed_reasons=[one for one in DEFAULT_REASONS if one != reason])
    story = given(in_position(), settings=others)
    assert terms(story.view, story.trade, reason=reason, evidence=(1,)) == (OrderType.LIMIT, Decimal("99.49"))


@pytest.mark.req("C-11")
def test_a_reason_the_profile_does_not_permit_gets_a_collar() -> None:
    few = settings(market_orders__allowed_reasons=["FORCED_CLOSE"])
    story = given(in_position(), settings=few).given(FLAT)
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="99.49"))
    story.given(replaced(Role.STOP), quote("99.00", "99.02"))
    story.when(wait(1)).then(like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit="98.50"))
    story.given(replaced(Role.EXIT)).when(wait(1)).then(like(RepriceSkipped))


def test_a_request_with_nothing_to_close_is_refused() -> None:
    given().when(leave()).then(like(IntentRefused, code="nothing_open"))
    given(in_position()).when(leave(strategy="another")).then(like(IntentRefused, code="nothing_open"))
    given(in_position()).when(leave(7)).then(like(IntentRefused, code="nothing_open"))


def test_a_second_request_is_refused() -> None:
    given(in_position(), leave()).when(leave()).then(like(IntentRefused, code="already_closing"))


@pytest.mark.req("I62")
def test_a_refusal_that_came_too_late_is_looked_into() -> None:
    story = given(in_position(), FLAT, targets_gone).when(refused(Role.STOP, code=RejectCode.TOO_LATE))
    story.then_among(like(Alerted, code="request_refused"), like(CancelRequested, policy="exit"))


def test_a_request_to_leave_what_is_flat_already_is_refused() -> None:
    # The stop has sold all of it; the targets' cancels are not proven yet, so the trade is still open.
    story = given(in_position(), quote("98.90", "98.92"), fill(Role.STOP, at="98.95"))
    assert story.trade.held == 0
    assert story.pipeline.open_trades
    story.when(leave()).then(like(IntentRefused, code="nothing_open"))


def test_an_exit_is_rounded_to_the_tick_toward_the_market() -> None:
    story = given(in_position(), quote("99.995", "100.015"), leave(), targets_gone)
    assert [one.price_limit for one in story.order(Role.STOP).pending] == [Decimal("99.99")]
    short = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
    story = given(in_position(short), quote("99.985", "100.005"), leave(), targets_gone)
    assert [one.price_limit for one in story.order(Role.STOP).pending] == [Decimal("100.01")]


def test_who_is_called_over_refused_exits_hears_the_newest_reason() -> None:
    story = given(entry(), ack(Role.ENTRY), quote("98.98", "99.00"), fill(Role.ENTRY))
    story.given(rejected(Role.EXIT, text="first"), rejected(Role.EXIT, text="second"), wait(1))
    story.when(rejected(Role.EXIT, text="third"), wait(1)).then_among(
        like(Alerted, code="exit_refused", text="the broker refused 3 exits: third")
    )


def test_what_the_exit_noted_of_a_trade_that_is_over_is_forgotten() -> None:
    story = given(in_position(), silent, wait(4), leave(), targets_gone)
    assert story.pipeline.notes["exit"].keys() == {"1"}
    story.given(quote("99.99", "100.01"), wait(6), confirmed, fill(Role.EXIT, at="99.99"), confirmed)
    story.given(entry(intent="2"), confirmed, fill(Role.ENTRY), confirmed, silent, wait(4))
    story.given(leave(), targets_gone)
    assert story.pipeline.notes["exit"].keys() == {"2"}


def test_an_exit_too_many_that_would_not_go_is_told_again_with_pauses() -> None:
    story = given(in_position(), FLAT, wait(2), replaced(Role.STOP), unknown(Role.EXIT))
    story.given(ack(Role.EXIT))
    assert len(story.trade.exits) == 2
    story.given(ack(Role.EXIT, 0), refused(Role.EXIT, 0), refused(Role.EXIT, 0))
    story.when(wait(0, ms=249)).then_none(CancelRequested)
    story.when(wait(0, ms=1)).then_among(like(CancelRequested, reason="not the exit"))


def test_an_overshoot_names_the_last_two_fills_as_its_evidence() -> None:
    story = given(in_position(entry(10)), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT))
    story.when(fill(Role.TARGET, nth=0))
    repair = next(one for one in story.told if isinstance(one, CloseRequested))
    seqs = sorted(one.seq for order in story.pipeline.orders.values() for one in order.executions)
    assert len(seqs) == 3
    assert repair.evidence == tuple(seqs[-2:])
