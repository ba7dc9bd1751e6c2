"""The stop: placed with the fill, follows the position, never loosened; the guard stands in for it."""

from typing import Any

import pytest

from oms.events.broker import CancelCause, CapabilitiesDeclared, ReportedStatus
from oms.events.decisions import (
    AlertCleared,
    Alerted,
    CancelRequested,
    CloseRequested,
    GuardArmed,
    GuardDisarmed,
    OrderPlaced,
    QueryRequested,
    ReplaceRequested,
    SafeModeEntered,
    StopMoved,
)
from oms.state.protection import Protection
from oms.values import OrderType, PositionSide, Role, Severity, Side, TimeInForce
from tests.answers import (
    ack,
    bust,
    cancelled,
    confirmed,
    fill,
    in_position,
    received,
    refused,
    rejected,
    replaced,
    unknown,
)
from tests.builders import entry, halt, leave, monitor, resume, settings
from tests.given import again, bar, given, like, quote, silent, wait

SHORT: dict[str, Any] = {"side": PositionSide.SHORT, "zone_max": "99.90", "stop": "101.00"}


@pytest.mark.req("OD-033", "OD-035", "OD-037")
def test_is_placed_in_the_step_of_the_fill() -> None:
    given(entry(), ack(Role.ENTRY)).when(fill(Role.ENTRY)).then_among(
        like(StopMoved, level="99.00", candidate="initial"),
        like(
            OrderPlaced,
            role=Role.STOP,
            side=Side.SELL,
            quantity=100,
            order_type=OrderType.STOP_LIMIT,
            time_in_force=TimeInForce.GTC,
            price_stop="99.00",
        ),
        like(GuardArmed, level="99.00"),
    )


@pytest.mark.req("OD-021", "OD-115", "I39")
@pytest.mark.parametrize(
    ("request_", "limit"),
    [
        # 99.05 x 0.999 = 98.95095 and 101.05 x 1.001 = 101.15105: one tick more toward a fill.
        (entry(stop="99.05"), "98.95"),
        (entry(**{**SHORT, "stop": "101.05"}), "101.16"),
        (entry(), "98.90"),
        (entry(**SHORT), "101.11"),
    ],
)
def test_the_limit_lies_a_thousandth_beyond_toward_a_fill(request_: Any, limit: str) -> None:
    given(request_, ack(Role.ENTRY)).when(fill(Role.ENTRY)).then_among(
        like(OrderPlaced, role=Role.STOP, price_limit=limit)
    )


def test_second_run_yields_nothing() -> None:
    assert again(given(in_position())) == []


def test_stays_quiet_once_confirmed() -> None:
    story = given(in_position())
    assert story.protection is Protection.BROKER_STOP
    story.when(wait(60)).then()


@pytest.mark.req("OD-042", "I31")
def test_the_guard_stands_in_until_the_stop_is_confirmed() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY))
    assert story.protection is Protection.STOP_IN_FLIGHT
    story.when(ack(Role.STOP)).then(like(GuardDisarmed))
    assert story.protection is Protection.BROKER_STOP


@pytest.mark.req("OD-042", "I31")
@pytest.mark.parametrize(
    "said", [ReportedStatus.PENDING_NEW, ReportedStatus.PENDING_CANCEL, ReportedStatus.PENDING_REPLACE]
)
def test_a_stop_that_is_only_received_leaves_the_guard_armed(said: ReportedStatus) -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY)).when(received(Role.STOP, said=said)).then()
    assert story.protection is Protection.STOP_IN_FLIGHT
    story.when(wait(2.1)).then_among(like(QueryRequested), like(Alerted, code="unprotected"))
    story.when(ack(Role.STOP)).then_among(like(GuardDisarmed))
    assert story.protection is Protection.BROKER_STOP


@pytest.mark.req("OD-074", "OD-011", "I32")
def test_grows_with_the_entry() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40))
    assert story.order(Role.STOP).quantity == 40
    story.when(fill(Role.ENTRY, 30)).then_none(ReplaceRequested)
    assert story.protection is Protection.STOP_IN_FLIGHT
    story.when(ack(Role.STOP)).then(like(ReplaceRequested, quantity=70, price_stop="99.00"))
    story.when(replaced(Role.STOP)).then(like(GuardDisarmed))


@pytest.mark.req("OD-038", "OD-064", "OD-080")
def test_shrinks_with_a_target_fill() -> None:
    story = given(in_position(), quote("100.99", "101.01"))
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(ReplaceRequested, quantity=70, policy="protective_stop")
    )


@pytest.mark.req("OD-069", "OD-041")
def test_shrinks_with_a_partial_target_fill() -> None:
    story = given(in_position(), quote("100.99", "101.01"))
    story.when(fill(Role.TARGET, 10, nth=0)).then_among(like(ReplaceRequested, quantity=90))


