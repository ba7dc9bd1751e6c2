"""What the broker declares is what it does."""

from decimal import Decimal

from oms.brokers.simulated import Settings, SimulatedBroker
from oms.events.broker import (
    CancelCause,
    CapabilitiesDeclared,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderTriggered,
    ReplaceRejected,
)
from oms.values import OrderType, Role, Side
from tests.unit.brokers.simulated_desk import Desk, names

BUY, SELL = Side.BUY, Side.SELL


def desk_of(capabilities: CapabilitiesDeclared) -> Desk:
    desk = Desk(SimulatedBroker(Settings(fill_model="perfect", capabilities=capabilities)))
    desk.define().quote("99.99", "100.01").settle()
    return desk


def test_declares_them_first() -> None:
    capabilities = CapabilitiesDeclared(reserves_inventory=True, modify_stop=False)
    desk = desk_of(capabilities)
    assert desk.heard[0].event == capabilities
    assert names([stamped.event for stamped in desk.heard]) == ["CapabilitiesDeclared", "BrokerLinkChanged"]


def test_reserved_inventory_is_not_sold_twice() -> None:
    desk = desk_of(CapabilitiesDeclared(reserves_inventory=True))
    desk.place("e", BUY, 10).settle()
    desk.place("s", SELL, 10, stop="95").place("t", SELL, 1, limit="105").settle()
    assert [(r.client_order_id, r.code) for r in desk.of(OrderRejected)] == [("t", "INSUFFICIENT_POSITION")]
    desk.replace("s", "s2", SELL, 9, OrderType.STOP, stop="95").settle()
    desk.place("t2", SELL, 1, limit="105").settle()
    assert "t2" in [event.client_order_id for event in desk.of(OrderAccepted)]
    desk.replace("s2", "s3", SELL, 10, OrderType.STOP, stop="95").settle()
    assert [event.client_order_id for event in desk.of(ReplaceRejected)] == ["s3"]


def test_inventory_is_free_without_reservation() -> None:
    desk = desk_of(CapabilitiesDeclared())
    desk.place("s", SELL, 10, stop="95").place("t", SELL, 10, limit="105").settle()
    assert desk.of(OrderRejected) == []


def test_refuses_the_opposite_side() -> None:
    desk = desk_of(CapabilitiesDeclared(refuses_opposite_side=True))
    desk.place("s", SELL, 1, limit="105").settle()
    desk.place("b", BUY, 1, limit="95").settle()
    assert [(r.client_order_id, r.code) for r in desk.of(OrderRejected)] == [("b", "OPPOSITE_SIDE")]
    desk.cancel("s").settle()
    desk.place("b2", BUY, 1, limit="95").settle()
    assert len(desk.of(OrderRejected)) == 1


def test_reduce_only_never_turns_the_position() -> None:
    desk = desk_of(CapabilitiesDeclared(native_reduce_only=True))
    desk.place("e", BUY, 10).settle()
    desk.place("s", SELL, 10, stop="95", role=Role.STOP).place("t", SELL, 6, limit="101", role=Role.TARGET)
    desk.settle()
    desk.quote("101.00", "101.01").settle()
    desk.quote("94.99", "95.00").settle()
    assert desk.fills() == [("10", "100.01"), ("6", "101.00"), ("4", "94.99")]
    canceled = [(event.client_order_id, event.cause) for event in desk.of(OrderCanceled)]
    assert canceled == [("s", CancelCause.UNSOLICITED)]
    assert desk.broker.positions["ACME"] == 0


def test_an_oversell_is_bought_back_though_the_account_holds_as_much() -> None:
    """Another trade may hold what this one has sold too much; reduce-only would refuse the repair for ever."""
    desk = desk_of(CapabilitiesDeclared(native_reduce_only=True))
    desk.place("x", BUY, 1, role=Role.EXIT).settle()
    desk.place("r", BUY, 1, role=Role.EXIT, enlarges=True).settle()
    assert [event.client_order_id for event in desk.of(OrderCanceled)] == ["x"]
    assert desk.broker.positions["ACME"] == 1


def test_without_reduce_only_stop_and_target_may_oversell() -> None:
    desk = desk_of(CapabilitiesDeclared())
    desk.place("e", BUY, 10).settle()
    desk.place("s", SELL, 10, stop="95", role=Role.STOP).place("t", SELL, 6, limit="101", role=Role.TARGET)
    desk.settle()
    desk.quote("101.00", "101.01").settle()
    desk.quote("94.99", "95.00").settle()
    assert desk.broker.positions["ACME"] == Decimal(-6)


def test_stop_cannot_be_modified_where_the_broker_cannot() -> None:
    desk = desk_of(CapabilitiesDeclared(modify_stop=False))
    desk.place("s", SELL, 1, stop="95").place("l", BUY, 1, limit="95").settle()
    desk.replace("s", "s2", SELL, 1, OrderType.STOP, stop="96")
    desk.replace("l", "l2", BUY, 1, OrderType.LIMIT, limit="96").settle()
    assert [event.client_order_id for event in desk.of(ReplaceRejected)] == ["s2"]


def test_triggers_silently_where_they_are_not_reported() -> None:
    for reports, expected in ((True, 1), (False, 0)):
        desk = desk_of(CapabilitiesDeclared(reports_trigger=reports))
        desk.place("s", SELL, 1, stop="95").settle()
        desk.quote("94", "94.01").settle()
        assert len(desk.of(OrderTriggered)) == expected
        assert len(desk.fills()) == 1


def test_client_id_may_return_where_it_is_unique_among_open_orders_only() -> None:
    desk = desk_of(CapabilitiesDeclared(client_ids_unique_for_ever=False))
    desk.place("a", BUY, 1, limit="95").settle()
    desk.place("a", BUY, 1, limit="95").settle()
    assert len(desk.of(OrderRejected)) == 1
    desk.cancel("a").settle()
    desk.place("a", BUY, 1).settle()
    assert len(desk.of(OrderRejected)) == 1
    assert desk.fills("a") == [("1", "100.01")]
