"""Matching working orders against the newest market, and booking what executes."""

from decimal import Decimal

from msgspec.structs import replace

from oms.brokers.simulated.floor import Floor
from oms.brokers.simulated.records import Executed, Instrument, Order, OrderRecorded
from oms.brokers.simulated.replies import execution_key, fault, faults, reply, report_fees
from oms.brokers.simulated.script import FillOnly, NoFillAfterTrigger
from oms.events.broker import CancelCause, Fee, OrderCanceled, OrderFilled, OrderTriggered, ReportedStatus
from oms.events.market import BarClosed
from oms.fills import costs
from oms.fills.base import Fill, Market, Working, draw, is_triggered, is_within
from oms.values import SIGN_OF_SIDE, ZERO, Micros, Side

DAY_US = 86_400_000_000


def market_of(instrument: Instrument, *, traded: tuple[Decimal, Decimal, Decimal] | None = None) -> Market:
    """The newest market; `traded` is (first, low, high) of the event under judgement."""
    first, low, high = traded or (None, None, None)
    return Market(
        tick=instrument.defined.tick,
        lot=instrument.defined.lot,
        bid=instrument.bid,
        ask=instrument.ask,
        last=instrument.last,
        close=instrument.close,
        first=first,
        low=low,
        high=high,
    )


def match_ticks(floor: Floor, name: str, market: Market, at: Micros) -> None:
    """Show a quote or print to every live order, in order of arrival."""
    for order in floor.ledger.live_orders(name):
        evaluate(floor, order, market, at)


def match_bar(floor: Floor, name: str, bar: BarClosed, at: Micros) -> None:
    """Show a bar to every live order: stops first, because the order of prices inside a bar is not known.

    Where a stop executed, a limit on the same side executes only if the bar already opened at it. An order
    sent after the bar opened sees no more of it than its close.
    """
    ledger = floor.ledger
    stopped: set[Side] = set()
    orders = ledger.live_orders(name)
    for order in sorted(orders, key=lambda order: not order.is_waiting_stop):
        whole = order.sent_at <= bar.open_at
        traded = (bar.open, bar.low, bar.high) if whole else (bar.close, bar.close, bar.close)
        beyond = order.price_limit is None or is_within(order.side, bar.open, order.price_limit)
        if order.side in stopped and not order.is_waiting_stop and not beyond:
            continue
        evaluate(floor, order, market_of(ledger.instruments[name], traded=traded), at)
        after = ledger.orders[order.broker_order_id]
        if order.is_waiting_stop and after.cumulative > order.cumulative:
            stopped.add(order.side)


def evaluate(floor: Floor, order: Order, market: Market, at: Micros) -> None:
    """Let one live order meet an open market: trigger, execute, or rest."""
    if order.is_waiting_stop:
        phase = floor.ledger.instruments[order.instrument].phase(at)
        if phase not in floor.settings.capabilities.stop_active_phases:
            return
        if not is_triggered(working(order), market):
            return
        order = _elect(floor, order, at)
    found = _found(floor, order, market, at)
    if found is not None and found.quantity > ZERO:
        execute(floor, order, found, at)
    order = floor.ledger.orders[order.broker_order_id]
    if order.is_live and order.price_limit is not None and not order.resting and _is_known(market):
        floor.ledger.record(OrderRecorded(replace(order, resting=True)))


def execute(floor: Floor, order: Order, fill: Fill, at: Micros) -> None:
    """Book an execution and report it. A canceled order stays canceled unless it is now complete."""
    ledger = floor.ledger
    cumulative = order.cumulative + fill.quantity
    assert fill.quantity > ZERO, order
    assert cumulative <= order.quantity, order
    after = replace(order, cumulative=cumulative, status=_status_after(order, cumulative))
    event = OrderFilled(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        execution=f"{floor.settings.prefix}-X{len(ledger.executions) + 1}",
        side=order.side,
        quantity=fill.quantity,
        price=fill.price,
        cumulative=cumulative,
        leaves=after.leaves,
    )
    ledger.record(OrderRecorded(after))
    ledger.record(Executed(event, day_of(ledger.instruments[order.instrument], at), _fees(floor, event)))
    reply(floor, event, at, order=after, key=execution_key(event))
    report_fees(floor, ledger.executions[event.execution], after, at)


