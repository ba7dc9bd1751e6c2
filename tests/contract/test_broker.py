"""What every broker adapter owes its caller; run on the simulated broker here and behind a socket."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from oms.brokers.simulated import Misbehave, Settings, SimulatedBroker, When
from oms.brokers.simulated.process import Server
from oms.brokers.simulated.remote import RemoteSimulatedBroker
from oms.brokers.simulated.script import Disconnect, FillAfterCancel, Reject, Repeat
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    BrokerSnapshotReported,
    CancelCause,
    CancelRejected,
    CapabilitiesDeclared,
    CommandFailed,
    ExecutionBusted,
    ExecutionCorrected,
    FeeReported,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderTriggered,
    OrderUnknown,
    PositionLine,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.fills.costs import Schedule
from oms.values import SECOND, OrderType, Role, Side, TimeInForce
from tests.unit.brokers.simulated_desk import T0, Desk, names

BUY, SELL = Side.BUY, Side.SELL
DeskOf = Callable[[Settings], Desk]


class Served:
    """Broker processes in threads of this one; sockets are real."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="b"))
        self.running: list[tuple[Path, threading.Thread, RemoteSimulatedBroker]] = []

    def __call__(self, settings: Settings) -> Desk:
        path = self.folder / f"{len(self.running)}.sock"
        server = Server(SimulatedBroker(settings), path, idle_seconds=60)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        broker = RemoteSimulatedBroker(path)
        self.running.append((path, thread, broker))
        return Desk(broker)

    def close(self) -> None:
        for path, thread, broker in self.running:
            broker.close()
            RemoteSimulatedBroker(path).shutdown()
            thread.join(10)
            assert not thread.is_alive()
        shutil.rmtree(self.folder)


@pytest.fixture(params=["in process", "behind a socket"])
def desk_of(request: pytest.FixtureRequest) -> Iterator[DeskOf]:
    if request.param == "in process":
        yield lambda settings: Desk(SimulatedBroker(settings))
        return
    served = Served()
    yield served
    served.close()


@pytest.fixture
def desk(desk_of: DeskOf) -> Desk:
    desk = desk_of(Settings(fill_model="perfect", costs=Schedule(per_share=Decimal("0.01"))))
    desk.define().quote("99.99", "100.01")
    return desk


def test_begins_with_capabilities_and_link(desk_of: DeskOf) -> None:
    capabilities = CapabilitiesDeclared(reserves_inventory=True, modify_stop=False)
    desk = desk_of(Settings(capabilities=capabilities))
    desk.settle()
    events = [stamped.event for stamped in desk.heard]
    assert events == [capabilities, BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED)]


def test_nothing_is_heard_before_time_advances(desk: Desk) -> None:
    desk.place("a", BUY, 1)
    assert desk.heard == []


def test_accepts_fills_and_charges(desk: Desk) -> None:
    desk.settle()
    assert names(desk.place("a", BUY, 100).settle()) == ["OrderAccepted", "OrderFilled", "FeeReported"]
    fill = desk.of(OrderFilled)[0]
    assert (fill.client_order_id, fill.side, fill.quantity, fill.leaves) == ("a", BUY, 100, 0)
    assert desk.of(FeeReported)[0].execution == fill.execution
    assert desk.broker.dump().positions == {"ACME": Decimal(100)}


def test_every_stamp_shows_its_due_time(desk: Desk) -> None:
    desk.place("a", BUY, 100).settle()
    assert desk.heard
    for stamped in desk.heard:
        assert stamped.logical_time == stamped.event_time == stamped.received_at
        assert stamped.source == "sim"
    times = [stamped.logical_time for stamped in desk.heard]
    assert times == sorted(times)


def test_next_due_leads_from_reply_to_reply(desk: Desk) -> None:
    desk.settle()
    assert desk.broker.next_due() is None
    desk.place("a", BUY, 1)
    steps = 0
    while (due := desk.broker.next_due()) is not None:
        desk.broker.advance(due)
        steps += 1
        assert steps < 20
    assert len(desk.fills()) == 1


