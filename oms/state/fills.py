"""Executions of an order: each counts once, at its highest revision, whatever the order's state.

A fill under a new id is the same fill only if the stretch of the broker's count that it covers is already
covered by fills counted since the last bust or quantity correction (architecture 6). Price and time alone
never make two fills one.
"""

from decimal import Decimal

from msgspec.structs import replace

from oms.events.broker import ExecutionBusted, ExecutionCorrected, OrderFilled
from oms.state import stretches
from oms.state.oddities import Result, anomaly, counts, doubted, excess, gap, repeats, unasked
from oms.state.order import (
    CANCELED,
    FILLED,
    REJECTED,
    Anomaly,
    Execution,
    Order,
    PendingKind,
)
from oms.state.requests import named, overtaken, with_terms, without, without_submit
from oms.state.slippage import intent_price
from oms.state.standing import ended_at_of, leaves_of, reinstated, status_of
from oms.state.trade import Trade
from oms.values import ZERO, Micros, plain

_MOST_REPEATS = 16
"""How many fills that are covered are kept, the newest of them."""


def fill(order: Order, event: OrderFilled, now: Micros, seq: int, trade: Trade | None = None) -> Result:
    """Book one execution report; `trade` is that of the order, where it has one."""
    known = order.execution(event.execution)
    if known is not None and event.revision <= known.revision:
        return _told_late(order, event, known)
    quantity = event.quantity
    if quantity <= ZERO:
        return order, (anomaly(order, "fill_without_quantity", f"execution {event.execution}"),)
    if event.side is not order.side:
        # Never booked silently: the order and the report contradict each other, the query decides.
        text = f"execution {event.execution} says {event.side.value}, the order says {order.side.value}"
        return order, (anomaly(order, "wrong_side", text, quantity, wants_query=True),)
    if event.revision > 0:
        # Its totals are those of the restatement: even where it is the first that we hear, they bound no stretch.
        return _restate(order, event, known, (quantity, event.price), now, seq)
    before, after = stretches.interval(event.cumulative, quantity)
    found: tuple[Anomaly, ...] = ()
    # In the plain case the fill begins where the broker's count ended, and nothing needs to be compared.
    if before is not None and order.executions and not stretches.is_beyond(order, before):
        covered, doubtful = stretches.compared(order, before, before + quantity)
        if covered == quantity:
            return _repeated(order, event, (before, after))
        if covered:
            text = f"execution {event.execution} repeats {plain(covered)} of {plain(quantity)}"
            found = (anomaly(order, "fill_overlap", text, covered, wants_query=True),)
        elif doubtful:
            text = f"execution {event.execution} may repeat one from before a bust or correction"
            found = (anomaly(order, "fill_not_comparable", text, quantity, wants_query=True),)
    if order.status in (CANCELED, REJECTED):
        order, late = _after_end(order, event)
        found = (*found, *late)
    if order.pending:
        order = _proven(order, event.client_order_id)
    if order.repeats:
        order = replace(order, repeats=stretches.untaken(order, event))
    return _booked(order, event, before, after, found, now, seq, trade)


def _told_late(order: Order, event: OrderFilled, known: Execution) -> Result:
    """A report below the revision on record; what it lies on is kept where that makes another fill doubtful, once."""
    before, after = stretches.interval(event.cumulative, event.quantity)
    found = doubted(order, event, known, (before, after))
    if found:
        told = replace(known, cum_before=before, cum_after=after)
        order = replace(order, executions=tuple(told if one is known else one for one in order.executions))
    return order, found