def test_waits_for_the_answer_before_it_asks_again() -> None:
    story = given(in_position(), quote("101.99", "102.01"), fill(Role.TARGET, nth=0))
    story.when(fill(Role.TARGET, nth=1)).then_none(ReplaceRequested)
    story.when(replaced(Role.STOP)).then_among(like(ReplaceRequested, quantity=15))


@pytest.mark.req("OD-065", "C-04")
def test_moves_to_break_even_after_the_first_target() -> None:
    story = given(in_position(), settings=settings(mfe_lock__activate_r=5, trail__activate_r=5))
    story.given(quote("100.99", "101.01"))
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(StopMoved, level="100.00", candidate="breakeven"), like(ReplaceRequested, price_stop="100.00")
    )


@pytest.mark.req("OD-033", "OD-078", "OD-085")
def test_follows_the_trail_on_a_bar() -> None:
    story = given(in_position(), wait(120), quote("101.19", "101.21"))
    story.when(bar("100.90", "101.20", "101.20")).then(
        like(StopMoved, level="100.60", candidate="mfe_lock"), like(ReplaceRequested, price_stop="100.60")
    )


@pytest.mark.req("OD-079", "OD-085", "OD-086")
@pytest.mark.parametrize(
    ("request_", "blow_off", "level", "back"),
    [
        (entry(), ("101.80", "101.82"), "100.80", ("101.00", "101.02")),
        (entry(**SHORT), ("98.18", "98.20"), "99.20", ("98.98", "99.00")),
    ],
)
def test_a_critical_report_of_a_monitor_tightens_it(
    request_: Any, blow_off: tuple[str, str], level: str, back: tuple[str, str]
) -> None:
    story = given(in_position(request_), quote(*blow_off))
    story.when(monitor(Severity.WARNING)).then()
    story.when(monitor(Severity.CRITICAL)).then(
        like(StopMoved, level=level, candidate="monitor"), like(ReplaceRequested, price_stop=level)
    )
    assert again(story) == []
    story.given(confirmed, quote(*back)).when(monitor(Severity.CRITICAL), wait(60)).then()


@pytest.mark.req("OD-079", "I38")
def test_a_critical_report_after_the_fall_is_an_exit() -> None:
    story = given(in_position(), wait(120), bar("100.1", "100.9", "100.9"), quote("99.85", "99.87"))
    story.when(monitor(Severity.CRITICAL)).then_among(
        like(StopMoved, level="99.90", candidate="monitor"),
        like(CloseRequested, reason="GAP_THROUGH_STOP", market=True),
    )


@pytest.mark.req("OD-002", "OD-078")
@pytest.mark.parametrize("seconds", [60, 180])
def test_follows_the_cadence_of_the_bars_and_nothing_faster(seconds: int) -> None:
    story = given(in_position(), wait(seconds))
    quotes = [quote(f"101.{cent:02}", f"101.{cent + 2:02}") for cent in range(0, 60, 5)]
    story.when(*(item for one in quotes for item in (one, wait(0, ms=10)))).then()
    story.when(bar("101.00", "101.55", "101.50", seconds=seconds)).then(
        like(StopMoved, candidate="mfe_lock"), like(ReplaceRequested, policy="protective_stop")
    )
    # What is unanswered has its deadline; apart from that nothing is due before the next bar.
    story.given(replaced(Role.STOP)).when(wait(seconds)).then()


@pytest.mark.req("OD-086", "I36", "OM-040")
def test_is_never_loosened() -> None:
    story = given(in_position(), wait(120), quote("101.19", "101.21"), bar("100.9", "101.2", "101.2"))
    story.given(confirmed, wait(60)).when(bar("100.7", "101.1", "100.7")).then()


@pytest.mark.req("I38", "OD-031", "OD-027")
@pytest.mark.parametrize(("bid", "exits"), [("99.00", True), ("99.01", False)])
def test_a_level_at_the_market_is_an_exit(bid: str, exits: bool) -> None:
    story = given(entry(), ack(Role.ENTRY), quote(bid, "99.02")).when(fill(Role.ENTRY))
    if exits:
        story.then_among(
            like(CloseRequested, reason="GAP_THROUGH_STOP", market=True),
            like(OrderPlaced, role=Role.EXIT, order_type=OrderType.MARKET, reason="GAP_THROUGH_STOP"),
        ).then_none(OrderPlaced, role=Role.STOP)
    else:
        story.then_among(like(OrderPlaced, role=Role.STOP))


