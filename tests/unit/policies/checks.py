"""What must hold after every step of any day, judged from the step's events and a second look at the state."""

from decimal import Decimal

from oms.events.base import Event
from oms.events.decisions import (
    CancelRequested,
    DecisionFailed,
    EntryAccepted,
    OrderPlaced,
    ReplaceRequested,
    SafeModeEntered,
    StopMoved,
    TradeClosed,
)
from oms.events.strategy import EntryRequested
from oms.execution.market_orders import REASONS
from oms.state.fold import NAKED
from oms.state.pipeline import Pipeline
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.step import StepResult, next_due
from oms.values import MILLISECOND, ZERO, Micros, OrderType, PositionSide, Role
from tests.builders import CLOSE, NAME
from tests.given import text_of
from tests.unit.policies.days import Played

FORCED_CLOSE = CLOSE - 15 * 60 * 1000 * MILLISECOND
COMMANDS_PER_TRADE = 200
INPUTS_PER_DAY = 5_000


def check_step(played: Played, index: int) -> None:
    """One durable step. The state is the one right after it, because batches end at every command."""
    result, now = played.steps[index].result, played.steps[index].stamped.logical_time
    decided = [one.event for one in result.events[1:]]
    pipeline = result.changed.get(NAME)
    for decision in decided:
        check_decision(played, decision, now)
    if pipeline is not None:
        check_trades(result, pipeline, now)
        due = next_due(result.account, pipeline, now)
        assert due is None or due > now, "time would stand still"
    assert index < INPUTS_PER_DAY, "a storm of inputs"


def check_decision(played: Played, decision: Event, now: Micros) -> None:
    assert not isinstance(decision, DecisionFailed | SafeModeEntered), text_of(decision)
    policy = getattr(decision, "policy", None) or getattr(decision, "winner_policy", None)
    assert policy or hasattr(decision, "code") or isinstance(decision, EntryAccepted), text_of(decision)
    if isinstance(decision, OrderPlaced | ReplaceRequested):
        if decision.order_type is OrderType.MARKET:
            assert decision.reason in REASONS, text_of(decision)
            assert decision.evidence, text_of(decision)
        trade = played.pipeline.trades[decision.trade_no]
        if trade.entries and decision.client_order_id in trade.entries:
            check_entry(trade, decision.price_limit, now)
        assert decision.quantity > ZERO, text_of(decision)


def check_entry(trade: Trade, limit: Decimal | None, now: Micros) -> None:
    """Never beyond the zone, never in the forced-close window."""
    assert limit is not None, "an entry is a limit order"
    inside = limit <= trade.zone_max if trade.side is PositionSide.LONG else limit >= trade.zone_max
    assert inside, f"{limit} is beyond {trade.zone_max}"
    assert now < FORCED_CLOSE, "an entry in the forced-close window"


def check_trades(result: StepResult, pipeline: Pipeline, now: Micros) -> None:
    view = View(result.account, pipeline, now)
    for trade in pipeline.trades.values():
        naked = protection(view, trade) is Protection.NAKED
        assert naked is (NAKED in trade.alerts), (
            f"trade {trade.trade_no}: naked is {naked}, which nobody said"
        )
        assert naked is (trade.naked_since is not None), "naked time is not measured"
        check_orders(view, trade)


def check_orders(view: View, trade: Trade) -> None:
    entries = view.live(trade.entries)
    assert len(entries) <= 1, "two live entries"
    stops = [order for order in view.live(trade.stops) if not order.refusals]
    if trade.held > ZERO and all(not order.pending for order in view.pipeline.orders.values()) and stops:
        quiet = all(order.triggered_at is None and order.filled == ZERO for order in stops)
        if quiet and trade.close is None and not view.market.is_halted and len(stops) == 1:
            assert stops[0].leaves == trade.held, f"stop of {stops[0].leaves} for {trade.held}"
            assert stops[0].price_stop == trade.level, "the stop is not where it should be"
    targets = view.live(trade.targets)
    asked = all(not order.pending and not order.refusals for order in targets)
    if asked and trade.held >= ZERO and trade.close is None:
        leaves = sum((order.leaves for order in targets), ZERO)
        assert leaves <= trade.held, f"targets of {leaves} for {trade.held}"


def check_end(played: Played) -> None:
    """At the end of the day: flat, or somebody has been called; bounded work; stops never loosened."""
    check_levels(played)
    closed = [one for one in played.decisions if isinstance(one, TradeClosed)]
    for trade in played.pipeline.trades.values():
        reports = [one for one in closed if one.trade_no == trade.trade_no]
        if trade.held != ZERO:
            assert "cannot_liquidate" in trade.alerts or "exit_refused" in trade.alerts, f"{trade.held} left"
        elif trade.entered != ZERO:
            total = sum((one.pnl_change for one in reports), ZERO)
            assert total == trade.result(played.pipeline.instrument.multiplier), (
                "the result is not what was reported"
            )
            live = list(played.pipeline.live(trade.order_ids))
            assert not live or "orphan_order" in trade.alerts, f"{len(live)} orders are left of a flat trade"
    check_commands(played)


def check_levels(played: Played) -> None:
    """The effective stop never moves back, and no request at the broker moves one back either (I36)."""
    levels: dict[int, Decimal] = {}
    for decision in played.decisions:
        if isinstance(decision, StopMoved):
            side = played.pipeline.trades[decision.trade_no].side
            before = levels.get(decision.trade_no, decision.level)
            better = decision.level >= before if side is PositionSide.LONG else decision.level <= before
            assert better, f"{before} to {decision.level}"
            levels[decision.trade_no] = decision.level
        elif isinstance(decision, OrderPlaced | ReplaceRequested) and decision.price_stop is not None:
            assert decision.price_stop == levels[decision.trade_no], text_of(decision)


def check_commands(played: Played) -> None:
    counts: dict[int, int] = {}
    for decision in played.decisions:
        if isinstance(decision, OrderPlaced | ReplaceRequested | CancelRequested):
            counts[decision.trade_no] = counts.get(decision.trade_no, 0) + 1
    assert max(counts.values(), default=0) < COMMANDS_PER_TRADE, f"a storm of commands: {counts}"


def requests(played: Played) -> list[EntryRequested]:
    return [one.stamped.event for one in played.steps if isinstance(one.stamped.event, EntryRequested)]


def entries(played: Played) -> list[OrderPlaced]:
    return [one for one in played.decisions if isinstance(one, OrderPlaced) and one.role is Role.ENTRY]
