"""The venue: takes market data, works off what is due in time order, restates executions on request."""

from decimal import Decimal
from typing import assert_never

from msgspec.structs import replace

from oms.brokers.simulated.floor import Floor
from oms.brokers.simulated.matching import end, market_of, match_bar, match_ticks
from oms.brokers.simulated.orders import execute_late, obey, report_books
from oms.brokers.simulated.records import (
    Arrival,
    Busted,
    Corrected,
    Fed,
    Happened,
    Instrument,
    Item,
    LateFillDue,
    LinkDown,
    LinkDrops,
    LinkReturns,
    LinkUp,
    Order,
    OrderRecorded,
    SessionEnds,
    SnapshotAsked,
    UnaskedCancelDue,
)
from oms.brokers.simulated.replies import execution_key, plan, reply, reply_locally
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    CancelCause,
    ExecutionBusted,
    ExecutionCorrected,
    ReportedStatus,
)
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.session import InstrumentDefined, SessionOpened, VenueStatusChanged
from oms.values import ZERO, Micros, TimeInForce

Tick = QuoteReported | TradePrinted | BarClosed
MarketEvent = Tick | VenueStatusChanged | SessionOpened | InstrumentDefined


class RestatementRefused(ValueError):
    """An execution cannot be busted or corrected like that."""


def feed(floor: Floor, event: MarketEvent, at: Micros) -> None:
    """Take one market event in. What was due before it happens first; instruments never defined are ignored.

    A bar acts just before its end, so that the last bar of a session still executes orders.
    """
    settle(floor, min(at, event.end_at) - 1 if isinstance(event, BarClosed) else at)
    instrument = floor.ledger.instruments.get(event.instrument)
    if isinstance(event, InstrumentDefined):
        if instrument is None or instrument.defined != event:
            floor.ledger.record(Fed(event))
        return
    if instrument is None:
        return
    match event:
        case QuoteReported():
            _quote(floor, instrument, event, at)
        case TradePrinted():
            _print(floor, instrument, event, at)
        case BarClosed():
            _bar(floor, instrument, event, at)
        case SessionOpened():
            _open_session(floor, instrument, event, at)
        case VenueStatusChanged():
            floor.ledger.record(Fed(event))
        case _:
            assert_never(event)


def settle(floor: Floor, until: Micros) -> None:
    """Work off everything planned up to `until`, each at its own time."""
    ledger = floor.ledger
    while (planned := ledger.next_planned()) is not None and planned.due <= until:
        ledger.record(Happened(planned.n))
        _happen(floor, planned.item, planned.due)


def bust(floor: Floor, execution: str, at: Micros) -> None:
    """Take an execution back. Raises `RestatementRefused` for one that does not exist."""
    order = _restated_order(floor, execution, ZERO)
    event = ExecutionBusted(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        execution=execution,
        revision=floor.ledger.executions[execution].revision + 1,
        cumulative=order.cumulative,
        leaves=order.leaves,
    )
    floor.ledger.record(OrderRecorded(order))
    floor.ledger.record(Busted(event))
    reply(floor, event, at, order=order, key=execution_key(event))


def correct(floor: Floor, execution: str, quantity: Decimal, price: Decimal, at: Micros) -> None:
    """Restate an execution. Raises `RestatementRefused` for one that does not exist, or for too much."""
    order = _restated_order(floor, execution, quantity)
    event = ExecutionCorrected(
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        execution=execution,
        revision=floor.ledger.executions[execution].revision + 1,
        quantity=quantity,
        price=price,
        cumulative=order.cumulative,
        leaves=order.leaves,
    )
    floor.ledger.record(OrderRecorded(order))
    floor.ledger.record(Corrected(event))
    reply(floor, event, at, order=order, key=execution_key(event))


def link_up(floor: Floor, at: Micros) -> None:
    """The link is back: say so, then deliver what waited."""
    reply_locally(floor, BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED), at)
    floor.ledger.record(LinkUp(at + 1))


