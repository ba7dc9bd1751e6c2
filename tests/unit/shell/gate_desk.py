"""A gate over a state that is told event by event: what was decided, what the broker says, what the gate lets pass."""

from decimal import Decimal
from typing import Any

from oms.book import Book
from oms.commands import Command, PlaceOrder, ReplaceOrder
from oms.events.base import Event
from oms.events.broker import CommandExpired, CommandFailed, CommandRefused, ExecutionBusted, OrderFilled
from oms.events.decisions import EntryAccepted, KillLevelRaised, OrderPlaced, ReplaceRequested
from oms.shell.gate import Gate, Refusal
from oms.state.order import Order
from oms.values import Micros, OrderType, PositionSide, Role, Side, TimeInForce
from tests import builders
from tests.builders import settings

D = Decimal
NOW = builders.OPEN
Unsent = CommandExpired | CommandFailed | CommandRefused


class Desk:
    """One account with its gate. It knows the instruments and their price."""

    def __init__(self, *names: str, at: str = "100", **changes: Any) -> None:
        self.book = Book()
        self.now = NOW
        for event in builders.opening(settings(**changes)):
            self._fold(event)
        for name in names or ("A",):
            self._fold(builders.instrument(name))
            self._fold(builders.quote(at, at, at=NOW, name=name))
        self.gate = self.begun()

    def begun(self) -> Gate:
        """A gate of a writer that takes the account over now."""
        return Gate(self.book.account, dict(self.book.pipelines))

    def observe(self, event: Event) -> None:
        """An event is durable."""
        self._fold(event)
        self.gate.follow(self.book.account, self.book.pipelines)

    def check(self, command: Command, now: Micros = NOW) -> Refusal | None:
        """A command is decided and durable, and comes to the gate; a refusal is logged."""
        self.now = max(self.now, now)
        self.decide(command)
        refusal = self.gate.check(command, now)
        if refusal is not None:
            self.unsent(command, CommandRefused, limit=refusal[0])
        return refusal

    def decide(self, command: Command) -> None:
        """The decision behind a command that adds risk becomes durable."""
        if isinstance(command, PlaceOrder) and command.role is Role.ENTRY:
            self._place(command)
        elif isinstance(command, ReplaceOrder):
            self._replace(command)
        self.gate.follow(self.book.account, self.book.pipelines)

    def unsent(self, command: Command, kind: type[Unsent], **fields: Any) -> None:
        """The dispatcher says what became of a command; a decision is known by its place."""
        order = self.order(command.client_order_id)
        if order is None:
            return
        seq = next(one.seq for one in order.pending if one.wire_id == command.client_order_id)
        self.observe(
            kind(
                instrument=command.instrument,
                client_order_id=command.client_order_id,
                command_seq=seq,
                **fields,
            )
        )

    def order(self, own: str) -> Order | None:
        """The order behind an id of any instrument."""
        found = (one.find(own) for one in self.book.pipelines.values())
        return next((order for order in found if order is not None), None)

    def kill(self, level: int) -> None:
        """A kill level is in force."""
        self.observe(KillLevelRaised(level=level, reason="test", policy="kill_switch"))

    def _fold(self, event: Event) -> None:
        name = getattr(event, "instrument", None)
        self.book.fold(event, self.now, self.book.account.seq + 1, name)

    def _place(self, command: PlaceOrder) -> None:
        limit = command.price_limit or D(0)
        number = self.book.account.next_trade_no
        side = PositionSide.LONG if command.side is Side.BUY else PositionSide.SHORT
        self._fold(
            EntryAccepted(
                instrument=command.instrument, trade_no=number, cycle=number, strategy="s", intent_id=f"{number}",
                side=side, quantity=command.quantity, ideal=limit, zone_max=limit, stop=limit / 2,
                config_sha256=self.book.account.config_sha256, rungs=(),
            )
        )  # fmt: skip
        self._fold(
            OrderPlaced(
                instrument=command.instrument, trade_no=number, client_order_id=command.client_order_id,
                role=command.role, side=command.side, quantity=command.quantity, order_type=command.order_type,
                time_in_force=command.time_in_force, price_limit=command.price_limit, policy="entry",
            )
        )  # fmt: skip

    def _replace(self, command: ReplaceOrder) -> None:
        order = self.order(command.orig_client_order_id)
        assert order is not None
        assert order.trade_no is not None
        self._fold(
            ReplaceRequested(
                instrument=command.instrument, trade_no=order.trade_no, client_order_id=order.client_order_id,
                wire_id=command.client_order_id, orig_wire_id=command.orig_client_order_id,
                quantity=command.quantity, order_type=command.order_type, price_limit=command.price_limit,
                policy="entry",
            )
        )  # fmt: skip


def limit_of(desk: Desk, command: Command, now: Micros = NOW) -> str | None:
    """Which limit refuses a command, or None."""
    refusal = desk.check(command, now)
    return refusal[0] if refusal else None


def place(seq: int, quantity: int = 1, limit: str = "100", name: str = "A", **changes: Any) -> PlaceOrder:
    """A new entry by default; `seq` names it C1, C2, ..."""
    fields: dict[str, Any] = {"role": Role.ENTRY, "side": Side.BUY, "order_type": OrderType.LIMIT} | changes
    return PlaceOrder(
        seq=seq, instrument=name, client_order_id=f"C{seq}", quantity=D(quantity), price_limit=D(limit),
        time_in_force=TimeInForce.DAY, **fields,
    )  # fmt: skip


def change(seq: int, orig: str, quantity: int, limit: str = "100") -> ReplaceOrder:
    """New terms for an entry."""
    return ReplaceOrder(
        seq=seq, instrument="A", client_order_id=f"C{seq}", orig_client_order_id=orig, role=Role.ENTRY,
        side=Side.BUY, quantity=D(quantity), order_type=OrderType.LIMIT, price_limit=D(limit),
    )  # fmt: skip


def filled(execution: str, own: str, side: Side, quantity: int, price: str) -> OrderFilled:
    """An execution of one of our orders, or of one that is not ours."""
    return OrderFilled(
        instrument="A", client_order_id=own, broker_order_id=f"B{own}", execution=execution,
        side=side, quantity=D(quantity), price=D(price),
    )  # fmt: skip


def busted(execution: str, own: str) -> ExecutionBusted:
    """An execution that never was."""
    return ExecutionBusted(instrument="A", client_order_id=own, execution=execution, revision=1)
