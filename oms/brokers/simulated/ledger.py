"""The broker's state: a fold of its facts, in memory. Nothing here reads a clock or a file.

All change goes through `record`, so that a book file read back gives the same state. The one exception is the
newest market (`see`): it is written down only together with facts that depend on it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from oms.brokers.simulated.records import (
    Arrival,
    Busted,
    Corrected,
    Delivered,
    Dropped,
    Executed,
    Execution,
    Fact,
    Fed,
    Happened,
    Held,
    Instrument,
    LinkDown,
    LinkUp,
    Manner,
    Misbehaved,
    Order,
    OrderRecorded,
    Planned,
    Reply,
    Scheduled,
    Seen,
    SnapshotAsked,
)
from oms.events.session import InstrumentDefined, SessionOpened, VenueStatus, VenueStatusChanged
from oms.values import SIGN_OF_SIDE, ZERO, Micros, Role


class Ledger:
    """Orders, executions, positions, what is on its way, and the newest market."""

    def __init__(self) -> None:
        self.now: Micros = 0
        self.instruments: dict[str, Instrument] = {}
        self.orders: dict[str, Order] = {}
        self.live: dict[str, dict[str, None]] = {}
        self.ids: dict[str, str] = {}
        self.placed: Counter[tuple[Role, str]] = Counter()
        self.executions: dict[str, Execution] = {}
        self.executions_of: dict[str, list[str]] = {}
        self.positions: dict[str, Decimal] = {}
        self.planned: dict[int, Planned] = {}
        self.replies: dict[int, Reply] = {}
        self.messages = 0
        self.messages_of: Counter[tuple[str, str]] = Counter()
        self.held: dict[str, list[Reply]] = {}
        self.misbehaved: list[Misbehaved] = []
        self.struck: set[tuple[int, str | None]] = set()
        self.down: LinkDown | None = None
        self.last_n = 0
        self.last_due: Micros = 0
        self.arrives_after: Micros = 0
        self.in_hand: set[int] = set()
        self.unsaved: list[Fact] = []
        self.unsaved_markets: dict[str, None] = {}
        self._agenda: list[tuple[Micros, int]] = []
        self._outgoing: list[tuple[Micros, int]] = []
        self._fold: dict[type, Callable[[Any], None]] = {
            Fed: self._fed,
            Seen: lambda fact: self._keep(fact.instrument),
            Planned: self._plan,
            Happened: lambda fact: self._forget(fact.n),
            OrderRecorded: lambda fact: self._order(fact.order),
            Executed: self._executed,
            Corrected: lambda fact: self._restated(fact.event, fact.event.quantity, fact.event.price),
            Busted: lambda fact: self._restated(fact.event, ZERO, None),
            Scheduled: self._scheduled,
            Dropped: lambda fact: self._count(fact.reply),
            Delivered: self._delivered,
            LinkDown: self._link_down,
            LinkUp: self._link_up,
            Held: lambda fact: self._hold(fact.reply),
            Misbehaved: self._misbehave,
        }

    def record(self, fact: Fact) -> None:
        """Take a new fact into the state and remember it for the book."""
        self.apply(fact)
        self.unsaved.append(fact)

    def apply(self, fact: Fact) -> None:
        """Take a fact into the state."""
        self._fold[type(fact)](fact)

    def see(self, instrument: Instrument) -> None:
        """Keep the newest market of an instrument."""
        name = instrument.defined.instrument
        self.instruments[name] = instrument
        self.unsaved_markets[name] = None

    def next_n(self) -> int:
        """A number that no planned item and no reply has had."""
        self.last_n += 1
        return self.last_n

    def order_of(self, wire_id: str) -> Order | None:
        """The order behind any of its wire ids."""
        broker_id = self.ids.get(wire_id)
        return None if broker_id is None else self.orders[broker_id]

    def live_orders(self, instrument: str) -> list[Order]:
        """Orders that can execute, in the order in which they arrived."""
        return [self.orders[broker_id] for broker_id in self.live.get(instrument, ())]

    def all_live_orders(self) -> Iterator[Order]:
        """Orders of every instrument that can execute."""
        return (order for instrument in self.live for order in self.live_orders(instrument))

    def position(self, instrument: str) -> Decimal:
        """Signed quantity held; short is negative."""
        return self.positions.get(instrument, ZERO)

    def next_planned(self) -> Planned | None:
        """What happens next at the broker."""
        agenda = self._agenda
        while agenda and agenda[0][1] not in self.planned:
            heapq.heappop(agenda)
        return self.planned[agenda[0][1]] if agenda else None

    def is_deliverable(self, reply: Reply) -> bool:
        """Whether the link carries this reply once it is due."""
        return self.down is None or reply.is_local or reply.due <= self.down.at

    def hand_out(self, now: Micros) -> list[Reply]:
        """Replies due at `now`, in due order. They are in hand until they are delivered or taken back."""
        earliest = self.next_reply_due()
        if earliest is None or earliest > now:
            return []
        found = [reply for reply in self._waiting() if reply.due <= now]
        self.in_hand.update(reply.n for reply in found)
        return sorted(found, key=lambda reply: (reply.due, reply.n))

    def take_back(self, ns: Iterable[int]) -> None:
        """Replies that were handed out did not reach the client; they are due again."""
        for n in ns:
            if n in self.in_hand:
                self.in_hand.remove(n)
                heapq.heappush(self._outgoing, (self.replies[n].due, n))

    def next_reply_due(self) -> Micros | None:
        """When the next reply can be delivered."""
        outgoing = self._outgoing
        while outgoing and self._is_stale(outgoing[0]):
            heapq.heappop(outgoing)
        if not outgoing:
            return None
        if self.down is None:
            return outgoing[0][0]
        return min((reply.due for reply in self._waiting()), default=None)

    def _waiting(self) -> list[Reply]:
        return [r for r in self.replies.values() if r.n not in self.in_hand and self.is_deliverable(r)]

    def _is_stale(self, entry: tuple[Micros, int]) -> bool:
        reply = self.replies.get(entry[1])
        return reply is None or reply.due != entry[0] or reply.n in self.in_hand

    def _keep(self, instrument: Instrument) -> None:
        self.instruments[instrument.defined.instrument] = instrument

    def _fed(self, fact: Fed) -> None:
        match fact.event:
            case InstrumentDefined() as defined:
                known = self.instruments.get(defined.instrument)
                self._keep(replace(known, defined=defined) if known else Instrument(defined=defined))
            case SessionOpened() as session:
                known = self.instruments[session.instrument]
                self._keep(_in_session(known, session))
            case VenueStatusChanged() as status:
                known = self.instruments[status.instrument]
                self._keep(replace(known, is_halted=status.status is VenueStatus.HALTED))
            case other:
                raise AssertionError(f"a fed fact does not carry {other}")

    def _plan(self, fact: Planned) -> None:
        self.planned[fact.n] = fact
        self.last_n = max(self.last_n, fact.n)
        if isinstance(fact.item, Arrival | SnapshotAsked):
            self.arrives_after = max(self.arrives_after, fact.due)
        heapq.heappush(self._agenda, (fact.due, fact.n))

    def _forget(self, n: int) -> None:
        del self.planned[n]

    def _order(self, order: Order) -> None:
        broker_id = order.broker_order_id
        if broker_id not in self.orders:
            self.placed[order.role, order.instrument] += 1
        self.orders[broker_id] = order
        for wire_id in order.wire_ids:
            self.ids[wire_id] = broker_id
        live = self.live.setdefault(order.instrument, {})
        if order.is_live:
            live[broker_id] = None
        else:
            live.pop(broker_id, None)

    def _executed(self, fact: Executed) -> None:
        event = fact.event
        assert event.execution not in self.executions, event.execution
        assert event.broker_order_id is not None
        self.executions[event.execution] = Execution(
            execution=event.execution,
            broker_order_id=event.broker_order_id,
            instrument=event.instrument,
            side=event.side,
            quantity=event.quantity,
            price=event.price,
            day=fact.day,
            reports=(event,),
            fees=fact.fees,
        )
        self.executions_of.setdefault(event.broker_order_id, []).append(event.execution)
        self._move(event.instrument, SIGN_OF_SIDE[event.side] * event.quantity)

    def _restated(self, event: Any, quantity: Decimal, price: Decimal | None) -> None:
        old = self.executions[event.execution]
        assert event.revision == old.revision + 1
        self.executions[event.execution] = replace(
            old,
            quantity=quantity,
            price=old.price if price is None else price,
            revision=event.revision,
            reports=(*old.reports, event),
        )
        self._move(old.instrument, SIGN_OF_SIDE[old.side] * (quantity - old.quantity))

    def _move(self, instrument: str, quantity: Decimal) -> None:
        self.positions[instrument] = self.position(instrument) + quantity

    def _scheduled(self, fact: Scheduled) -> None:
        reply = fact.reply
        if fact.manner is not Manner.AGAIN:
            self._count(reply)
        if fact.manner is Manner.IN_ORDER and not reply.is_local:
            self.last_due = max(self.last_due, reply.due)
        if reply.broker_order_id in self.held:
            waiting = [held for held in self.held[reply.broker_order_id] if held.n != reply.n]
            self.held[reply.broker_order_id] = waiting
        self._schedule(reply)

    def _count(self, reply: Reply) -> None:
        self.last_n = max(self.last_n, reply.n)
        self.messages += not reply.is_local
        if reply.broker_order_id is not None:
            self.messages_of[reply.broker_order_id, type(reply.event).__name__] += 1

    def _schedule(self, reply: Reply) -> None:
        self.replies[reply.n] = reply
        self.last_n = max(self.last_n, reply.n)
        heapq.heappush(self._outgoing, (reply.due, reply.n))

    def _delivered(self, fact: Delivered) -> None:
        for n in fact.ns:
            self.replies.pop(n, None)
            self.in_hand.discard(n)

    def _hold(self, reply: Reply) -> None:
        assert reply.broker_order_id is not None
        self._count(reply)
        self.held.setdefault(reply.broker_order_id, []).append(reply)

    def _misbehave(self, fact: Misbehaved) -> None:
        self.misbehaved.append(fact)
        self.struck.add((fact.fault, fact.broker_order_id))

    def _link_down(self, fact: LinkDown) -> None:
        self.down = fact

    def _link_up(self, fact: LinkUp) -> None:
        assert self.down is not None
        waiting = [r for r in self.replies.values() if not r.is_local and self.down.at < r.due <= fact.at]
        for reply in waiting:
            if self.down.loses_messages:
                del self.replies[reply.n]
            else:
                self._schedule(Reply(reply.n, fact.at, reply.key, reply.event, reply.broker_order_id))
        self.down = None


def _in_session(instrument: Instrument, session: SessionOpened) -> Instrument:
    """Yesterday's prices say nothing of a new session."""
    old = instrument.session
    if old is None or old.session_date == session.session_date:
        return replace(instrument, session=session)
    return Instrument(defined=instrument.defined, session=session, is_halted=instrument.is_halted)
