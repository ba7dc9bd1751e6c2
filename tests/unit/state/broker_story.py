"""One order at a broker that is known to the last share, and what of its reports reaches us, and when.

The broker here is a list of executions and a flag or two, and shares no code with the order management. A story is a
list of acts. Each act happens at its own tick and is reported so many ticks later, once, twice or never.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oms.events.base import Event
from oms.events.broker import ReportedStatus
from tests.unit.state.order_story import (
    PLACED_SEQ,
    D,
    accepted,
    busted,
    canceled,
    corrected,
    filled,
    query,
    reported,
)

ORDERED = 10
PRICES = ("100", "100.01", "99")
LOST = -1


class Act(NamedTuple):
    """What happens at the broker. `delays` are those of the copies of its report: none of them, and it is lost.

    A `twin` is a fill that is told under two ids at once; the second id of an `alias` comes on a way of its own.
    """

    what: str
    size: int = 1
    pick: int = 0
    delays: tuple[int, ...] = (0,)


@dataclass
class Done:
    """An execution at its present revision; a busted one has quantity zero."""

    name: str
    quantity: int
    price: str
    revision: int = 0
    names: tuple[str, ...] = ()


@dataclass
class Broker:
    """The order as it truly is. `reopens`: what is taken back from an order that works can execute again."""

    reopens: bool = True
    done: list[Done] = field(default_factory=list)
    leaves: int = ORDERED
    is_ended: bool = False

    @property
    def count(self) -> int:
        return sum(one.quantity for one in self.done)

    @property
    def value(self) -> D:
        return sum((one.quantity * D(one.price) for one in self.done), D(0))

    @property
    def status(self) -> ReportedStatus:
        if self.count >= ORDERED:
            return ReportedStatus.FILLED
        if self.is_ended:
            return ReportedStatus.CANCELED
        return ReportedStatus.PARTIALLY_FILLED if self.count else ReportedStatus.NEW

    def reports(self, act: Act) -> Iterator[Event]:
        """Do it, and say so with the count as it is now; what cannot be does not happen."""
        standing = [one for one in self.done if one.quantity]
        match act.what:
            case "fill" | "twin" | "alias":
                yield from self._filled(act)
            case "bust" if standing:
                one = standing[act.pick % len(standing)]
                self._restated(one, 0, one.price)
                yield busted(self._name(one, act), self.count, self.leaves, revision=one.revision)
            case "correct" if standing:
                one = standing[act.pick % len(standing)]
                self._restated(one, min(act.size, one.quantity + ORDERED - self.count), one.price)
                yield self._corrected(one, act)
            case "reprice" if standing:
                one = standing[act.pick % len(standing)]
                self._restated(one, one.quantity, PRICES[(PRICES.index(one.price) + 1) % len(PRICES)])
                yield self._corrected(one, act)
            case "cancel" if not self.is_ended and self.count < ORDERED:
                self.is_ended, self.leaves = True, 0
                yield canceled(self.count, own="X")
            case "status":
                yield self.answer(None)

    def answer(self, asked: int | None) -> Event:
        return reported(self.status, self.count, self.leaves, asked=asked)

    def _filled(self, act: Act) -> Iterator[Event]:
        """Also of an order that has ended, whose fill was under way."""
        quantity = min(act.size, ORDERED - self.count)
        if quantity <= 0 or (not self.is_ended and not self.leaves):
            return
        if not self.is_ended:
            quantity = min(quantity, self.leaves)
            self.leaves -= quantity
        name = f"e{len(self.done)}"
        names = (name,) if act.what == "fill" else (name, f"{name}'")
        one = Done(name, quantity, PRICES[act.pick % len(PRICES)], names=names)
        self.done.append(one)
        for each in names:
            yield filled(each, quantity, self.count, self.leaves, price=one.price)

    def _restated(self, one: Done, quantity: int, price: str) -> None:
        less = one.quantity - quantity
        one.quantity, one.price, one.revision = quantity, price, one.revision + 1
        if self.is_ended:
            return
        if self.reopens or less < 0:
            self.leaves += less
        self.leaves = max(min(self.leaves, ORDERED - self.count), 0)
        self.is_ended = not self.leaves and self.count < ORDERED

    def _corrected(self, one: Done, act: Act) -> Event:
        return corrected(
            self._name(one, act),
            one.quantity,
            self.count,
            self.leaves,
            revision=one.revision,
            price=one.price,
        )

    @staticmethod
    def _name(one: Done, act: Act) -> str:
        return one.names[act.size % len(one.names)]


def told(acts: Sequence[Act], broker: Broker, *, again: int | None = None) -> list[Event]:
    """What reaches us, in the order in which it does. With `again` each report comes once more so many ticks later.

    An answer tells what is true when the question reaches the broker, which left after all that stood in the log.
    """
    log: list[Event] = []
    under_way: list[tuple[int, Event]] = []
    questions: list[tuple[int, int, Act]] = []

    def send(tick: int, event: Event, delays: Sequence[int]) -> None:
        for delay in delays:
            under_way.append((tick + delay, event))
            if again is not None:
                under_way.append((tick + delay + again, event))

    def arrive(tick: int) -> None:
        due = sorted((one for one in under_way if one[0] <= tick), key=lambda one: one[0])
        under_way[:] = [one for one in under_way if one[0] > tick]
        log.extend(event for _, event in due)

    def ask() -> int:
        log.append(query())
        return PLACED_SEQ + len(log)

    send(0, accepted(), acts[0].delays if acts else (0,))
    for tick, act in enumerate(acts):
        for one in [one for one in questions if one[0] <= tick]:
            questions.remove(one)
            send(tick, broker.answer(one[1]), one[2].delays)
        if act.what == "ask":
            questions.append((tick + act.size, ask(), act))
        for number, event in enumerate(broker.reports(act)):
            delays = act.delays
            if act.what == "alias" and number:
                delays = tuple(sorted({(one * 3 + act.pick) % 7 for one in delays}))
            send(tick, event, delays)
        arrive(tick)
    for one in questions:
        send(len(acts), broker.answer(one[1]), one[2].delays)
    arrive(10**6)
    return log


def asked_last(log: list[Event], broker: Broker) -> list[Event]:
    """Everything is told or lost, and we ask once more."""
    return [*log, query(), broker.answer(PLACED_SEQ + len(log) + 1)]
