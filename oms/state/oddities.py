"""What is odd about an order after a report: each has one maker, and the step tells of it."""

from decimal import Decimal
from typing import Final

from oms.events.broker import CancelCause, OrderFilled
from oms.state.order import Anomaly, Execution, Order, Verdict
from oms.values import ZERO, Role, plain

Result = tuple[Order, tuple[Anomaly, ...]]
"""An order after a report, and what is odd about it."""

_BELOW: Final = "count_below_fills"


def anomaly(
    order: Order, code: str, text: str, quantity: Decimal | None = None, *, wants_query: bool = False
) -> Anomaly:
    """Something odd about an order, with the order it is about."""
    return Anomaly(
        code=code,
        text=text,
        quantity=quantity,
        client_order_id=order.client_order_id,
        trade_no=order.trade_no,
        wants_query=wants_query,
    )


def gap(before: Order, after: Order) -> tuple[Anomaly, ...]:
    """What the broker counts and we have not seen, where that has grown."""
    if after.total <= after.filled or after.missing <= before.missing:
        return ()
    text = f"the broker counts {plain(after.total)}, we have seen {plain(after.filled)}"
    return (anomaly(after, "gap_detected", text, after.missing, wants_query=True),)


def below(order: Order, cumulative: Decimal, *, wants_query: bool) -> Anomaly:
    """The broker counts less than we have booked."""
    text = f"the broker counts {plain(cumulative)}, we have booked {plain(order.filled)}"
    return anomaly(order, _BELOW, text, order.filled - cumulative, wants_query=wants_query)


def with_below(order: Order, count: Decimal, found: tuple[Anomaly, ...]) -> tuple[Anomaly, ...]:
    """What was found in the newest answer, and that more is booked than it counts: of an order that had ended nothing
    else tells of it."""
    if count >= order.filled or any(one.code == _BELOW for one in found):
        return found
    return (*found, below(order, count, wants_query=False))


def lowered(order: Order, count: Decimal) -> tuple[Anomaly, ...]:
    """The newest answer counts less than was told: what was higher is of before a bust or correction that it overtook.
    The views of the log find by this alert where the count begins anew."""
    if count >= order.total:
        return ()
    text = f"the broker counts {plain(count)}, and {plain(order.total)} no more"
    return (anomaly(order, "count_lowered", text, order.total - count),)


def unasked(order: Order, cause: CancelCause | None, text: str) -> tuple[Anomaly, ...]:
    """A stop or exit that ended without our asking leaves a position alone."""
    if cause in (None, CancelCause.REQUESTED) or order.role not in (Role.STOP, Role.EXIT):
        return ()
    return (anomaly(order, "canceled_unasked", text or cause.value),)


def excess(before: Order, after: Order) -> tuple[Anomaly, ...]:
    """What is filled beyond the order's quantity, where that has grown."""
    beyond = after.filled - after.quantity
    if beyond <= ZERO or beyond <= before.filled - before.quantity:
        return ()
    return (anomaly(after, "overfill", "filled beyond its quantity", beyond),)


def repeats(order: Order, execution: str, of: Execution | None) -> Verdict:
    """A report tells again what is on record: under another id of that execution, or across several."""
    return Verdict(
        client_order_id=order.client_order_id,
        trade_no=order.trade_no,
        execution=execution,
        of=of.root if of is not None else None,
    )


def counts(order: Order, execution: str, quantity: Decimal, price: Decimal) -> Verdict:
    """A fill that seemed to tell again what is on record counts after all."""
    return Verdict(
        client_order_id=order.client_order_id,
        trade_no=order.trade_no,
        execution=execution,
        counted=True,
        side=order.side,
        quantity=quantity,
        price=price,
    )


def doubted(
    order: Order, event: OrderFilled, known: Execution, stretch: tuple[Decimal | None, Decimal | None]
) -> tuple[Anomaly, ...]:
    """A fill that was busted before it was told, and that covers just what another one does: that may be it."""
    if known.quantity or known.cum_after is not None or stretch[1] is None:
        return ()
    terms = (event.quantity, event.price, *stretch)
    return tuple(
        anomaly(
            order,
            "fill_not_comparable",
            f"execution {one.root} may be another id of {event.execution}, which was busted",
            event.quantity,
            wants_query=True,
        )
        for one in order.executions
        if (one.quantity, one.price, one.cum_before, one.cum_after) == terms
    )
