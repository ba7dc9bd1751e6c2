"""Our own requests for an order: what is under way, what answers it, and what happens when nothing does.

UNKNOWN is not REJECTED: an unanswered request stays pending until evidence ends it (architecture 6).
"""

from decimal import Decimal

from msgspec.structs import replace

from oms.events.decisions import CancelRequested, ReplaceRequested
from oms.state.order import Order, Pending, PendingKind
from oms.values import LIMIT_TYPES, STOP_TYPES, Micros, OrderType


def cancel_requested(order: Order, event: CancelRequested, seq: int, now: Micros) -> Order:
    """Our cancel is on its way."""
    pending = Pending(kind=PendingKind.CANCEL, seq=seq, wire_id=event.wire_id, since=now, asked_at=now)
    return replace(order, pending=(*order.pending, pending), requested_at=now)


def replace_requested(order: Order, event: ReplaceRequested, seq: int, now: Micros) -> Order:
    """Our replace is on its way; it uses a cycle."""
    pending = Pending(
        kind=PendingKind.REPLACE,
        seq=seq,
        wire_id=event.wire_id,
        since=now,
        asked_at=now,
        quantity=event.quantity,
        price_limit=event.price_limit,
        price_stop=event.price_stop,
        order_type=event.order_type,
    )
    return replace(
        order,
        pending=(*order.pending, pending),
        cycles=order.cycles + 1,
        requested_at=now,
        reason=event.reason or order.reason,
    )


def query_requested(order: Order, now: Micros) -> Order:
    """We asked what became of our requests for the order."""
    asked = [replace(one, queries=one.queries + 1, asked_at=now, unknown=False) for one in order.pending]
    return replace(order, pending=tuple(asked))


def outcome_unknown(order: Order, command_seq: int) -> Order:
    """A command may have arrived: its fate is looked for at once, unless it is being looked for already."""
    for one in order.pending:
        if one.seq == command_seq and one.ours and not one.unknown and one.queries == 0:
            marked = replace(one, unknown=True)
            return replace(order, pending=tuple(marked if x is one else x for x in order.pending))
    return order


def named(order: Order, wire_id: str | None) -> Pending | None:
    """The unanswered request with this id on the wire."""
    for one in order.pending:
        if one.wire_id == wire_id:
            return one
    return None


def answered(order: Order, kind: PendingKind, wire_id: str) -> Pending | None:
    """The request that a refusal ends.

    A broker that names the order alone means the oldest request of the kind. Under any other id nobody waits:
    that request has been answered before.
    """
    exact = named(order, wire_id)
    if exact is not None and exact.kind is not PendingKind.SUBMIT:
        return exact
    return order.pending_of(kind) if wire_id in order.wire_ids else None


def without(order: Order, gone: Pending | None) -> tuple[Pending, ...]:
    """The unanswered requests but one."""
    return order.pending if gone is None else tuple(one for one in order.pending if one is not gone)


def overtaken(order: Order, request: Pending) -> Order:
    """Close the replaces asked for before one that took effect: it built on them, so their ids are history."""
    earlier = [one for one in order.pending if one.kind is PendingKind.REPLACE and one.seq < request.seq]
    if not earlier:
        return order
    return replace(
        order,
        pending=tuple(one for one in order.pending if one not in earlier),
        wire_ids=(*order.wire_ids, *(one.wire_id for one in earlier)),
    )


def without_submit(order: Order) -> tuple[Pending, ...]:
    """The unanswered requests once it is known that the broker has the order."""
    for one in order.pending:
        if one.kind is PendingKind.SUBMIT:
            return tuple(other for other in order.pending if other.kind is not PendingKind.SUBMIT)
    return order.pending


def cancel_is_ours(order: Order) -> bool:
    """Whether we wait for a cancel that we asked for."""
    return any(one.kind is PendingKind.CANCEL and one.ours for one in order.pending)


def asks_for(
    pending: Pending, quantity: Decimal, price_limit: Decimal | None, price_stop: Decimal | None
) -> bool:
    """Whether a replace asked for these terms; a price that is not told does not tell against it."""
    return (
        pending.kind is PendingKind.REPLACE
        and pending.quantity == quantity
        and price_limit in (None, pending.price_limit)
        and price_stop in (None, pending.price_stop)
    )


def with_terms(
    order: Order,
    pending: Pending | None,
    *,
    quantity: Decimal,
    price_limit: Decimal | None = None,
    price_stop: Decimal | None = None,
    order_type: OrderType | None = None,
) -> Order:
    """New terms in force. A request of ours names all of them; an unasked change leaves out what it does not touch.
    Prices that the type does not have are gone with the type before.

    Our request cannot reduce an order below what it has executed, seen by us or not (FIX C.3.c). What a broker states
    of one of ours that it has filled beyond its quantity stands: that is an overfill, and no larger order.
    """
    limit_before, stop_before, type_before = order.price_limit, order.price_stop, order.order_type
    if pending is not None:
        limit_before, stop_before = pending.price_limit, pending.price_stop
        type_before = pending.order_type or type_before
    if pending is not None or order.is_external:
        quantity = max(quantity, order.filled, order.total)
    order_type = order_type or type_before
    if order_type not in STOP_TYPES:
        stop_before = None
    if order_type not in LIMIT_TYPES:
        limit_before = None
    return replace(
        order,
        quantity=quantity,
        price_limit=limit_before if price_limit is None else price_limit,
        price_stop=stop_before if price_stop is None else price_stop,
        order_type=order_type,
    )
