"""B and G. What an input says of an order holds after its own step: nothing is left for a later question to mend."""

from collections.abc import Iterator

from oms.events.broker import (
    CancelRejected,
    CommandExpired,
    CommandFailed,
    CommandRefused,
    OrderFilled,
    OrderTriggered,
    OrderUnknown,
    ReplaceRejected,
)
from oms.events.decisions import Alerted, QueryRequested
from oms.state.order import Order, PendingKind
from oms.values import ZERO
from tests.simulation.checks.base import Scene, check


def _named(scene: Scene) -> tuple[Order, Order] | None:
    """The order that the input names, as it was before the step and as it is."""
    event = scene.input
    pipeline = scene.pipelines.get(getattr(event, "instrument", ""))
    if pipeline is None:
        return None
    before = scene.before.get(pipeline.name, pipeline)
    order = pipeline.find(getattr(event, "client_order_id", None), getattr(event, "broker_order_id", None))
    old = before.orders.get(order.client_order_id) if before is not None and order is not None else None
    return (old, order) if old is not None and order is not None else None


@check("I62", on=(CancelRejected, ReplaceRejected, CommandRefused, CommandExpired, CommandFailed))
def refusals_end_requests(scene: Scene) -> Iterator[str]:
    """A request that was refused, by the broker or on the way to it, is not waited for any more."""
    event = scene.input
    named = _named(scene) if isinstance(event, CancelRejected | ReplaceRejected) else None
    if named is not None:
        wire_id = event.client_order_id  # type: ignore[attr-defined]
        if any(one.wire_id == wire_id and one.kind is not PendingKind.SUBMIT for one in named[1].pending):
            yield f"{type(event).__name__} of {wire_id}, which still waits for an answer"
    if isinstance(event, CommandRefused | CommandExpired | CommandFailed):
        named = _named(scene)
        is_void = not isinstance(event, CommandFailed) or not event.sent
        if named is None:
            return
        waited, waits = (any(one.seq == event.command_seq for one in order.pending) for order in named)
        if waits and is_void:
            yield f"{type(event).__name__} of command {event.command_seq}, which still waits for an answer"
        if waited and not waits and not is_void:
            yield f"command {event.command_seq} may have arrived, and nobody waits for its answer"


@check("I62", on=(OrderUnknown,))
def lost_requests_are_followed_up(scene: Scene) -> Iterator[str]:
    """Where the broker knows nothing of a change of an order, it is asked about the order."""
    event = scene.input
    named = _named(scene) if isinstance(event, OrderUnknown) else None
    if named is None:
        return
    old, order = named
    lost = [
        one
        for one in old.pending
        if one.wire_id == event.client_order_id and one.kind is not PendingKind.SUBMIT  # type: ignore[attr-defined]
        if one.seq <= event.asked_at_seq  # type: ignore[attr-defined]
    ]
    if lost and len(old.pending) == 1 and old.leaves > ZERO and not _asks(scene, order):
        yield f"{lost[0].kind.value} of {order.client_order_id} left no trace and nobody asks about the order"


def _asks(scene: Scene, order: Order) -> bool:
    return any(one.event.client_order_id == order.client_order_id for one in scene.decisions(QueryRequested))


@check("I42", on=(OrderTriggered,))
def elections_are_remembered(scene: Scene) -> Iterator[str]:
    """A stop that works and of which the broker says that it was elected is elected."""
    named = _named(scene) if isinstance(scene.input, OrderTriggered) else None
    if named is not None and named[1].is_live and named[1].triggered_at is None:
        yield f"{named[1].client_order_id} was elected and does not know it"


@check("I16", on=(OrderFilled,))
def wrong_sides_are_not_booked(scene: Scene) -> Iterator[str]:
    """A fill that says another side than its order is no fill of it."""
    event = scene.input
    named = _named(scene) if isinstance(event, OrderFilled) else None
    if named is None or event.side is named[1].side:  # type: ignore[attr-defined]
        return
    old, order = named
    if order.filled != old.filled:
        yield f"{order.client_order_id} ({order.side.value}) took a fill that says {event.side.value}"  # type: ignore[attr-defined]


@check("I25")
def gaps_are_told(scene: Scene) -> Iterator[str]:
    """What the broker counts and nobody has seen is told, and asked about, as soon as it is known."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            missing = order.total - order.filled
            if order.is_external or missing <= max(ZERO, old.total - old.filled if old is not None else ZERO):
                continue
            told = any(
                isinstance(one, Alerted) and one.client_order_id == order.client_order_id
                for one in scene.events[1:]
            )
            if not told or not _asks(scene, order):
                yield f"{order.client_order_id}: {missing} are missing, and nobody was told or asks"
