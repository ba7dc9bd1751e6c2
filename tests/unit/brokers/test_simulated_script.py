"""Scripted misbehaviour: each fault does what it says, to the order it names, and is noted in the book."""

from decimal import Decimal

import pytest

from oms.brokers.simulated import Misbehave, Settings, SimulatedBroker, When
from oms.brokers.simulated.script import (
    CancelUnasked,
    Delay,
    Disconnect,
    Drop,
    Fault,
    FillAfterCancel,
    FillOnly,
    LoseCancelRace,
    NoFillAfterTrigger,
    Reject,
    RejectReplace,
    Repeat,
    Swap,
    decode,
    encode,
)
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    CancelCause,
    CancelRejected,
    CommandFailed,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.values import OrderType, Role, Side
from tests.unit.brokers.simulated_desk import Desk, names

BUY, SELL = Side.BUY, Side.SELL


def desk_with(*script: Misbehave) -> Desk:
    desk = Desk(SimulatedBroker(Settings(fill_model="perfect", script=script)))
    desk.define().quote("99.99", "100.01").settle()
    return desk


def always(what: Fault) -> Desk:
    return desk_with(Misbehave(what=what))


def test_rejects_the_second_stop_only() -> None:
    desk = desk_with(Misbehave(when=When(role=Role.STOP, nth=2), what=Reject("NO", "not now")))
    for name in ("s1", "s2", "s3"):
        desk.place(name, SELL, 1, stop="95", role=Role.STOP).place("e" + name, BUY, 1).settle()
    rejected = [(event.client_order_id, event.code, event.text) for event in desk.of(OrderRejected)]
    assert rejected == [("s2", "NO", "not now")]


def test_concerns_one_instrument_only() -> None:
    desk = desk_with(Misbehave(when=When(instrument="OTHER"), what=Reject()))
    desk.define("OTHER").place("a", BUY, 1)
    desk.instrument = "OTHER"
    desk.place("b", BUY, 1).settle()
    assert [event.client_order_id for event in desk.of(OrderRejected)] == ["b"]


def test_fills_a_part_and_leaves_the_rest() -> None:
    desk = always(FillOnly(Decimal(3)))
    desk.place("a", BUY, 10).settle()
    desk.quote("99.00", "99.01").settle()
    assert desk.fills() == [("3", "100.01")]
    assert desk.order("a").status is ReportedStatus.PARTIALLY_FILLED


def test_executes_after_the_cancel_was_confirmed() -> None:
    desk = always(FillAfterCancel(Decimal(4), delay_ms=20))
    desk.place("a", BUY, 10, limit="99").settle()
    heard = desk.cancel("a").settle()
    assert names(heard) == ["OrderCanceled", "OrderFilled"]
    assert desk.fills() == [("4", "99")]
    assert (desk.order("a").status, desk.order("a").leaves) == (ReportedStatus.CANCELED, 0)
    assert desk.broker.positions["ACME"] == 4


def test_late_fill_of_all_completes_the_order() -> None:
    desk = always(FillAfterCancel())
    desk.place("a", BUY, 10, limit="99").settle()
    desk.cancel("a").settle()
    assert desk.order("a").status is ReportedStatus.FILLED


def test_delivers_an_execution_twice_under_one_key() -> None:
    desk = always(Repeat())
    desk.place("a", BUY, 10).settle()
    fills = [stamped for stamped in desk.heard if isinstance(stamped.event, OrderFilled)]
    assert len(fills) == 2
    assert fills[0].event == fills[1].event
    assert fills[0].dedupe_key == fills[1].dedupe_key
    assert desk.broker.positions["ACME"] == 10


def test_delivers_the_fill_before_the_acceptance() -> None:
    desk = always(Swap())
    assert names(desk.place("a", BUY, 10).settle()) == ["OrderFilled", "OrderAccepted"]


def test_swapped_message_waits_for_the_next_one() -> None:
    desk = always(Swap())
    assert desk.place("a", BUY, 10, limit="99").settle() == []
    assert names(desk.cancel("a").settle()) == ["OrderCanceled", "OrderAccepted"]


def test_never_acknowledges() -> None:
    desk = always(Drop())
    assert desk.place("a", BUY, 10, limit="99").settle(60) == []
    assert names(desk.ask("a").settle()) == ["OrderStatusReported"]