def test_keys_are_unique_and_stable_over_redelivery(desk: Desk) -> None:
    desk.place("a", BUY, 1).place("b", SELL, 1, stop="90").settle()
    desk.broker.query(1)
    desk.settle()
    desk.ask("a").settle()
    seen: dict[str, object] = {}
    for stamped in desk.heard:
        assert stamped.dedupe_key is not None
        assert seen.setdefault(stamped.dedupe_key, stamped.event) == stamped.event
    assert len(desk.of(OrderFilled)) == 3
    assert len([key for key in seen if key.startswith("fill:")]) == 1


def test_rejects_what_it_does_not_trade_and_ids_it_has_seen(desk: Desk) -> None:
    desk.place("a", BUY, 1).place("a", BUY, 1).settle()
    desk.instrument = "NOPE"
    desk.place("b", BUY, 1).settle()
    codes = [event.code for event in desk.of(OrderRejected)]
    assert codes == ["DUPLICATE_CLIENT_ORDER_ID", "UNKNOWN_INSTRUMENT"]


def test_cancels_once(desk: Desk) -> None:
    desk.place("a", BUY, 1, limit="90").settle()
    desk.cancel("a", "c1").cancel("a", "c2").cancel("ghost", "c3").settle()
    assert [event.client_order_id for event in desk.of(OrderCanceled)] == ["c1"]
    rejected = [(event.client_order_id, event.code) for event in desk.of(CancelRejected)]
    assert rejected == [("c2", RejectCode.TOO_LATE), ("c3", RejectCode.UNKNOWN_ORDER)]


def test_replaces_in_a_chain(desk: Desk) -> None:
    desk.place("a", BUY, 10, limit="90").settle()
    desk.replace("a", "b", BUY, 20, OrderType.LIMIT, limit="91")
    desk.replace("b", "c", BUY, 20, OrderType.LIMIT, limit="100.01")
    desk.replace("c", "d", BUY, 30, OrderType.LIMIT, limit="100.01").settle()
    assert [event.client_order_id for event in desk.of(OrderReplaced)] == ["b", "c"]
    assert [event.code for event in desk.of(ReplaceRejected)] == [RejectCode.TOO_LATE]
    assert desk.fills() == [("20", "100.01")]
    assert desk.order("a").wire_ids == ("a", "b", "c")


def test_stop_becomes_the_exit(desk: Desk) -> None:
    desk.place("s", SELL, 10, stop="95", role=Role.STOP).settle()
    desk.replace("s", "x", SELL, 10, OrderType.MARKET).settle()
    assert desk.fills("x") == [("10", "99.99")]


def test_triggers_a_stop(desk: Desk) -> None:
    desk.place("s", SELL, 10, stop="95").place("l", SELL, 10, stop="95", limit="94.95").settle()
    desk.quote("94.90", "94.92").settle()
    assert [event.client_order_id for event in desk.of(OrderTriggered)] == ["s", "l"]
    assert [fill.price for fill in desk.of(OrderFilled)] == [Decimal("94.90")]


def test_expires_day_orders(desk: Desk) -> None:
    desk.session(14, T0, T0 + 10 * SECOND)
    desk.place("d", BUY, 1, limit="90").place("g", BUY, 1, limit="90", tif=TimeInForce.GTC).settle(30)
    assert [event.cause for event in desk.of(OrderCanceled)] == [CancelCause.EXPIRED]
    assert desk.order("g").status is ReportedStatus.NEW


def test_answers_queries(desk: Desk) -> None:
    desk.place("a", BUY, 5).place("b", SELL, 5, stop="90").settle()
    desk.ask("a").ask("ghost").settle()
    assert desk.of(OrderStatusReported)[0].status is ReportedStatus.FILLED
    assert desk.of(OrderUnknown)[0].client_order_id == "ghost"
    desk.broker.query(42)
    assert desk.settle()[-1] == BrokerSnapshotReported(
        asked_at_seq=42,
        complete=True,
        positions=(PositionLine(instrument="ACME", quantity=Decimal(5)),),
        open_orders=("b",),
        executions=tuple(fill.execution for fill in desk.of(OrderFilled)[:1]),
    )