def end(floor: Floor, order: Order, cause: CancelCause, at: Micros, text: str) -> None:
    """Take an order off the market without being asked by its owner."""
    status = ReportedStatus.EXPIRED if cause is CancelCause.EXPIRED else ReportedStatus.CANCELED
    after = replace(order, status=status)
    floor.ledger.record(OrderRecorded(after))
    event = OrderCanceled(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        cause=cause,
        cumulative=order.cumulative,
        text=text,
    )
    reply(floor, event, at, order=after)


def day_of(instrument: Instrument, at: Micros) -> str:
    """The trading day: the session's date, or without sessions the number of the UTC day."""
    return str(at // DAY_US) if instrument.session is None else instrument.session.session_date.isoformat()


def working(order: Order) -> Working:
    return Working(
        side=order.side,
        order_type=order.order_type,
        leaves=order.leaves,
        price_limit=order.price_limit,
        price_stop=order.price_stop,
        resting=order.resting,
    )


def _elect(floor: Floor, order: Order, at: Micros) -> Order:
    after = replace(order, elected=True)
    floor.ledger.record(OrderRecorded(after))
    if floor.settings.capabilities.reports_trigger:
        event = OrderTriggered(
            instrument=order.instrument,
            client_order_id=order.client_order_id,
            broker_order_id=order.broker_order_id,
        )
        reply(floor, event, at, order=after)
    return after


def _found(floor: Floor, order: Order, market: Market, at: Micros) -> Fill | None:
    """What executes now, after the fill model, the script and reduce-only had their say."""
    made = len(floor.ledger.executions_of.get(order.broker_order_id, ()))
    found = floor.model(working(order), market, draw(floor.settings.seed, order.broker_order_id, made))
    if found is None or (order.elected and fault(floor, order, NoFillAfterTrigger, at) is not None):
        return None
    for _, only in faults(floor, order, FillOnly):
        allowed = max(ZERO, only.quantity - order.cumulative)
        if found.quantity > allowed:
            fault(floor, order, FillOnly, at)
            found = Fill(allowed, found.price)
    if not floor.settings.capabilities.native_reduce_only or not order.reduce_only:
        return found
    held = -SIGN_OF_SIDE[order.side] * floor.ledger.position(order.instrument)
    if found.quantity <= held:
        return found
    _reduce(floor, order, Fill(max(held, ZERO), found.price), at)
    return None


def _reduce(floor: Floor, order: Order, fill: Fill, at: Micros) -> None:
    """Execute what reduces the position and cancel the rest."""
    if fill.quantity > ZERO:
        execute(floor, order, fill, at)
        order = floor.ledger.orders[order.broker_order_id]
    end(floor, order, CancelCause.UNSOLICITED, at, "reduce only: no position left")


def _status_after(order: Order, cumulative: Decimal) -> ReportedStatus:
    if cumulative == order.quantity:
        return ReportedStatus.FILLED
    return ReportedStatus.PARTIALLY_FILLED if order.is_live else order.status


def _fees(floor: Floor, event: OrderFilled) -> tuple[Fee, ...]:
    schedule = floor.settings.costs
    if schedule is None:
        return ()
    defined = floor.ledger.instruments[event.instrument].defined
    return costs.fees(
        schedule, event.quantity, event.price, currency=defined.currency, multiplier=defined.multiplier
    )


def _is_known(market: Market) -> bool:
    prices = (market.bid, market.ask, market.last, market.close, market.first)
    return any(price is not None for price in prices)