def _booked(
    order: Order,
    event: OrderFilled,
    before: Decimal | None,
    after: Decimal | None,
    found: tuple[Anomaly, ...],
    now: Micros,
    seq: int,
    trade: Trade | None = None,
) -> Result:
    """Add a new execution. Sums of decimals are exact at the precision of the core, so adding is enough."""
    quantity, price = event.quantity, event.price
    present = stretches.is_of_present_count(order, before)
    execution = Execution(
        root=event.execution,
        revision=event.revision,
        quantity=quantity,
        price=price,
        at=now,
        seq=seq,
        cum_before=before,
        cum_after=after,
        comparable=present,
        price_intent=intent_price(trade, order) if trade is not None else None,
    )
    filled, total = order.filled + quantity, order.total
    if event.cumulative is not None and event.cumulative > total:
        if present:
            total = event.cumulative
        elif not found:
            text = f"execution {event.execution} may have been counted before a bust or correction"
            found = (*found, anomaly(order, "fill_not_comparable", text, quantity, wants_query=True))
    ordered = order.quantity
    if filled > ordered and order.trade_no is None:
        # The quantity of an order that is not ours was read from its reports.
        ordered = filled if event.leaves is None else filled + event.leaves
    status = status_of(order, filled, ordered)
    broker_ids = order.broker_ids
    if event.broker_order_id is not None and event.broker_order_id not in broker_ids:
        broker_ids = (*broker_ids, event.broker_order_id)
    changed = replace(
        order,
        executions=(*order.executions, execution),
        quantity=ordered,
        filled=filled,
        value=order.value + quantity * price,
        total=total,
        counted_seq=seq,
        status=status,
        leaves=leaves_of(status, ordered, max(filled, total), event.leaves),
        first_fill_at=now if order.first_fill_at is None else order.first_fill_at,
        ended_at=ended_at_of(order, status, now),
        broker_ids=broker_ids,
        listed=(),
    )
    if filled > ordered or total > filled:
        found = (*found, *excess(order, changed), *gap(order, changed))
    return changed, found


def correct(order: Order, event: ExecutionCorrected, now: Micros, seq: int) -> Result:
    """Restate an execution; quantity and price are whole values."""
    known = order.execution(event.execution)
    if event.quantity < ZERO:
        return order, (anomaly(order, "fill_without_quantity", f"correction of {event.execution}"),)
    if known is not None and event.revision <= known.revision:
        # Of two fills that may be one under two ids it is the second that is restated too.
        kept = tuple(stretches.restated_too(one, event) for one in order.repeats)
        left = tuple(one for one in kept if one.quantity)
        return (order if left == order.repeats else replace(order, repeats=left, counted_seq=seq)), ()
    return _restate(order, event, known, (event.quantity, event.price), now, seq)


def bust(order: Order, event: ExecutionBusted, now: Micros, seq: int) -> Result:
    """Take an execution back: it stays on record with quantity zero."""
    known = order.execution(event.execution)
    if known is not None and event.revision <= known.revision:
        # Of two fills that may be one under two ids the second is taken back too: none of them is missing.
        left = tuple(one for one in order.repeats if not stretches.is_gone_too(known, one, event))
        is_news = len(left) < len(order.repeats)
        return (replace(order, repeats=left, counted_seq=seq) if is_news else order), ()
    price = known.price if known is not None else ZERO
    return _restate(order, event, known, (ZERO, price), now, seq)


def _restate(
    order: Order,
    event: OrderFilled | ExecutionCorrected | ExecutionBusted,
    known: Execution | None,
    terms: tuple[Decimal, Decimal],
    now: Micros,
    seq: int,
) -> Result:
    """Put a higher revision in the place of an execution, or on record before its first report."""
    quantity, price = terms
    found: tuple[Anomaly, ...] = ()
    if known is None:
        known = stretches.restated_before(order, event.cumulative, quantity)
        if known is not None:
            found = (repeats(order, event.execution, known),)
            order = stretches.with_alias(order, known, event.execution)
            known = order.execution(event.execution)
    same_quantity = known is not None and known.quantity == quantity
    if known is not None and same_quantity:
        order = _without_namesake(order, known, event.execution)
    if known is None:
        new = Execution(
            root=event.execution,
            revision=event.revision,
            quantity=quantity,
            price=price,
            at=now,
            seq=seq,
            comparable=False,
        )
        executions = (*order.executions, new)
    else:
        new = replace(known, revision=event.revision, quantity=quantity, price=price, seq=seq)
        executions = tuple(new if one is known else one for one in order.executions)
    total = order.total
    if not same_quantity:
        # The broker's count has shifted: older stretches of it no longer compare with new ones.
        executions = tuple(replace(one, comparable=False) if one.comparable else one for one in executions)
        total = ZERO
        if event.cumulative is None:
            found = (*found, anomaly(order, "restated_without_totals", event.execution, wants_query=True))
    if event.cumulative is not None and (known is None or not same_quantity or known.comparable):
        # A new price tells the count of its own time, which may be that of before another bust or correction.
        total = max(total, event.cumulative)
    filled = sum((one.quantity for one in executions), ZERO)
    status = status_of(order, filled, order.quantity)
    # Without a word from the broker a bust opens nothing: what could execute before still can, and no more.
    leaves = order.leaves if event.leaves is None else event.leaves
    changed = replace(
        order,
        executions=executions,
        filled=filled,
        value=sum((one.quantity * one.price for one in executions), ZERO),
        total=total,
        counted_seq=order.counted_seq if same_quantity else seq,
        recounted=order.recounted if same_quantity else max(order.recounted, _count_of(order, event)),
        status=status,
        leaves=leaves_of(status, order.quantity, max(filled, total), leaves),
        first_fill_at=now if order.first_fill_at is None and filled else order.first_fill_at,
        ended_at=ended_at_of(order, status, now),
        pending=without_submit(order),
        listed=order.listed if known is not None else (),
    )
    if order.status is FILLED and changed.status is CANCELED:
        # Its end was reported when it did not matter any more; now something is left that it will not sell.
        found = (*found, *unasked(changed, changed.cancel_cause, changed.text))
    if order.repeats and not same_quantity:
        changed, more = _not_covered(changed, event, now, seq, known)
        found = (*found, *more)
    return changed, (*found, *excess(order, changed), *gap(order, changed))


