"""The gate before the wire: each limit on both sides, and what protects always passes."""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import pytest

from oms.commands import CancelOrder, Command, PlaceOrder, ReplaceOrder
from oms.events.base import Event, Stamped
from oms.events.broker import CommandRefused, ExecutionBusted, ExecutionCorrected, OrderCanceled, OrderFilled
from oms.events.market import QuoteReported
from oms.events.session import DayRolled, InstrumentDefined
from oms.shell.dispatcher import Dispatcher
from oms.shell.gate import (
    COLLAR,
    DAILY_LOSS,
    EXPOSURE,
    KILLED,
    LOG_AWAY,
    QUANTITY,
    RATE,
    REPEATED,
    VALUE,
    Gate,
)
from oms.values import CONTEXT, MILLISECOND, SECOND, OrderType, Role, Side, TimeInForce
from tests import builders
from tests.builders import settings

D = Decimal
NOW = builders.OPEN


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def gate(*names: str, at: str = "100", **changes: Any) -> Gate:
    """A gate that knows the instruments and their price."""
    one = Gate(settings(**changes))
    for name in names or ("A",):
        one.observe(InstrumentDefined(instrument=name, symbol=name, currency="USD", tick=D("0.01"), lot=D(1)))
        one.see(QuoteReported(instrument=name, bid=D(at), ask=D(at), received_at=NOW))
    return one


def place(seq: int, quantity: int = 1, limit: str = "100", name: str = "A", **changes: Any) -> PlaceOrder:
    fields: dict[str, Any] = {"role": Role.ENTRY, "side": Side.BUY, "order_type": OrderType.LIMIT} | changes
    return PlaceOrder(
        seq=seq, instrument=name, client_order_id=f"C{seq}", quantity=D(quantity), price_limit=D(limit),
        time_in_force=TimeInForce.DAY, **fields,
    )  # fmt: skip


def change(seq: int, orig: str, quantity: int, limit: str = "100") -> ReplaceOrder:
    return ReplaceOrder(
        seq=seq, instrument="A", client_order_id=f"C{seq}", orig_client_order_id=orig, role=Role.ENTRY,
        side=Side.BUY, quantity=D(quantity), order_type=OrderType.LIMIT, price_limit=D(limit),
    )  # fmt: skip


def filled(execution: str, own: str, side: Side, quantity: int, price: str) -> OrderFilled:
    return OrderFilled(
        instrument="A", client_order_id=own, broker_order_id="B", execution=execution,
        side=side, quantity=D(quantity), price=D(price),
    )  # fmt: skip


def limit_of(one: Gate, command: Command, now: int = NOW) -> str | None:
    refusal = one.check(command, now)
    return refusal[0] if refusal else None


WIDE = {"gate__max_order_value": "100000000", "risk__max_gross_exposure": "100000000"}


def test_quantity() -> None:
    assert limit_of(gate(**WIDE), place(1, 100_000)) is None
    assert limit_of(gate(**WIDE), place(1, 100_001)) == QUANTITY


def test_value() -> None:
    assert limit_of(gate(), place(1, 2500)) is None
    assert limit_of(gate(), place(1, 2501)) == VALUE


@pytest.mark.parametrize(
    ("side", "inside", "outside"), [(Side.BUY, "110.00", "110.01"), (Side.SELL, "90.00", "89.99")]
)
def test_collar(side: Side, inside: str, outside: str) -> None:
    assert limit_of(gate(), place(1, limit=inside, side=side)) is None
    assert limit_of(gate(), place(1, limit=outside, side=side)) == COLLAR


def test_an_entry_in_a_market_nobody_has_seen_is_refused() -> None:
    assert limit_of(gate("B"), place(1)) == COLLAR


def test_message_rate_leaves_the_reserve() -> None:
    one = gate(gate__repeated_entry_limit=1000)
    assert {limit_of(one, place(seq)) for seq in range(30)} == {None}
    assert limit_of(one, place(31)) == RATE
    assert limit_of(one, place(32, role=Role.TARGET, side=Side.SELL)) == RATE
    assert limit_of(one, place(33, role=Role.STOP, side=Side.SELL)) is None
    assert limit_of(one, place(34), NOW + SECOND - 1) == RATE
    assert limit_of(one, place(35), NOW + SECOND) is None


def test_repeated_entries_in_one_instrument() -> None:
    one = gate("A", "B")
    assert {limit_of(one, place(seq)) for seq in range(20)} == {None}
    assert limit_of(one, place(21)) == REPEATED
    assert limit_of(one, place(22, name="B")) is None
    assert limit_of(one, place(23), NOW + 60_000 * MILLISECOND - 1) == REPEATED
    assert limit_of(one, place(24), NOW + 60_000 * MILLISECOND) is None


@pytest.mark.req("OD-119")
def test_daily_loss() -> None:
    one = gate()
    one.observe(filled("1", "X", Side.BUY, 1000, "100"))
    one.observe(filled("2", "Y", Side.SELL, 1000, "90.01"))
    assert limit_of(one, place(1)) is None
    one.observe(filled("3", "X", Side.SELL, 10, "100"))
    one.observe(filled("4", "X", Side.BUY, 10, "101"))
    assert limit_of(one, place(2)) == DAILY_LOSS
    one.observe(filled("4", "X", Side.BUY, 10, "101"))
    one.observe(DayRolled(trading_day=builders.DAY))
    assert limit_of(one, place(3)) is None


