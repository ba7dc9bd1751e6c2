"""A stop that was elected and does not fill, or fills in part."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.broker import CapabilitiesDeclared, ExecutionBusted, OrderTriggered
from oms.events.decisions import CancelRequested, CloseRequested, OrderPlaced, ReplaceRequested, TradeClosed
from oms.events.operator import Act
from oms.policies.stop_fallback import levels
from oms.values import OrderType, PositionSide, Role
from tests.answers import ack, cancelled, confirmed, fill, in_position, refused, replaced, triggered
from tests.builders import CLOSE, MINUTE, NAME, act, entry, halt, leave, opening, resume, settings
from tests.given import Story, about, again, given, like, quote, until, wait
from tests.unit.policies.test_add_on import MIRROR, at, grown, held, market
from tests.unit.policies.test_exit import targets_gone


def elected(story: Story) -> tuple[int, ...]:
    """Where the log says that the stop was elected."""
    rows = [one for result in story.results for one in result.events]
    return tuple(one.seq for one in rows if isinstance(one.event, OrderTriggered))


@MIRROR
@pytest.mark.req("OD-022", "OD-030", "OD-025")
def test_becomes_a_market_order_after_5_seconds(side: PositionSide) -> None:
    """Counted from the election, however long the stop has rested, and whatever else is reported meanwhile."""
    story = given(held(side), wait(60)).when(triggered)
    story.then(like(CancelRequested, policy="targets"), like(CancelRequested, policy="targets"))
    story.given(cancelled(Role.TARGET, 0), cancelled(Role.TARGET, 1))
    story.when(wait(4, ms=999), market(side, "-1.20")).then()
    why: dict[str, Any] = {"reason": "STOP_FALLBACK", "evidence": elected(story)}
    story.when(wait(0, ms=1)).then(
        like(CloseRequested, market=True, policy="stop_fallback", **why),
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, price_limit=None, **why),
    )
    story.given(replaced(Role.STOP)).when(fill(Role.EXIT, at=at(side, "-1.20")))
    story.then_among(like(TradeClosed, quantity=100, reason="STOP_FALLBACK"))


@MIRROR
@pytest.mark.req("OD-030", "OD-025")
def test_what_takes_its_place_sells_no_more_than_is_held(side: PositionSide) -> None:
    story = given(held(side), market(side, "1"), fill(Role.TARGET, nth=0), confirmed, triggered, targets_gone)
    story.when(wait(5)).then(
        like(CloseRequested, reason="STOP_FALLBACK", market=True),
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=70, reason="STOP_FALLBACK"),
    )


@MIRROR
@pytest.mark.req("OD-030", "OD-025")
@pytest.mark.parametrize(
    ("modifies", "mode"), [(False, "modify"), (True, "cancel_then_place")], ids=["broker", "setting"]
)
def test_where_it_cannot_be_changed_it_is_cancelled_and_a_market_order_follows(
    side: PositionSide, modifies: bool, mode: str
) -> None:
    story = given(
        held(side),
        triggered,
        targets_gone,
        capabilities=CapabilitiesDeclared(modify_stop=modifies),
        settings=settings(stop__replace_mode=mode),
    )
    stop, why = story.order(Role.STOP).client_order_id, elected(story)
    story.when(wait(5)).then_none(OrderPlaced).then_none(ReplaceRequested).then_among(
        like(CloseRequested, reason="STOP_FALLBACK", market=True),
        like(CancelRequested, policy="exit", client_order_id=stop, reason="STOP_FALLBACK"),
    )
    exit_order = like(
        OrderPlaced,
        role=Role.EXIT,
        order_type=OrderType.MARKET,
        quantity=100,
        reason="STOP_FALLBACK",
        evidence=why,
    )
    story.when(cancelled(Role.STOP)).then_among(exit_order)


@MIRROR
@pytest.mark.req("OD-030")
def test_the_stop_of_each_lot_has_its_own_five_seconds(side: PositionSide) -> None:
    story = given(grown(side), about(1), triggered, targets_gone, wait(1), about(2), triggered, targets_gone)
    story.when(wait(4)).then(
        like(CloseRequested, trade_no=1, reason="STOP_FALLBACK", market=True),
        like(ReplaceRequested, trade_no=1, order_type=OrderType.MARKET, quantity=100),
    )
    story.when(wait(1)).then(
        like(CloseRequested, trade_no=2, reason="STOP_FALLBACK", market=True),
        like(ReplaceRequested, trade_no=2, order_type=OrderType.MARKET, quantity=50),
    )
    story = given(grown(side), about(1), triggered, targets_gone, about(2), triggered, targets_gone)
    story.when(wait(5)).then_among(
        like(CloseRequested, trade_no=1, reason="STOP_FALLBACK", market=True),
        like(CloseRequested, trade_no=2, reason="STOP_FALLBACK", market=True),
    )


@pytest.mark.req("OD-030", "OD-116")
@pytest.mark.parametrize("ms", [100, 4999, 5001, 12_000])
def test_waits_as_long_as_the_settings_of_the_trade_say(ms: int) -> None:
    """What is activated afterwards is for later trades."""
    story = given(in_position(), settings=settings(stop__fallback_ms=ms))
    story.given(*opening(settings(stop__fallback_ms=7000))[2:], triggered, targets_gone)
    story.when(wait(ms=ms - 1), quote("98.80", "98.82")).then()
    story.when(wait(ms=1)).then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True))


@MIRROR
@pytest.mark.req("OD-030", "OD-025")
def test_stays_quiet_while_the_stop_waits(side: PositionSide) -> None:
    given(held(side)).when(wait(60), market(side, "-0.99")).then()


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position(), triggered, wait(5))) == []


@pytest.mark.req("OD-030")
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


@pytest.mark.req("OD-025")
def test_a_stop_at_market_needs_no_fallback() -> None:
    market = settings(stop__type="stop_market")
    story = given(in_position(), triggered, confirmed, settings=market)
    story.when(wait(60), quote("98.80", "98.82")).then_none(CloseRequested, reason="STOP_FALLBACK")


@pytest.mark.req("I59", "OD-030")
def test_waits_for_the_end_of_a_halt() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed, triggered, halt())
    story.when(wait(60)).then_none(CloseRequested)
    story.when(resume(), quote("98.80", "98.82")).then_among(like(CloseRequested, market=True))


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


@pytest.mark.req("OD-025")
def test_an_elected_stop_of_what_is_sold_needs_no_fallback() -> None:
    story = given(in_position(entry(1)), triggered, fill(Role.TARGET, nth=0))
    assert story.pipeline.open_trades, "the cancel of the stop is not answered"
    story.when(wait(6), quote("98.80", "98.82")).then_none(CloseRequested)


@pytest.mark.req("OD-071")
def test_a_fill_that_never_was_is_no_evidence() -> None:
    def busted_before(story: Story) -> Event:
        stop = story.order(Role.STOP)
        return ExecutionBusted(
            instrument=NAME, client_order_id=stop.wire_id, execution="X", revision=1, cumulative=Decimal(0)
        )

    story = given(in_position(), busted_before).when(fill(Role.STOP, 10, at="99"))
    (close,) = [one for one in story.told if isinstance(one, CloseRequested)]
    assert close.evidence == (story.order(Role.STOP).executions[-1].seq,)


@MIRROR
@pytest.mark.req("OD-071", "C-15")
@pytest.mark.parametrize("elected", [True, False])
@pytest.mark.parametrize("sold", [1, 99])
def test_a_stop_filled_in_part_closes_all_at_market_in_that_step(
    side: PositionSide, sold: int, elected: bool
) -> None:
    """Nothing is waited for but the targets, and what is sold is what was held."""
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(in_position(wish), *([triggered] if elected else [])).when(fill(Role.STOP, sold))
    story.then_among(like(CloseRequested, reason="STOP_PARTIAL_FILL", market=True, policy="stop_fallback"))
    assert [bool(one.pending) for one in story.pipeline.live(story.trade.targets)] == [True, True]
    story.when(targets_gone).then(
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="STOP_PARTIAL_FILL")
    )
    story.given(replaced(Role.STOP)).when(fill(Role.EXIT, at=at(side, "-1.20")))
    story.then_among(like(TradeClosed, quantity=100, reason="STOP_PARTIAL_FILL"))
    assert (story.pipeline.position, story.pipeline.open_trades) == (0, ())


@pytest.mark.req("OD-071", "C-15")
def test_a_target_that_fills_meanwhile_is_cut_from_the_emergency() -> None:
    story = given(in_position(), triggered, fill(Role.STOP, 30), fill(Role.TARGET, 10, nth=0))
    story.when(targets_gone).then(like(ReplaceRequested, order_type=OrderType.MARKET, quantity=90))
    story.given(replaced(Role.STOP))
    assert story.order(Role.EXIT).leaves == story.trade.held == 60


@pytest.mark.req("OD-071")
def test_targets_that_do_not_answer_hold_the_emergency_up_for_two_seconds() -> None:
    story = given(in_position(), triggered, fill(Role.STOP, 30)).when(wait(1, ms=999))
    story.then_none(ReplaceRequested)
    story.when(wait(0, ms=1)).then_among(like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100))


@pytest.mark.req("OD-071")
def test_the_rest_of_a_stop_that_ended_half_filled_goes_to_market_as_an_exit() -> None:
    story = given(in_position(), triggered, fill(Role.STOP, 30), cancelled(Role.STOP))
    story.when(targets_gone).then_among(
        like(
            OrderPlaced, role=Role.EXIT, order_type=OrderType.MARKET, quantity=70, reason="STOP_PARTIAL_FILL"
        )
    )


@pytest.mark.req("OD-071")
@pytest.mark.parametrize("before", [leave(), until(CLOSE - 15 * MINUTE)])
def test_a_close_by_limits_gives_way_to_the_emergency(before: Any) -> None:
    story = given(in_position(), before).when(fill(Role.STOP, 30))
    story.then_among(like(CloseRequested, reason="STOP_PARTIAL_FILL", market=True))


@pytest.mark.req("OD-071", "I59")
def test_in_a_halt_the_targets_leave_and_the_rest_follows_when_it_ends() -> None:
    story = given(in_position(), halt()).when(fill(Role.STOP, 30))
    leaving = like(CancelRequested, policy="targets", reason="stop triggered")
    story.then_among(leaving, leaving).then_none(CloseRequested)
    story.given(targets_gone).when(resume(), quote("98.90", "98.92")).then_among(
        like(CloseRequested, reason="STOP_PARTIAL_FILL", market=True),
        like(ReplaceRequested, order_type=OrderType.MARKET, quantity=100, reason="STOP_PARTIAL_FILL"),
    )


@pytest.mark.req("OD-071")
def test_a_target_that_refuses_to_leave_is_told_again_after_the_stop_has_ended() -> None:
    story = given(in_position(), triggered, fill(Role.STOP, 30), cancelled(Role.STOP))
    story.when(refused(Role.TARGET, 0), wait(1)).then_among(
        like(CancelRequested, policy="targets", reason="STOP_PARTIAL_FILL")
    )
