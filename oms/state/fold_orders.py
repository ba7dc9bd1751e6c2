"""The part of the fold that changes orders: reports of the broker, and our own requests.

A report finds its order by any id that the broker has used for it. An order that is not ours is tracked from the
first report that says enough about it, and no policy acts on it (FIX E.1.a); of any other order we only say that
we do not know it. A bust or correction of such an order waits for the fill.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from oms.events import broker, decisions
from oms.events.base import Event
from oms.state import fills, reports, requests, stretches, traffic
from oms.state.oddities import Result
from oms.state.order import SUBMITTED, Anomaly, Order, Pending, PendingKind
from oms.state.pipeline import Pipeline, Question, Restatement, put_order, put_trade
from oms.values import ZERO, Micros, OrderType, Role, TimeInForce

Folded = tuple[Pipeline, tuple[Anomaly, ...]]
Fold = Callable[[Pipeline, Any, Micros, int], Folded]
_Change = Callable[..., Result]
_Restatement = broker.ExecutionBusted | broker.ExecutionCorrected

_MOST_RESTATED: Final = 256
"""How many restatements wait for their fills; with more than that the oldest is given up, having been alerted."""


def _on_order(change: _Change, *, by_trade: bool = False) -> Fold:
    """A fold that finds the order, changes it and stores it; an order nobody knows is an anomaly. `by_trade`: the
    change is told the trade of the order as well."""

    def apply(pipeline: Pipeline, event: Any, now: Micros, seq: int) -> Folded:
        order = known = pipeline.find(event.client_order_id, event.broker_order_id)
        if order is None:
            order = known = pipeline.find(getattr(event, "orig_client_order_id", None))
        if order is None:
            order = _external(event, now, seq)
        if order is None:
            if isinstance(event, _Restatement):
                pipeline = _kept(pipeline, event)
            text = f"{type(event).__name__} for {event.client_order_id or event.broker_order_id}"
            return pipeline, (Anomaly(code="unknown_order", text=text),)
        if by_trade and order.trade_no is not None:
            changed, anomalies = change(order, event, now, seq, pipeline.trades[order.trade_no])
        else:
            changed, anomalies = change(order, event, now, seq)
        if changed.counted_seq < seq and changed.total is not order.total and changed.total != order.total:
            changed = replace(changed, counted_seq=seq)
        if known is None:
            pipeline = put_order(pipeline, None, order, now)
        pipeline = put_order(pipeline, order, changed, now)
        if pipeline.questions or changed.repeats:
            pipeline = _told(pipeline, order, changed, event, now)
        return pipeline, anomalies

    return apply


def _told(pipeline: Pipeline, before: Order, order: Order, event: Event, now: Micros) -> Pipeline:
    """Forget a question once the broker has said how the order stands; a pending status leaves it open, and so does
    an answer that counts less than was told meanwhile, or more than is booked where that may be a fill taken for
    another's second id and the answer is not the newest: what is true only the next one says.

    What was asked under the id of a request has no question of its own; where its answer leaves fills missing, it
    becomes one, and so does what a bust leaves of a fill of ours that was told under two ids. It is asked in its time.
    """
    own, is_unexplained = order.client_order_id, bool(order.repeats) and order.missing > ZERO
    is_answer = stays_open = False
    if isinstance(event, broker.OrderStatusReported):
        asked, count = event.asked_at_seq, event.cumulative
        is_behind = (
            asked is not None
            and count is not None
            and (count < order.total or (is_unexplained and asked < before.counted_seq))
        )
        is_answer = event.status not in reports.INTERMEDIATE and not is_behind
        stays_open = is_behind and is_unexplained
    elif isinstance(event, broker.OrderUnknown):
        is_answer = event.client_order_id == order.wire_id
        stays_open = not is_answer and order.missing > ZERO
    elif isinstance(event, broker.OrderCanceled):
        is_answer = not is_unexplained
    elif isinstance(event, broker.ExecutionBusted | broker.ExecutionCorrected):
        # Of two ids of what may be one fill or two, this tells of one: only the broker knows whether it counts another.
        stays_open = bool(order.repeats)
    if is_answer and own in pipeline.questions:
        return replace(
            pipeline, questions={name: one for name, one in pipeline.questions.items() if name != own}
        )
    if stays_open and own not in pipeline.questions and not (order.pending or order.is_external):
        return _with_question(pipeline, own, now)
    return pipeline


def _with_question(pipeline: Pipeline, own: str, now: Micros) -> Pipeline:
    before = pipeline.questions.get(own)
    question = Question(asked_at=now, queries=before.queries + 1 if before is not None else 1)
    return replace(pipeline, questions={**pipeline.questions, own: question})


def _kept(pipeline: Pipeline, event: _Restatement) -> Pipeline:
    """Keep what cannot be placed yet, the highest revision of each execution."""
    known = pipeline.restated.get(event.execution)
    if known is not None and known.event.revision >= event.revision:
        return pipeline
    kept = (
        Restatement(bust=event)
        if isinstance(event, broker.ExecutionBusted)
        else Restatement(correction=event)
    )
    restated = {**pipeline.restated, event.execution: kept}
    if len(restated) > _MOST_RESTATED:
        del restated[next(iter(restated))]
    return replace(pipeline, restated=restated)


def _filled(pipeline: Pipeline, event: broker.OrderFilled, now: Micros, seq: int) -> Folded:
    """Book a fill, and what was said of it before its order was known."""
    pipeline, found = _book(pipeline, event, now, seq)
    kept = pipeline.restated.get(event.execution) if pipeline.restated else None
    if kept is None:
        return pipeline, found
    waiting = {name: one for name, one in pipeline.restated.items() if name != event.execution}
    early = replace(kept.event, client_order_id=event.client_order_id, broker_order_id=event.broker_order_id)
    pipeline, more = FOLDS[type(early)](replace(pipeline, restated=waiting), early, now, seq)
    return pipeline, (*found, *more)


def _external(event: Event, now: Micros, seq: int) -> Order | None:
    """An order that is not ours, from the first report that says enough about it."""
    order_type, price_limit, price_stop = OrderType.LIMIT, None, None
    if isinstance(event, broker.OrderFilled):
        side = event.side
        quantity = (event.cumulative or event.quantity) + (event.leaves or ZERO)
    elif isinstance(event, broker.OrderStatusReported):
        if event.side is None or event.quantity is None or event.status is broker.ReportedStatus.REJECTED:
            return None
        side, quantity = event.side, event.quantity
        order_type = event.order_type or order_type
        price_limit, price_stop = event.price_limit, event.price_stop
    else:
        return None
    name = event.broker_order_id or event.client_order_id
    if name is None or quantity <= ZERO:
        return None
    return Order(
        client_order_id=f"X:{name}",
        instrument=event.instrument,
        side=side,
        order_type=order_type,
        time_in_force=TimeInForce.DAY,
        quantity=quantity,
        leaves=quantity,
        placed_at=now,
        placed_seq=seq,
        price_limit=price_limit,
        price_stop=price_stop,
        status=SUBMITTED,
        wire_ids=(event.client_order_id,) if event.client_order_id is not None else (),
        broker_ids=(event.broker_order_id,) if event.broker_order_id is not None else (),
    )


def _accepted(order: Order, event: broker.OrderAccepted, _now: Micros, _seq: int) -> Result:
    return reports.acknowledged(order, event.broker_order_id)


def _rejected(order: Order, event: broker.OrderRejected, now: Micros, _seq: int) -> Result:
    return reports.order_rejected(order, event, now)


def _triggered(order: Order, event: broker.OrderTriggered, now: Micros, seq: int) -> Result:
    return reports.triggered(order, event.broker_order_id, now, seq)


def _canceled(order: Order, event: broker.OrderCanceled, now: Micros, _seq: int) -> Result:
    return reports.canceled(order, event, now)


def _cancel_rejected(order: Order, event: broker.CancelRejected, now: Micros, seq: int) -> Result:
    return reports.cancel_rejected(order, event, now, seq)


def _replaced(order: Order, event: broker.OrderReplaced, now: Micros, _seq: int) -> Result:
    return reports.replaced(order, event, now)


def _replace_rejected(order: Order, event: broker.ReplaceRejected, now: Micros, seq: int) -> Result:
    return reports.replace_rejected(order, event, now, seq)


def _unknown(pipeline: Pipeline, event: broker.OrderUnknown, now: Micros, seq: int) -> Folded:
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, (Anomaly(code="unknown_order", text=event.client_order_id),)
    changed, anomalies = reports.unknown_to_broker(order, event, now)
    if not changed.is_live and event.client_order_id == changed.wire_id:
        changed, more = fills.told_apart(changed, now, seq)
        anomalies = (*anomalies, *more)
    return _told(put_order(pipeline, order, changed, now), order, changed, event, now), anomalies


def _command_failed(pipeline: Pipeline, event: broker.CommandFailed, now: Micros, _seq: int) -> Folded:
    if not event.sent:
        return _void(pipeline, event, event.text, now)
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, ()
    return put_order(pipeline, order, requests.outcome_unknown(order, event.command_seq), now), ()


def _command_refused(pipeline: Pipeline, event: broker.CommandRefused, now: Micros, _seq: int) -> Folded:
    return _void(pipeline, event, f"{reports.GATE}{event.limit}", now)


def _command_expired(pipeline: Pipeline, event: broker.CommandExpired, now: Micros, _seq: int) -> Folded:
    return _void(pipeline, event, reports.EXPIRED, now)


def _void(
    pipeline: Pipeline,
    event: broker.CommandFailed | broker.CommandRefused | broker.CommandExpired,
    text: str,
    now: Micros,
) -> Folded:
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, ()
    changed, anomalies = reports.not_sent(order, event.command_seq, text, now)
    return put_order(pipeline, order, changed, now), anomalies


def _fee(pipeline: Pipeline, event: broker.FeeReported, _now: Micros, _seq: int) -> Folded:
    """Fees of an execution count against its trade where they are in the instrument's currency."""
    currency = pipeline.instrument.currency
    amount = sum((fee.amount for fee in event.fees if fee.currency == currency), ZERO)
    order = _order_of(pipeline, event.execution)
    if order is None or order.trade_no is None or not amount:
        return pipeline, ()
    trade = pipeline.trades[order.trade_no]
    entry = amount if order.role is Role.ENTRY else ZERO
    trade = replace(trade, fees=trade.fees + amount, fees_entry=trade.fees_entry + entry)
    return put_trade(pipeline, trade), ()


