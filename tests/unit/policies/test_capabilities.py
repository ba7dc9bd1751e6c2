"""What the broker's own rules change: targets held inside, a stop that waits for its side, a silent election."""

import pytest

from oms.events.broker import CapabilitiesDeclared
from oms.events.decisions import (
    CancelRequested,
    CloseRequested,
    GuardArmed,
    GuardDisarmed,
    IntentRefused,
    OrderPlaced,
    PolicyNoted,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.events.strategy import ExhaustionReported
from oms.execution.tranches import levels
from oms.policies import protective_stop
from oms.state.protection import Protection
from oms.values import PositionSide, Role, TradingPhase
from tests.answers import ack, cancelled, confirmed, fill, in_position, rejected, replaced
from tests.builders import NAME, OPEN, STRATEGY, act, add, entry, settings
from tests.given import Story, again, given, like, quote, silent, until, wait
from tests.unit.policies.test_add_on import MIRROR, held, market

RESERVES = CapabilitiesDeclared(reserves_inventory=True)
ONE_SIDE = CapabilitiesDeclared(refuses_opposite_side=True)
SILENT = CapabilitiesDeclared(reports_trigger=False)
SLEEPS = CapabilitiesDeclared(stop_active_phases=(TradingPhase.REGULAR,))
AT_TARGET = quote("101.00", "101.02")


def reached() -> Story:
    """The market has reached the first target, and the stop has left room for it."""
    return given(in_position(), AT_TARGET, replaced(Role.STOP), capabilities=RESERVES)


@pytest.mark.req("OD-039", "I46")
def test_targets_are_held_inside_where_they_reserve_what_the_stop_sells() -> None:
    story = given(entry(), ack(Role.ENTRY), capabilities=RESERVES)
    story.when(fill(Role.ENTRY)).then_none(OrderPlaced, role=Role.TARGET)
    story.given(confirmed)
    assert [price for _, price in levels(story.view)] == [101, 102]
    story.when(quote("100.99", "101.01")).then()
    story.when(AT_TARGET).then(like(ReplaceRequested, policy="protective_stop", quantity=70))
    assert story.protection is Protection.BROKER_STOP
    story.when(replaced(Role.STOP)).then(
        like(GuardArmed),
        like(OrderPlaced, role=Role.TARGET, quantity=30, price_limit="101.00", rung=0),
    )
    assert story.protection is Protection.GUARDED
    assert [price for _, price in levels(story.view)] == [102]
    assert again(story) == []
    story.given(ack(Role.TARGET)).when(fill(Role.TARGET)).then_among(like(GuardDisarmed))
    assert story.order(Role.STOP).leaves == story.trade.held == 70


@pytest.mark.req("I46")
def test_a_target_that_does_not_fill_gives_its_quantity_back_after_a_while() -> None:
    story = reached().given(ack(Role.TARGET), quote("100.50", "100.52"))
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested, policy="targets", reason="back to the stop"))
    story.when(cancelled(Role.TARGET)).then(like(ReplaceRequested, policy="protective_stop", quantity=100))
    story.given(replaced(Role.STOP)).when(AT_TARGET, wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="protective_stop", quantity=70))


@pytest.mark.req("OD-047")
def test_what_a_target_has_filled_is_not_sold_again() -> None:
    story = reached().given(ack(Role.TARGET), fill(Role.TARGET, 10), replaced(Role.STOP))
    story.given(quote("100.80", "100.82"), wait(5), cancelled(Role.TARGET), replaced(Role.STOP), wait(5))
    assert story.order(Role.STOP).leaves == 90
    story.given(AT_TARGET).when(replaced(Role.STOP)).then_among(
        like(OrderPlaced, role=Role.TARGET, quantity=20)
    )


def test_a_refused_target_is_tried_again_after_a_pause() -> None:
    story = reached().given(rejected(Role.TARGET))
    story.given(replaced(Role.STOP)).when(wait(0, ms=249)).then()
    story.when(wait(0, ms=1)).then_among(like(ReplaceRequested, policy="protective_stop", quantity=70))


