"""What is measured and logged of it: degradation (I50) and slippage (I56), recomputed from the events alone."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from oms.events.decisions import (
    CancelRequested,
    DegradationEntered,
    DegradationLeft,
    OrderPlaced,
    ReplaceRequested,
    TradeClosed,
)
from oms.events.slippage import FillSlippage, SlippageMeasured
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.state.traffic import CANCEL_REPLACE, FILL_RATE, ORDER_TRADE
from oms.values import MILLISECOND, ONE, ZERO, Side, rounded
from tests.simulation.checks.base import END, Scene, check

Sent = dict[tuple[str, str], list[int]]


@check("I50")
def degradation_follows_the_log(scene: Scene) -> Iterator[str]:
    """It begins beyond its threshold and ends once; its numbers are those of what was sent in its window.

    A process that died may have stored a step that nobody saw: what is counted here is counted in one life.
    """
    if scene.world.restarts > 1:
        return
    on: set[tuple[str, str]] = scene.own("I50", set())
    sent: Sent = scene.own("I50 sent", defaultdict(list))
    for one in scene.decisions(OrderPlaced):
        sent[one.event.instrument, ORDER_TRADE].append(scene.now)
    for one in scene.decisions(ReplaceRequested, CancelRequested):
        sent[one.event.instrument, CANCEL_REPLACE].append(scene.now)
    for one in scene.decisions(DegradationEntered, DegradationLeft):
        event = one.event
        key = (event.instrument, event.metric)
        begins = isinstance(event, DegradationEntered)
        if begins is (key in on):
            yield f"{event.metric} of {event.instrument} {'begins' if begins else 'ends'} twice"
        on ^= {key}
        if event.value != _value(event):
            yield f"{event.metric} is logged as {event.value}, {event.sent} and {event.filled} make {_value(event)}"
        yield from _beyond(scene, event, sent[key], begins=begins)


def _value(event: DegradationEntered | DegradationLeft) -> Decimal:
    if event.metric == FILL_RATE:
        return rounded(event.filled / event.sent, 4) if event.sent else ZERO
    return rounded(event.sent / max(ONE, event.filled), 4)


def _beyond(
    scene: Scene, event: DegradationEntered | DegradationLeft, sent: list[int], *, begins: bool
) -> Iterator[str]:
    setting = scene.account.settings.degradation
    if event.metric == FILL_RATE:
        enough, beyond = event.sent >= setting.fill_rate_attempts, event.value < setting.fill_rate_warn
    elif event.metric == CANCEL_REPLACE:
        enough, beyond = event.sent >= setting.min_requests, event.value > setting.cancel_replace_rate_warn
        window = setting.cancel_replace_window_ms
    else:
        enough, beyond = event.sent >= setting.min_orders, event.value > setting.order_trade_ratio_warn
        window = setting.order_trade_window_ms
    if begins and not (enough and beyond):
        yield f"{event.metric} began at {event.value} of {event.sent}"
    if event.metric != FILL_RATE:
        made = sum(at > scene.now - window * MILLISECOND for at in sent)
        if event.sent > made:
            yield f"{event.metric} counts {event.sent} of {made} that were sent in its window"


@check("I56")
def slippage_is_of_every_fill(scene: Scene) -> Iterator[str]:
    """A measurement holds every fill of its trade, against its intent, positive where it was worse."""
    measured = scene.own("I56", {})
    for one in scene.decisions(SlippageMeasured):
        pipeline = scene.pipelines[one.event.instrument]
        measured[pipeline.name, one.event.trade_no] = one.event.fills
        yield from _complete(pipeline, pipeline.trades[one.event.trade_no], one.event.fills)
        for fill in one.event.fills:
            yield from _compared(fill)
    for one in scene.decisions(TradeClosed):
        scene.own("I56 closed", set()).add((one.event.instrument, one.event.trade_no))


def _compared(fill: FillSlippage) -> Iterator[str]:
    if fill.price_intent is None:
        return
    worse = fill.price - fill.price_intent if fill.side is Side.BUY else fill.price_intent - fill.price
    if fill.slippage != fill.price - fill.price_intent or fill.cost != worse:
        yield f"fill {fill.seq} at {fill.price} for {fill.price_intent}: {fill.slippage}, cost {fill.cost}"


def _complete(pipeline: Pipeline, trade: Trade, fills: tuple[FillSlippage, ...]) -> Iterator[str]:
    orders = [pipeline.orders[one] for one in trade.order_ids]
    made = sorted(
        (one.seq, one.quantity, one.price) for own in orders for one in own.executions if one.quantity
    )
    told = sorted((one.seq, one.quantity, one.price) for one in fills)
    if made != told:
        yield f"trade {trade.trade_no} has the fills {made}, measured were {told}"


@check("I56", END)
def every_closed_trade_was_measured(scene: Scene) -> Iterator[str]:
    """As it stands now, late corrections included, in one life. Trades of earlier days are not kept."""
    if scene.world.restarts > 1:
        return
    for name, number in sorted(scene.own("I56 closed", set())):
        trade = scene.pipelines[name].trades.get(number)
        if trade is not None and trade.held == ZERO and number not in scene.pipelines[name].open_trades:
            yield from _complete(scene.pipelines[name], trade, scene.own("I56", {}).get((name, number), ()))