def test_restates_executions(desk: Desk) -> None:
    desk.place("a", BUY, 5).place("b", BUY, 5).settle()
    first, second = (fill.execution for fill in desk.of(OrderFilled))
    desk.broker.bust(first)
    desk.broker.correct(second, Decimal(4), Decimal(99))
    desk.settle()
    assert desk.of(ExecutionBusted)[0].execution == first
    assert desk.of(ExecutionCorrected)[0].quantity == 4
    assert desk.broker.dump().positions == {"ACME": Decimal(4)}


def test_orders_outlive_the_connection(desk: Desk) -> None:
    desk.place("a", BUY, 5, limit="99").settle()
    desk.broker.stop()
    desk.now += SECOND
    desk.broker.start(desk.heard.append, None)
    desk.quote("98.98", "98.99").settle()
    assert desk.fills() == [("5", "98.99")]


def test_replies_wait_for_the_next_start(desk: Desk) -> None:
    desk.settle()
    desk.place("a", BUY, 5)
    desk.broker.stop()
    desk.now += SECOND
    desk.broker.advance(desk.now)
    assert desk.fills() == []
    desk.broker.start(desk.heard.append, None)
    desk.settle()
    assert desk.fills() == [("5", "100.01")]


@pytest.mark.parametrize(
    ("misbehave", "expected"),
    [
        (Misbehave(when=When(nth=1), what=Reject()), ["OrderRejected", "CancelRejected"]),
        (
            Misbehave(when=When(role=Role.ENTRY), what=FillAfterCancel(Decimal(2))),
            ["OrderAccepted", "OrderCanceled", "OrderFilled"],
        ),
        (
            Misbehave(what=Repeat("OrderCanceled")),
            ["OrderAccepted", "OrderCanceled", "OrderCanceled"],
        ),
    ],
)
def test_misbehaves_by_script(desk_of: DeskOf, misbehave: Misbehave, expected: list[str]) -> None:
    desk = desk_of(Settings(fill_model="perfect", script=(misbehave,))).define().quote("99.99", "100.01")
    desk.settle()
    desk.place("a", BUY, 5, limit="99").settle()
    desk.cancel("a").settle()
    assert names([stamped.event for stamped in desk.heard[2:]]) == expected
    assert [found.fault for found in desk.broker.dump().misbehaved] == [0]


def test_commands_fail_while_the_link_is_down(desk_of: DeskOf) -> None:
    script = (Misbehave(what=Disconnect(after_messages=1, for_ms=5_000)),)
    desk = desk_of(Settings(script=script)).define()
    desk.place("a", BUY, 5, limit="99").settle()
    desk.cancel("a").settle()
    assert [(event.command_seq, event.sent) for event in desk.of(CommandFailed)] == [(2, False)]
    desk.settle(10)
    desk.cancel("a").settle()
    assert len(desk.of(OrderAccepted)) == len(desk.of(OrderCanceled)) == 1


def test_both_sound_the_same() -> None:
    """In process and behind a socket, the same inputs give the same stamps."""
    served = Served()
    heard = []
    for desk_of in (lambda settings: Desk(SimulatedBroker(settings)), served):
        desk = desk_of(Settings(seed=9, fill_model="realistic")).define().quote("99.98", "100.02")
        desk.settle()
        for number in range(5):
            desk.place(f"l{number}", BUY, 9, limit="100.00").place(f"m{number}", SELL, 4)
            desk.quote("99.98", "100.00").settle()
            desk.quote("99.98", "100.02").cancel(f"l{number}", f"c{number}")
        desk.settle()
        heard.append(desk.heard)
    served.close()
    assert len(heard[0]) > 20
    assert heard[0] == heard[1]
