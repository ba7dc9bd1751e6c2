"""The gate before the wire: each limit on both sides, and what protects always passes."""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import pytest

from oms.commands import CancelOrder, Command
from oms.events.base import Event, Stamped
from oms.events.broker import (
    CommandExpired,
    CommandFailed,
    CommandRefused,
    ExecutionCorrected,
    OrderCanceled,
    OrderStatusReported,
    OrderUnknown,
    ReplaceRejected,
    ReportedStatus,
)
from oms.events.session import DayRolled
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
)
from oms.values import CONTEXT, MILLISECOND, SECOND, Role, Side
from tests import builders
from tests.unit.shell.gate_desk import NOW, Desk, Unsent, busted, change, filled, limit_of, place

D = Decimal


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


WIDE = {"gate__max_order_value": "100000000", "risk__max_gross_exposure": "100000000"}


def test_quantity() -> None:
    assert limit_of(Desk(**WIDE), place(1, 100_000)) is None
    assert limit_of(Desk(**WIDE), place(1, 100_001)) == QUANTITY


def test_value() -> None:
    assert limit_of(Desk(), place(1, 2500)) is None
    assert limit_of(Desk(), place(1, 2501)) == VALUE


@pytest.mark.parametrize(
    ("side", "inside", "outside"), [(Side.BUY, "110.00", "110.01"), (Side.SELL, "90.00", "89.99")]
)
def test_collar(side: Side, inside: str, outside: str) -> None:
    assert limit_of(Desk(), place(1, limit=inside, side=side)) is None
    assert limit_of(Desk(), place(1, limit=outside, side=side)) == COLLAR


def test_an_entry_in_a_market_nobody_has_seen_is_refused() -> None:
    assert limit_of(Desk("B"), place(1)) == COLLAR


def test_message_rate_leaves_the_reserve() -> None:
    one = Desk(gate__repeated_entry_limit=1000)
    assert {limit_of(one, place(seq)) for seq in range(30)} == {None}
    assert limit_of(one, place(31)) == RATE
    assert limit_of(one, place(32, role=Role.TARGET, side=Side.SELL)) == RATE
    assert limit_of(one, place(33, role=Role.STOP, side=Side.SELL)) is None
    assert limit_of(one, place(34), NOW + SECOND - 1) == RATE
    assert limit_of(one, place(35), NOW + SECOND) is None


def test_repeated_entries_in_one_instrument() -> None:
    one = Desk("A", "B")
    assert {limit_of(one, place(seq)) for seq in range(20)} == {None}
    assert limit_of(one, place(21)) == REPEATED
    assert limit_of(one, place(22, name="B")) is None
    assert limit_of(one, place(23), NOW + 60_000 * MILLISECOND - 1) == REPEATED
    assert limit_of(one, place(24), NOW + 60_000 * MILLISECOND) is None


@pytest.mark.req("OD-119")
def test_daily_loss() -> None:
    one = Desk()
    one.observe(filled("1", "X", Side.BUY, 1000, "100"))
    one.observe(filled("2", "Y", Side.SELL, 1000, "90.01"))
    assert limit_of(one, place(1)) is None
    one.observe(filled("3", "Z", Side.SELL, 10, "100"))
    one.observe(filled("4", "W", Side.BUY, 10, "101"))
    assert limit_of(one, place(2)) == DAILY_LOSS
    one.observe(filled("4", "W", Side.BUY, 10, "101"))
    one.observe(DayRolled(trading_day=builders.DAY))
    assert limit_of(one, place(3)) is None


def test_a_loss_that_never_was_does_not_count() -> None:
    one = Desk()
    one.observe(filled("1", "X", Side.BUY, 1000, "100"))
    one.observe(filled("2", "Y", Side.SELL, 1000, "90"))
    assert limit_of(one, place(1)) == DAILY_LOSS
    one.observe(busted("2", "Y"))
    one.observe(filled("3", "V", Side.SELL, 1000, "99"))
    assert limit_of(one, place(2)) is None
    one.observe(
        ExecutionCorrected(
            instrument="A", client_order_id="V", execution="3", revision=1, quantity=D(1000), price=D("89.5")
        )
    )
    assert limit_of(one, place(3)) == DAILY_LOSS


def test_gross_exposure_counts_what_is_held_and_what_works() -> None:
    one = Desk(gate__max_order_value="500000")
    one.observe(filled("1", "X", Side.SELL, 2000, "100"))
    assert limit_of(one, place(1, 2000)) is None
    assert limit_of(one, place(2, 1001)) == EXPOSURE
    assert limit_of(one, change(3, "C1", 3000)) is None
    assert limit_of(one, change(4, "C3", 3001)) == EXPOSURE
    one.observe(filled("2", "C3", Side.BUY, 500, "100"))
    assert limit_of(one, change(5, "C3", 3000)) is None, "what an order has filled is held, not asked for"


def test_an_order_that_ended_takes_no_room() -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 5000)) is None
    assert limit_of(one, place(2)) == EXPOSURE
    one.observe(CommandRefused(instrument="A", client_order_id="C9", command_seq=9, limit=RATE))
    assert limit_of(one, place(3)) == EXPOSURE
    one.observe(OrderCanceled(instrument="A", client_order_id="C1", broker_order_id="B1"))
    assert limit_of(one, place(4, 5000)) is None


def test_a_fill_under_a_former_id_counts_for_the_order() -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 1000)) is None
    assert limit_of(one, change(2, "C1", 1000)) is None
    one.observe(filled("1", "C1", Side.BUY, 400, "100"))
    assert limit_of(one, place(3, 4000)) is None
    assert limit_of(one, place(4)) == EXPOSURE


