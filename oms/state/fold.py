"""The fold: one event changes one pipeline. Facts are booked whatever we think of them; oddities are returned.

It reads no setting and no clock. One function per event type, all in one table; a test proves the table total.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from oms.events import broker, clock, decisions, market, operator, session, strategy
from oms.events.base import Event
from oms.events.slippage import SlippageEased, SlippageEscalated, SlippageExceeded, SlippageMeasured
from oms.state import fold_orders
from oms.state import market as markets
from oms.state import slippage as slippages
from oms.state import trade as trades
from oms.state import traffic as traffics
from oms.state.fold_orders import Fold, Folded
from oms.state.pipeline import Advice, Pipeline, put_trade
from oms.values import BUY_OF, LONG, SECOND, SELL_OF, ZERO, Micros, Severity


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


def _depth(pipeline: Pipeline, event: market.DepthReported, _now: Micros, seq: int) -> Folded:
    return replace(pipeline, market=markets.depth_reported(pipeline.market, event, seq)), ()


def _bar(pipeline: Pipeline, event: market.BarClosed, _now: Micros, seq: int) -> Folded:
    pipeline = replace(pipeline, market=markets.bar_closed(pipeline.market, event, seq))
    for trade in pipeline.open():
        if trade.first_fill_at is not None and event.end_at > trade.first_fill_at:
            # A bar that began before the fill says nothing certain about what came after it but its close.
            whole = event.open_at >= trade.first_fill_at
            best = event.high if trade.side is LONG else event.low
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


def _day(pipeline: Pipeline, _event: session.DayRolled, now: Micros, seq: int) -> Folded:
    """Forget what has been over for a day: until then a late fact must still find its trade."""
    kept = {
        number: trade
        for number, trade in pipeline.trades.items()
        if number in pipeline.open_trades or _ended_at(pipeline, trade) > now - _LATE
    }
    orders = {
        one: order
        for one, order in pipeline.orders.items()
        if order.is_live or order.trade_no in kept or (order.trade_no is None and order.filled > ZERO)
    }
    aliases = {alias: own for alias, own in pipeline.aliases.items() if own in orders}
    traffic = replace(pipeline.traffic, day_seq=seq)
    return replace(pipeline, trades=kept, orders=orders, aliases=aliases, cycle=0, traffic=traffic), ()


_LATE: Final[Micros] = 86_400 * SECOND


def _ended_at(pipeline: Pipeline, trade: trades.Trade) -> Micros:
    return max((order.ended_at or 0 for order in pipeline.of(trade.order_ids)), default=0)


def _config(pipeline: Pipeline, event: operator.ConfigActivated, _now: Micros, _seq: int) -> Folded:
    """Open trades keep the configuration they were opened under, unless the activation says otherwise."""
    for trade in pipeline.open() if event.apply_to_open else ():
        pipeline = put_trade(pipeline, replace(trade, config_sha256=event.config_sha256))
    return pipeline, ()


# --- requests -----------------------------------------------------------------------------------------------


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


def _monitored(pipeline: Pipeline, event: strategy.MonitorReported, now: Micros, seq: int) -> Folded:
    if event.severity not in (Severity.CRITICAL, Severity.EMERGENCY):
        return pipeline, ()
    market = pipeline.market
    for trade in pipeline.open():
        if trade.strategy == event.strategy and trade.held > ZERO:
            price = market.exit_price(SELL_OF[trade.side]) if market.is_two_sided else None
            alarm = trades.Alarm(at=now, seq=seq, price=price, quote_at=market.quote_at or 0)
            pipeline = put_trade(pipeline, replace(trade, alarm=alarm))
    return pipeline, ()


def _cycle_begun(pipeline: Pipeline, event: strategy.StrategyCycleBegun, now: Micros, seq: int) -> Folded:
    advice = Advice(urgency=event.urgency, bias=event.bias, began_at=now, began_seq=seq)
    return replace(pipeline, advice={**pipeline.advice, event.strategy: advice}), ()


def _adjusted(pipeline: Pipeline, event: broker.PositionAdjusted, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, adjusted=pipeline.adjusted + event.quantity), ()


# --- our decisions ------------------------------------------------------------------------------------------


def _entry_accepted(pipeline: Pipeline, event: decisions.EntryAccepted, now: Micros, seq: int) -> Folded:
    trade = trades.accepted(event, now, seq)
    parent = pipeline.trades.get(event.parent_trade_no or 0)
    if parent is not None and parent.trail_only:
        # What the strategy said of its trade holds for what is added to it.
        trade = replace(trade, trail_only=True)
    pipeline = put_trade(pipeline, trade)
    return replace(pipeline, cycle=event.cycle), ()


def _on_trade(change: Callable[[trades.Trade, Any, Micros, int], trades.Trade]) -> Fold:
    def apply(pipeline: Pipeline, event: Any, now: Micros, seq: int) -> Folded:
        return put_trade(pipeline, change(pipeline.trades[event.trade_no], event, now, seq)), ()

    return apply


def _stop_moved(trade: trades.Trade, event: decisions.StopMoved, _now: Micros, _seq: int) -> trades.Trade:
    guard = replace(trade.guard, level=event.level) if trade.guard is not None else None
    return replace(trade, level=event.level, level_source=event.candidate, guard=guard)


def _guard_armed(trade: trades.Trade, event: decisions.GuardArmed, now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, guard=trades.Guard(level=event.level, armed_at=now))


def _guard_disarmed(
    trade: trades.Trade, _event: decisions.GuardDisarmed, _now: Micros, _seq: int
) -> trades.Trade:
    return replace(trade, guard=None)


def _guard_breached(
    trade: trades.Trade, _event: decisions.GuardBreached, now: Micros, seq: int
) -> trades.Trade:
    assert trade.guard is not None
    return replace(trade, guard=replace(trade.guard, breached_at=now, breached_seq=seq))


def _close_requested(pipeline: Pipeline, event: decisions.CloseRequested, now: Micros, seq: int) -> Folded:
    trade = pipeline.trades[event.trade_no]
    close = trades.Close(
        reason=event.reason,
        priority=event.priority,
        market=event.market,
        at=now,
        seq=seq,
        evidence=event.evidence,
        price=pipeline.market.exit_price(SELL_OF[trade.side] if trade.held >= ZERO else BUY_OF[trade.side]),
    )
    trade = replace(trade, close=close)
    return put_trade(pipeline, trade), ()


def _entry_abandoned(
    trade: trades.Trade, _event: decisions.EntryAbandoned, now: Micros, _seq: int
) -> trades.Trade:
    return replace(trade, abandoned_at=now)


def _trade_closed(pipeline: Pipeline, event: decisions.TradeClosed, now: Micros, _seq: int) -> Folded:
    trade = replace(pipeline.trades[event.trade_no], closed_at=now, pnl=event.pnl, guard=None)
    slippage = slippages.closed(pipeline.slippage, event.trade_no)
    return replace(put_trade(pipeline, trade), slippage=slippage), ()


def _slippage_measured(pipeline: Pipeline, event: SlippageMeasured, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, slippage=slippages.measured(pipeline.slippage, event)), ()


def _slippage_exceeded(trade: trades.Trade, event: SlippageExceeded, _now: Micros, _seq: int) -> trades.Trade:
    return replace(trade, slipped=event.price, slipped_level=event.level)


def _slippage_escalated(pipeline: Pipeline, event: SlippageEscalated, _now: Micros, _seq: int) -> Folded:
    slippage = pipeline.slippage
    return replace(pipeline, slippage=replace(slippage, measures=(*slippage.measures, event.measure))), ()


def _slippage_eased(pipeline: Pipeline, event: SlippageEased, _now: Micros, _seq: int) -> Folded:
    slippage = pipeline.slippage
    measures = tuple(one for one in slippage.measures if one != event.measure)
    return replace(pipeline, slippage=replace(slippage, measures=measures)), ()


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


def _alert_cleared(
    trade: trades.Trade, event: decisions.AlertCleared, now: Micros, _seq: int
) -> trades.Trade:
    trade = replace(trade, alerts=tuple(code for code in trade.alerts if code != event.code))
    if event.code == NAKED and trade.naked_since is not None:
        trade = replace(trade, naked_us=trade.naked_us + now - trade.naked_since, naked_since=None)
    return trade


def _degradation_entered(
    pipeline: Pipeline, event: decisions.DegradationEntered, _now: Micros, seq: int
) -> Folded:
    degraded = {**pipeline.traffic.degraded, event.metric: seq}
    return replace(pipeline, traffic=replace(pipeline.traffic, degraded=degraded)), ()


def _degradation_left(
    pipeline: Pipeline, event: decisions.DegradationLeft, _now: Micros, _seq: int
) -> Folded:
    return replace(pipeline, traffic=traffics.left(pipeline.traffic, event.metric)), ()


def _safe_mode(pipeline: Pipeline, event: decisions.SafeModeEntered, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, safe_mode=event.reason), ()


def _noted(pipeline: Pipeline, event: decisions.PolicyNoted, _now: Micros, _seq: int) -> Folded:
    return replace(pipeline, notes={**pipeline.notes, event.policy: event.value}), ()


NAKED: Final = "unprotected"
"""Code of the alert that measures naked time."""

FOLDS: Final[dict[type[Event], Fold]] = {
    **fold_orders.FOLDS,
    market.QuoteReported: _quote,
    market.TradePrinted: _print,
    market.BarClosed: _bar,
    market.DepthReported: _depth,
    market.FeedStale: _nothing,
    clock.ClockAdvanced: _clock,
    session.InstrumentDefined: _instrument,
    session.SessionOpened: _session,
    session.VenueStatusChanged: _venue,
    session.DayRolled: _day,
    strategy.EntryRequested: _nothing,
    strategy.AddRequested: _nothing,
    strategy.ExitRequested: _nothing,
    strategy.TrailOnlyRequested: _trail_only,
    strategy.ExhaustionReported: _exhaustion,
    strategy.MonitorReported: _monitored,
    strategy.StrategyCycleBegun: _cycle_begun,
    operator.ConfigActivated: _config,
    operator.OperatorCommanded: _nothing,
    broker.PositionAdjusted: _adjusted,
    decisions.EntryAccepted: _entry_accepted,
    decisions.IntentRefused: _nothing,
    decisions.StopMoved: _on_trade(_stop_moved),
    decisions.GuardArmed: _on_trade(_guard_armed),
    decisions.GuardDisarmed: _on_trade(_guard_disarmed),
    decisions.GuardBreached: _on_trade(_guard_breached),
    decisions.CloseRequested: _close_requested,
    decisions.DecisionRefused: _nothing,
    decisions.DegradationEntered: _degradation_entered,
    decisions.DegradationLeft: _degradation_left,
    decisions.EntryAbandoned: _on_trade(_entry_abandoned),
    decisions.TradeClosed: _trade_closed,
    SlippageMeasured: _slippage_measured,
    SlippageExceeded: _on_trade(_slippage_exceeded),
    SlippageEscalated: _slippage_escalated,
    SlippageEased: _slippage_eased,
    decisions.Alerted: _alerted,
    decisions.AlertCleared: _on_trade(_alert_cleared),
    decisions.SafeModeEntered: _safe_mode,
    decisions.DecisionFailed: _nothing,
    decisions.ExecutionJudged: _nothing,
    decisions.PolicyNoted: _noted,
}