@pytest.mark.req("OD-077", "C-33", "I44")
def test_a_refused_stop_is_tried_again_at_once_and_then_with_pauses() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY))
    story.when(rejected(Role.STOP)).then_among(like(OrderPlaced, role=Role.STOP))
    story.when(rejected(Role.STOP)).then_none(OrderPlaced, role=Role.STOP)
    story.when(wait(0, ms=249)).then_none(OrderPlaced, role=Role.STOP)
    story.when(wait(0, ms=1)).then_among(like(OrderPlaced, role=Role.STOP))


def test_a_stop_the_broker_took_away_is_placed_again() -> None:
    story = given(in_position()).when(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED))
    story.then_among(
        like(Alerted, code="canceled_unasked"), like(OrderPlaced, role=Role.STOP), like(GuardArmed)
    )


def test_a_refused_change_is_asked_again() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0))
    story.when(refused(Role.STOP)).then(like(ReplaceRequested, quantity=70))
    story.when(refused(Role.STOP)).then()
    story.when(wait(0, ms=250)).then(like(ReplaceRequested, quantity=70))


def test_a_change_refused_too_often_leaves_the_level_to_the_guard() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0))
    story.given(refused(Role.STOP), refused(Role.STOP), wait(1), refused(Role.STOP), wait(1))
    uncovered = "no confirmed broker stop for the whole position"
    story.when(refused(Role.STOP)).then(like(GuardArmed, level="100.50", reason=uncovered))
    story.when(wait(60)).then()


@pytest.mark.parametrize("more", [
    {"capabilities": CapabilitiesDeclared(modify_stop=False)},
    {"settings": settings(stop__replace_mode="cancel_then_place")},
])  # fmt: skip
def test_what_is_not_modified_gets_a_cancel_and_a_new_stop(more: dict[str, Any]) -> None:
    story = given(in_position(), quote("100.99", "101.01"), **more)
    # The guard is armed with the cancel: it is proven later than it takes effect.
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(CancelRequested, policy="protective_stop"), like(GuardArmed, level="100.50")
    )
    assert story.protection is Protection.GUARDED
    story.when(cancelled(Role.STOP)).then(like(OrderPlaced, role=Role.STOP, quantity=70))
    assert story.protection is Protection.STOP_IN_FLIGHT


@pytest.mark.req("I40", "OD-067")
def test_leaves_when_the_position_does() -> None:
    story = given(in_position(entry(10)), quote("101.99", "102.01"))
    for nth in range(len(story.trade.targets)):
        story.given(fill(Role.TARGET, nth=nth), confirmed)
    left = story.trade.held
    assert story.order(Role.STOP).leaves == left
    story.given(quote("99", "99.02"))
    story.when(fill(Role.STOP)).then_none(OrderPlaced)
    assert story.pipeline.open_trades == ()


def test_one_that_was_believed_lost_is_cancelled_when_it_comes_back() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), wait(3), unknown(Role.STOP), ack(Role.STOP))
    assert len(story.trade.stops) == 2
    story.when(ack(Role.STOP, 0)).then_among(
        like(Alerted, code="reinstated"), like(CancelRequested, reason="one stop is enough")
    )
    assert not story.pipeline.safe_mode


@pytest.mark.req("I31")
def test_an_unanswered_stop_is_asked_for_guarded_and_called_naked_when_the_feed_dies() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY))
    story.when(wait(2)).then_among(like(Alerted, code="unprotected"))
    assert story.trade.guard is not None
    naked_since = story.now
    story.given(wait(1)).when(ack(Role.STOP)).then_among(like(AlertCleared, code="unprotected"))
    assert story.trade.naked_us == story.now - naked_since == 1_000_000


def test_a_stop_in_flight_without_a_fresh_quote_is_naked() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), silent)
    assert story.protection is Protection.STOP_IN_FLIGHT
    story = given(entry(), ack(Role.ENTRY), silent, wait(4))
    story.when(fill(Role.ENTRY)).then_among(like(Alerted, code="unprotected"))


@pytest.mark.req("OD-032")
def test_nothing_is_placed_in_a_halt() -> None:
    story = given(entry(), ack(Role.ENTRY), halt())
    story.when(fill(Role.ENTRY)).then_none(OrderPlaced, role=Role.STOP)
    assert story.protection is Protection.HALTED
    story.when(resume()).then_among(like(OrderPlaced, role=Role.STOP))


def test_a_busted_entry_takes_stop_and_targets_along() -> None:
    story = given(in_position()).when(bust(Role.ENTRY))
    assert story.trade.held == 0
    cancels = [decision for decision in story.told if isinstance(decision, CancelRequested)]
    assert {decision.policy for decision in cancels} == {"protective_stop", "targets"}
    story.given(confirmed)
    assert not story.pipeline.live(story.trade.order_ids[1:])


