"""The broker's book as an auditor reads it. It owes nothing to the product's log."""

from decimal import Decimal

from msgspec import Struct

from oms.brokers.simulated.ledger import Ledger
from oms.brokers.simulated.records import Misbehaved, Order
from oms.events.broker import Fee
from oms.values import ZERO, Micros, Side


class ExecutionLine(Struct, frozen=True, kw_only=True):
    """One execution as it stands now; a busted one has quantity 0."""

    execution: str
    broker_order_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    revision: int
    day: str
    fees: tuple[Fee, ...]


class BookDump(Struct, frozen=True, kw_only=True):
    """All orders (each with all its wire ids), executions oldest first, positions that are not flat."""

    now: Micros
    orders: tuple[Order, ...]
    executions: tuple[ExecutionLine, ...]
    positions: dict[str, Decimal]
    misbehaved: tuple[Misbehaved, ...]


def dump_of(ledger: Ledger) -> BookDump:
    """The whole book."""
    return BookDump(
        now=ledger.now,
        orders=tuple(ledger.orders.values()),
        executions=tuple(
            ExecutionLine(
                execution=found.execution,
                broker_order_id=found.broker_order_id,
                instrument=found.instrument,
                side=found.side,
                quantity=found.quantity,
                price=found.price,
                revision=found.revision,
                day=found.day,
                fees=found.fees,
            )
            for found in ledger.executions.values()
        ),
        positions={name: held for name, held in sorted(ledger.positions.items()) if held != ZERO},
        misbehaved=tuple(ledger.misbehaved),
    )
