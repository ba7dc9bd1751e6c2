"""What the gate counts of the folded facts: what is held, what may still execute, what was lost today.

It is read off executions and orders, never off what was decided of them, and nothing is kept that the state holds:
a gate that has just begun counts what one that saw the whole day counts.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from msgspec import Struct

from oms.state.order import Order, PendingKind
from oms.state.pipeline import Pipeline
from oms.state.reports import NEVER_LEFT
from oms.values import ONE, SIGN_OF_SIDE, ZERO, Micros, OrderStatus, Role


class Holding(Struct):
    """Executions in a row. Signed quantity, the average price of what opened it, and money won."""

    multiplier: Decimal = ONE
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    realized: Decimal = ZERO

    def take(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Add a signed execution; return what it realised."""
        held = self.quantity
        self.quantity = held + quantity
        if held * quantity >= ZERO:
            self.price = (
                (abs(held) * self.price + abs(quantity) * price) / abs(self.quantity)
                if self.quantity
                else ZERO
            )
            return ZERO
        closed = min(abs(held), abs(quantity))
        realized = (price - self.price) * closed * (ONE if held > ZERO else -ONE) * self.multiplier
        if abs(quantity) > abs(held):
            self.price = price
        return realized


def holding_of(pipeline: Pipeline) -> Holding:
    """All executions on record in the order of their first report, each as it stands now.

    What was reported, or restated, since the day rolled has its result in `realized`, that of a trade which is
    partly closed included, whoever placed the orders.
    """
    holding = Holding(pipeline.instrument.multiplier)
    found = [
        (one.at, one.seq, SIGN_OF_SIDE[order.side] * one.quantity, one.price)
        for order in pipeline.orders.values()
        for one in order.executions
    ]
    for _, seq, quantity, price in sorted(found):
        realized = holding.take(quantity, price)
        if seq > pipeline.traffic.day_seq:
            holding.realized += realized
    return holding


def entries_of(pipeline: Pipeline) -> Iterator[Order]:
    """The entries of trades that are not over, whatever became of the orders."""
    for trade in pipeline.open():
        yield from pipeline.of(trade.entries)


def at_most(order: Order, last: Decimal) -> Decimal:
    """The most an entry may still buy or sell, in units x price: at its terms, or at those asked for in a change.

    Of an order that has ended it is what the broker counts and nobody has seen.
    """
    price = order.price_limit or order.price_stop or last
    if not order.is_live:
        return order.missing * price
    amounts = [max(order.quantity - order.filled, ZERO) * price]
    amounts += [
        max(one.quantity - order.filled, ZERO) * (one.price_limit or one.price_stop or last)
        for one in order.pending
        if one.kind is PendingKind.REPLACE and one.quantity is not None
    ]
    return max(amounts)


def entered_since(pipeline: Pipeline, after: Micros, has_left: Callable[[Order], bool]) -> int:
    """How many entries have left that were placed later than `after`."""
    count = 0
    for order in reversed(pipeline.orders.values()):
        if order.placed_at <= after:
            break
        count += order.role is Role.ENTRY and has_left(order)
    return count


def never_left(order: Order) -> bool:
    """Whether the order was ended before the wire: refused by the gate, or too old."""
    return order.status is OrderStatus.REJECTED and order.assumed and order.text.startswith(NEVER_LEFT)


def messages_since(pipeline: Pipeline, after: Micros) -> Iterator[Micros]:
    """When messages left, as far as orders remember: placement, newest request, newest question."""
    for order in pipeline.orders.values():
        if order.is_external or never_left(order):
            continue
        asked = [max(one.asked_at for one in order.pending if one.queries)] if _is_asked(order) else []
        yield from (at for at in (order.placed_at, order.requested_at, *asked) if at > after)


def _is_asked(order: Order) -> bool:
    return any(one.queries for one in order.pending)