@pytest.mark.parametrize(
    "end",
    [
        OrderUnknown(instrument="A", client_order_id="C1", asked_at_seq=1_000),
        OrderStatusReported(instrument="A", client_order_id="C1", status=ReportedStatus.CANCELED),
        OrderStatusReported(instrument="A", client_order_id="C1", status=ReportedStatus.EXPIRED),
        OrderStatusReported(instrument="A", client_order_id="C1", status=ReportedStatus.REJECTED),
    ],
)
def test_an_order_that_ended_by_any_word_takes_no_room(end: Event) -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 5000)) is None
    assert limit_of(one, place(2)) == EXPOSURE
    one.observe(end)
    assert limit_of(one, place(3, 5000)) is None


def test_an_order_that_came_back_takes_its_room_again() -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 5000)) is None
    one.observe(OrderUnknown(instrument="A", client_order_id="C1", asked_at_seq=1_000))
    one.observe(OrderStatusReported(instrument="A", client_order_id="C1", status=ReportedStatus.NEW))
    assert limit_of(one, place(2)) == EXPOSURE


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(CommandExpired, {}), (CommandFailed, {"sent": False}), (CommandRefused, {"limit": RATE}), (None, {})],
)
def test_a_change_that_came_to_nothing_leaves_the_order_its_room(
    kind: type[Unsent] | None, fields: dict[str, object]
) -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 4000)) is None
    smaller = change(2, "C1", 1000)
    assert limit_of(one, smaller) is None
    assert limit_of(one, place(3, 1001)) == EXPOSURE, "it may still have the old terms"
    if kind is None:
        one.observe(ReplaceRejected(instrument="A", client_order_id="C2", orig_client_order_id="C1"))
    else:
        one.unsent(smaller, kind, **fields)
    assert limit_of(one, place(4, 1001)) == EXPOSURE
    assert limit_of(one, place(5, 1000)) is None


def test_an_entry_that_is_busted_may_execute_again() -> None:
    one = Desk(gate__max_order_value="500000")
    assert limit_of(one, place(1, 3000)) is None
    one.observe(filled("1", "C1", Side.BUY, 1000, "100"))
    one.observe(busted("1", "C1"))
    assert limit_of(one, place(2, 2001)) == EXPOSURE
    assert limit_of(one, place(3, 2000)) is None


@pytest.mark.req("OD-119")
def test_what_a_partly_closed_trade_has_lost_counts_after_a_restart() -> None:
    one = Desk(**WIDE)
    assert limit_of(one, place(1, 2000)) is None
    one.observe(filled("1", "C1", Side.BUY, 2000, "100"))
    one.observe(filled("2", "X", Side.SELL, 1000, "90"))
    one.gate = one.begun()
    assert limit_of(one, place(2)) == DAILY_LOSS
    one.observe(busted("2", "X"))
    assert limit_of(one, place(3)) is None, "an execution from before the start is taken back"


def test_entries_and_messages_from_before_a_restart_count() -> None:
    one = Desk(gate__messages_per_second=30)
    assert {limit_of(one, place(seq)) for seq in range(10)} == {None}
    one.gate = one.begun()
    assert limit_of(one, place(10)) == RATE
    assert {limit_of(one, place(seq), NOW + SECOND) for seq in range(11, 21)} == {None}
    assert limit_of(one, place(21), NOW + 2 * SECOND) == REPEATED
    assert limit_of(one, place(22), NOW + 60_000 * MILLISECOND) is None


@pytest.mark.req("I75", "I62")
def test_what_protects_passes_a_gate_that_lets_nothing_else_through() -> None:
    one = Desk(gate__max_order_value="1", gate__max_order_quantity="1", risk__max_gross_exposure="1")
    stop = place(1, 100_000, limit="1", role=Role.STOP, side=Side.SELL)
    cancel = CancelOrder(seq=2, instrument="A", client_order_id="C2", orig_client_order_id="C1")
    assert [limit_of(one, command) for command in (stop, cancel)] == [None, None]


@pytest.mark.req("I74")
@pytest.mark.parametrize(
    ("level", "opens", "changes"), [(0, None, None), (1, KILLED, None), (2, KILLED, KILLED)]
)
def test_kill_level(level: int, opens: str | None, changes: str | None) -> None:
    one = Desk()
    assert limit_of(one, place(1)) is None
    one.kill(level)
    assert limit_of(one, place(2)) == opens
    assert limit_of(one, change(3, "C1", 1)) == changes
    assert limit_of(one, place(4, role=Role.STOP, side=Side.SELL)) is None


@pytest.mark.req("I60")
def test_without_the_log_only_risk_is_reduced() -> None:
    one = Desk()
    assert limit_of(one, place(1)) is None
    one.gate.log_is_away = True
    assert limit_of(one, place(2)) == LOG_AWAY
    assert limit_of(one, change(3, "C1", 1)) == LOG_AWAY
    assert limit_of(one, place(4, role=Role.TARGET, side=Side.SELL)) is None
    assert limit_of(one, place(5, role=Role.EXIT, side=Side.SELL)) is None
    one.gate.log_is_away = False
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
    desk = Desk(*names)
    dispatcher = Dispatcher(wire, told.append, desk.gate)
    for seq, name in enumerate(names):
        desk.decide(place(seq, name=name))
        dispatcher.dispatch([place(seq, name=name)], NOW + seq * 100)
    dispatcher.dispatch([place(20_000, role=Role.STOP, side=Side.SELL, name="S0")], NOW + SECOND - 1)
    assert len(wire.sent) == 31
    assert wire.sent[-1].seq == 20_000
    refused: list[Event] = [one.event for one in told]
    assert len(refused) == 9_970
    assert {one.limit for one in refused if isinstance(one, CommandRefused)} == {RATE}
