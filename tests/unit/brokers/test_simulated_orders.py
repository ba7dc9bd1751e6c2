"""What the simulated broker answers to commands."""

from decimal import Decimal

import pytest

from oms.brokers.simulated import RestatementRefused, Settings, SimulatedBroker
from oms.events.broker import (
    BrokerSnapshotReported,
    CancelCause,
    CancelRejected,
    ExecutionBusted,
    ExecutionCorrected,
    FeeReported,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    PositionLine,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.events.session import VenueStatus
from oms.fills.costs import Schedule
from oms.values import SECOND, OrderType, Side, TimeInForce
from tests.unit.brokers.simulated_desk import T0, Desk, names

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def desk() -> Desk:
    """A perfect broker: the touch fills."""
    desk = Desk(SimulatedBroker(Settings(fill_model="perfect"))).define().quote("99.99", "100.01")
    desk.settle()
    return desk


def test_answers_only_after_the_latency(desk: Desk) -> None:
    desk.place("a", BUY, 100, limit="99.50")
    desk.broker.advance(desk.now)
    assert desk.of(OrderAccepted) == []
    desk.settle()
    assert [event.client_order_id for event in desk.of(OrderAccepted)] == ["a"]


def test_reports_acceptance_before_the_fill(desk: Desk) -> None:
    heard = desk.place("a", BUY, 100).settle()
    assert names(heard) == ["OrderAccepted", "OrderFilled"]
    assert desk.fills() == [("100", "100.01")]


def test_reports_cumulative_and_leaves() -> None:
    desk = Desk(SimulatedBroker(Settings(fill_model="realistic"))).define().quote("99.98", "100.02")
    desk.place("a", BUY, 40, limit="100.00").settle()
    for _ in range(60):
        desk.quote("99.98", "100.00").settle()
    fills = desk.of(OrderFilled)
    assert len(fills) > 1
    assert [fill.cumulative + fill.leaves for fill in fills] == [40] * len(fills)
    assert fills[-1].leaves == 0
    assert sum(fill.quantity for fill in fills) == 40


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"quantity": 0, "limit": "99"}, "INVALID_TERMS"),
        ({"quantity": -5, "limit": "99"}, "INVALID_TERMS"),
        ({"quantity": "1.5", "limit": "99"}, "INVALID_TERMS"),
        ({"quantity": 1, "limit": "99.005"}, "INVALID_TERMS"),
        ({"quantity": 1, "stop": "0"}, "INVALID_TERMS"),
    ],
)
def test_rejects_terms_that_make_no_sense(desk: Desk, terms: dict[str, str], code: str) -> None:
    desk.place("a", BUY, **terms).settle()
    assert [event.code for event in desk.of(OrderRejected)] == [code]
    assert desk.order("a").status is ReportedStatus.REJECTED


def test_rejects_an_instrument_it_never_heard_of(desk: Desk) -> None:
    desk.instrument = "NOPE"
    desk.place("a", BUY, 1).settle()
    assert [event.code for event in desk.of(OrderRejected)] == ["UNKNOWN_INSTRUMENT"]


def test_rejects_a_client_order_id_for_ever(desk: Desk) -> None:
    desk.place("a", BUY, 1).settle()
    desk.place("a", BUY, 1).settle()
    rejected = desk.of(OrderRejected)
    assert [(event.code, event.broker_order_id) for event in rejected] == [
        ("DUPLICATE_CLIENT_ORDER_ID", None)
    ]
    assert desk.order("a").status is ReportedStatus.FILLED
    assert len(desk.fills()) == 1


