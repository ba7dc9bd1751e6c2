"""What is remembered of slippage: closed trades that are still to be measured, what the measured ones cost, and the
measures in force. Nothing here reads a setting. OD-106..108; C-31."""

from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from oms.events.slippage import SlippageMeasured
from oms.state.order import Order
from oms.state.trade import Trade
from oms.values import ENTRY, MarketReason, Role

KEPT: Final = 1000
"""The most trades of a window that a configuration may ask for."""

WARN: Final = "warn"
REDUCE: Final = "reduce"

_STOPPED: Final = frozenset(
    {
        MarketReason.STOP_FALLBACK,
        MarketReason.STOP_PARTIAL_FILL,
        MarketReason.GAP_THROUGH_STOP,
        MarketReason.GUARD_STOP,
    }
)
"""Reasons of an exit whose intent is the stop level."""


class Slippage(Struct, frozen=True, gc=False, kw_only=True):
    """`unmeasured` are trades closed since the last measuring; `costs` are fractions by trade, oldest first; `measures`
    are those in force."""

    unmeasured: tuple[int, ...] = ()
    costs: dict[int, Decimal] = {}
    measures: tuple[str, ...] = ()


def closed(slippage: Slippage, trade_no: int) -> Slippage:
    """A trade is to be measured."""
    others = tuple(one for one in slippage.unmeasured if one != trade_no)
    return replace(slippage, unmeasured=(*others, trade_no)[-KEPT:])


def measured(slippage: Slippage, event: SlippageMeasured) -> Slippage:
    """Take what a trade cost; a trade that was measured before keeps its place."""
    costs = dict(slippage.costs)
    if event.cost_pct is not None:
        costs[event.trade_no] = event.cost_pct
    else:
        costs.pop(event.trade_no, None)
    while len(costs) > KEPT:
        del costs[next(iter(costs))]
    unmeasured = tuple(one for one in slippage.unmeasured if one != event.trade_no)
    return replace(slippage, costs=costs, unmeasured=unmeasured)


def intent_price(trade: Trade, order: Order) -> Decimal | None:
    """The price an execution of this order was meant to have now.

    Of an entry the ideal of its request, of a target its limit, of a stop its level; of an exit the level where a stop
    became it, else the market's near side when the close was decided. None where nobody knew a price.
    """
    if order.role is ENTRY:
        return trade.ideal
    if order.role is Role.TARGET:
        return order.price_limit
    if order.role is Role.STOP and order.price_stop is not None:
        return order.price_stop
    if trade.close is None:
        return None
    return trade.level if trade.close.reason in _STOPPED else trade.close.price


def with_intents(trade: Trade, before: Order, after: Order) -> Order:
    """Give new executions their intent price; one that was restated keeps its own."""
    known, executions = len(before.executions), after.executions
    if len(executions) == known or executions[-1].price_intent is not None:
        return after
    price = intent_price(trade, after)
    if price is None:
        return after
    done = executions[:known]
    for one in executions[known:]:
        done = (*done, replace(one, price_intent=price))
    return replace(after, executions=done)
