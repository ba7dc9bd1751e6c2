"""Which stretch of the broker's count a fill covers, and how it lies to those on record (architecture 6).

A fill of 3 that ends at a cumulative quantity of 5 covers the stretch (2, 5]. Restatements shift the count: stretches
from before one and after it do not compare.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms.events.broker import ExecutionBusted, ExecutionCorrected, OrderFilled
from oms.state.order import Execution, Order
from oms.values import ZERO


def interval(cumulative: Decimal | None, quantity: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """The stretch (before, after] of a fill; (None, None) where the broker says nothing usable."""
    if cumulative is None or cumulative < quantity:
        return None, None
    return cumulative - quantity, cumulative


def is_beyond(order: Order, before: Decimal) -> bool:
    """Whether no execution on record can reach beyond `before`. All of them shift together: one tells for all. An
    answer that counts less than we have booked says of no execution that it is not there."""
    return before >= order.total and before >= order.filled and order.executions[0].comparable


def is_of_present_count(order: Order, before: Decimal | None) -> bool:
    """Whether what a new fill says of the broker's count is surely of the count as it is now.

    After a bust or quantity correction a fill may still come that was counted before it. One that begins where our
    own sum ends is of the present count, or lies below it, where no later fill can be.
    """
    return not order.executions or order.executions[0].comparable or before == order.filled


def is_newest(order: Order, asked_at_seq: int | None) -> bool:
    """Whether the answer to what left at this seq tells a count that nothing on record can be newer than: the broker
    answered after it had told all that changed the count as we know it."""
    return asked_at_seq is not None and asked_at_seq >= order.counted_seq


def compared(order: Order, before: Decimal, after: Decimal) -> tuple[Decimal, bool]:
    """How much of (before, after] comparable fills cover, and whether one that no longer compares touches it."""
    stretches = sorted(
        (max(before, one.cum_before), min(after, one.cum_after))
        for one in order.executions
        if one.comparable and one.quantity and one.cum_before is not None and one.cum_after is not None
    )
    covered, reached = ZERO, before
    for start, end in stretches:
        if end > start and end > reached:
            covered += end - max(start, reached)
            reached = end
    doubtful = any(
        one.cum_before is None or one.cum_after is None or (one.cum_before < after and before < one.cum_after)
        for one in order.executions
        if not one.comparable
    )
    return covered, doubtful


def is_covered(order: Order, before: Decimal | None, after: Decimal | None) -> bool:
    """Whether comparable fills cover all of (before, after]."""
    return before is not None and after is not None and compared(order, before, after)[0] == after - before


def untaken(order: Order, event: OrderFilled) -> tuple[OrderFilled, ...]:
    """The second ids that are kept in mind, without that of a new fill, and without those of executions taken back that
    lie on the stretch which it takes: what they might have been has come."""
    kept = (one for one in order.repeats if one.execution != event.execution)
    taken = interval(event.cumulative, event.quantity)
    return tuple(
        one
        for one in kept
        if None in taken
        or interval(one.cumulative, one.quantity) != taken
        or (taken_for := order.execution(one.execution)) is None
        or taken_for.comparable
        or taken_for.quantity == one.quantity
    )


def listed(order: Order, executions: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of fills that those on record cover and that the broker lists as executions of their own: beside all of the
    order that are on record, and beside the one they were taken for, which it must call by names that we know."""
    kept = {one.execution for one in order.repeats}
    known = set(executions) - kept
    if not all(known.intersection((one.root, *one.aliases)) for one in order.executions if one.quantity):
        return ()
    return tuple(
        one.execution
        for one in order.repeats
        if one.execution in executions
        and ((of := order.execution(one.execution)) is None or known.intersection((of.root, *of.aliases)))
    )


def has_overtaken(order: Order, event: OrderFilled) -> bool:
    """Whether a fill that was taken for another's second id may have overtaken a bust or a correction."""
    taken_for = order.execution(event.execution)
    before, after = interval(event.cumulative, event.quantity)
    if before is None or after is None or taken_for is None or taken_for.comparable:
        return False
    is_later = taken_for.quantity != event.quantity or before >= order.recounted
    # Where a fill counted since lies on its stretch, what is missing is another one, still on its way.
    return is_later and not compared(order, before, after)[0]


def restated_too(kept: OrderFilled, event: ExecutionCorrected) -> OrderFilled:
    """A kept fill after a correction at a revision that is on record; its stretch is of the count before that. Its own
    revision says under which id the other one was restated, and stays; of several corrections the last counts."""
    if kept.execution != event.execution or kept.revision >= event.revision:
        return kept
    cumulative = kept.cumulative if kept.quantity == event.quantity else None
    return replace(kept, quantity=event.quantity, price=event.price, cumulative=cumulative)


def is_gone_too(known: Execution, kept: OrderFilled, event: ExecutionBusted) -> bool:
    """Whether a bust at a revision on record is that of the other id: under the kept one's own, or its execution's."""
    if kept.execution == event.execution:
        return kept.revision < event.revision
    return kept.revision > 0 and known.goes_by(kept.execution)


def restated_before(order: Order, count: Decimal | None, quantity: Decimal) -> Execution | None:
    """The execution that a new price under an unknown id is of, where the broker counts just what is on record.

    All of that count is covered then, so the restated fill is one of those on record, told under another id. A change
    of the quantity shifts the count, and proves nothing of the kind. Of several the newest.
    """
    if not quantity or count != order.filled:
        return None
    if not all(
        one.comparable and one.cum_after is not None and one.cum_after <= count for one in order.executions
    ):
        return None
    alike = [one for one in order.executions if one.quantity == quantity and not one.revision]
    return alike[-1] if alike else None


def with_alias(order: Order, one: Execution, name: str) -> Order:
    """The order with a further id of one of its executions."""
    known = replace(one, aliases=(*one.aliases, name))
    return replace(order, executions=tuple(known if x is one else x for x in order.executions))
