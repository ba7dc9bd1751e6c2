"""A bracket begins in one step. The end of a trade, once, and again only when a late fact changed its result."""

from decimal import Decimal

import pytest

from oms.commands import PlaceOrder, ReplaceOrder
from oms.events.decisions import (
    AlertCleared,
    Alerted,
    CancelRequested,
    EntryAccepted,
    GuardArmed,
    OrderPlaced,
    ReplaceRequested,
    StopMoved,
    TradeClosed,
)
from oms.events.slippage import SlippageMeasured
from oms.values import OrderType, PositionSide, Role, Side, TimeInForce
from tests.answers import ack, bust, cancelled, confirmed, fill, in_position, replaced, triggered
from tests.builders import entry, leave
from tests.given import Story, again, bar, given, like, quote, wait
from tests.unit.policies.test_add_on import MIRROR, at, market
from tests.unit.policies.test_exit import targets_gone


@pytest.mark.parametrize(
    ("side", "out", "stop", "limit", "targets"),
    [
        (PositionSide.LONG, Side.SELL, "99.00", "98.90", ["101.00", "101.50", "102.00"]),
        (PositionSide.SHORT, Side.BUY, "101.00", "101.11", ["99.00", "98.50", "98.00"]),
    ],
)
@pytest.mark.req("OD-033", "OD-035", "OD-039")
def test_one_step_brings_the_stop_and_every_target(
    side: PositionSide, out: Side, stop: str, limit: str, targets: list[str]
) -> None:
    """Of 100 the first 40 are filled. The runner, 6 of them, is under the stop and has no limit."""
    zone = "100.10" if side is PositionSide.LONG else "99.90"
    wish = entry(side=side, zone_max=zone, stop=stop, key_level=targets[1])
    story = given(wish, ack(Role.ENTRY)).when(fill(Role.ENTRY, 40))
    story.then(
        like(StopMoved, trade_no=1, level=stop, candidate="initial"),
        like(
            OrderPlaced,
            role=Role.STOP,
            side=out,
            quantity=40,
            order_type=OrderType.STOP_LIMIT,
            time_in_force=TimeInForce.GTC,
            price_stop=stop,
            price_limit=limit,
        ),
        like(GuardArmed, level=stop),
        *(
            like(
                OrderPlaced,
                role=Role.TARGET,
                side=out,
                quantity=quantity,
                order_type=OrderType.LIMIT,
                price_limit=price,
                price_stop=None,
                rung=rung,
            )
            for rung, (quantity, price) in enumerate(zip((12, 12, 10), targets, strict=True))
        ),
    )
    assert [one.event for one in story.results[-1].events[1:]] == story.told


@MIRROR
@pytest.mark.req("OD-033")
def test_the_trail_is_on_from_the_first_fill(side: PositionSide) -> None:
    """The rest of the entry still works when the stop of what it brought is moved."""
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(wish, ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, wait(25), market(side, "1.20"))
    low, high = sorted(Decimal(at(side, far)) for far in ("0.90", "1.20"))
    story.when(bar(low, high, at(side, "1.20"), seconds=20)).then(
        like(StopMoved, level=at(side, "0.60"), candidate="mfe_lock"),
        like(ReplaceRequested, policy="protective_stop", quantity=40, price_stop=at(side, "0.60")),
    )
    assert story.order(Role.ENTRY).leaves == 60


ORDER = {
    "instrument", "client_order_id", "role", "side", "quantity", "order_type", "time_in_force", "price_limit",
    "price_stop", "valid_until", "reason",
}  # fmt: skip
IDS = {"wire_id", "orig_wire_id", "broker_order_id"}


@pytest.mark.req("OD-036", "OD-040")
def test_an_order_says_nothing_of_another_one() -> None:
    """Neither what is decided nor what is sent has a field that could bind a stop to a target."""
    decided = {"trade_no", "policy", "evidence"}
    placed = ORDER | decided | {"rung"}
    changed = (ORDER - {"role", "side", "time_in_force"}) | decided | IDS
    assert set(OrderPlaced.__struct_fields__) == placed
    assert set(ReplaceRequested.__struct_fields__) == changed
    assert set(PlaceOrder.__struct_fields__) == ORDER | {"seq", "enlarges"}
    sent = (ORDER - {"time_in_force"}) | {"seq", "orig_client_order_id", "broker_order_id"}
    assert set(ReplaceOrder.__struct_fields__) == sent


def stopped_out(story: Story) -> None:
    story.given(in_position(), quote("98.98", "99.00"), triggered, targets_gone, fill(Role.STOP, at="98.98"))


@pytest.mark.req("OD-092", "OD-067")
def test_is_reported_when_flat_and_nothing_can_execute() -> None:
    story = given(in_position(), quote("98.98", "99.00"), triggered)
    story.when(fill(Role.STOP, at="98.98")).then_none(TradeClosed)
    story.given(cancelled(Role.TARGET, 0)).when(cancelled(Role.TARGET, 1)).then(
        like(TradeClosed, reason="STOP", pnl="-102.00", pnl_change="-102.00", quantity=100),
        like(SlippageMeasured, trade_no=1),
    )


def test_stays_quiet_while_anything_is_held() -> None:
    given(in_position(), quote("100.99", "101.01")).when(fill(Role.TARGET, nth=0)).then_none(TradeClosed)


def test_second_run_yields_nothing() -> None:
    assert again(given(stopped_out)) == []


def test_is_reported_once() -> None:
    given(stopped_out).when(wait(300)).then()


