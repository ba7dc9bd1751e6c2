"""The fold: one event changes one pipeline. Facts are booked whatever we think of them; oddities are returned.

It reads no setting and no clock. One function per event type, all in one table; a test proves the table total.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from oms.events import broker, clock, decisions, market, operator, session, strategy
from oms.events.base import Event
from oms.state import fills, reports
from oms.state import market as markets
from oms.state import trade as trades
from oms.state.order import SUBMITTED, Anomaly, Order, Pending, PendingKind
from oms.state.pipeline import Pipeline, put_order, put_trade
from oms.values import ZERO, Micros, OrderType, PositionSide, Role, TimeInForce

Folded = tuple[Pipeline, tuple[Anomaly, ...]]
Fold = Callable[[Pipeline, Any, Micros, int], Folded]


def fold(pipeline: Pipeline, event: Event, now: Micros, seq: int) -> Folded:
    """Apply an event. Returns the new pipeline and what was odd about the event.

    Raises KeyError for an event type that has no fold: an unknown fact is never skipped.
    """
    return FOLDS[type(event)](pipeline, event, now, seq)


def _nothing(pipeline: Pipeline, _event: Event, _now: Micros, _seq: int) -> Folded:
    return pipeline, ()


# --- market, session, clock ---------------------------------------------------------------------------------


def _quote(pipeline: Pipeline, event: market.QuoteReported, _now: Micros, seq: int) -> Folded:
    return replace(pipeline, market=markets.quote_reported(pipeline.market, event, seq)), ()


def _clock(pipeline: Pipeline, event: clock.ClockAdvanced, _now: Micros, seq: int) -> Folded:
    for quote in event.quotes:
        if quote.instrument == pipeline.name:
            return replace(pipeline, market=markets.quote_reported(pipeline.market, quote, seq)), ()
    return pipeline, ()


def _print(pipeline: Pipeline, event: market.TradePrinted, _now: Micros, seq: int) -> Folded:
    return replace(pipeline, market=markets.trade_printed(pipeline.market, event, seq)), ()


def _bar(pipeline: Pipeline, event: market.BarClosed, _now: Micros, seq: int) -> Folded:
    pipeline = replace(pipeline, market=markets.bar_closed(pipeline.market, event, seq))
    for trade in pipeline.open():
        if trade.first_fill_at is not None and event.end_at > trade.first_fill_at:
            # A bar that began before the fill says nothing certain about what came after it but its close.
            whole = event.open_at >= trade.first_fill_at
            best = event.high if trade.side is PositionSide.LONG else event.low
            raised = trades.with_high_water(trade, best if whole else event.close)
            if raised is not trade:
                pipeline = put_trade(pipeline, raised)
    return pipeline, ()


def _session(pipeline: Pipeline, event: session.SessionOpened, _now: Micros, seq: int) -> Folded:
    return replace(pipeline, market=markets.session_opened(pipeline.market, event, seq)), ()


def _venue(pipeline: Pipeline, event: session.VenueStatusChanged, now: Micros, seq: int) -> Folded:
    return replace(pipeline, market=markets.venue_status_changed(pipeline.market, event, now, seq)), ()


def _instrument(pipeline: Pipeline, event: session.InstrumentDefined, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, instrument=event), ()


def _day(pipeline: Pipeline, _event: session.DayRolled, _now: Micros, _seq: int) -> Folded:
    """Forget what is over: trades that ended flat, with their orders. The log still knows them."""
    kept = {number: pipeline.trades[number] for number in pipeline.open_trades}
    orders = {
        one: order
        for one, order in pipeline.orders.items()
        if order.is_live or order.trade_no in kept or (order.trade_no is None and order.filled > ZERO)
    }
    aliases = {alias: own for alias, own in pipeline.aliases.items() if own in orders}
    return replace(pipeline, trades=kept, orders=orders, aliases=aliases, cycle=0), ()


# --- requests -----------------------------------------------------------------------------------------------


def _wish(pipeline: Pipeline, event: Event, _now: Micros, seq: int) -> Folded:
    return replace(pipeline, wish=event, wish_seq=seq), ()


def _trail_only(pipeline: Pipeline, event: strategy.TrailOnlyRequested, _now: Micros, _seq: int) -> Folded:
    for trade in pipeline.open():
        if trade.strategy == event.strategy:
            pipeline = put_trade(pipeline, replace(trade, trail_only=True))
    return pipeline, ()


def _exhaustion(pipeline: Pipeline, event: strategy.ExhaustionReported, now: Micros, _seq: int) -> Folded:
    for trade in pipeline.open():
        if trade.strategy == event.strategy:
            pipeline = put_trade(pipeline, replace(trade, exhausted_at=now))
    return pipeline, ()


# --- broker -------------------------------------------------------------------------------------------------


def _on_order(change: Callable[[Order, Any, Micros, int], fills.Result]) -> Fold:
    """A fold that finds the order, changes it and stores it; an order nobody knows is an anomaly."""

    def apply(pipeline: Pipeline, event: Any, now: Micros, seq: int) -> Folded:
        orig = getattr(event, "orig_client_order_id", None)
        order = pipeline.find(event.client_order_id, orig, event.broker_order_id)
        if order is None:
            order = _external(event, now, seq)
            if order is None:
                text = f"{type(event).__name__} for {event.client_order_id or event.broker_order_id}"
                return pipeline, (Anomaly(code="unknown_order", text=text),)
            pipeline = put_order(pipeline, None, order, now)
        changed, anomalies = change(order, event, now, seq)
        return put_order(pipeline, order, changed, now), anomalies

    return apply


def _external(event: Event, now: Micros, seq: int) -> Order | None:
    """An order that is not ours, from the first report that says enough about it (E.1.a)."""
    if isinstance(event, broker.OrderFilled):
        side, quantity = event.side, event.quantity + (event.leaves or ZERO)
        if event.cumulative is not None:
            quantity = event.cumulative + (event.leaves or ZERO)
    elif isinstance(event, broker.OrderStatusReported):
        if event.side is None or event.quantity is None or event.status is broker.ReportedStatus.REJECTED:
            return None
        side, quantity = event.side, event.quantity
    else:
        return None
    name = event.broker_order_id or event.client_order_id
    if name is None or quantity <= ZERO:
        return None
    ids = (event.broker_order_id,) if event.broker_order_id is not None else ()
    return Order(
        client_order_id=f"X:{name}",
        instrument=event.instrument,
        side=side,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        quantity=quantity,
        leaves=quantity,
        placed_at=now,
        placed_seq=seq,
        status=SUBMITTED,
        wire_ids=(event.client_order_id,) if event.client_order_id is not None else (),
        broker_ids=ids,
    )


def _accepted(order: Order, event: broker.OrderAccepted, _now: Micros, _seq: int) -> fills.Result:
    return reports.acknowledged(order, event.broker_order_id)


def _rejected(order: Order, event: broker.OrderRejected, now: Micros, _seq: int) -> fills.Result:
    return reports.rejected(order, event.text or event.code, now)


def _triggered(order: Order, event: broker.OrderTriggered, now: Micros, seq: int) -> fills.Result:
    order, anomalies = reports.acknowledged(order, event.broker_order_id)
    return reports.triggered(order, now, seq), anomalies


def _filled(order: Order, event: broker.OrderFilled, now: Micros, seq: int) -> fills.Result:
    changed, anomalies = fills.fill(order, event, now, seq)
    if event.broker_order_id is not None and event.broker_order_id not in changed.broker_ids:
        changed = replace(changed, broker_ids=(*changed.broker_ids, event.broker_order_id))
    return changed, anomalies


def _canceled(order: Order, event: broker.OrderCanceled, now: Micros, _seq: int) -> fills.Result:
    return reports.canceled(order, event, now)


def _cancel_rejected(order: Order, event: broker.CancelRejected, _now: Micros, _seq: int) -> fills.Result:
    return reports.cancel_rejected(order, event)


def _replaced(order: Order, event: broker.OrderReplaced, now: Micros, _seq: int) -> fills.Result:
    return reports.replaced(order, event, now)


def _replace_rejected(order: Order, event: broker.ReplaceRejected, _now: Micros, _seq: int) -> fills.Result:
    return reports.replace_rejected(order, event)


def _unknown(pipeline: Pipeline, event: broker.OrderUnknown, now: Micros, _seq: int) -> Folded:
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, (Anomaly(code="unknown_order", text=event.client_order_id),)
    changed, anomalies = reports.unknown_to_broker(order, event, now)
    return put_order(pipeline, order, changed, now), anomalies


def _command_failed(pipeline: Pipeline, event: broker.CommandFailed, now: Micros, _seq: int) -> Folded:
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, ()
    if event.sent:
        return put_order(pipeline, order, reports.outcome_unknown(order, event.command_seq), now), ()
    changed, anomalies = reports.not_sent(order, event.command_seq, event.text, now)
    return put_order(pipeline, order, changed, now), anomalies


def _command_void(
    pipeline: Pipeline, event: broker.CommandRefused | broker.CommandExpired, now: Micros, _seq: int
) -> Folded:
    order = pipeline.find(event.client_order_id)
    if order is None:
        return pipeline, ()
    text = f"gate: {event.limit}" if isinstance(event, broker.CommandRefused) else "expired before it was sent"
    changed, anomalies = reports.not_sent(order, event.command_seq, text, now)
    return put_order(pipeline, order, changed, now), anomalies


def _fee(pipeline: Pipeline, event: broker.FeeReported, _now: Micros, _seq: int) -> Folded:
    """Fees of an execution count against its trade where they are in the instrument's currency."""
    amount = sum((fee.amount for fee in event.fees if fee.currency == pipeline.instrument.currency), ZERO)
    for order in pipeline.orders.values():
        if order.trade_no is not None and any(one.root == event.execution for one in order.executions):
            trade = pipeline.trades[order.trade_no]
            entry = amount if order.role is Role.ENTRY else ZERO
            trade = replace(trade, fees=trade.fees + amount, fees_entry=trade.fees_entry + entry)
            return put_trade(pipeline, trade), ()
    return pipeline, ()