def _without_namesake(order: Order, known: Execution, name: str) -> Order:
    """The order after a new price under a second id of an execution: from here on nobody can tell what would be whose,
    so that the kept fill of that id is no other execution."""
    if known.root == name:
        return order
    return replace(order, repeats=tuple(one for one in order.repeats if one.execution != name))


def _after_end(order: Order, event: OrderFilled) -> Result:
    """A fill of an order that had ended: announced by the broker's count, reversing an assumption, or late."""
    if order.assumed and event.leaves != ZERO:
        text = f"execution {event.execution} after the order was assumed to be gone"
        return reinstated(order), (anomaly(order, "reinstated", text, event.quantity, wants_query=True),)
    if event.quantity <= order.missing:
        return order, ()
    text = f"execution {event.execution} after {order.status.value}"
    return order, (anomaly(order, "late_fill", text, event.quantity),)


def _proven(order: Order, wire_id: str | None) -> Order:
    """A fill proves that the broker has the order, and the replace under whose id it executed."""
    request = named(order, wire_id)
    if request is not None and request.kind is PendingKind.REPLACE and request.quantity is not None:
        order = with_terms(overtaken(order, request), request, quantity=request.quantity)
        order = replace(
            order,
            pending=without(order, request),
            wire_ids=(*order.wire_ids, request.wire_id),
            # More quantity than before reopens a filled order; the fill itself then settles the state.
            status=status_of(order, order.filled, order.quantity) if order.filled else order.status,
        )
    pending = without_submit(order)
    return order if pending is order.pending else replace(order, pending=pending)


def _repeated(order: Order, event: OrderFilled, stretch: tuple[Decimal | None, Decimal | None]) -> Result:
    """The order after a fill that those on record cover; it is kept, for it may prove to be the next one. Where it
    covers the same stretch under another id, that id is given to the execution: a bust, a correction or a fee may use
    either."""
    of: Execution | None = None
    for one in order.executions:
        same = one.comparable and one.quantity and (one.cum_before, one.cum_after) == stretch
        # At another price it may be the next fill, that overtook a bust: it stays apart until one comes.
        if same and (one.price == event.price or one.revision):
            of, order = one, stretches.with_alias(order, one, event.execution)
            break
    others = [one for one in order.repeats if one.execution != event.execution]
    # What was recounted before the first of them says nothing of them.
    recounted = order.recounted if others else ZERO
    order = replace(order, repeats=(*others[1 - _MOST_REPEATS :], event), recounted=recounted)
    return order, (repeats(order, event.execution, of),)


