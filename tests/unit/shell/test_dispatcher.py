"""Commands on their way to the wire: order, expiry, failures as inputs."""

from decimal import Decimal, localcontext
from types import SimpleNamespace

import pytest

from eventlog.errors import Fenced
from eventlog.memory import MemoryLog
from oms.commands import CancelOrder, Command, PlaceOrder
from oms.events.base import Stamped
from oms.events.broker import CommandExpired, CommandFailed
from oms.shell.dispatcher import Dispatcher
from oms.shell.opening import Identity, open_runner
from oms.values import CONTEXT, OrderType, Role, Side, TimeInForce
from tests import builders


class Wire:
    """Remembers what was sent; fails when told to."""

    def __init__(self, failure: OSError | None = None) -> None:
        self.sent: list[int] = []
        self.failure = failure

    def send_at(self, command: Command, now: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(command.seq)


def place(seq: int, role: Role, valid_until: int | None = None) -> PlaceOrder:
    return PlaceOrder(
        seq=seq,
        instrument="A",
        client_order_id=f"C{seq}",
        role=role,
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        price_limit=Decimal(1),
        valid_until=valid_until,
    )


def test_risk_reducing_commands_leave_first() -> None:
    wire, told = Wire(), list[Stamped]()
    cancel = CancelOrder(seq=5, instrument="A", client_order_id="C5", orig_client_order_id="C1")
    Dispatcher(wire, told.append).dispatch(
        [place(2, Role.ENTRY), place(3, Role.TARGET), place(4, Role.STOP), cancel], 10
    )
    assert wire.sent == [4, 5, 3, 2]
    assert not told


def test_stale_entry_expires_and_a_stop_never_does() -> None:
    wire, told = Wire(), list[Stamped]()
    released = [place(2, Role.ENTRY, valid_until=9), place(3, Role.STOP, valid_until=9)]
    Dispatcher(wire, told.append).dispatch(released, 10)
    assert wire.sent == [3]
    assert isinstance(told[0].event, CommandExpired)
    assert told[0].event.command_seq == 2


def test_entry_is_sent_at_the_last_instant_of_its_validity() -> None:
    wire, told = Wire(), list[Stamped]()
    Dispatcher(wire, told.append).dispatch([place(2, Role.ENTRY, valid_until=10)], 10)
    assert wire.sent == [2]


def test_failure_of_the_wire_means_unknown() -> None:
    told: list[Stamped] = []
    Dispatcher(Wire(OSError("gone")), told.append).dispatch([place(2, Role.STOP)], 10)
    event = told[0].event
    assert isinstance(event, CommandFailed)
    assert event.sent
    assert told[0].dedupe_key == "CommandFailed:2"


@pytest.mark.parametrize("overtaken", [False, True])
def test_writer_that_slept_sends_only_what_is_still_its_own(
    monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    now = [0.0]
    monkeypatch.setattr("oms.shell.runner.time", SimpleNamespace(monotonic=lambda: now[0]))
    log, wire = MemoryLog(clock=lambda: now[0]), Wire()
    log.ensure_partitions(builders.DAY, 1)
    who = Identity(log_id="log", code="", dependencies="")
    with localcontext(CONTEXT):
        runner = open_runner(
            log, "sim/sim/a", builders.settings(), at=builders.OPEN, trading_day=builders.DAY, who=who
        )
    dispatcher = Dispatcher(wire, list[Stamped]().append, hold=runner.renew)
    now[0] += 60
    if overtaken:
        log.acquire("sim/sim/a", "another")
        with pytest.raises(Fenced):
            dispatcher.dispatch([place(2, Role.STOP)], 10)
    else:
        dispatcher.dispatch([place(2, Role.STOP)], 10)
    assert wire.sent == ([] if overtaken else [2])
