"""B. Orders: quantities, states, ids, and requests that are under way."""

from collections.abc import Iterator

from oms.events.decisions import Alerted, CancelRequested, OrderPlaced, QueryRequested, ReplaceRequested
from oms.state.order import ENDED_STATES, LIVE_STATES, Order, PendingKind
from oms.values import ZERO, OrderStatus
from tests.simulation.checks.base import Scene, check


@check("I14")
def filled_within_quantity(scene: Scene) -> Iterator[str]:
    """0 <= cum <= qty, or the step that books more says so."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if order.filled < ZERO or order.leaves < ZERO:
                yield f"{order.client_order_id}: filled {order.filled}, leaves {order.leaves}"
            before = ZERO if old is None else max(old.filled - old.quantity, ZERO)
            if order.filled - order.quantity > before and not order.is_external:
                told = [
                    one.client_order_id
                    for one in scene.events
                    if isinstance(one, Alerted) and one.code == "overfill"
                ]
                if order.client_order_id not in told:
                    yield f"{order.client_order_id}: {order.filled} of {order.quantity} and no alert"


@check("I15")
def quantities_add_up(scene: Scene) -> Iterator[str]:
    """What can still execute never exceeds what has not executed, and nothing is left of what has ended."""
    for pipeline in scene.changed:
        for _, order in scene.moved(pipeline):
            if order.status in ENDED_STATES and order.leaves:
                yield f"{order.client_order_id} is {order.status.value} with leaves {order.leaves}"
            if order.leaves > max(order.quantity - order.filled, ZERO):
                yield f"{order.client_order_id}: leaves {order.leaves} of {order.quantity} after {order.filled}"


MOVES = {
    (OrderStatus.NEW, OrderStatus.SUBMITTED),
    (OrderStatus.NEW, OrderStatus.PARTIAL_FILLED),
    (OrderStatus.NEW, OrderStatus.FILLED),
    (OrderStatus.NEW, OrderStatus.CANCELED),
    (OrderStatus.NEW, OrderStatus.REJECTED),
    (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILLED),
    (OrderStatus.SUBMITTED, OrderStatus.FILLED),
    (OrderStatus.SUBMITTED, OrderStatus.CANCELED),
    (OrderStatus.SUBMITTED, OrderStatus.REJECTED),
    (OrderStatus.PARTIAL_FILLED, OrderStatus.FILLED),
    (OrderStatus.PARTIAL_FILLED, OrderStatus.CANCELED),
}
BACK = {
    (OrderStatus.PARTIAL_FILLED, OrderStatus.SUBMITTED),
    (OrderStatus.FILLED, OrderStatus.PARTIAL_FILLED),
    (OrderStatus.FILLED, OrderStatus.SUBMITTED),
    (OrderStatus.FILLED, OrderStatus.CANCELED),
    (OrderStatus.CANCELED, OrderStatus.FILLED),
    (OrderStatus.CANCELED, OrderStatus.SUBMITTED),
    (OrderStatus.CANCELED, OrderStatus.PARTIAL_FILLED),
    (OrderStatus.REJECTED, OrderStatus.FILLED),
    (OrderStatus.REJECTED, OrderStatus.SUBMITTED),
    (OrderStatus.REJECTED, OrderStatus.PARTIAL_FILLED),
}
"""Moves that only a broker's word may cause: late fill, bust, correction, reinstatement, more quantity."""


@check("I16")
def only_listed_moves(scene: Scene) -> Iterator[str]:
    """An order changes its state only along listed transitions."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if old is None or old.status is order.status:
                continue
            if (old.status, order.status) not in MOVES | BACK:
                yield f"{order.client_order_id}: {old.status.value} -> {order.status.value}"


@check("I17")
def ends_are_left_by_broker_facts_only(scene: Scene) -> Iterator[str]:
    """A terminal state is left only by a typed fact of the broker."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if old is None or old.status not in ENDED_STATES or order.status in ENDED_STATES:
                continue
            name = type(scene.input).__module__
            if not name.endswith("events.broker"):
                yield f"{order.client_order_id} came back by {type(scene.input).__name__}"


