"""Owner of the exit role: carries out a requested close, one exit at a time.

Targets are cancelled first (by their owner); then the exit takes over the resting stop, so that there are never
two full-size orders beside each other; a planned exit is a limit at the market's near side, repriced; a close
with a listed reason goes to market. Architecture 6, "One exit at a time"; OD-018, OD-067, OD-088, OD-089; C-18.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.decisions import Alerted, RepriceSkipped
from oms.execution import orders
from oms.execution.market_orders import exit_at_market, turn_to_market
from oms.state.order import Order
from oms.state.trade import Close, Trade
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    ZERO,
    Micros,
    OrderStatus,
    OrderType,
    Role,
    Severity,
    Side,
    round_down_to_tick,
    round_up_to_tick,
)

NAME: Final = "exit"
VERSION: Final = 1
PRIORITY: Final = 15
SCOPE: Final = "pipeline"

REFUSED: Final = "exit_refused"
PLANNED: Final = 14
"""Closes from this priority on are planned exits; what is stronger reprices until it is done."""


def decide(view: View) -> Iterator[Event]:
    """Bring every trade with a requested close to zero."""
    if view.market.is_halted:
        return
    for trade in view.pipeline.open():
        if trade.held != ZERO and trade.close is not None:
            yield from _carry_out(view, trade, trade.close)


def next_due(view: View) -> Micros | None:
    """When an exit is to be repriced or sent again."""
    dues = [
        _next_look(view, trade, trade.close)
        for trade in view.pipeline.open()
        if trade.held != ZERO and trade.close is not None
    ]
    return min((due for due in dues if due is not None), default=None)


def _carry_out(view: View, trade: Trade, close: Close) -> Iterator[Event]:
    live = view.live(trade.exits)
    if live:
        yield from _work(view, trade, close, live[0])
        return
    if _must_wait(view, trade, close):
        return
    stop = next(iter(view.live(trade.stops)), None)
    if stop is not None and trade.held > ZERO:
        if not stop.is_pending:
            yield from _take_over(view, trade, close, stop)
        elif view.now - close.at < view.ack_timeout():
            return
        else:
            yield from _send(view, trade, close)
        return
    yield from _send(view, trade, close)


def _must_wait(view: View, trade: Trade, close: Close) -> bool:
    """Targets still out could fill beside the exit: give their cancels until `ack_timeout` to be proven."""
    if trade.held < ZERO or view.now - close.at >= view.ack_timeout():
        return False
    return bool(view.live(trade.targets))


def _take_over(view: View, trade: Trade, close: Close, stop: Order) -> Iterator[Event]:
    quantity = stop.filled + trade.held
    if close.market:
        yield turn_to_market(
            view, trade, stop, quantity, policy=NAME, reason=close.reason, evidence=close.evidence
        )
        return
    price = near_price(view, orders.exit_side(trade))
    if price is not None and stop.triggered_at is None:
        yield orders.change(
            stop, quantity, order_type=OrderType.LIMIT, price_limit=price, policy=NAME, reason=close.reason
        )


def _send(view: View, trade: Trade, close: Close) -> Iterator[Event]:
    """A new exit order; after refusals each further one waits longer, and somebody is told."""
    refused = _refused(view, trade)
    if refused and view.now < _retry_at(view, trade, refused):
        return
    if len(refused) >= view.settings_of(trade).protection.max_retries and REFUSED not in trade.alerts:
        yield Alerted(
            severity=Severity.EMERGENCY,
            code=REFUSED,
            text=f"the broker refused {len(refused)} exits: {refused[-1].text}",
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            quantity=trade.held,
            policy=NAME,
        )
    quantity = abs(trade.held)
    if close.market:
        yield exit_at_market(view, trade, quantity, policy=NAME, reason=close.reason, evidence=close.evidence)
        return
    price = near_price(view, orders.exit_side(trade))
    if price is not None:
        yield orders.place(
            trade, Role.EXIT, quantity, OrderType.LIMIT, price_limit=price, policy=NAME, reason=close.reason
        )


def _work(view: View, trade: Trade, close: Close, order: Order) -> Iterator[Event]:
    """Keep the working exit at the right type, price and quantity."""
    if order.is_pending:
        return
    quantity = order.filled + abs(trade.held)
    if order.order_type is OrderType.MARKET:
        return
    if order.refusals and view.now < order.requested_at + _interval(view, trade, close):
        return
    if close.market and (view.market.is_regular(view.now) or _is_due(view, trade, close, order)):
        yield turn_to_market(
            view, trade, order, quantity, policy=NAME, reason=close.reason, evidence=close.evidence
        )
        return
    if close.market:
        return
    if quantity != order.quantity:
        yield orders.change(order, quantity, price_limit=order.price_limit, policy=NAME, reason=close.reason)
    elif _is_due(view, trade, close, order) and not _is_exhausted(view, trade, close, order):
        yield from _reprice(view, trade, close, order, quantity)


def _reprice(view: View, trade: Trade, close: Close, order: Order, quantity: Decimal) -> Iterator[Event]:
    price = near_price(view, order.side)
    if price is None or price == order.price_limit:
        reason = "no usable quote" if price is None else "price unchanged"
        yield RepriceSkipped(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            client_order_id=order.client_order_id,
            reason=reason,
            policy=NAME,
        )
        return
    yield orders.change(order, quantity, price_limit=price, policy=NAME, reason=close.reason)


def near_price(view: View, side: Side) -> Decimal | None:
    """A limit that meets the market: the bid for a sell, the ask for a buy; None without a fresh quote."""
    price = view.exit_price(side)
    if price is None or price <= ZERO:
        return None
    return round_down_to_tick(price, view.tick) if side is Side.SELL else round_up_to_tick(price, view.tick)


def _interval(view: View, trade: Trade, close: Close) -> Micros:
    setting = view.settings_of(trade).exit
    return (setting.collar_reprice_ms if close.market else setting.reprice_interval_ms) * MILLISECOND


def _is_due(view: View, trade: Trade, close: Close, order: Order) -> bool:
    return view.now >= max(order.placed_at, order.requested_at) + _interval(view, trade, close)


def _is_exhausted(view: View, trade: Trade, close: Close, order: Order) -> bool:
    """A forced close reprices until it is done; a planned exit has a bounded number of cycles."""
    return close.priority >= PLANNED and order.cycles >= view.settings_of(trade).exit.max_cycles


def _refused(view: View, trade: Trade) -> list[Order]:
    return [order for order in view.orders(trade.exits) if order.status is OrderStatus.REJECTED]


def _retry_at(view: View, trade: Trade, refused: list[Order]) -> Micros:
    setting = view.settings_of(trade).protection
    wait = min(setting.retry_ms << min(len(refused) - 1, 16), setting.resolve_timeout_ms)
    return max(order.ended_at or 0 for order in refused) + wait * MILLISECOND


def _next_look(view: View, trade: Trade, close: Close) -> Micros | None:
    live = view.live(trade.exits)
    interval = _interval(view, trade, close)
    if live:
        order = live[0]
        if order.is_pending or order.order_type is OrderType.MARKET or _is_exhausted(view, trade, close, order):
            return None
        return max(max(order.placed_at, order.requested_at) + interval, view.now + 1)
    refused = _refused(view, trade)
    if refused:
        return max(_retry_at(view, trade, refused), view.now + 1)
    waits = close.at + view.ack_timeout()
    return waits if waits > view.now else view.now + interval