@pytest.mark.req("OD-091", "OD-092", "OD-094")
def test_the_next_cycle_is_a_trade_of_its_own() -> None:
    story = given(stopped_out)
    story.when(entry(50, stop="98.50", intent="2")).then_among(like(EntryAccepted, trade_no=2, cycle=2))
    story.given(ack(Role.ENTRY)).when(fill(Role.ENTRY)).then_among(
        like(OrderPlaced, role=Role.STOP, quantity=50, price_stop="98.50"),
        like(OrderPlaced, role=Role.TARGET, rung=0, price_limit="101.50"),
    )
    story.given(confirmed, quote("98.48", "98.50"), triggered, targets_gone)
    story.when(fill(Role.STOP, at="98.48")).then_among(
        like(TradeClosed, trade_no=2, quantity=50, pnl="-76.00")
    )
    assert story.pipeline.trades[1].held == 0


def test_a_late_target_fill_is_bought_back_and_reported_as_a_change() -> None:
    story = given(stopped_out)
    assert story.pipeline.open_trades == ()
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(Alerted, code="late_fill"), like(OrderPlaced, role=Role.EXIT, quantity=30)
    )
    story.when(fill(Role.EXIT, at="99.00")).then_among(like(TradeClosed, pnl="-42.00", pnl_change="60.00"))
    story.when(wait(60)).then()
    assert story.book.account.realized["USD"] == -42


def test_a_late_entry_fill_is_protected_and_closed_again() -> None:
    story = given(entry(), confirmed, fill(Role.ENTRY, 40), confirmed, leave(), targets_gone)
    story.given(cancelled(Role.ENTRY), replaced(Role.STOP), fill(Role.EXIT))
    assert story.pipeline.open_trades == ()
    story.when(fill(Role.ENTRY, 10)).then_among(
        like(Alerted, code="late_fill"), like(OrderPlaced, role=Role.EXIT, quantity=10)
    )
    story.given(confirmed).when(fill(Role.EXIT)).then_among(like(TradeClosed, quantity=50))


def test_a_late_entry_fill_after_the_stop_gets_a_stop_of_its_own() -> None:
    story = given(entry(), confirmed, fill(Role.ENTRY, 40), confirmed, quote("98.98", "99.00"))
    story.given(triggered, targets_gone, fill(Role.STOP, at="98.98"), cancelled(Role.ENTRY))
    assert story.pipeline.open_trades == ()
    story.given(quote("99.50", "99.52")).when(fill(Role.ENTRY, 10)).then_among(
        like(OrderPlaced, role=Role.STOP, quantity=10)
    )


def test_a_busted_exit_opens_the_trade_again() -> None:
    story = given(stopped_out).when(bust(Role.STOP))
    assert story.trade.held == 100
    story.then_among(like(OrderPlaced, order_type=OrderType.MARKET, quantity=100))


def test_what_stood_open_about_the_trade_ends_with_it() -> None:
    story = given(entry(), confirmed, fill(Role.ENTRY), wait(3))
    assert "unprotected" in story.trade.alerts
    story.given(confirmed, quote("98.98", "99.00"), triggered, targets_gone)
    story.when(fill(Role.STOP, at="98.98"), confirmed)
    assert story.trade.closed_at is not None
    assert not story.trade.alerts


def test_orders_left_behind_are_cancelled_and_reported() -> None:
    story = given(in_position(), quote("98.98", "99.00"), triggered, fill(Role.STOP, at="98.98"))
    story.when(wait(5)).then_among(like(Alerted, code="orphan_order"))
    story.given(cancelled(Role.TARGET, 0)).when(cancelled(Role.TARGET, 1)).then_among(
        like(AlertCleared, code="orphan_order"), like(TradeClosed)
    )
    assert not [one for one in story.told if isinstance(one, CancelRequested)]


def test_averages_are_told_to_ten_places_and_the_result_in_r_to_six() -> None:
    story = given(
        entry(3), ack(Role.ENTRY), fill(Role.ENTRY, 1, at="100.00"), fill(Role.ENTRY, 2, at="99.99")
    )
    story.given(confirmed, quote("98.98", "99.00"), triggered, targets_gone, fill(Role.STOP, 1, at="99.00"))
    story.given(replaced(Role.STOP)).when(fill(Role.EXIT, at="98.99"), confirmed).then_among(
        like(
            TradeClosed,
            price_entry="99.9933333333",
            price_exit="98.9933333333",
            pnl="-3.00",
            r=Decimal("-1.000000"),
        )
    )
    thirds = given(in_position(entry(3)), quote("98.98", "99.00"), triggered, targets_gone)
    thirds.given(fill(Role.STOP, 1, at="99.01"), replaced(Role.STOP)).when(
        fill(Role.EXIT, at="99.00"), confirmed
    )
    thirds.then_among(like(TradeClosed, r=Decimal("-0.996667")))


def test_what_the_targets_have_sold_is_not_called_a_stop() -> None:
    story = given(in_position(entry(1)), quote("100.99", "101.01"), fill(Role.TARGET, nth=0))
    story.when(confirmed).then_among(like(TradeClosed, reason="TARGETS", quantity=1))


def test_a_trade_of_which_nothing_is_left_is_reported_as_flat() -> None:
    story = given(stopped_out, quote("99.99", "100.01"), bust(Role.STOP), bust(Role.ENTRY))
    story.when(confirmed).then_among(
        like(TradeClosed, reason="FLAT", quantity=0, pnl="0", pnl_change="102.00")
    )