@pytest.mark.req("OD-049")
def test_an_exhaustion_lets_the_ladder_out_at_the_market() -> None:
    wish = ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x")
    story = given(in_position(), quote("100.50", "100.52"), capabilities=RESERVES)
    story.when(wish).then(like(ReplaceRequested, policy="protective_stop", quantity=15))
    story.when(replaced(Role.STOP)).then_among(
        like(OrderPlaced, role=Role.TARGET, quantity=30, price_limit="100.50"),
        like(OrderPlaced, role=Role.TARGET, quantity=55, price_limit="100.50"),
    )


def test_nothing_is_sold_short_where_only_what_is_held_can_be_sold() -> None:
    short = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101")
    given(capabilities=RESERVES).when(short).then(like(IntentRefused, code="no_shorts"))


@pytest.mark.req("OD-072", "I31")
def test_the_rest_of_the_entry_leaves_before_the_stop_comes() -> None:
    story = given(entry(), ack(Role.ENTRY), capabilities=ONE_SIDE)
    story.when(fill(Role.ENTRY, 40)).then_among(
        like(GuardArmed), like(CancelRequested, policy="entry", reason="the stop needs the other side")
    ).then_none(OrderPlaced)
    assert story.protection is Protection.GUARDED
    story.when(cancelled(Role.ENTRY)).then_among(like(OrderPlaced, role=Role.STOP, quantity=40))


def test_an_exit_waits_for_the_side_to_be_free() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), capabilities=ONE_SIDE)
    story.when(act(Act.KILL, level=3)).then_among(like(CloseRequested)).then_none(OrderPlaced)
    assert story.protection is Protection.GUARDED
    story.when(wait(1, ms=999)).then_none(OrderPlaced)
    story.when(wait(0, ms=1)).then_among(like(OrderPlaced, role=Role.EXIT, quantity=40))


def test_nothing_is_added_beside_a_stop_of_the_other_side() -> None:
    story = given(in_position(), quote("100.60", "100.62"), capabilities=ONE_SIDE)
    story.when(add()).then(like(IntentRefused, code="opposite_side"))


@MIRROR
@pytest.mark.req("OD-022", "OD-030", "I42")
@pytest.mark.parametrize("distance", ["-1", "-1.20"])
def test_a_market_that_stands_beyond_the_stop_counts_as_its_election(
    side: PositionSide, distance: str
) -> None:
    story = given(held(side), market(side, distance), capabilities=SILENT)
    beyond = story.pipeline.market.quote_seq
    story.when(wait(4, ms=999), market(side, distance)).then()
    story.when(wait(0, ms=1))
    (close,) = [one for one in story.told if isinstance(one, CloseRequested)]
    assert (close.reason, close.market) == ("STOP_FALLBACK", True)
    assert close.evidence == (beyond, story.pipeline.market.quote_seq)


@MIRROR
@pytest.mark.req("OD-030", "OD-025")
def test_a_market_that_comes_back_has_filled_the_stop_or_not_elected_it(side: PositionSide) -> None:
    story = given(held(side), market(side, "-1"), wait(4), capabilities=SILENT)
    story.when(market(side, "-0.99")).then(like(PolicyNoted, policy="stop_fallback", value={}))
    story.when(wait(5), market(side, "-0.99")).then()
    story.when(market(side, "-1.01")).then(like(PolicyNoted))
    beyond = story.pipeline.market.quote_seq
    story.when(wait(4, ms=999), market(side, "-1.01")).then()
    story.when(wait(0, ms=1))
    evidence = (beyond, story.pipeline.market.quote_seq)
    story.then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True, evidence=evidence))