def _order_of(pipeline: Pipeline, execution: str) -> Order | None:
    """The order of an execution. Fees come soon after their fill, so the search begins at the newest."""
    for order in reversed(pipeline.orders.values()):
        for one in reversed(order.executions):
            if one.goes_by(execution):
                return order
    return None


def _placed(pipeline: Pipeline, event: decisions.OrderPlaced, now: Micros, seq: int) -> Folded:
    own = event.client_order_id
    # Ids are made from the place in the log: the same one twice would lose the fills of the first order.
    assert own not in pipeline.aliases, own
    order = Order(
        client_order_id=own,
        instrument=event.instrument,
        trade_no=event.trade_no,
        role=event.role,
        side=event.side,
        order_type=event.order_type,
        time_in_force=event.time_in_force,
        quantity=event.quantity,
        leaves=event.quantity,
        price_limit=event.price_limit,
        price_stop=event.price_stop,
        placed_at=now,
        placed_seq=seq,
        wire_ids=(own,),
        rung=event.rung,
        reason=event.reason,
        pending=(Pending(kind=PendingKind.SUBMIT, seq=seq, wire_id=own, since=now, asked_at=now),),
    )
    return put_order(pipeline, None, order, now), ()


def _replace_requested(
    pipeline: Pipeline, event: decisions.ReplaceRequested, now: Micros, seq: int
) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return _asked(pipeline, order, requests.replace_requested(order, event, seq, now), now)