@check("I18")
def cum_falls_by_correction_only(scene: Scene) -> Iterator[str]:
    """The executed quantity never falls except by a bust or correction."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if old is None or order.filled >= old.filled:
                continue
            revised = getattr(scene.input, "revision", 0) > 0
            if not revised:
                yield f"{order.client_order_id}: {old.filled} became {order.filled} by {type(scene.input).__name__}"


@check("I19", of=(OrderPlaced, ReplaceRequested, CancelRequested))
def ids_are_unique_for_ever(scene: Scene) -> Iterator[str]:
    """No id of ours is ever used twice."""
    used = scene.own("I19", set())
    for one in scene.decisions(OrderPlaced, ReplaceRequested, CancelRequested):
        event = one.event
        wire = event.client_order_id if isinstance(event, OrderPlaced) else event.wire_id
        if wire in used:
            yield f"the id {wire} was used before"
        if not wire.startswith("S") or len(wire) != 17:
            yield f"{wire} is not of our namespace"
        used.add(wire)


@check("I20")
def executions_count_once(scene: Scene) -> Iterator[str]:
    """Each id of an execution stands once in its order, and in one order only."""
    for pipeline in scene.changed:
        for _, order in scene.moved(pipeline):
            roots = [name for one in order.executions for name in (one.root, *one.aliases)]
            if len(roots) != len(set(roots)):
                yield f"{order.client_order_id} holds an execution twice: {roots}"
            owners = scene.own("I20", {})
            for root in roots:
                owner = owners.setdefault((pipeline.name, root), order.client_order_id)
                if owner != order.client_order_id:
                    yield f"execution {root} is in {owner} and in {order.client_order_id}"


@check("I21")
def one_change_at_a_time(scene: Scene) -> Iterator[str]:
    """At most one outstanding replace of ours per order; no second cancel while one is unanswered."""
    for pipeline in scene.changed:
        for _, order in scene.moved(pipeline):
            for kind in (PendingKind.REPLACE, PendingKind.CANCEL):
                if sum(1 for one in order.pending if one.kind is kind and one.ours) > 1:
                    yield f"{order.client_order_id} has two unanswered requests of kind {kind.value}"


@check("I22", of=(ReplaceRequested, CancelRequested))
def no_command_for_what_is_over(scene: Scene) -> Iterator[str]:
    """No replace or cancel targets an order proven terminal before the step's decisions."""
    assert scene.committed is not None
    for one in scene.decisions(ReplaceRequested, CancelRequested):
        pipeline = scene.pipelines[one.event.instrument]
        order = pipeline.orders[one.event.client_order_id]
        if order.status not in LIVE_STATES:
            yield f"{type(one.event).__name__} for {order.client_order_id}, which is {order.status.value}"


@check("I23")
def money_is_exact(scene: Scene) -> Iterator[str]:
    """An order's value is the sum of quantity x price of its executions."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if old is not None and old.executions is order.executions:
                continue
            if order.value != sum((one.quantity * one.price for one in order.executions), ZERO):
                yield f"{order.client_order_id}: value {order.value} is not that of its executions"
            if order.filled != sum((one.quantity for one in order.executions), ZERO):
                yield f"{order.client_order_id}: filled {order.filled} is not the sum of its executions"


@check("I62")
def unknown_ends_by_evidence(scene: Scene) -> Iterator[str]:
    """An unanswered request ends by an input of the broker or by what the link itself proves."""
    name = type(scene.input).__module__
    if name.endswith("events.broker"):
        return
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if old is None or not old.pending:
                continue
            left = {one.seq for one in order.pending}
            for one in old.pending:
                if one.seq not in left:
                    yield f"{order.client_order_id}: {one.kind.value} was settled by {type(scene.input).__name__}"


@check("I87", of=(OrderPlaced, ReplaceRequested, CancelRequested, QueryRequested))
def work_is_bounded(scene: Scene) -> Iterator[str]:
    """Commands per pipeline and minute have a ceiling; the same order is not asked about without end."""
    sent = scene.own("I87", {})
    for one in scene.decisions(OrderPlaced, ReplaceRequested, CancelRequested, QueryRequested):
        minute = sent.setdefault((one.event.instrument, scene.now // 60_000_000), [0])
        minute[0] += 1
        if minute[0] > CEILING:
            yield f"more than {CEILING} commands for {one.event.instrument} within a minute"
            return


CEILING = 150


def is_ours(order: Order) -> bool:
    """Whether we placed the order."""
    return not order.is_external
