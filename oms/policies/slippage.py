"""What bad fills lead to: every closed trade is measured, averages warn and reduce, one entry fill may end the trade.

An entry fill that costs more than `single_pct` of its intent tightens the stop to the fill less the planned risk
(through the stop candidate of that name); if the first target then is worth less than `risk.min_rr` times the risk, a
limit exit follows. The average over closed trades warns, and takes a share off the largest position. Costs are
adjusted to the side: positive is worse. OD-106..109; C-31; architecture 10.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import Alerted
from oms.events.slippage import (
    FillSlippage,
    SlippageEased,
    SlippageEscalated,
    SlippageExceeded,
    SlippageMeasured,
)
from oms.execution import orders
from oms.execution.ladder import first_target
from oms.state.calm import CHANGED
from oms.state.order import Execution, Order
from oms.state.slippage import REDUCE, WARN
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import (
    SIGN_OF,
    SIGN_OF_SIDE,
    ZERO,
    PositionSide,
    Severity,
    plain,
    round_down_to_tick,
    round_up_to_tick,
    rounded,
)

NAME: Final = "slippage"
VERSION: Final = 1
PRIORITY: Final = 60
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED

PLACES: Final = 10
DESTROYED: Final = "SLIPPAGE"


def decide(view: View) -> Iterator[Event]:
    """Judge new entry fills, and measure the trades that have closed."""
    for trade in view.pipeline.open():
        if trade.price_worst is not None and trade.held > ZERO:
            yield from _single(view, trade, trade.price_worst)
    if view.pipeline.slippage.unmeasured:
        yield from _measure(view)


def _single(view: View, trade: Trade, worst: Decimal) -> Iterator[Event]:
    """One entry fill beyond the bound, and worse than any acted on before; it may have become so by a correction."""
    sign, settings = SIGN_OF[trade.side], view.settings_of(trade)
    if trade.slipped is not None and (worst - trade.slipped) * sign <= ZERO:
        return
    lost = (worst - trade.ideal) * sign
    if lost <= settings.slippage.single_pct * trade.ideal:
        return
    seq = next(one.seq for one in _executions(view, trade.entries) if one.price == worst)
    level = worst - sign * trade.risk
    ratio = _reward_risk(view, trade, worst, level)
    yield SlippageExceeded(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        seq=seq,
        price=worst,
        price_intent=trade.ideal,
        slippage=worst - trade.ideal,
        cost_pct=rounded(lost / trade.ideal, PLACES),
        level=_on_tick(view, trade, level),
        reward_risk=rounded(ratio, PLACES) if ratio is not None else None,
        policy=NAME,
    )
    if ratio is not None and ratio < settings.risk.min_rr and wants_close(trade, PRIORITY, market=False):
        yield orders.close(trade, DESTROYED, PRIORITY, market=False, evidence=(seq,), policy=NAME)


def _reward_risk(view: View, trade: Trade, price: Decimal, level: Decimal) -> Decimal | None:
    """(first target - fill) / (fill - stop), the stop being the tighter of the present one and `level`."""
    target, sign = first_target(view, trade), SIGN_OF[trade.side]
    present = trade.level if trade.level is not None else trade.stop0
    risk = min((price - present) * sign, (price - level) * sign)
    return (target - price) * sign / risk if target is not None and risk > ZERO else None


def _on_tick(view: View, trade: Trade, price: Decimal) -> Decimal:
    """Away from the market, like every stop."""
    if trade.side is PositionSide.LONG:
        return round_down_to_tick(price, view.tick)
    return round_up_to_tick(price, view.tick)


def _measure(view: View) -> Iterator[Event]:
    """Compare every fill of the closed trades with its intent, then judge the averages."""
    costs = dict(view.pipeline.slippage.costs)
    for number in view.pipeline.slippage.unmeasured:
        trade = view.pipeline.trades[number]
        fills = tuple(_compared(view, trade))
        cost_pct = _cost_pct(fills)
        if cost_pct is None:
            costs.pop(number, None)
        else:
            costs[number] = cost_pct
        yield SlippageMeasured(
            instrument=trade.instrument, trade_no=number, fills=fills, cost_pct=cost_pct, policy=NAME
        )
    setting = view.settings.slippage
    known = list(costs.values())
    yield from _judged(view, WARN, known[-setting.warn_trades :], setting.warn_trades, setting.warn_pct)
    yield from _judged(
        view, REDUCE, known[-setting.reduce_trades :], setting.reduce_trades, setting.reduce_pct
    )


def _judged(view: View, measure: str, costs: list[Decimal], needed: int, bound: Decimal) -> Iterator[Event]:
    """Enter or leave a measure; fewer trades than needed say nothing, equal to the bound is not above it."""
    if len(costs) < needed:
        return
    total, name = sum(costs, ZERO), view.pipeline.name
    average = rounded(total / needed, PLACES)
    is_on = measure in view.pipeline.slippage.measures
    if (total > bound * needed) is is_on:
        return
    if is_on:
        yield SlippageEased(instrument=name, measure=measure, average_pct=average, trades=needed, policy=NAME)
        return
    share = view.settings.slippage.reduce_by
    yield SlippageEscalated(
        instrument=name,
        measure=measure,
        average_pct=average,
        trades=needed,
        effect="monitoring is told" if measure == WARN else f"largest position less {plain(share)}",
        policy=NAME,
    )
    yield Alerted(
        severity=Severity.WARNING,
        code=f"slippage_{measure}",
        text=f"the last {needed} trades lost {plain(average)} of their value to slippage, the bound is {plain(bound)}",
        instrument=name,
        policy=NAME,
    )


def _compared(view: View, trade: Trade) -> Iterator[FillSlippage]:
    """The fills of a trade in the order of their reports; what was busted is none."""
    found = [
        (one, order) for order in view.orders(trade.order_ids) for one in order.executions if one.quantity
    ]
    for one, order in sorted(found, key=lambda pair: pair[0].seq):
        yield _fill(one, order)


def _fill(one: Execution, order: Order) -> FillSlippage:
    intent = one.price_intent
    slippage = one.price - intent if intent is not None else None
    return FillSlippage(
        seq=one.seq,
        client_order_id=order.client_order_id,
        side=order.side,
        quantity=one.quantity,
        price=one.price,
        price_intent=intent,
        slippage=slippage,
        cost=slippage * SIGN_OF_SIDE[order.side] if slippage is not None else None,
    )


def _cost_pct(fills: tuple[FillSlippage, ...]) -> Decimal | None:
    """Whole cost over whole intended value; fills without an intent price do not count (reliability G10)."""
    cost = sum((one.cost * one.quantity for one in fills if one.cost is not None), ZERO)
    value = sum((one.price_intent * one.quantity for one in fills if one.price_intent is not None), ZERO)
    return rounded(cost / value, PLACES) if value > ZERO else None


def _executions(view: View, ids: tuple[str, ...]) -> Iterator[Execution]:
    for order in view.orders(ids):
        yield from order.executions