def _cancel_requested(pipeline: Pipeline, event: decisions.CancelRequested, now: Micros, seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return _asked(pipeline, order, requests.cancel_requested(order, event, seq, now), now)


def _asked(pipeline: Pipeline, order: Order, changed: Order, now: Micros) -> Folded:
    """A request of ours, which counts for what is sent (architecture 6, "Degradation")."""
    pipeline = put_order(pipeline, order, changed, now)
    if order.trade_no is None:
        return pipeline, ()
    counted = traffic.requested(pipeline.traffic, pipeline.trades[order.trade_no], order.role, now)
    return (pipeline if counted is pipeline.traffic else replace(pipeline, traffic=counted)), ()


def _query_requested(pipeline: Pipeline, event: decisions.QueryRequested, now: Micros, _seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    if order.pending:
        return put_order(pipeline, order, requests.query_requested(order, now), now), ()
    return _with_question(pipeline, order.client_order_id, now), ()


def _reprice_skipped(pipeline: Pipeline, event: decisions.RepriceSkipped, now: Micros, _seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return put_order(pipeline, order, replace(order, cycles=order.cycles + 1, looked_at=now), now), ()


def _books_listed(pipeline: Pipeline, event: broker.BrokerSnapshotReported, now: Micros, _seq: int) -> Folded:
    """Note which fill that seemed to be on record the broker lists as an execution of its own, and ask about its order.

    Books are no execution and change no position (I68); the answer does, where it counts the fill, or knows nothing
    of the order any more.
    """
    if not (event.complete and event.executions):
        return pipeline, ()
    for own in [own for own, order in pipeline.orders.items() if order.repeats]:
        order = pipeline.orders[own]
        listed = stretches.listed(order, event.executions)
        if listed != order.listed:
            pipeline = put_order(pipeline, order, replace(order, listed=listed), now)
        # Of one that has ended a count may never come, so that nothing is known to be missing.
        is_short = bool(listed) and (order.missing > ZERO or not order.is_live)
        if is_short and own not in pipeline.questions and not (order.pending or order.is_external):
            pipeline = _with_question(pipeline, own, now)
    return pipeline, ()


_book: Final = _on_order(fills.fill, by_trade=True)

FOLDS: Final[dict[type[Event], Fold]] = {
    broker.OrderAccepted: _on_order(_accepted),
    broker.OrderRejected: _on_order(_rejected),
    broker.OrderTriggered: _on_order(_triggered),
    broker.OrderFilled: _filled,
    broker.ExecutionCorrected: _on_order(fills.correct),
    broker.ExecutionBusted: _on_order(fills.bust),
    broker.OrderCanceled: _on_order(_canceled),
    broker.CancelRejected: _on_order(_cancel_rejected),
    broker.OrderReplaced: _on_order(_replaced),
    broker.ReplaceRejected: _on_order(_replace_rejected),
    broker.OrderStatusReported: _on_order(reports.status_reported),
    broker.OrderUnknown: _unknown,
    broker.CommandFailed: _command_failed,
    broker.CommandRefused: _command_refused,
    broker.CommandExpired: _command_expired,
    broker.FeeReported: _fee,
    broker.BrokerSnapshotReported: _books_listed,
    decisions.OrderPlaced: _placed,
    decisions.ReplaceRequested: _replace_requested,
    decisions.CancelRequested: _cancel_requested,
    decisions.QueryRequested: _query_requested,
    decisions.RepriceSkipped: _reprice_skipped,
}
"""The rows of the fold's table that concern orders."""
