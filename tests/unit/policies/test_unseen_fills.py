"""What has been found in review: fills that were not seen, orders that may be exits, late and odd news."""

from decimal import Decimal

import pytest

from oms.events.broker import (
    ExecutionBusted,
    OrderCanceled,
    OrderFilled,
    OrderStatusReported,
    ReportedStatus,
)
from oms.events.decisions import (
    CancelRequested,
    EntryAbandoned,
    EntryAccepted,
    OrderPlaced,
    ReplaceRequested,
)
from oms.events.operator import Act
from oms.events.session import DayRolled
from oms.state.protection import Protection
from oms.values import OrderType, Role, Side
from tests.answers import ack, cancelled, confirmed, fill, in_position, refused, replaced
from tests.builders import DAY, NAME, act, entry, leave
from tests.given import given, like, quote, wait


def status(role: Role, said: ReportedStatus, *, cumulative=None, leaves=None):
    def answer(story):
        order = story.order(role)
        return OrderStatusReported(
            instrument=NAME,
            client_order_id=order.wire_id,
            broker_order_id=f"B-{order.client_order_id}",
            status=said,
            cumulative=cumulative,
            leaves=leaves,
        )

    return answer


@pytest.mark.parametrize("kind", [Act.FLAT, Act.KILL])
def test_flat_of_one_instrument_gives_up_its_entry(kind):
    story = given(entry(), ack(Role.ENTRY)).when(act(kind, level=3, instrument=NAME))
    story.then_among(like(CancelRequested, policy="entry"))


def test_what_fills_after_flat_is_closed():
    story = given(entry(), ack(Role.ENTRY), act(Act.FLAT, instrument=NAME)).when(fill(Role.ENTRY))
    assert story.trade.close is not None, "position opened and kept after FLAT"


def test_entry_cancelled_with_an_unseen_fill_is_not_abandoned():
    def gone(story):
        o = story.order(Role.ENTRY)
        return OrderCanceled(instrument=NAME, client_order_id=o.wire_id, cumulative=Decimal(50))

    story = given(entry(), ack(Role.ENTRY)).when(gone)
    story.then_none(EntryAbandoned)


def test_entry_cancelled_with_an_unseen_fill_blocks_the_next_entry():
    def gone(story):
        o = story.order(Role.ENTRY)
        return OrderCanceled(instrument=NAME, client_order_id=o.wire_id, cumulative=Decimal(100))

    story = given(entry(), ack(Role.ENTRY), gone).when(entry(intent="2"))
    story.then_none(EntryAccepted)


def test_a_stop_done_for_the_day_protects_nobody():
    story = given(in_position()).when(status(Role.STOP, ReportedStatus.DONE_FOR_DAY, leaves=Decimal(100)))
    assert story.protection is not Protection.BROKER_STOP


def test_result_of_a_busted_entry_is_reported():
    story = given(in_position(), fill(Role.TARGET, nth=0, at="101.50"))
    sold = story.trade.exited

    def busted(s):
        o = s.order(Role.ENTRY)
        return ExecutionBusted(
            instrument=NAME,
            client_order_id=o.wire_id,
            execution=o.executions[0].root,
            revision=1,
            cumulative=Decimal(0),
        )

    story.when(busted, confirmed, fill(Role.EXIT, at="103.00"), confirmed)
    assert story.trade.held == 0
    expected = sold * (Decimal("101.50") - Decimal("103.00"))
    assert story.book.account.realized.get("USD", 0) == expected


def test_filled_stop_is_not_sold_again():
    story = given(in_position(), quote("98.90", "98.92"))
    story.when(status(Role.STOP, ReportedStatus.FILLED, cumulative=Decimal(100), leaves=Decimal(0)), wait(10))
    story.then_none(ReplaceRequested)
    story.then_none(OrderPlaced)


def test_no_second_market_sale_beside_an_unanswered_one():
    story = given(in_position(), act(Act.FLAT))
    for nth, own in enumerate(story.trade.targets):
        if story.pipeline.orders[own].is_live:
            story.take(cancelled(Role.TARGET, nth))
    assert any(p.order_type is OrderType.MARKET for p in story.order(Role.STOP).pending)
    story.when(wait(5)).then_none(OrderPlaced, role=Role.EXIT)


def test_late_fill_after_the_day_rolled_is_alerted():
    story = given(entry(), ack(Role.ENTRY))
    own = story.order(Role.ENTRY).wire_id
    story.given(cancelled(Role.ENTRY), DayRolled(trading_day=DAY.replace(day=10)))
    story.when(
        OrderFilled(
            instrument=NAME,
            client_order_id=own,
            broker_order_id=f"B-{own}",
            execution="L1",
            side=Side.BUY,
            quantity=Decimal(100),
            price=Decimal(100),
            cumulative=Decimal(100),
            leaves=Decimal(0),
        )
    )
    assert story.pipeline.position == 100
    assert story.told, "100 held, no stop, no alert, nothing said"


def test_realized_is_kept_in_the_currency_of_the_instrument():
    story = given()
    old = story.pipeline.instrument
    from msgspec.structs import replace as r

    story.step(r(old, currency="EUR"))
    story.given(in_position(), leave())
    story.given(confirmed, fill(Role.EXIT, at="101.00"), confirmed)
    assert story.book.account.realized == {"EUR": Decimal(100)}


