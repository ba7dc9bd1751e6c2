"""Messages to the client: numbered, delayed, kept in order, and where the script says so, mistreated."""

from collections.abc import Iterator
from typing import TypeVar

from oms.brokers.simulated.floor import SOURCE, Floor, latency
from oms.brokers.simulated.records import (
    Dropped,
    Execution,
    Held,
    Item,
    LinkDrops,
    Manner,
    Misbehaved,
    Order,
    Planned,
    Reply,
    Scheduled,
)
from oms.brokers.simulated.script import Delay, Disconnect, Drop, Repeat, Swap
from oms.events.base import Event, Stamped
from oms.events.broker import ExecutionBusted, ExecutionCorrected, FeeReported, OrderFilled
from oms.values import MILLISECOND, Micros

_F = TypeVar("_F")


def reply(
    floor: Floor, event: Event, at: Micros, *, order: Order | None = None, key: str | None = None
) -> None:
    """Send a message about `order` (None: about none). `key` None gives it a key of its own."""
    ledger = floor.ledger
    n = ledger.next_n()
    due = max(at + latency(floor, f"reply {n}"), ledger.last_due + 1)
    message = Reply(n, due, key or _own_key(floor, n), event, order.broker_order_id if order else None)
    waiting = list(ledger.held.get(order.broker_order_id, ())) if order else []
    _post(floor, message, order)
    for held in waiting:
        ledger.record(Scheduled(_moved(held, due + 1), Manner.AGAIN))


def reply_locally(floor: Floor, event: Event, at: Micros) -> None:
    """Report what the client's own end of the link knows; it comes at once and always."""
    n = floor.ledger.next_n()
    floor.ledger.record(Scheduled(Reply(n, at, _own_key(floor, n), event, is_local=True)))


def repeat_execution(floor: Floor, execution: Execution, order: Order, at: Micros) -> None:
    """Report an execution, its corrections and its fees once more under their original keys."""
    for event in execution.reports:
        reply(floor, event, at, order=order, key=execution_key(event))
    report_fees(floor, execution, order, at)


def report_fees(floor: Floor, execution: Execution, order: Order, at: Micros) -> None:
    """Report what an execution cost, if it cost anything."""
    if execution.fees:
        name = execution.execution
        event = FeeReported(instrument=execution.instrument, execution=name, fees=execution.fees)
        reply(floor, event, at, order=order, key=f"fee:{name}")


def execution_key(event: Event) -> str:
    """The once-only key of an execution report: root and revision."""
    assert isinstance(event, OrderFilled | ExecutionCorrected | ExecutionBusted)
    return f"fill:{event.execution}:{event.revision}"


def stamped(message: Reply) -> Stamped:
    """The message as the sink gets it; every clock shows its due time."""
    return Stamped(
        event=message.event,
        logical_time=message.due,
        event_time=message.due,
        received_at=message.due,
        source=SOURCE,
        dedupe_key=message.key,
    )


def plan(floor: Floor, item: Item, due: Micros) -> None:
    """Let something happen at the broker later."""
    floor.ledger.record(Planned(floor.ledger.next_n(), due, item))


def faults(floor: Floor, order: Order, kind: type[_F]) -> Iterator[tuple[int, _F]]:
    """(place in the script, fault) of the order's faults of one kind."""
    for index in order.faults:
        what = floor.settings.script[index].what
        if isinstance(what, kind):
            yield index, what


def fault(floor: Floor, order: Order, kind: type[_F], at: Micros) -> _F | None:
    """The order's first fault of this kind, noted in the book when it strikes for the first time."""
    for index, what in faults(floor, order, kind):
        if (index, order.broker_order_id) not in floor.ledger.struck:
            misbehave(floor, index, at, order.broker_order_id)
        return what
    return None


def misbehave(floor: Floor, index: int, at: Micros, broker_order_id: str | None) -> None:
    """Note in the book that line `index` of the script strikes."""
    what = repr(floor.settings.script[index].what)
    floor.ledger.record(Misbehaved(index, at, what, broker_order_id))


def _own_key(floor: Floor, n: int) -> str:
    return f"message:{floor.settings.prefix}-{n}"


def _moved(message: Reply, due: Micros) -> Reply:
    return Reply(message.n, due, message.key, message.event, message.broker_order_id, message.is_local)


def _post(floor: Floor, message: Reply, order: Order | None) -> None:
    ledger = floor.ledger
    index, what = _line_fault(floor, message, order) if order and order.faults else (-1, None)
    if what is not None:
        misbehave(floor, index, message.due, message.broker_order_id)
    match what:
        case Drop():
            ledger.record(Dropped(message))
        case Swap():
            ledger.record(Held(message))
        case Delay(ms=ms):
            ledger.record(Scheduled(_moved(message, message.due + ms * MILLISECOND), Manner.LATE))
        case Repeat(after_ms=after_ms):
            ledger.record(Scheduled(message))
            again = Reply(ledger.next_n(), message.due + after_ms * MILLISECOND, message.key, message.event)
            ledger.record(Scheduled(again, Manner.AGAIN))
        case None:
            ledger.record(Scheduled(message))
    _disconnect(floor, message.due)


def _line_fault(
    floor: Floor, message: Reply, order: Order
) -> tuple[int, Drop | Swap | Delay | Repeat | None]:
    name = type(message.event).__name__
    nth = floor.ledger.messages_of[order.broker_order_id, name] + 1
    for index in order.faults:
        what = floor.settings.script[index].what
        if not isinstance(what, Drop | Swap | Delay | Repeat):
            continue
        if what.message == name and what.nth in (None, nth):
            return index, what
    return -1, None


def _disconnect(floor: Floor, due: Micros) -> None:
    for index, line in enumerate(floor.settings.script):
        what = line.what
        if isinstance(what, Disconnect) and what.after_messages == floor.ledger.messages:
            misbehave(floor, index, due, None)
            back_at = None if what.for_ms is None else due + what.for_ms * MILLISECOND
            plan(floor, LinkDrops(back_at, what.loses_messages), due)