def test_a_loss_that_never_was_does_not_count() -> None:
    one = gate()
    one.observe(filled("1", "X", Side.BUY, 1000, "100"))
    one.observe(filled("2", "Y", Side.SELL, 1000, "90"))
    assert limit_of(one, place(1)) == DAILY_LOSS
    one.observe(ExecutionBusted(instrument="A", execution="2", revision=1))
    one.observe(filled("3", "Y", Side.SELL, 1000, "99"))
    assert limit_of(one, place(2)) is None
    one.observe(
        ExecutionCorrected(instrument="A", execution="3", revision=1, quantity=D(1000), price=D("89.5"))
    )
    assert limit_of(one, place(3)) == DAILY_LOSS


def test_gross_exposure_counts_what_is_held_and_what_works() -> None:
    one = gate(gate__max_order_value="500000")
    one.observe(filled("1", "X", Side.SELL, 2000, "100"))
    assert limit_of(one, place(1, 2000)) is None
    assert limit_of(one, place(2, 1001)) == EXPOSURE
    assert limit_of(one, change(3, "C1", 3000)) is None
    assert limit_of(one, change(4, "C3", 3001)) == EXPOSURE
    one.observe(filled("2", "C3", Side.BUY, 500, "100"))
    assert limit_of(one, change(5, "C3", 3000)) is None, "what an order has filled is held, not asked for"


def test_an_order_that_ended_takes_no_room() -> None:
    one = gate(gate__max_order_value="500000")
    assert limit_of(one, place(1, 5000)) is None
    assert limit_of(one, place(2)) == EXPOSURE
    one.observe(CommandRefused(instrument="A", client_order_id="C9", command_seq=9, limit=RATE))
    assert limit_of(one, place(3)) == EXPOSURE
    one.observe(OrderCanceled(instrument="A", client_order_id="C1", broker_order_id="B1"))
    assert limit_of(one, place(4, 5000)) is None


def test_a_fill_under_a_former_id_counts_for_the_order() -> None:
    one = gate(gate__max_order_value="500000")
    assert limit_of(one, place(1, 1000)) is None
    assert limit_of(one, change(2, "C1", 1000)) is None
    one.observe(filled("1", "C1", Side.BUY, 400, "100"))
    assert limit_of(one, place(3, 4000)) is None
    assert limit_of(one, place(4)) == EXPOSURE


@pytest.mark.req("I75", "I62")
def test_what_protects_passes_a_gate_that_lets_nothing_else_through() -> None:
    one = gate(gate__max_order_value="1", gate__max_order_quantity="1", risk__max_gross_exposure="1")
    stop = place(1, 100_000, limit="1", role=Role.STOP, side=Side.SELL)
    cancel = CancelOrder(seq=2, instrument="A", client_order_id="C2", orig_client_order_id="C1")
    assert [limit_of(one, command) for command in (stop, cancel)] == [None, None]


@pytest.mark.req("I74")
@pytest.mark.parametrize(
    ("level", "opens", "changes"), [(0, None, None), (1, KILLED, None), (2, KILLED, KILLED)]
)
def test_kill_level(level: int, opens: str | None, changes: str | None) -> None:
    one = gate()
    assert limit_of(one, place(1)) is None
    one.kill_level = level
    assert limit_of(one, place(2)) == opens
    assert limit_of(one, change(3, "C1", 1)) == changes
    assert limit_of(one, place(4, role=Role.STOP, side=Side.SELL)) is None


@pytest.mark.req("I60")
def test_without_the_log_only_risk_is_reduced() -> None:
    one = gate()
    assert limit_of(one, place(1)) is None
    one.log_is_away = True
    assert limit_of(one, place(2)) == LOG_AWAY
    assert limit_of(one, change(3, "C1", 1)) == LOG_AWAY
    assert limit_of(one, place(4, role=Role.TARGET, side=Side.SELL)) is None
    assert limit_of(one, place(5, role=Role.EXIT, side=Side.SELL)) is None
    one.log_is_away = False
    assert limit_of(one, place(6)) is None


class Wire:
    """Remembers what left."""

    def __init__(self) -> None:
        self.sent: list[Command] = []

    def send_at(self, command: Command, now: int) -> None:
        self.sent.append(command)


def test_a_strategy_gone_mad_is_stopped_and_the_stop_goes_out() -> None:
    wire, told = Wire(), list[Stamped]()
    names = [f"S{number}" for number in range(10_000)]
    dispatcher = Dispatcher(wire, told.append, gate(*names))
    for seq, name in enumerate(names):
        dispatcher.dispatch([place(seq, name=name)], NOW + seq * 100)
    dispatcher.dispatch([place(20_000, role=Role.STOP, side=Side.SELL, name="S0")], NOW + SECOND - 1)
    assert len(wire.sent) == 31
    assert wire.sent[-1].seq == 20_000
    refused: list[Event] = [one.event for one in told]
    assert len(refused) == 9_970
    assert {one.limit for one in refused if isinstance(one, CommandRefused)} == {RATE}