@MIRROR
@pytest.mark.req("OD-030")
def test_a_feed_that_falls_silent_neither_ends_the_wait_nor_begins_it(side: PositionSide) -> None:
    """The quote before the silence stood beyond the stop; nobody knows where the market is meanwhile."""
    story = given(held(side), market(side, "-1.01"), silent, capabilities=SILENT)
    story.when(wait(4), act(Act.PAUSE)).then_none(PolicyNoted)
    story.when(wait(0, ms=999), market(side, "-1.01")).then()
    story.when(wait(0, ms=1)).then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True))
    story = given(held(side), market(side, "-1.01"), silent, capabilities=SILENT)
    story.when(wait(6), market(side, "-0.99")).then(like(PolicyNoted, policy="stop_fallback", value={}))
    story = given(held(side), market(side, "-0.99"), silent, wait(4), capabilities=SILENT)
    story.when(market(side, "-1.01")).then_among(like(PolicyNoted, policy="stop_fallback"))


def test_a_broker_that_reports_elections_is_believed() -> None:
    given(in_position(), quote("98.80", "98.82")).when(wait(60)).then_none(CloseRequested)


@pytest.mark.req("OD-042", "I31")
def test_a_stop_that_sleeps_is_guarded_until_the_open() -> None:
    story = Story(capabilities=SLEEPS, start=OPEN - 60_000_000)
    story.given(quote("99.99", "100.01"))
    assert story.view.stops_sleep()
    story.given(until(OPEN))
    assert not story.view.stops_sleep()


@pytest.mark.parametrize("phases", [tuple(TradingPhase), (TradingPhase.REGULAR,)])
def test_market_orders_are_sent_in_the_phases_that_take_them(phases: tuple[TradingPhase, ...]) -> None:
    capabilities = CapabilitiesDeclared(market_order_phases=phases)
    before = Story(capabilities=capabilities, start=OPEN - 60_000_000).view
    assert before.takes_market_orders() is (TradingPhase.PRE_MARKET in phases)
    assert Story(capabilities=capabilities).view.takes_market_orders()


@pytest.mark.parametrize(("capabilities", "watched"), [(SLEEPS, True), (CapabilitiesDeclared(), False)])
def test_the_open_and_the_close_are_looked_at_where_stops_sleep(
    capabilities: CapabilitiesDeclared, watched: bool
) -> None:
    view = given(in_position(), capabilities=capabilities).view
    dues = set(protective_stop.next_due(view))
    assert (view.market.open_at in dues, view.market.close_at in dues) == (watched, watched)


def test_a_position_reserved_for_a_target_as_a_whole_has_no_stop_meanwhile() -> None:
    story = given(in_position(entry(1)), capabilities=RESERVES)
    ((_, price),) = levels(story.view)
    story.when(quote(price, price + 1)).then(
        like(CancelRequested, policy="protective_stop", reason="reserved for a target")
    )
    story.when(cancelled(Role.STOP)).then_among(
        like(GuardArmed), like(OrderPlaced, role=Role.TARGET, quantity=1)
    ).then_none(OrderPlaced, role=Role.STOP)


def test_what_a_growing_stop_has_asked_for_is_not_free_for_a_target() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, capabilities=RESERVES)
    story.when(fill(Role.ENTRY)).then_among(like(ReplaceRequested, policy="protective_stop", quantity=100))
    story.when(AT_TARGET).then_none(OrderPlaced, role=Role.TARGET)


def test_a_tranche_that_was_sold_is_watched_no_more() -> None:
    story = reached().given(
        ack(Role.TARGET), fill(Role.TARGET), quote("100.50", "100.52"), confirmed, wait(60)
    )
    assert [price for _, price in levels(story.view)] == [102]


def test_a_stop_at_market_and_one_that_sleeps_are_not_watched_for_their_election() -> None:
    at_market = given(in_position(), capabilities=SILENT, settings=settings(stop__type="stop_market"))
    at_market.when(quote("98.80", "98.82")).then_none(PolicyNoted)
