"""What a broker answers to the orders of a story: acknowledgements, fills, refusals, and all of them in order."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from oms.events.base import Event
from oms.events.broker import (
    CancelCause,
    CancelRejected,
    ExecutionBusted,
    ExecutionCorrected,
    Fee,
    FeeReported,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderTriggered,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.state.order import Order
from oms.state.trade import Trade
from oms.values import Role
from tests import builders
from tests.builders import NAME, Number
from tests.given import Input, Story


def _names(order: Order) -> dict[str, Any]:
    return {
        "instrument": NAME,
        "client_order_id": order.wire_id,
        "broker_order_id": f"B-{order.client_order_id}",
    }


def ack(role: Role, nth: int = -1) -> Input:
    return lambda story: OrderAccepted(**_names(story.order(role, nth)))


def received(role: Role, nth: int = -1, said: ReportedStatus = ReportedStatus.PENDING_NEW) -> Input:
    """The broker has the order and has not accepted it yet."""
    return lambda story: OrderStatusReported(**_names(story.order(role, nth)), status=said)


def rejected(role: Role, nth: int = -1, text: str = "no") -> Input:
    return lambda story: OrderRejected(**_names(story.order(role, nth)), code="REFUSED", text=text)


def triggered(story: Story) -> Event:
    """The stop is elected."""
    return OrderTriggered(**_names(story.order(Role.STOP)))


def fill(role: Role, quantity: Number | None = None, at: Number | None = None, nth: int = -1) -> Input:
    """By default all that is left, at the order's own price."""

    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        amount = order.quantity - order.filled if quantity is None else Decimal(quantity)
        price = order.price_limit if at is None else Decimal(at)
        assert price is not None, "a market order needs a price"
        story.executions += 1
        cumulative = order.filled + amount
        return OrderFilled(
            **_names(order),
            execution=f"X{story.executions}",
            side=order.side,
            quantity=amount,
            price=price,
            cumulative=cumulative,
            leaves=max(order.quantity - cumulative, Decimal(0)),
        )

    return answer


def bust(role: Role, nth: int = -1) -> Input:
    """The newest execution of the order never was."""

    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        last = order.executions[-1]
        return ExecutionBusted(
            **_names(order),
            execution=last.root,
            revision=last.revision + 1,
            cumulative=order.filled - last.quantity,
        )

    return answer


def told_again(role: Role, nth: int = -1) -> Input:
    """The newest execution of the order is reported once more."""

    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        last = order.executions[-1]
        return OrderFilled(
            **_names(order),
            execution=last.root,
            side=order.side,
            quantity=last.quantity,
            price=last.price,
            cumulative=order.filled,
            leaves=order.leaves,
        )

    return answer


def corrected(role: Role, quantity: Number, price: Number) -> Input:
    """The newest execution of the newest order of a role is restated."""

    def answer(story: Story) -> Event:
        order = story.order(role)
        last = order.executions[-1]
        return ExecutionCorrected(
            **_names(order),
            execution=last.root,
            revision=last.revision + 1,
            quantity=Decimal(quantity),
            price=Decimal(price),
            cumulative=order.filled - last.quantity + Decimal(quantity),
        )

    return answer


def fees(amount: Number) -> Input:
    """What the newest execution cost."""
    return lambda story: FeeReported(
        instrument=NAME,
        execution=f"X{story.executions}",
        fees=(Fee(amount=Decimal(amount), currency="USD", kind="COMMISSION"),),
    )


def replaced(role: Role, nth: int = -1) -> Input:
    """The change that was asked for is in force."""

    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        asked = next(pending for pending in order.pending if pending.quantity is not None)
        assert asked.quantity is not None
        return OrderReplaced(
            **{**_names(order), "client_order_id": asked.wire_id},
            orig_client_order_id=order.wire_id,
            quantity=asked.quantity,
            price_limit=asked.price_limit,
            price_stop=asked.price_stop,
            order_type=asked.order_type,
            cumulative=order.filled,
            leaves=asked.quantity - order.filled,
        )

    return answer


def refused(role: Role, nth: int = -1, code: RejectCode = RejectCode.OTHER) -> Input:
    """The newest unanswered change or cancel is refused."""

    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        asked = order.pending[-1]
        kind = CancelRejected if asked.quantity is None else ReplaceRejected
        names = {**_names(order), "client_order_id": asked.wire_id}
        return kind(**names, orig_client_order_id=order.wire_id, code=code, text="no")

    return answer


def cancelled(role: Role, nth: int = -1, cause: CancelCause = CancelCause.REQUESTED) -> Input:
    def answer(story: Story) -> Event:
        order = story.order(role, nth)
        return OrderCanceled(**_names(order), cause=cause, cumulative=order.filled)

    return answer


def unknown(role: Role, nth: int = -1) -> Input:
    """The broker has never heard of the order."""
    return lambda story: OrderUnknown(
        instrument=NAME,
        client_order_id=story.order(role, nth).wire_id,
        asked_at_seq=story.book.account.seq,
    )


def in_position(side_entry: Event | None = None) -> Input:
    """An entry filled at its ideal price, stop and targets confirmed."""

    def tell(story: Story) -> None:
        story.given(side_entry or builders.entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed)

    return tell


def confirmed(story: Story) -> None:
    """The broker confirms everything it was asked for."""
    for _ in range(10):
        asked = [
            (role, nth)
            for role, ids in _slots(story.trade)
            for nth, own in enumerate(ids)
            if story.pipeline.orders[own].pending
        ]
        if not asked:
            return
        role, nth = asked[0]
        order = story.order(role, nth)
        asks_for = order.pending[0]
        if asks_for.kind.value == "SUBMIT":
            story.take(ack(role, nth))
        elif asks_for.quantity is not None:
            story.take(replaced(role, nth))
        else:
            story.take(cancelled(role, nth))


def _slots(trade: Trade) -> Iterable[tuple[Role, tuple[str, ...]]]:
    return (
        (Role.ENTRY, trade.entries),
        (Role.STOP, trade.stops),
        (Role.TARGET, trade.targets),
        (Role.EXIT, trade.exits),
    )