def test_a_stop_that_can_execute_nothing_is_no_second_one() -> None:
    # Filled while its change was under way, then busted: the broker works nothing of it, and a new one stands.
    story = given(entry(3), ack(Role.ENTRY), fill(Role.ENTRY, 1), fill(Role.ENTRY, 1), ack(Role.STOP))
    story.given(fill(Role.STOP, 1, at="99")).when(bust(Role.STOP, nth=0))
    assert len(story.pipeline.live(story.trade.stops)) == 2
    assert not story.pipeline.safe_mode


@pytest.mark.req("I33")
def test_the_successor_on_its_way_is_given_up_when_the_lost_stop_comes_back() -> None:
    """Its answer may come before that of its cancel; the stop that stands must stay all the same."""
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), unknown(Role.STOP))
    back, successor = story.order(Role.STOP, 0), story.order(Role.STOP, 1)
    story.when(ack(Role.STOP, 0)).then_none(SafeModeEntered)
    story.then_among(
        like(CancelRequested, client_order_id=successor.client_order_id, reason="one stop is enough")
    )
    story.when(ack(Role.STOP, 1)).then_none(CancelRequested)
    assert story.order(Role.STOP, 0).is_confirmed
    story.when(cancelled(Role.STOP, 1)).then_none(CancelRequested)
    assert [one.client_order_id for one in story.pipeline.live(story.trade.stops)] == [back.client_order_id]


@pytest.mark.req("I33")
def test_a_lost_stop_that_comes_back_in_a_halt_is_given_up_and_not_the_one_that_sleeps() -> None:
    """Nothing else is done in a halt, but both would wake up after it."""
    story = given(
        entry(), ack(Role.ENTRY), fill(Role.ENTRY), wait(3), unknown(Role.STOP), ack(Role.STOP), halt()
    )
    back, successor = story.order(Role.STOP, 0), story.order(Role.STOP, 1)
    story.given(received(Role.STOP, 1, ReportedStatus.SUSPENDED))
    story.when(ack(Role.STOP, 0)).then_none(SafeModeEntered)
    story.then_among(like(CancelRequested, client_order_id=back.client_order_id, reason="one stop is enough"))
    story.when(cancelled(Role.STOP, 0)).then_none(CancelRequested)
    assert [one.client_order_id for one in story.pipeline.live(story.trade.stops)] == [
        successor.client_order_id
    ]


@pytest.mark.req("I33")
def test_in_a_halt_the_stop_stays_whose_cancel_is_not_on_its_way() -> None:
    """Both have requests that nobody answers: one is being cancelled, the other only changed."""
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 50), unknown(Role.STOP), fill(Role.ENTRY, 50))
    back, successor = story.order(Role.STOP, 0), story.order(Role.STOP, 1)
    story.given(ack(Role.STOP, 0))
    kinds = [[one.kind.value for one in story.order(Role.STOP, nth).pending] for nth in (0, 1)]
    assert kinds == [["REPLACE"], ["SUBMIT", "CANCEL"]], successor
    story.given(halt()).when(wait(5)).then_none(CancelRequested, client_order_id=back.client_order_id)


@pytest.mark.req("I33", "I87")
def test_one_too_many_that_would_not_go_is_told_again_with_pauses() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), wait(3), unknown(Role.STOP), ack(Role.STOP))
    story.given(ack(Role.STOP, 0), refused(Role.STOP, 0), refused(Role.STOP, 0))
    story.when(wait(0, ms=249)).then_none(CancelRequested)
    story.when(wait(0, ms=1)).then_among(like(CancelRequested, reason="one stop is enough"))


@pytest.mark.req("I33")
def test_a_stop_that_comes_back_while_a_close_waits_is_given_up() -> None:
    """The close waits for the cancels of the targets; two stops beside it would close the trade twice."""
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), unknown(Role.STOP), confirmed, leave())
    assert story.trade.close is not None
    assert not story.trade.exits
    assert len(story.trade.stops) == 2
    back = story.order(Role.STOP, 0)
    story.when(ack(Role.STOP, 0)).then_none(SafeModeEntered)
    story.then_among(like(CancelRequested, client_order_id=back.client_order_id, reason="one stop is enough"))


@pytest.mark.req("I44")
def test_a_stop_whose_end_begins_to_matter_by_a_bust_is_told() -> None:
    """The venue ended it when all was sold; what is taken back then is left without it."""
    story = given(in_position(), fill(Role.STOP, at="99"))
    story.given(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED))
    story.when(bust(Role.STOP)).then_among(like(Alerted, code="canceled_unasked", severity=Severity.CRITICAL))
