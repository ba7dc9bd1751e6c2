"""A broker that is simulated: asynchronous, deterministic by seed, durable where it is given a file.

It lives in virtual time. `market` and `advance` move that time forward; every answer is due some milliseconds
after its cause and reaches the sink with the `advance` that passes its due time.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from oms.brokers.base import Sink
from oms.brokers.simulated import exchange
from oms.brokers.simulated.book import Book
from oms.brokers.simulated.dump import BookDump, dump_of
from oms.brokers.simulated.exchange import MarketEvent, RestatementRefused
from oms.brokers.simulated.floor import Settings, latency, open_floor
from oms.brokers.simulated.records import (
    Arrival,
    Delivered,
    Execution,
    Misbehaved,
    Order,
    Reply,
    SnapshotAsked,
)
from oms.brokers.simulated.replies import plan, reply_locally, stamped
from oms.brokers.simulated.script import Misbehave, Script, When
from oms.commands import Command
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, CommandFailed
from oms.values import Micros

__all__ = ["MarketEvent", "Misbehave", "RestatementRefused", "Script", "Settings", "SimulatedBroker", "When"]


class SimulatedBroker:
    """One simulated broker in this process. Not for several threads at once."""

    def __init__(self, settings: Settings | None = None, book: Path | None = None) -> None:
        self.settings = settings or Settings()
        self._book = Book(book, self.settings.name, self.settings.seed)
        self._floor = open_floor(self._book.ledger, self.settings)
        self._sink: Sink | None = None
        self._must_greet = False
        self._is_timed = False

    @property
    def now(self) -> Micros:
        """The broker's virtual time."""
        return self._book.ledger.now

    @property
    def orders(self) -> Mapping[str, Order]:
        """All orders by broker id, in the order in which they arrived."""
        return self._book.ledger.orders

    @property
    def executions(self) -> Mapping[str, Execution]:
        """All executions as they stand now, oldest first."""
        return self._book.ledger.executions

    @property
    def positions(self) -> Mapping[str, Decimal]:
        """Signed quantity by instrument."""
        return self._book.ledger.positions

    @property
    def misbehaved(self) -> tuple[Misbehaved, ...]:
        """Which lines of the script have struck."""
        return tuple(self._book.ledger.misbehaved)

    def start(self, sink: Sink, checkpoint: str | None = None) -> None:
        """Connect. Capabilities and link status come with the first `advance`, stamped with its time."""
        self._sink = sink
        self._must_greet = True

    def stop(self) -> None:
        """Disconnect. Orders stay working; replies wait for the next start."""
        self._sink = None

    def close(self) -> None:
        """Let go of the book file."""
        self._book.close()

    def send(self, command: Command) -> None:
        """Send a command at the broker's present virtual time."""
        self.send_at(command, self.now)

    def send_at(self, command: Command, now: Micros) -> None:
        """Send a command; it reaches the broker after the latency, behind the commands before it."""
        self._reach(now)
        ledger = self._floor.ledger
        if ledger.down is None:
            self._travel(Arrival(command, self.now), f"command {command.seq}")
        else:
            event = CommandFailed(
                instrument=command.instrument,
                client_order_id=command.client_order_id,
                command_seq=command.seq,
                sent=False,
                text="no link to the broker",
            )
            reply_locally(self._floor, event, self.now)
        self._book.commit()

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for open orders, the day's executions and positions. While the link is down no answer comes."""
        self._reach(self.now)
        if self._floor.ledger.down is None:
            self._travel(SnapshotAsked(asked_at_seq, whole), f"query {asked_at_seq}")
        self._book.commit()

    def market(self, event: MarketEvent, at: Micros) -> None:
        """Take market data in and let it execute orders. Feed an instant's events before advancing to it."""
        at = max(at, self.now)
        self._greet(at)
        exchange.feed(self._floor, event, at)
        self._floor.ledger.now = at
        self._book.commit()

    def advance(self, now: Micros) -> None:
        """Move time forward and deliver every reply due by then."""
        if self._sink is None:
            self._reach(now)
            self._book.commit()
            return
        handed = self.hand_out(now)
        taken: list[int] = []
        try:
            for reply in handed:
                self._sink(stamped(reply))
                taken.append(reply.n)
        finally:
            self.delivered(taken)
            self.take_back(reply.n for reply in handed)

    def hand_out(self, now: Micros) -> list[Reply]:
        """Move time forward; the replies due by then, in hand until `delivered` or `take_back` names them."""
        self._reach(now)
        self._book.commit()
        return self._floor.ledger.hand_out(self.now)

    def delivered(self, ns: Iterable[int]) -> None:
        """These replies have reached the client."""
        if reached := tuple(ns):
            self._floor.ledger.record(Delivered(reached))
            self._book.commit()

    def take_back(self, ns: Iterable[int]) -> None:
        """These replies have not reached the client; those not delivered meanwhile are due again."""
        self._floor.ledger.take_back(ns)

    def dump(self) -> BookDump:
        """Everything an auditor compares: orders with all their ids, executions as they stand, positions."""
        return dump_of(self._floor.ledger)

    def live_instruments(self) -> tuple[str, ...]:
        """Instruments with orders that the market can execute."""
        return tuple(name for name, orders in self._floor.ledger.live.items() if orders)

    def next_due(self) -> Micros | None:
        """When `advance` has something to do next; None while nothing is under way or no time is known."""
        ledger = self._floor.ledger
        if not self._is_timed:
            return None
        if self._must_greet:
            return self.now
        planned = ledger.next_planned()
        reply_due = ledger.next_reply_due() if self._sink else None
        times = [time for time in (planned.due if planned else None, reply_due) if time is not None]
        return min(times, default=None)

    def bust(self, execution: str) -> None:
        """Take an execution back. Raises `RestatementRefused` for one that does not exist."""
        exchange.bust(self._floor, execution, self.now)
        self._book.commit()

    def correct(self, execution: str, quantity: Decimal, price: Decimal) -> None:
        """Restate an execution. Raises `RestatementRefused` for one that does not exist, or for too much."""
        exchange.correct(self._floor, execution, quantity, price, self.now)
        self._book.commit()

    def _travel(self, item: Arrival | SnapshotAsked, message: str) -> None:
        due = self.now + latency(self._floor, message)
        plan(self._floor, item, max(due, self._floor.ledger.arrives_after))

    def _reach(self, now: Micros) -> None:
        now = max(now, self.now)
        self._greet(now)
        exchange.settle(self._floor, now)
        self._floor.ledger.now = now

    def _greet(self, at: Micros) -> None:
        self._is_timed = True
        if not self._must_greet:
            return
        self._must_greet = False
        reply_locally(self._floor, self.settings.capabilities, at)
        if self._floor.ledger.down is None:
            reply_locally(self._floor, BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED), at)
        else:
            exchange.link_up(self._floor, at)
