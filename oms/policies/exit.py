"""Owner of the exit role: carries out a requested close, one exit at a time.

Targets are cancelled first (by their owner); then the exit takes over the resting stop, so that there are never
two full-size orders beside each other; a planned exit is a limit at the market's near side, repriced; a close
with a listed reason goes to market. Architecture 6, "One exit at a time"; OD-018, OD-067, OD-088, OD-089; C-18.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.decisions import Alerted, PolicyNoted, RepriceSkipped
from oms.execution import exits, orders, retries
from oms.execution.market_orders import exit_at_market, has_terms, terms, turn_to_market
from oms.state.calm import CHANGED
from oms.state.order import Order
from oms.state.trade import Close, Trade
from oms.state.venue import blockers, is_blocked, is_taken_over, unanswered_at
from oms.state.view import View
from oms.values import (
    ZERO,
    Micros,
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
ASKED: Final = CHANGED

REFUSED: Final = "exit_refused"
OVERLAP: Final = "exit_overlap"


def decide(view: View) -> Iterator[Event]:
    """Bring every trade with a requested close to zero, and leave no exit where nothing is held."""
    tried: dict[str, Micros] = {}
    for event in _decisions(view):
        if isinstance(event, PolicyNoted):
            tried |= event.value
        else:
            yield event
    if tried:
        known = view.pipeline.notes.get(NAME, {})
        kept = {number: at for number, at in known.items() if int(number) in view.pipeline.open_trades}
        yield PolicyNoted(instrument=view.pipeline.name, policy=NAME, value={**kept, **tried})


def _decisions(view: View) -> Iterator[Event]:
    for trade in view.pipeline.open():
        live = view.live(trade.exits)
        if view.pipeline.exposed(trade) == ZERO:
            yield from retries.cancels(view, trade, live, policy=NAME, reason="no position")
        elif trade.close is not None and not view.market.is_halted:
            yield from _carry_out(view, trade, trade.close, live)


def next_due(view: View) -> Iterator[Micros]:
    """When an exit is to be repriced, sent again or given up."""
    for trade in view.pipeline.open():
        live = view.live(trade.exits)
        if view.pipeline.exposed(trade) == ZERO:
            yield from retries.cancel_dues(view, trade, live)
        elif trade.close is not None and not view.market.is_halted:
            yield from _dues(view, trade, trade.close, live)


def _carry_out(view: View, trade: Trade, close: Close, live: list[Order]) -> Iterator[Event]:
    order = exits.working(trade, live)
    # One that sells what is not held any more, or that was believed lost and came back, would sell it twice.
    surplus = [one for one in live if one is not order]
    yield from retries.cancels(view, trade, surplus, policy=NAME, reason="not the exit")
    if order is not None:
        yield from _work(view, trade, close, order)
        return
    if view.now < _targets_leave_at(view, trade) or is_blocked(view, orders.exit_side(trade)):
        return
    stops = view.live(trade.stops) if trade.held > ZERO else []
    sold = [one for one in stops if one.missing >= view.pipeline.sellable(trade)]
    if sold or any(is_taken_over(one) for one in stops):
        # The broker has sold it already, or may be doing so at this moment: only evidence resolves that. What is left
        # of a stop that has would sell what is not there any more.
        working = [one for one in sold if one.leaves]
        yield from retries.cancels(view, trade, working, policy=NAME, reason="sold by the broker's count")
        return
    # One that stands becomes the exit, before one whose fate is not known.
    standing = (one for one in stops if one.is_confirmed and not one.is_pending)
    stop = next(standing, stops[0] if stops else None)
    if stop is None or (stop.is_pending and view.now >= unanswered_at(view, stop)):
        yield from _send(view, trade, close)
    elif not stop.is_pending:
        yield from _take_over(view, trade, close, stop)


def _targets_leave_at(view: View, trade: Trade) -> Micros:
    """Targets still out could fill beside the exit: their cancels have until `ack_timeout` to be proven."""
    targets = view.live(trade.targets) if trade.held > ZERO else []
    asked = [max(order.placed_at, order.requested_at) for order in targets]
    return max(asked) + view.ack_timeout() if asked else 0


def _take_over(view: View, trade: Trade, close: Close, stop: Order) -> Iterator[Event]:
    """Turn the resting stop into the exit; where the broker does not allow that, cancel it and then send one."""
    if close.market and not has_terms(view, trade, close.reason):
        # No market order is permitted for this, and there is no price for a limit: the stop stays where it is.
        if _may_try(view, trade, close):
            yield _tried(view, trade)
        return
    refused = stop.refusals > 0 and stop.requested_at >= close.at
    if refused or not view.modifies_stops(trade):
        yield from retries.cancels(view, trade, [stop], policy=NAME, reason=close.reason)
        return
    quantity = stop.filled + view.pipeline.sellable(trade)
    if close.market:
        yield turn_to_market(
            view, trade, stop, quantity, policy=NAME, reason=close.reason, evidence=close.evidence
        )
        return
    # A stop that was elected closes the trade by itself, or its fallback does.
    if stop.triggered_at is not None or not _may_try(view, trade, close):
        return
    price = near_price(view, orders.exit_side(trade))
    if price is None:
        yield _tried(view, trade)
    else:
        yield orders.change(
            stop, quantity, order_type=OrderType.LIMIT, price_limit=price, policy=NAME, reason=close.reason
        )


def _send(view: View, trade: Trade, close: Close) -> Iterator[Event]:
    """A new exit order; after refusals each further one waits longer, and somebody is told."""
    if view.now < _retry_at(view, trade):
        return
    price = None
    if close.market and not has_terms(view, trade, close.reason):
        if _may_try(view, trade, close):
            yield _tried(view, trade)
        return
    if not close.market:
        price = near_price(view, orders.exit_side(trade)) if _may_try(view, trade, close) else None
        if price is None:
            if _may_try(view, trade, close):
                yield _tried(view, trade)
            return
    yield from _warnings(view, trade)
    if trade.held > ZERO:
        yield from retries.cancels(view, trade, view.live(trade.stops), policy=NAME, reason="the exit works")
    quantity = view.pipeline.exposed(trade)
    if close.market:
        yield exit_at_market(view, trade, quantity, policy=NAME, reason=close.reason, evidence=close.evidence)
    else:
        yield orders.place(
            trade, Role.EXIT, quantity, OrderType.LIMIT, price_limit=price, policy=NAME, reason=close.reason
        )


def _warnings(view: View, trade: Trade) -> Iterator[Event]:
    failed = retries.failures(view, trade.exits)
    if len(failed) >= view.settings_of(trade).protection.max_retries and REFUSED not in trade.alerts:
        text = f"the broker refused {len(failed)} exits: {failed[0].text}"
        yield _alert(trade, Severity.EMERGENCY, REFUSED, text)
    if view.live((*trade.stops, *trade.targets)) and OVERLAP not in trade.alerts:
        text = "an exit is sent beside orders whose cancel is not proven"
        yield _alert(trade, Severity.WARNING, OVERLAP, text)


def _work(view: View, trade: Trade, close: Close, order: Order) -> Iterator[Event]:
    """Keep the working exit at the right type, price and quantity."""
    if order.is_pending or order.order_type is OrderType.MARKET:
        return
    if order.refusals:
        # Whatever it does not let us change, it may let us cancel; a new one follows with the right terms.
        yield from retries.cancels(view, trade, [order], policy=NAME, reason="change refused")
        return
    # What the broker counts and nobody has seen cannot be taken back.
    quantity = max(order.filled + view.pipeline.exposed(trade), order.total)
    if close.market:
        yield from _press(view, trade, close, order, quantity)
    elif quantity != order.quantity:
        yield orders.change(order, quantity, price_limit=order.price_limit, policy=NAME, reason=close.reason)
    elif view.now >= exits.reprice_at(view, trade, close, order) and not exits.is_exhausted(
        view, trade, close
    ):
        price = near_price(view, order.side)
        if price is None or price == order.price_limit:
            yield _skipped(trade, order, "no usable quote" if price is None else "price unchanged")
        else:
            yield orders.change(order, quantity, price_limit=price, policy=NAME, reason=close.reason)


def _press(view: View, trade: Trade, close: Close, order: Order, quantity: Decimal) -> Iterator[Event]:
    """A close at market: turn the order to market, or keep its stand-in at the collar."""
    escalated = order.reason != close.reason or max(order.placed_at, order.requested_at) < close.at
    is_due = view.now >= exits.reprice_at(view, trade, close, order)
    is_priced = has_terms(view, trade, close.reason)
    if is_priced:
        order_type, limit = terms(view, trade, reason=close.reason, evidence=close.evidence)
        is_news = is_due and (limit != order.price_limit or quantity != order.quantity)
        if order_type is OrderType.MARKET or escalated or is_news:
            yield turn_to_market(
                view, trade, order, quantity, policy=NAME, reason=close.reason, evidence=close.evidence
            )
            return
    if quantity < order.quantity or (quantity > order.quantity and not is_priced):
        # What it would sell too much does not wait for a price, nor what it leaves alone where there is none. It keeps
        # its reason: at the terms of this close it is not yet.
        yield orders.change(order, quantity, price_limit=order.price_limit, policy=NAME, reason="")
    elif is_due or (escalated and order.looked_at < close.at):
        yield _skipped(trade, order, "price unchanged" if is_priced else "no usable quote")


def near_price(view: View, side: Side) -> Decimal | None:
    """A limit that meets the market: the bid for a sell, the ask for a buy; None without a fresh quote."""
    price = view.exit_price(side)
    if price is None or price <= ZERO:
        return None
    return round_down_to_tick(price, view.tick) if side is Side.SELL else round_up_to_tick(price, view.tick)


def _retry_at(view: View, trade: Trade) -> Micros:
    failed = retries.failures(view, trade.exits)
    return (failed[0].ended_at or 0) + retries.pause(view, trade, len(failed)) if failed else 0


def _tried_at(view: View, trade: Trade, close: Close) -> Micros | None:
    """When this close last found no usable quote."""
    at: Micros | None = view.pipeline.notes.get(NAME, {}).get(str(trade.trade_no))
    return at if at is not None and at >= close.at else None


def _may_try(view: View, trade: Trade, close: Close) -> bool:
    """Without a usable quote a planned exit looks again once per interval, not at whatever happens next."""
    tried = _tried_at(view, trade, close)
    return tried is None or view.now >= tried + exits.interval(view, trade, close)


def _tried(view: View, trade: Trade) -> PolicyNoted:
    return PolicyNoted(instrument=trade.instrument, policy=NAME, value={str(trade.trade_no): view.now})


def _skipped(trade: Trade, order: Order, reason: str) -> RepriceSkipped:
    return RepriceSkipped(
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        client_order_id=order.client_order_id,
        reason=reason,
        policy=NAME,
    )


def _alert(trade: Trade, severity: Severity, code: str, text: str) -> Alerted:
    return Alerted(
        severity=severity,
        code=code,
        text=text,
        instrument=trade.instrument,
        trade_no=trade.trade_no,
        quantity=trade.held,
        policy=NAME,
    )


def _dues(view: View, trade: Trade, close: Close, live: list[Order]) -> Iterator[Micros]:
    order = exits.working(trade, live)
    yield from retries.cancel_dues(view, trade, [one for one in live if one is not order])
    if order is not None:
        if order.refusals:
            yield from retries.cancel_dues(view, trade, [order])
        elif not order.is_pending and order.order_type is not OrderType.MARKET:
            yield exits.reprice_at(view, trade, close, order)
            if close.market and view.market.open_at is not None:
                # What stands in for a market order before the open has served with it (OD-031).
                yield view.market.open_at
        return
    yield _targets_leave_at(view, trade)
    for one in blockers(view, orders.exit_side(trade)):
        yield from (pending.since + view.ack_timeout() for pending in one.pending)
    yield _retry_at(view, trade)
    for stop in view.live(trade.stops):
        if stop.is_pending:
            yield unanswered_at(view, stop)
        yield from retries.cancel_dues(view, trade, [stop])
    tried = _tried_at(view, trade, close)
    if tried is not None:
        yield tried + exits.interval(view, trade, close)