def _adjusted(pipeline: Pipeline, event: broker.PositionAdjusted, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, adjusted=pipeline.adjusted + event.quantity), ()


# --- our decisions ------------------------------------------------------------------------------------------


def _entry_accepted(pipeline: Pipeline, event: decisions.EntryAccepted, now: Micros, seq: int) -> Folded:
    pipeline = put_trade(pipeline, trades.accepted(event, now, seq))
    return replace(pipeline, wish=None, cycle=event.cycle), ()


def _wish_answered(pipeline: Pipeline, _event: Event, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, wish=None), ()


def _placed(pipeline: Pipeline, event: decisions.OrderPlaced, now: Micros, seq: int) -> Folded:
    own = event.client_order_id
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


def _replace_requested(pipeline: Pipeline, event: decisions.ReplaceRequested, now: Micros, seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return put_order(pipeline, order, reports.replace_requested(order, event, seq, now), now), ()


def _cancel_requested(pipeline: Pipeline, event: decisions.CancelRequested, now: Micros, seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return put_order(pipeline, order, reports.cancel_requested(order, event, seq, now), now), ()


def _query_requested(pipeline: Pipeline, event: decisions.QueryRequested, now: Micros, _seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return put_order(pipeline, order, reports.query_requested(order, now), now), ()


def _reprice_skipped(pipeline: Pipeline, event: decisions.RepriceSkipped, now: Micros, _seq: int) -> Folded:
    order = pipeline.orders[event.client_order_id]
    return put_order(pipeline, order, replace(order, cycles=order.cycles + 1, requested_at=now), now), ()


def _on_trade(change: Callable[[trades.Trade, Any, Micros, int], trades.Trade]) -> Fold:
    def apply(pipeline: Pipeline, event: Any, now: Micros, seq: int) -> Folded:
        return put_trade(pipeline, change(pipeline.trades[event.trade_no], event, now, seq)), ()

    return apply


def _stop_moved(trade: trades.Trade, event: decisions.StopMoved, _now: Micros, _seq: int) -> trades.Trade:
    guard = replace(trade.guard, level=event.level) if trade.guard is not None else None
    return replace(trade, level=event.level, level_source=event.candidate, guard=guard)


def _guard_armed(trade: trades.Trade, event: decisions.GuardArmed, now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, guard=trades.Guard(level=event.level, armed_at=now))


def _guard_disarmed(trade: trades.Trade, _event: decisions.GuardDisarmed, _now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, guard=None)


def _guard_breached(trade: trades.Trade, _event: decisions.GuardBreached, now: Micros, seq: int) -> trades.Trade:
    assert trade.guard is not None
    return replace(trade, guard=replace(trade.guard, breached_at=now, breached_seq=seq))


def _close_requested(pipeline: Pipeline, event: decisions.CloseRequested, now: Micros, seq: int) -> Folded:
    close = trades.Close(
        reason=event.reason,
        priority=event.priority,
        market=event.market,
        at=now,
        seq=seq,
        evidence=event.evidence,
    )
    trade = replace(pipeline.trades[event.trade_no], close=close)
    return replace(put_trade(pipeline, trade), wish=None), ()


def _entry_abandoned(trade: trades.Trade, _event: decisions.EntryAbandoned, now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, abandoned_at=now)


def _trade_closed(trade: trades.Trade, event: decisions.TradeClosed, now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, closed_at=now, pnl=event.pnl, guard=None)


def _alerted(pipeline: Pipeline, event: decisions.Alerted, now: Micros, _seq: int) -> Folded:
    if event.trade_no is None or event.trade_no not in pipeline.trades:
        known = event.code in pipeline.alerts
        return pipeline if known else replace(pipeline, alerts=(*pipeline.alerts, event.code)), ()
    trade = pipeline.trades[event.trade_no]
    if event.code not in trade.alerts:
        trade = replace(trade, alerts=(*trade.alerts, event.code))
    if event.code == NAKED and trade.naked_since is None:
        trade = replace(trade, naked_since=now)
    return put_trade(pipeline, trade), ()


def _alert_cleared(trade: trades.Trade, event: decisions.AlertCleared, now: Micros, _seq: int) -> trades.Trade:
    trade = replace(trade, alerts=tuple(code for code in trade.alerts if code != event.code))
    if event.code == NAKED and trade.naked_since is not None:
        trade = replace(trade, naked_us=trade.naked_us + now - trade.naked_since, naked_since=None)
    return trade


def _safe_mode(pipeline: Pipeline, event: decisions.SafeModeEntered, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, safe_mode=event.reason), ()


def _noted(pipeline: Pipeline, event: decisions.PolicyNoted, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, notes={**pipeline.notes, event.policy: event.value}), ()


NAKED: Final = "unprotected"
"""Code of the alert that measures naked time."""

FOLDS: Final[dict[type[Event], Fold]] = {
    market.QuoteReported: _quote,
    market.TradePrinted: _print,
    market.BarClosed: _bar,
    market.FeedStale: _nothing,
    clock.ClockAdvanced: _clock,
    session.InstrumentDefined: _instrument,
    session.SessionOpened: _session,
    session.VenueStatusChanged: _venue,
    session.DayRolled: _day,
    strategy.EntryRequested: _wish,
    strategy.ExitRequested: _wish,
    strategy.TrailOnlyRequested: _trail_only,
    strategy.ExhaustionReported: _exhaustion,
    operator.OperatorCommanded: _wish,
    broker.OrderAccepted: _on_order(_accepted),
    broker.OrderRejected: _on_order(_rejected),
    broker.OrderTriggered: _on_order(_triggered),
    broker.OrderFilled: _on_order(_filled),
    broker.ExecutionCorrected: _on_order(fills.correct),
    broker.ExecutionBusted: _on_order(fills.bust),
    broker.OrderCanceled: _on_order(_canceled),
    broker.CancelRejected: _on_order(_cancel_rejected),
    broker.OrderReplaced: _on_order(_replaced),
    broker.ReplaceRejected: _on_order(_replace_rejected),
    broker.OrderStatusReported: _on_order(reports.status_reported),
    broker.OrderUnknown: _unknown,
    broker.CommandFailed: _command_failed,
    broker.CommandRefused: _command_void,
    broker.CommandExpired: _command_void,
    broker.FeeReported: _fee,
    broker.BrokerSnapshotReported: _wish,
    broker.PositionAdjusted: _adjusted,
    decisions.EntryAccepted: _entry_accepted,
    decisions.IntentRefused: _wish_answered,
    decisions.OrderPlaced: _placed,
    decisions.ReplaceRequested: _replace_requested,
    decisions.CancelRequested: _cancel_requested,
    decisions.QueryRequested: _query_requested,
    decisions.RepriceSkipped: _reprice_skipped,
    decisions.StopMoved: _on_trade(_stop_moved),
    decisions.GuardArmed: _on_trade(_guard_armed),
    decisions.GuardDisarmed: _on_trade(_guard_disarmed),
    decisions.GuardBreached: _on_trade(_guard_breached),
    decisions.CloseRequested: _close_requested,
    decisions.DecisionRefused: _nothing,
    decisions.EntryAbandoned: _on_trade(_entry_abandoned),
    decisions.TradeClosed: _on_trade(_trade_closed),
    decisions.Alerted: _alerted,
    decisions.AlertCleared: _on_trade(_alert_cleared),
    decisions.SafeModeEntered: _safe_mode,
    decisions.DecisionFailed: _nothing,
    decisions.PolicyNoted: _noted,
}