def test_an_unseen_fill_and_a_new_entry_do_not_double_the_position():
    def gone(story):
        o = story.order(Role.ENTRY)
        return OrderCanceled(instrument=NAME, client_order_id=o.wire_id, cumulative=Decimal(100))

    story = given(entry(), ack(Role.ENTRY))
    first = story.order(Role.ENTRY)
    story.given(gone, entry(intent="2"), ack(Role.ENTRY), fill(Role.ENTRY))
    story.when(
        OrderFilled(
            instrument=NAME,
            client_order_id=first.wire_id,
            execution="LATE",
            side=Side.BUY,
            quantity=Decimal(100),
            price=Decimal(100),
            cumulative=Decimal(100),
            leaves=Decimal(0),
        )
    )
    assert story.pipeline.position <= 100


def test_a_stop_known_filled_is_not_followed_by_a_market_sale():
    story = given(in_position(), quote("98.90", "98.92"))
    story.when(status(Role.STOP, ReportedStatus.FILLED, cumulative=Decimal(100), leaves=Decimal(0)), wait(10))
    sold = [d for d in story.told if isinstance(d, OrderPlaced)]
    assert not sold, sold


def test_a_stop_known_filled_is_not_changed_either():
    """The broker answers everything: the change is refused as too late."""
    from oms.events.broker import RejectCode

    story = given(in_position(), quote("98.90", "98.92"))
    story.when(status(Role.STOP, ReportedStatus.FILLED, cumulative=Decimal(100), leaves=Decimal(0)))
    for _ in range(6):
        if story.order(Role.STOP).pending:
            story.when(refused(Role.STOP, code=RejectCode.TOO_LATE))
        story.when(wait(1))
    sells = list(story.pipeline.live(story.trade.exits))
    assert not sells
    assert story.order(Role.STOP).refusals == 0


def half_sold(counted: int):
    """Targets have sold 55; of the stop, still for all of 100, the broker counts so many that nobody has seen."""
    told = status(
        Role.STOP, ReportedStatus.PARTIALLY_FILLED, cumulative=Decimal(counted), leaves=Decimal(100 - counted)
    )
    return given(in_position(), told, fill(Role.TARGET, at="102.00"), act(Act.FLAT))


@pytest.mark.parametrize(("counted", "is_given_up"), [(45, True), (44, False)])
def test_what_is_left_of_a_stop_that_has_sold_all_by_the_count_is_given_up(counted, is_given_up):
    story = half_sold(counted)
    assert story.trade.held == 45
    story.when(cancelled(Role.TARGET, 0))
    asked = [
        d for d in story.told if isinstance(d, CancelRequested) and d.client_order_id == story.trade.stops[0]
    ]
    assert [d.reason for d in asked] == (["sold by the broker's count"] if is_given_up else [])
    assert not [d for d in story.told if isinstance(d, OrderPlaced) and d.role is Role.EXIT]


def test_nothing_is_sold_for_what_the_count_of_the_stop_has_sold():
    """The cancel is confirmed, and the fill never seen: the trade stands open, and no order works for it."""
    story = half_sold(45)
    story.when(cancelled(Role.STOP), wait(60))
    assert not [d for d in story.told if isinstance(d, OrderPlaced)]
    assert not [one for one in story.pipeline.orders.values() if one.is_live and one.role is Role.STOP]


def test_a_sale_and_its_overtaker_do_not_both_fill():
    story = given(in_position(), act(Act.FLAT))
    for nth, own in enumerate(story.trade.targets):
        if story.pipeline.orders[own].is_live:
            story.take(cancelled(Role.TARGET, nth))
    story.when(wait(2))
    # the broker only answers slowly: first the stop that was turned to market, then the second sale
    story.take(replaced(Role.STOP))
    for nth, own in enumerate(story.trade.exits):
        if story.pipeline.orders[own].is_live:
            story.take(fill(Role.EXIT, nth=nth, at="99.50"))
    assert story.trade.held >= 0, story.trade.held


def test_a_late_fill_after_the_day_rolled_gets_a_stop():
    story = given(entry(), ack(Role.ENTRY))
    own = story.order(Role.ENTRY).wire_id
    story.given(cancelled(Role.ENTRY), DayRolled(trading_day=DAY.replace(day=10)))
    story.when(
        OrderFilled(
            instrument=NAME,
            client_order_id=own,
            broker_order_id=f"B-{own}",
            execution="L1",
            side=Side.BUY,
            quantity=Decimal(100),
            price=Decimal(100),
            cumulative=Decimal(100),
            leaves=Decimal(0),
        ),
        wait(60),
    )
    story.then_among(like(OrderPlaced, role=Role.STOP))


def test_a_bust_after_the_day_rolled_finds_its_trade():
    story = given(in_position(), quote("98.90", "98.92"), fill(Role.STOP, at="98.95"), confirmed)
    o = story.order(Role.STOP)
    assert story.pipeline.open_trades == ()
    story.given(DayRolled(trading_day=DAY.replace(day=10)))
    story.when(
        ExecutionBusted(
            instrument=NAME, client_order_id=o.wire_id, execution=o.executions[0].root, revision=1
        )
    )
    assert story.pipeline.position == 100


def test_a_target_change_the_gate_refuses_is_not_asked_again_in_the_same_instant():
    """The dispatcher answers at once, and its answer is stepped at the same time."""
    from oms.events.broker import CommandRefused

    story = given(entry(), confirmed, fill(Role.ENTRY, 40), confirmed).when(fill(Role.ENTRY, 30))
    for _ in range(10):
        asked = [one for one in story.told if isinstance(one, ReplaceRequested) and one.policy == "targets"]
        if not asked:
            return
        order = story.pipeline.orders[asked[0].client_order_id]
        one = next(pending for pending in order.pending if pending.wire_id == asked[0].wire_id)
        story.when(
            CommandRefused(instrument=NAME, client_order_id=one.wire_id, command_seq=one.seq, limit="rate")
        )
    pytest.fail("the same request again and again within one instant")