def test_cancels_what_is_left(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.cancel("a", "c").settle()
    canceled = desk.of(OrderCanceled)[0]
    assert (canceled.client_order_id, canceled.orig_client_order_id) == ("c", "a")
    assert canceled.cause is CancelCause.REQUESTED
    desk.quote("98", "98.01").settle()
    assert desk.fills() == []


def test_refuses_to_cancel_what_is_filled(desk: Desk) -> None:
    desk.place("a", BUY, 10).settle()
    desk.cancel("a").settle()
    rejected = desk.of(CancelRejected)[0]
    assert (rejected.code, rejected.status) == (RejectCode.TOO_LATE, ReportedStatus.FILLED)


def test_refuses_to_cancel_what_it_does_not_know(desk: Desk) -> None:
    desk.cancel("ghost").settle()
    assert desk.of(CancelRejected)[0].code is RejectCode.UNKNOWN_ORDER


def test_fill_overtakes_a_cancel_in_flight(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.cancel("a").quote("98.98", "98.99")
    assert names(desk.settle()) == ["OrderFilled", "CancelRejected"]


def test_replace_keeps_the_old_id_as_an_alias(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.replace("a", "b", BUY, 20, OrderType.LIMIT, limit="99.10").settle()
    replaced = desk.of(OrderReplaced)[0]
    assert (replaced.client_order_id, replaced.orig_client_order_id) == ("b", "a")
    assert (replaced.quantity, replaced.leaves, replaced.price_limit) == (20, 20, Decimal("99.10"))
    assert desk.order("a").wire_ids == ("a", "b")
    desk.cancel("a", "c").settle()
    assert desk.order("b").status is ReportedStatus.CANCELED


def test_two_replaces_in_flight_form_one_chain(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.replace("a", "b", BUY, 10, OrderType.LIMIT, limit="99.10")
    desk.replace("b", "c", BUY, 10, OrderType.LIMIT, limit="99.20").settle()
    assert desk.order("a").wire_ids == ("a", "b", "c")
    assert desk.order("a").price_limit == Decimal("99.20")


def test_fill_overtakes_a_replace_in_flight(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.replace("a", "b", BUY, 20, OrderType.LIMIT, limit="99").quote("98.98", "98.99")
    desk.settle()
    rejected = desk.of(ReplaceRejected)[0]
    assert (rejected.code, rejected.status) == (RejectCode.TOO_LATE, ReportedStatus.FILLED)
    assert desk.fills() == [("10", "98.99")]


def partly_filled() -> Desk:
    desk = Desk(SimulatedBroker(Settings(fill_model="realistic", seed=3))).define().quote("99.98", "100.02")
    desk.place("a", BUY, 40, limit="100.00").settle()
    desk.quote("99.98", "100.00").settle()
    assert 0 < desk.order("a").cumulative < 40
    return desk


def test_refuses_a_quantity_below_what_is_filled() -> None:
    desk = partly_filled()
    below = int(desk.order("a").cumulative) - 1
    desk.replace("a", "b", BUY, below, OrderType.LIMIT, limit="100.00").settle()
    assert desk.of(ReplaceRejected)[0].code is RejectCode.OTHER
    assert desk.order("a").quantity == 40


def test_replace_to_what_is_filled_completes_the_order() -> None:
    desk = partly_filled()
    done = int(desk.order("a").cumulative)
    desk.replace("a", "b", BUY, done, OrderType.LIMIT, limit="100.00").settle()
    assert desk.of(OrderReplaced)[0].leaves == 0
    assert desk.order("a").status is ReportedStatus.FILLED


@pytest.mark.parametrize("order_type", [OrderType.MARKET, OrderType.LIMIT])
def test_a_stop_may_become_the_exit(desk: Desk, order_type: OrderType) -> None:
    desk.place("s", SELL, 10, stop="95").settle()
    limit = "99.00" if order_type is OrderType.LIMIT else None
    desk.replace("s", "x", SELL, 10, order_type, limit=limit).settle()
    assert desk.of(OrderReplaced)[0].order_type is order_type
    assert desk.fills() == [("10", "99.99")]


def test_a_limit_may_not_become_a_market_order(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="99").settle()
    desk.replace("a", "b", BUY, 10, OrderType.MARKET).settle()
    assert desk.of(ReplaceRejected)[0].code is RejectCode.OTHER


def test_refuses_to_replace_what_it_does_not_know(desk: Desk) -> None:
    desk.replace("ghost", "b", BUY, 10, OrderType.LIMIT, limit="99").settle()
    assert desk.of(ReplaceRejected)[0].code is RejectCode.UNKNOWN_ORDER


def test_day_orders_expire_at_the_close_and_gtc_orders_stay(desk: Desk) -> None:
    desk.session(14, T0, T0 + 60 * SECOND)
    desk.place("day", BUY, 1, limit="90").place("gtc", BUY, 1, limit="90", tif=TimeInForce.GTC).settle()
    desk.settle(120)
    expired = [(event.client_order_id, event.cause) for event in desk.of(OrderCanceled)]
    assert expired == [("day", CancelCause.EXPIRED)]
    assert [stamped.logical_time for stamped in desk.heard][-1] < T0 + 61 * SECOND
    desk.place("late", BUY, 1, limit="90").settle()
    assert [event.code for event in desk.of(OrderRejected)] == ["SESSION_CLOSED"]


def test_a_gtc_order_executes_in_the_next_session(desk: Desk) -> None:
    desk.session(14, T0, T0 + 60 * SECOND)
    desk.place("gtc", BUY, 1, limit="95", tif=TimeInForce.GTC).settle(100)
    desk.quote("94", "94.01").settle()
    assert desk.fills() == [], "closed"
    desk.session(15, desk.now, desk.now + 60 * SECOND).settle()
    assert desk.fills() == [], "yesterday's quote is not today's"
    desk.quote("94", "94.01").settle()
    assert desk.fills() == [("1", "94.01")]


def test_nothing_executes_while_halted(desk: Desk) -> None:
    desk.place("a", BUY, 1, limit="95").settle()
    desk.venue(VenueStatus.HALTED).quote("94", "94.01").place("m", BUY, 1).settle()
    assert desk.fills() == []
    desk.venue(VenueStatus.TRADING).quote("94", "94.02").settle()
    assert sorted(desk.fills()) == [("1", "94.02"), ("1", "94.02")]


def test_answers_for_an_order_it_does_not_know(desk: Desk) -> None:
    desk.ask("ghost").settle()
    unknown = desk.of(OrderUnknown)[0]
    assert (unknown.client_order_id, unknown.asked_at_seq) == ("ghost", desk.seq)


def test_answers_with_status_and_the_same_execution_keys(desk: Desk) -> None:
    desk.place("a", BUY, 5).settle()
    original = [s.dedupe_key for s in desk.heard if isinstance(s.event, OrderFilled)]
    desk.ask("a").settle()
    keys = [s.dedupe_key for s in desk.heard if isinstance(s.event, OrderFilled)]
    assert keys == original * 2
    assert desk.of(OrderFilled)[0] == desk.of(OrderFilled)[1]
    assert desk.of(OrderStatusReported)[0].status is ReportedStatus.FILLED


def test_snapshot_holds_what_is_open_and_held(desk: Desk) -> None:
    desk.place("a", BUY, 5).place("b", SELL, 5, stop="95").settle()
    desk.broker.query(77)
    heard = desk.settle()
    assert names(heard) == ["OrderStatusReported", "OrderFilled", "BrokerSnapshotReported"]
    assert heard[-1] == BrokerSnapshotReported(
        asked_at_seq=77,
        complete=True,
        positions=(PositionLine(instrument="ACME", quantity=Decimal(5)),),
        open_orders=("b",),
        executions=tuple(one.execution for one in desk.of(OrderFilled)[:1]),
    )


def test_snapshot_leaves_out_executions_of_another_day(desk: Desk) -> None:
    desk.session(14, T0, T0 + 60 * SECOND).place("a", BUY, 5).settle(100)
    desk.session(15, desk.now, desk.now + 60 * SECOND)
    desk.broker.query(1)
    assert names(desk.settle()) == ["BrokerSnapshotReported"]


def test_bust_takes_an_execution_back(desk: Desk) -> None:
    desk.place("a", BUY, 5).settle()
    execution = desk.of(OrderFilled)[0].execution
    desk.broker.bust(execution)
    desk.settle()
    busted = desk.of(ExecutionBusted)[0]
    assert (busted.execution, busted.revision, busted.cumulative, busted.leaves) == (execution, 1, 0, 0)
    assert desk.broker.dump().positions == {}


def test_correction_restates_an_execution(desk: Desk) -> None:
    desk.place("a", BUY, 5).settle()
    execution = desk.of(OrderFilled)[0].execution
    desk.broker.correct(execution, Decimal(3), Decimal("100.00"))
    desk.broker.correct(execution, Decimal(4), Decimal("100.00"))
    desk.settle()
    assert [event.revision for event in desk.of(ExecutionCorrected)] == [1, 2]
    assert desk.broker.dump().positions == {"ACME": Decimal(4)}
    keys = [s.dedupe_key for s in desk.heard if isinstance(s.event, ExecutionCorrected)]
    assert len(set(keys)) == 2


def test_bust_of_a_working_order_gives_its_quantity_back() -> None:
    desk = partly_filled()
    execution = desk.of(OrderFilled)[0].execution
    desk.broker.bust(execution)
    desk.settle()
    assert desk.of(ExecutionBusted)[0].leaves == 40
    assert desk.order("a").status is ReportedStatus.NEW


def test_refuses_restatements_that_cannot_be(desk: Desk) -> None:
    desk.place("a", BUY, 5).settle()
    with pytest.raises(RestatementRefused):
        desk.broker.bust("ghost")
    with pytest.raises(RestatementRefused):
        desk.broker.correct(desk.of(OrderFilled)[0].execution, Decimal(6), Decimal(100))
    assert desk.broker.dump().positions == {"ACME": Decimal(5)}


def test_reports_fees_apart_from_the_fill() -> None:
    settings = Settings(fill_model="perfect", costs=Schedule(per_share=Decimal("0.005")))
    desk = Desk(SimulatedBroker(settings)).define().quote("99.99", "100.01")
    desk.place("a", BUY, 100).settle()
    reported = desk.of(FeeReported)[0]
    assert reported.execution == desk.of(OrderFilled)[0].execution
    assert [(fee.amount, fee.currency) for fee in reported.fees] == [(Decimal("0.5"), "USD")]
