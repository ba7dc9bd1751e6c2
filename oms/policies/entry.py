"""Owner of the entry role: accepts or refuses a request, then works it along the timeline and gives it up.

Timeline (long; mirrored short): t = 0 limit at ideal; then once per interval: toward the bid, toward the middle,
to the ask, never beyond the zone maximum; one interval later the entry is abandoned if nothing filled. The first
fill ends repricing; the rest is cancelled 30 s after it. OD-014..017, OD-055..058, OD-072..074; C-16, C-17.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.decisions import EntryAbandoned, IntentRefused, RepriceSkipped
from oms.events.strategy import EntryRequested
from oms.execution import admission, liquidity, orders, pre_market, repricing, retries
from oms.execution.entries import begin, inside
from oms.sizing import Wanted, sized
from oms.state.order import Order, PendingKind
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    ZERO,
    Micros,
    OrderStatus,
    PositionSide,
    Urgency,
)

NAME: Final = "entry"
VERSION: Final = 2
PRIORITY: Final = 50
SCOPE: Final = "pipeline"

CANCEL_OPENERS: Final = 2


def decide(view: View) -> Iterator[Event]:
    """Answer a request, and work the entries there are."""
    wish = view.wish
    if isinstance(wish, EntryRequested):
        yield from _answer(view, wish)
    for trade in view.pipeline.open():
        live = view.live(trade.entries)
        if live:
            yield from _work(view, trade, live)
        elif trade.entered == ZERO and not trade.is_over and _came_to_nothing(view, trade):
            yield _abandoned(view, trade)


def next_due(view: View) -> Iterator[Micros]:
    """The next cycle of an entry, the end of its partial rest, or of the time for entries."""
    for trade in view.pipeline.open():
        live = view.live(trade.entries)
        for order in live:
            yield _cycle_due(view, trade, order)
            if order.first_fill_at is not None:
                yield _rest_ends(view, trade, order)
            closing = admission.forced_close_start(view)
            if closing is not None:
                yield closing
        yield from retries.cancel_dues(view, trade, live)


def _answer(view: View, wish: EntryRequested) -> Iterator[Event]:
    refusal = admission.refusal(view, wish)
    if refusal is None:
        size = sized(view, Wanted(quantity=wish.quantity, price=wish.ideal, stop=wish.stop))
        if size.quantity > ZERO:
            yield from begin(view, wish, size, policy=NAME)
            return
        refusal = ("no_size", f"{size.cap} leaves less than one lot")
    yield IntentRefused(
        instrument=wish.instrument,
        strategy=wish.strategy,
        intent_id=wish.intent_id,
        code=refusal[0],
        text=refusal[1],
    )


def _work(view: View, trade: Trade, live: list[Order]) -> Iterator[Event]:
    for order in live:
        stop = _why_stop(view, trade, order)
        if stop:
            yield from retries.cancels(view, trade, [order], policy=NAME, reason=stop)
        elif order.pending_of(PendingKind.CANCEL) is not None or order.first_fill_at is not None:
            continue
        elif view.now >= _cycle_due(view, trade, order):
            yield from _cycle(view, trade, order)


def _why_stop(view: View, trade: Trade, order: Order) -> str:
    """Why the entry must not go on, or ""."""
    if view.account.kill_level >= CANCEL_OPENERS:
        return "kill switch"
    if trade.close is not None:
        return trade.close.reason
    if view.pipeline.safe_mode:
        return "safe mode"
    if admission.is_forced_close(view):
        return "forced close"
    if trade.is_over:
        return "trade is over"
    if trade.entered > ZERO and trade.held <= ZERO:
        return "position closed"
    if trade.held > ZERO and view.capabilities.refuses_opposite_side:
        return "the stop needs the other side"
    parent = view.pipeline.trades.get(trade.parent_trade_no or 0)
    if parent is not None and (parent.close is not None or parent.held <= ZERO):
        return "the trade it adds to is closing"
    if order.first_fill_at is not None and view.now >= _rest_ends(view, trade, order):
        return "partial rest"
    return ""


def _cycle(view: View, trade: Trade, order: Order) -> Iterator[Event]:
    if pre_market.is_attempt(view, order):
        yield from retries.cancels(view, trade, [order], policy=NAME, reason="one attempt before the open")
        return
    number = order.cycles + 1
    last = repricing.cycles(view, view.settings_of(trade).entry.max_cycles)
    if number > last:
        yield from retries.cancels(view, trade, [order], policy=NAME, reason="no fill after the last cycle")
        return
    price, evidence = _cycle_price(view, trade, order, _step(view, trade, number, last))
    skipped = _why_skip(view, order, price)
    if skipped:
        yield RepriceSkipped(
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            client_order_id=order.client_order_id,
            reason=skipped,
            policy=NAME,
        )
        return
    yield orders.change(
        order,
        order.quantity,
        price_limit=price,
        valid_until=view.now + view.settings_of(trade).entry.valid_for_ms * MILLISECOND,
        policy=NAME,
        reason=f"cycle {number} of {last}",
        evidence=evidence,
    )


def _why_skip(view: View, order: Order, price: Decimal | None) -> str:
    """Why this cycle passes without a request, or ""."""
    if order.is_pending:
        return "request unanswered"
    if view.market.is_halted:
        return "halted"
    if not view.account.connected or not view.account.reconciled:
        return "not reconciled"
    if price is None:
        return "no usable quote"
    return "price unchanged" if price == order.price_limit else ""


NEAR: Final = 1
FAR: Final = 3
_HURRY: Final = {Urgency.LOW: -1, Urgency.NORMAL: 0, Urgency.HIGH: 1}


def _step(view: View, trade: Trade, number: int, last: int) -> int:
    """How far a cycle goes: near side, middle, far side. What the strategy says of urgency moves it by one at most."""
    advice = view.pipeline.advice.get(trade.strategy)
    hurry = _HURRY[advice.urgency] if advice is not None else 0
    planned = FAR if number >= last else min(number, FAR - 1)
    return min(max(planned + hurry, NEAR), FAR)


def _cycle_price(view: View, trade: Trade, order: Order, step: int) -> tuple[Decimal | None, tuple[int, ...]]:
    """The limit of one cycle from a fresh quote, inside the zone; and the log position of the book, if it was used."""
    bid, ask = view.market.bid, view.market.ask
    if not view.is_fresh() or bid is None or ask is None:
        return None, ()
    long = trade.side is PositionSide.LONG
    near, far = (bid, ask) if long else (ask, bid)
    if step >= FAR:
        deep = liquidity.deep_price(view, trade.side, order.leaves)
        if deep is None or (deep <= far if long else deep >= far):
            return inside(view, trade, far), ()
        return inside(view, trade, deep), (view.market.depth_seq,)
    price = near if step == NEAR else (bid + ask) / 2
    return inside(view, trade, max(trade.ideal, price) if long else min(trade.ideal, price)), ()


def _cycle_due(view: View, trade: Trade, order: Order) -> Micros:
    """Cycles keep their distance even when late, so that overdue ones collapse into one (I49)."""
    if pre_market.is_attempt(view, order):
        return order.placed_at + view.settings_of(trade).pre_market.attempt_ms * MILLISECOND
    interval = repricing.interval(view, view.settings_of(trade).entry.reprice_interval_ms)
    return max(order.placed_at, order.requested_at, order.looked_at) + interval


def _rest_ends(view: View, trade: Trade, order: Order) -> Micros:
    return (order.first_fill_at or 0) + view.settings_of(trade).entry.partial_rest_ms * MILLISECOND


def _came_to_nothing(view: View, trade: Trade) -> bool:
    """Whether nothing was bought, nothing is counted by the broker that we have not seen, and nothing was sold."""
    if trade.held != ZERO or trade.unsettled(view.pipeline.instrument.multiplier):
        return False
    return not any(order.missing for order in view.orders(trade.entries))


def _abandoned(view: View, trade: Trade) -> EntryAbandoned:
    order = view.orders(trade.entries)[-1]
    rejected = order.status is OrderStatus.REJECTED
    reason = f"rejected: {order.text}" if rejected else _why_stop(view, trade, order)
    return EntryAbandoned(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        intent_id=trade.intent_id,
        strategy=trade.strategy,
        reason=reason or order.text or "no fill",
        cycle=trade.cycle,
        policy=NAME,
    )
