"""Which tranches of the ladder may be sold, and which of them a broker that reserves inventory lets out.

Such a broker counts stop and targets together, so the targets are held inside: when the market reaches one, the stop
is made smaller by it, then its limit is sent; unfilled it comes back after a while and the stop is whole again.
Architecture 6, "Broker capabilities".
"""

from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from oms.execution.ladder import rung_price
from oms.formulas.risk import allocate
from oms.state.order import Order, PendingKind
from oms.state.trade import Trade
from oms.state.venue import way_out
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    ZERO,
    Micros,
    OrderStatus,
    PositionSide,
    Side,
    round_down_to_tick,
    round_up_to_tick,
)


class Tranche(Struct, frozen=True, gc=False):
    """What of a rung is not sold yet and not out, and its price."""

    rung: int
    quantity: Decimal
    price: Decimal


def is_wanted(view: View, trade: Trade) -> bool:
    """Whether the trade is to have targets at all now."""
    if trade.close is not None or trade.trail_only or view.pipeline.safe_mode:
        return False
    if view.pipeline.sellable(trade) <= ZERO:
        return False
    if view.settings_of(trade).targets.policy == "TRAIL_ONLY":
        return False
    return not stop_is_out(view, trade)


def stop_is_out(view: View, trade: Trade) -> bool:
    """Whether the stop has been elected or has begun to fill: from then on it alone closes the trade (OD-067)."""
    return any(order.triggered_at is not None or order.filled > ZERO for order in view.live(trade.stops))


def on_tick(view: View, side: Side, price: Decimal) -> Decimal:
    """Round a price toward the market."""
    return round_down_to_tick(price, view.tick) if side is Side.SELL else round_up_to_tick(price, view.tick)


def reserved(view: View, trade: Trade) -> Decimal:
    """What of the position the stop must leave free for targets; zero where the broker reserves nothing."""
    if not view.capabilities.reserves_inventory:
        return ZERO
    out = sum((order.leaves for order in view.live(trade.targets)), ZERO)
    reached = sum((one.quantity for one in touched(view, trade)), ZERO)
    return min(view.pipeline.sellable(trade), out + reached)


def touched(view: View, trade: Trade) -> list[Tranche]:
    """Tranches that the market has reached and that may be sent."""
    side = way_out(trade)
    near = view.exit_price(side)
    if near is None or view.market.is_halted or not is_wanted(view, trade):
        return []
    return [one for one in _held(view, trade, near) if is_reached(trade.side, near, one.price)]


def levels(view: View) -> list[tuple[PositionSide, Decimal]]:
    """Prices of tranches held inside: the quote filter lets no quote pass unlogged that reaches one."""
    if not view.capabilities.reserves_inventory:
        return []
    return [
        (trade.side, one.price)
        for trade in view.pipeline.open()
        if is_wanted(view, trade)
        for one in _held(view, trade, None)
    ]


def is_reached(side: PositionSide, near: Decimal, price: Decimal) -> bool:
    """Whether the market's near side pays the price of a target."""
    return near >= price if side is PositionSide.LONG else near <= price


def recall_at(view: View, trade: Trade, order: Order) -> Micros:
    """When an unfilled target gives its quantity back to the stop."""
    return order.placed_at + _stay(view, trade)


def again_at(view: View, trade: Trade, order: Order) -> Micros:
    """When the tranche of an ended target may go out again."""
    refused = order.status is OrderStatus.REJECTED
    pause = view.settings_of(trade).protection.retry_ms * MILLISECOND if refused else _stay(view, trade)
    return (order.ended_at or 0) + pause


def free(view: View, trade: Trade) -> Decimal:
    """What of the position no order at the broker may hold reserved, whatever it says to what is unanswered."""
    working = (*view.live(trade.stops), *view.live(trade.targets))
    return view.pipeline.sellable(trade) - sum((_claimed(order) for order in working), ZERO)


def _claimed(order: Order) -> Decimal:
    pending = order.pending_of(PendingKind.REPLACE)
    asked = pending.quantity if pending is not None and pending.quantity is not None else ZERO
    return max(order.leaves, asked - order.filled)


def _held(view: View, trade: Trade, near: Decimal | None) -> Iterator[Tranche]:
    quantities = allocate(trade.entered, [rung.pct for rung in trade.rungs], view.lot)
    for index, share in enumerate(quantities):
        price = rung_price(view, trade, index)
        mine = [order for order in view.orders(trade.targets) if order.rung == index]
        left = share - sum((max(order.filled, order.total) for order in mine), ZERO)
        if price is None or left <= ZERO or any(order.is_live for order in mine):
            continue
        if mine and view.now < again_at(view, trade, mine[-1]):
            continue
        if trade.exhausted_at is not None and near is not None:
            # The ladder is taken at once, at what the market pays (OD-049).
            price = _nearer(view, trade, near, price)
        yield Tranche(index, left, price)


def _nearer(view: View, trade: Trade, near: Decimal, price: Decimal) -> Decimal:
    near = on_tick(view, way_out(trade), near)
    return min(near, price) if trade.side is PositionSide.LONG else max(near, price)


def _stay(view: View, trade: Trade) -> Micros:
    return view.settings_of(trade).exit.reprice_interval_ms * MILLISECOND
