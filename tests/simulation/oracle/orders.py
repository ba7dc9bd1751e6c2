"""The broker's own order book: one record per order, and every execution it has had."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

ZERO = Decimal(0)
OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class Execution:
    """One execution at its present revision; a busted one has quantity zero."""

    root: str
    order_id: str
    quantity: Decimal
    price: Decimal
    day: int
    revision: int = 0
    fee: Decimal = ZERO
    alias: str | None = None


@dataclass(slots=True)
class Order:
    """An order. `status` is FIX OrdStatus by name; a stop that was elected has `elected`."""

    order_id: str
    client_ids: list[str]
    symbol: str
    side: str
    quantity: Decimal
    kind: str
    time_in_force: str
    limit: Decimal | None
    stop: Decimal | None
    reduce_only: bool
    number: int
    status: str = "NEW"
    elected: bool = False
    executions: list[Execution] = field(default_factory=list)
    order_ids: list[str] = field(default_factory=list)
    cancel_pending: str | None = None
    amend_pending: str | None = None
    resting: bool = False
    suspended: bool = False
    announced: bool = False
    by_hand: bool = False
    was_ended: bool = False
    nth: int = 0
    """Place among the orders of its symbol."""

    @property
    def client_id(self) -> str:
        """The client's present id."""
        return self.client_ids[-1]

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.side == "BUY" else -1

    @property
    def cumulative(self) -> Decimal:
        """What has executed."""
        return sum((one.quantity for one in self.executions), ZERO)

    @property
    def is_open(self) -> bool:
        """Whether anything can still execute."""
        return self.status in OPEN

    @property
    def leaves(self) -> Decimal:
        """What can still execute."""
        return max(self.quantity - self.cumulative, ZERO) if self.is_open else ZERO

    @property
    def is_waiting_stop(self) -> bool:
        """Whether the order waits for its election."""
        return self.kind in ("STOP", "STOP_LIMIT") and not self.elected

    def settle(self) -> None:
        """Let the status follow the executions of an order that works."""
        if not self.is_open and self.status != "FILLED":
            if self.status != "REJECTED" and self.cumulative >= self.quantity:
                self.status = "FILLED"
            return
        if self.cumulative >= self.quantity:
            self.status = "FILLED"
        elif self.is_open:
            self.status = "PARTIALLY_FILLED" if self.cumulative else "NEW"


class Orders:
    """All orders by every id they have had. Where ids may be used again, the newest order has them."""

    def __init__(self) -> None:
        self.all: list[Order] = []
        self.open: dict[str, dict[str, Order]] = {}
        self._count: Counter[str] = Counter()
        self._by_client: dict[str, Order] = {}
        self._by_id: dict[str, Order] = {}

    def add(self, order: Order) -> None:
        """Take a new order in."""
        self.all.append(order)
        self._count[order.symbol] += 1
        order.nth = self._count[order.symbol]
        self._by_client[order.client_id] = order
        self._by_id[order.order_id] = order
        self.note(order)

    def alias(self, client_id: str, order: Order) -> None:
        """Let an order be found under a further id of the client."""
        self._by_client[client_id] = order

    def find(self, client_id: str) -> Order | None:
        """The order behind an id of the client."""
        return self._by_client.get(client_id)

    def of(self, order_id: str) -> Order:
        """The order behind its first id here."""
        return self._by_id[order_id]

    def note(self, order: Order) -> None:
        """Keep the list of those that work."""
        open_ = self.open.setdefault(order.symbol, {})
        if order.is_open:
            open_[order.order_id] = order
        else:
            open_.pop(order.order_id, None)

    def working(self, symbol: str) -> list[Order]:
        """The orders of a symbol that work, oldest first."""
        return list(self.open.get(symbol, {}).values())

    def all_working(self) -> list[Order]:
        """All orders that work, oldest first."""
        found = [order for orders in self.open.values() for order in orders.values()]
        return sorted(found, key=lambda order: order.number)