def _not_covered(
    order: Order,
    restated: OrderFilled | ExecutionCorrected | ExecutionBusted,
    now: Micros,
    seq: int,
    before_it: Execution | None,
) -> Result:
    """Book what only looked covered: it begins at or beyond the count that came with a restatement, so it was counted
    later than what the restatement is about. Of what goes by a second id the same is kept in mind, and no more; what
    another execution than its own has become says nothing about it. `before_it` is the restated one as it was."""
    found: tuple[Anomaly, ...] = ()
    kept, order, count = order.repeats, replace(order, repeats=()), restated.cumulative
    for event in kept:
        taken_for = order.execution(event.execution)
        if taken_for is not None and taken_for.root == event.execution:
            continue  # It is on record by its own name.
        was_gone = before_it is not None and not before_it.quantity
        if was_gone and event.execution == restated.execution and not event.revision:
            continue  # The other one was taken back before, so that this one is on record from here on.
        before, after = stretches.interval(event.cumulative, event.quantity)
        is_later = before is not None and count is not None and before >= count
        is_named = taken_for is not None
        # What goes by its own id is restated; what may be missing is the other one, at the revision that is known.
        is_own = event.execution == restated.execution
        candidate = replace(event, revision=restated.revision) if is_own else event
        if taken_for is not None and not taken_for.goes_by(restated.execution):
            order = replace(order, repeats=(*order.repeats, event))
        elif is_later and not is_named and stretches.is_covered(order, before, after):
            # Another id of the one that was booked just now.
            order, more = _repeated(order, event, (before, after))
            found = (*found, *more)
        elif is_later and not is_named:
            text = f"execution {event.execution} was counted after a bust or correction that came later"
            order, more = _taken_back(order, event, text, now, seq)
            found = (*found, *more)
        elif is_later or (count is None and not is_named):
            order = replace(order, repeats=(*order.repeats, candidate))
        else:
            # What it covers says nothing any more; it is a fill only if the broker lists it.
            order = replace(order, repeats=(*order.repeats, replace(candidate, cumulative=None)))
    return order, found


def explained(order: Order, count: Decimal, now: Micros, seq: int) -> Result:
    """Book the newest fill taken for another's second id that is just what the broker counts beyond those on record.

    Only what may have overtaken a bust or a correction: of the execution it was taken for, or any, where it begins at
    or beyond all counts that came with them; and what the broker lists beside that execution. To be asked once the
    broker has said so twice unasked, or in answer to what was asked after all that is on record: a single count may be
    older than that (BB-052), and so may all answers to what was asked before.
    """
    for event in reversed(order.repeats):
        if event.quantity != count - order.filled:
            continue
        if event.execution in order.listed or stretches.has_overtaken(order, event):
            text = f"execution {event.execution} is not another id of one on record: the broker counts both"
            left = order.leaves
            order, found = _taken_back(order, event, text, now, seq)
            # What is open was told with the count that explains it, and is no more than that.
            return replace(order, leaves=leaves_of(order.status, order.quantity, order.filled, left)), found
    if order.listed and count == order.filled and not order.is_live:
        # What is listed and not counted was taken back, or is no execution of its own: that is settled.
        left_over = tuple(one for one in order.repeats if one.execution not in order.listed)
        order = replace(order, repeats=left_over, listed=())
    return order, ()


def told_apart(order: Order, now: Micros, seq: int) -> Result:
    """Book the fills taken for another's second id that the broker lists beside it, of an order that it does not know
    any more: no count of it will ever come, and two names on one list are two executions.

    Only where a bust or a correction has come since: without one two executions cannot cover the same, so that it is
    still to come. What a bust took away, under either name, is not among the kept ones.
    """
    found: tuple[Anomaly, ...] = ()
    for event in order.repeats if order.listed else ():
        of = order.execution(event.execution) or order.executions[0]
        if event.execution in order.listed and not of.comparable:
            text = f"execution {event.execution} is not another id of one on record: the broker lists both"
            booked, more = _taken_back(order, event, text, now, seq)
            order, found = replace(booked, listed=order.listed), (*found, *more)
    return replace(order, listed=()) if found else order, found


def _count_of(order: Order, event: OrderFilled | ExecutionCorrected | ExecutionBusted) -> Decimal:
    """The count that came with a restatement; without one no fill is known to be later."""
    return order.quantity if event.cumulative is None else event.cumulative


def _taken_back(order: Order, event: OrderFilled, text: str, now: Micros, seq: int) -> Result:
    """Book a fill that was taken for one on record."""
    before, after = stretches.interval(event.cumulative, event.quantity)
    executions = tuple(
        replace(one, aliases=tuple(x for x in one.aliases if x != event.execution))
        for one in order.executions
    )
    left = tuple(one for one in order.repeats if one is not event)
    verdict = counts(order, event.execution, event.quantity, event.price)
    doubt = anomaly(order, "fill_not_comparable", text, event.quantity, wants_query=True)
    order = replace(order, executions=executions, repeats=left)
    return _booked(order, event, before, after, (verdict, doubt), now, seq)