def _happen(floor: Floor, item: Item, at: Micros) -> None:
    match item:
        case Arrival(command=command, sent_at=sent_at):
            obey(floor, command, sent_at, at)
        case SnapshotAsked(asked_at_seq=asked_at_seq, whole=whole):
            report_books(floor, asked_at_seq, at, whole=whole)
        case SessionEnds():
            _end_session(floor, item, at)
        case LateFillDue():
            execute_late(floor, item, at)
        case UnaskedCancelDue(broker_order_id=broker_order_id):
            order = floor.ledger.orders[broker_order_id]
            if order.is_live:
                end(floor, order, CancelCause.UNSOLICITED, at, "canceled by the broker")
        case LinkDrops():
            _drop_link(floor, item, at)
        case LinkReturns():
            if floor.ledger.down is not None:
                link_up(floor, at)
        case _:
            assert_never(item)


def _quote(floor: Floor, instrument: Instrument, quote: QuoteReported, at: Micros) -> None:
    after = replace(instrument, bid=quote.bid, ask=quote.ask)
    floor.ledger.see(after)
    if after.is_open(at, extended=floor.settings.extended_hours):
        match_ticks(floor, quote.instrument, market_of(after), at)


def _print(floor: Floor, instrument: Instrument, printed: TradePrinted, at: Micros) -> None:
    after = replace(instrument, last=printed.price)
    floor.ledger.see(after)
    if after.is_open(at, extended=floor.settings.extended_hours):
        price = printed.price
        match_ticks(floor, printed.instrument, market_of(after, traded=(price, price, price)), at)


def _bar(floor: Floor, instrument: Instrument, bar: BarClosed, at: Micros) -> None:
    """Bars stand in for ticks: once a session has shown a quote or a print, they add nothing."""
    if instrument.has_ticks:
        return
    after = replace(instrument, close=bar.close)
    floor.ledger.see(after)
    if after.is_open(bar.end_at - 1, extended=floor.settings.extended_hours):
        match_bar(floor, bar.instrument, bar, at)


def _open_session(floor: Floor, instrument: Instrument, session: SessionOpened, at: Micros) -> None:
    if session == instrument.session:
        return
    if instrument.session is not None and instrument.session.session_date != session.session_date:
        _expire(floor, session.instrument, at)
    floor.ledger.record(Fed(session))
    if session.close_at is not None:
        plan(floor, SessionEnds(session.instrument, session.session_date), max(session.close_at, at))


def _end_session(floor: Floor, ends: SessionEnds, at: Micros) -> None:
    """A session that was restated or replaced since ends at another time."""
    instrument = floor.ledger.instruments[ends.instrument]
    session = instrument.session
    if session is not None and session.session_date == ends.session_date and instrument.has_closed(at):
        _expire(floor, ends.instrument, at)


def _expire(floor: Floor, instrument: str, at: Micros) -> None:
    for order in floor.ledger.live_orders(instrument):
        if order.time_in_force is TimeInForce.DAY:
            end(floor, order, CancelCause.EXPIRED, at, "session closed")


def _drop_link(floor: Floor, drop: LinkDrops, at: Micros) -> None:
    if floor.ledger.down is not None:
        return
    reply_locally(floor, BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED, text="link lost"), at)
    floor.ledger.record(LinkDown(at, drop.loses_messages))
    if drop.back_at is not None:
        plan(floor, LinkReturns(), drop.back_at)


def _restated_order(floor: Floor, execution: str, quantity: Decimal) -> Order:
    """The order after its execution became `quantity`. A completed order that shrinks does not reopen."""
    ledger = floor.ledger
    old = ledger.executions.get(execution)
    if old is None:
        raise RestatementRefused(f"there is no execution {execution}")
    order = ledger.orders[old.broker_order_id]
    cumulative = order.cumulative - old.quantity + quantity
    if not ZERO <= cumulative <= order.quantity:
        raise RestatementRefused(f"{quantity} would be more than order {order.broker_order_id} asked for")
    status = order.status
    if cumulative == order.quantity:
        status = ReportedStatus.FILLED
    elif order.is_live:
        status = ReportedStatus.PARTIALLY_FILLED if cumulative else ReportedStatus.NEW
    elif status is ReportedStatus.FILLED:
        status = ReportedStatus.CANCELED
    return replace(order, cumulative=cumulative, status=status)
