"""What the broker's parts share: its state, its agenda, its way of speaking, and its quirks."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import blake2b

from tests.simulation.oracle.behaviour import Behaviour
from tests.simulation.oracle.ledger import Ledger
from tests.simulation.oracle.messages import Report
from tests.simulation.oracle.orders import Execution, Order, Orders
from tests.simulation.oracle.venue import Venue

MS = 1000


@dataclass(frozen=True, slots=True)
class Quirk:
    """Something the broker does wrong or unexpectedly, once: what, how much later, how much of it."""

    kind: str
    ms: int = 0
    quantity: int = 0


@dataclass(slots=True)
class Floor:
    """The state of the broker. Times are microseconds."""

    behaviour: Behaviour
    seed: int
    quirks: dict[tuple[str, int], list[Quirk]] = field(default_factory=dict)
    names_of: Callable[[Sequence[str]], Iterable[str]] = lambda names: names
    """All names under which an occasion is counted."""
    orders: Orders = field(default_factory=Orders)
    ledger: Ledger = field(default_factory=Ledger)
    venues: dict[str, Venue] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    history: dict[str, list[Report]] = field(default_factory=dict)
    out: list[tuple[int, Report]] = field(default_factory=list)
    agenda: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    asked: list[int] = field(default_factory=list)
    stuck: dict[str, int] = field(default_factory=dict)
    starting: dict[str, Decimal] = field(default_factory=dict)
    on_strike: Callable[[str], None] = lambda _kind: None
    day: int = 0
    now: int = 0
    planned: int = 0
    numbered: int = 0
    is_first: bool = True
    """Whether the books have not been asked for since the link was made."""

    def draw(self, *what: object) -> int:
        """A large number that depends on the seed and on `what` only."""
        text = "|".join(map(str, (self.seed, *what)))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")

    def later(self, at: int, act: Callable[[int], None]) -> None:
        """Do something at a time to come."""
        self.planned += 1
        heapq.heappush(self.agenda, (max(at, self.now), self.planned, act))

    def say(self, report: Report, at: int, delay_ms: int = 0) -> None:
        """Send a report, `delay_ms` later than it should."""
        self.numbered += 1
        self.out.append((at + delay_ms * MS, replace(report, number=self.numbered)))

    def strikes(self, *on: str) -> list[Quirk]:
        """Count an occasion under all its names, and the quirks that are planned for it."""
        found: list[Quirk] = []
        for name in self.names_of(on):
            self.counts[name] += 1
            found += self.quirks.get((name, self.counts[name]), ())
        return found

    def strike(self, quirk: Quirk) -> None:
        """Note that a quirk had its effect."""
        self.struck[quirk.kind] += 1
        self.on_strike(quirk.kind)

    def held(self, symbol: str) -> Decimal:
        """The client's position."""
        return self.ledger.held(symbol)


def about(order: Order, kind: str, **more: object) -> Report:
    """A report about an order with its present terms and totals."""
    return Report(
        kind=kind,
        symbol=order.symbol,
        client_id=more.pop("client_id", order.client_id),  # type: ignore[arg-type]
        order_id=order.order_ids[-1],
        status="SUSPENDED" if order.suspended and order.is_open else order.status,
        side=order.side,
        order_kind=order.kind,
        quantity=order.quantity,
        limit=order.limit,
        stop=order.stop,
        cumulative=order.cumulative,
        leaves=order.leaves,
        **more,  # type: ignore[arg-type]
    )


def tell_status(floor: Floor, order: Order, at: int) -> None:
    """Repeat an order's status where the broker has that habit."""
    for copy in range(floor.behaviour.copies_of_statuses):
        floor.say(about(order, "status"), at, delay_ms=copy)