def test_drops_one_fill_of_several() -> None:
    desk = always(Drop("OrderFilled", nth=1))
    desk.place("a", BUY, 10).settle()
    assert desk.fills() == []
    desk.ask("a").settle()
    assert desk.fills() == [("10", "100.01")]


def test_delays_the_acceptance_beyond_the_fill() -> None:
    desk = always(Delay(ms=500))
    heard = desk.place("a", BUY, 10).settle()
    assert names(heard) == ["OrderFilled", "OrderAccepted"]
    filled, accepted = (stamped.logical_time for stamped in desk.heard[-2:])
    assert accepted - filled >= 490_000


def test_stop_limit_triggers_and_finds_no_market() -> None:
    desk = always(NoFillAfterTrigger())
    desk.place("s", SELL, 10, stop="95.00", limit="94.50").settle()
    desk.quote("94.90", "95.00").settle()
    desk.quote("94.80", "94.90").settle()
    assert len(desk.of(OrderTriggered)) == 1
    assert desk.fills() == []
    assert len(desk.broker.misbehaved) == 1


def test_loses_the_cancel_race() -> None:
    desk = always(LoseCancelRace())
    desk.place("a", BUY, 10, limit="99").settle()
    assert names(desk.cancel("a").settle()) == ["OrderFilled", "CancelRejected"]
    assert desk.of(CancelRejected)[0].code is RejectCode.TOO_LATE


def test_cancels_unasked() -> None:
    desk = always(CancelUnasked(after_ms=100))
    desk.place("s", SELL, 10, stop="95").settle()
    assert [event.cause for event in desk.of(OrderCanceled)] == [CancelCause.UNSOLICITED]


def test_rejects_a_replace() -> None:
    desk = always(RejectReplace("no"))
    desk.place("a", BUY, 10, limit="99").settle()
    desk.replace("a", "b", BUY, 10, OrderType.LIMIT, limit="98").settle()
    assert desk.of(ReplaceRejected)[0].text == "no"
    assert desk.order("a").price_limit == 99


def test_disconnects_and_catches_up() -> None:
    desk = desk_with(Misbehave(what=Disconnect(after_messages=1, for_ms=5_000)))
    desk.place("a", BUY, 10, limit="99").settle()
    desk.quote("98.98", "98.99").settle()
    desk.place("b", BUY, 10).settle()
    assert desk.of(OrderFilled) == []
    failed = [(event.client_order_id, event.sent) for event in desk.of(CommandFailed)]
    assert failed == [("b", False)]
    desk.settle(5)
    statuses = [event.status for event in desk.of(BrokerLinkChanged)]
    assert statuses == [
        BrokerLinkStatus.CONNECTED,
        BrokerLinkStatus.DISCONNECTED,
        BrokerLinkStatus.CONNECTED,
    ]
    assert desk.fills() == [("10", "98.99")]
    times = [stamped.logical_time for stamped in desk.heard]
    assert times == sorted(times)


def test_messages_of_a_lossy_disconnect_never_come() -> None:
    what = Disconnect(after_messages=1, for_ms=1_000, loses_messages=True)
    desk = desk_with(Misbehave(what=what))
    desk.place("a", BUY, 10).settle(5)
    assert len(desk.of(OrderAccepted)) == 1
    assert desk.fills() == []
    desk.broker.query(1)
    desk.settle()
    assert desk.fills() == [("10", "100.01")]


def test_link_without_end_waits_for_the_next_start() -> None:
    desk = desk_with(Misbehave(what=Disconnect(after_messages=1)))
    desk.place("a", BUY, 10).settle(60)
    assert desk.fills() == []
    desk.broker.start(desk.heard.append, None)
    desk.settle()
    assert desk.fills() == [("10", "100.01")]


def test_notes_in_the_book_what_struck() -> None:
    desk = always(Reject())
    desk.place("a", BUY, 1).settle()
    noted = desk.broker.misbehaved
    assert [(found.fault, "Reject" in found.what) for found in noted] == [(0, True)]


@pytest.mark.parametrize(
    "what", [Reject(), FillOnly(Decimal("1.5")), Drop("OrderFilled", 2), Disconnect(3, None, True)]
)
def test_reads_back_what_it_writes(what: Fault) -> None:
    script = (Misbehave(when=When(role=Role.STOP, nth=2), what=what),)
    assert decode(encode(script)) == script
