"""Why the broker refuses a new order or a replace: the first reason found, or None."""

from decimal import Decimal

from oms.brokers.simulated.floor import Floor
from oms.brokers.simulated.records import STOPS, Instrument, Order
from oms.commands import PlaceOrder, ReplaceOrder
from oms.events.broker import RejectCode
from oms.values import ZERO, Micros, OrderType, Side, TimeInForce, is_multiple

DUPLICATE = "DUPLICATE_CLIENT_ORDER_ID"
Refusal = tuple[str, str]

_WITH_LIMIT = (OrderType.LIMIT, OrderType.STOP_LIMIT)


def placement_refusal(floor: Floor, command: PlaceOrder, at: Micros) -> Refusal | None:
    """(code, text) of the first reason against a new order, or None."""
    known = floor.ledger.order_of(command.client_order_id)
    unique_for_ever = floor.settings.capabilities.client_ids_unique_for_ever
    if known is not None and (unique_for_ever or known.is_live):
        return DUPLICATE, f"client order id {command.client_order_id} was used before"
    instrument = floor.ledger.instruments.get(command.instrument)
    if instrument is None:
        return "UNKNOWN_INSTRUMENT", f"{command.instrument} is not traded here"
    if text := _bad_terms(command, instrument):
        return "INVALID_TERMS", text
    if command.time_in_force is TimeInForce.DAY and instrument.has_closed(at):
        return "SESSION_CLOSED", "the session of this day order is over"
    if text := _bad_phase(floor, command, instrument, at):
        return "MARKET_ORDER_PHASE", text
    return _capability_refusal(floor, command)


def replacement_refusal(
    floor: Floor, command: ReplaceOrder, order: Order | None, at: Micros
) -> tuple[RejectCode, str] | None:
    """(code, text) of the first reason against a replace, or None."""
    if order is None:
        return RejectCode.UNKNOWN_ORDER, "no such order"
    if not order.is_live:
        return RejectCode.TOO_LATE, "order is done"
    text = _replace_problem(floor, command, order)
    text = text or _bad_phase(floor, command, floor.ledger.instruments[order.instrument], at)
    return (RejectCode.OTHER, text) if text else None


def _bad_phase(
    floor: Floor, command: PlaceOrder | ReplaceOrder, instrument: Instrument, at: Micros
) -> str | None:
    phase = instrument.phase(at)
    accepted = phase in floor.settings.capabilities.market_order_phases
    return (
        f"no market orders in {phase.value}"
        if command.order_type is OrderType.MARKET and not accepted
        else None
    )


def _replace_problem(floor: Floor, command: ReplaceOrder, order: Order) -> str | None:
    if command.client_order_id in floor.ledger.ids:
        return f"client order id {command.client_order_id} was used before"
    if (command.instrument, command.side) != (order.instrument, order.side):
        return "instrument and side cannot change"
    if text := _bad_terms(command, floor.ledger.instruments[order.instrument]):
        return text
    if command.quantity < order.cumulative:
        return f"quantity {command.quantity} is below the {order.cumulative} already executed"
    capabilities = floor.settings.capabilities
    if order.is_waiting_stop and not capabilities.modify_stop:
        return "stops cannot be replaced"
    if command.order_type is not order.order_type and order.order_type not in STOPS:
        return f"a {order.order_type.value} order cannot become {command.order_type.value}"
    if capabilities.reserves_inventory and order.side is Side.SELL:
        return _short_of_inventory(floor, order.instrument, command.quantity - order.quantity)
    return None


def _bad_terms(command: PlaceOrder | ReplaceOrder, instrument: Instrument) -> str | None:
    if command.quantity <= ZERO or not is_multiple(command.quantity, instrument.defined.lot):
        return f"quantity {command.quantity} is not a positive multiple of {instrument.defined.lot}"
    wanted = (command.order_type in _WITH_LIMIT, command.order_type in STOPS)
    if wanted != (command.price_limit is not None, command.price_stop is not None):
        return f"the prices do not fit a {command.order_type.value} order"
    for price in (command.price_limit, command.price_stop):
        if price is not None and (price <= ZERO or not is_multiple(price, instrument.defined.tick)):
            return f"price {price} is not a positive multiple of {instrument.defined.tick}"
    return None


def _capability_refusal(floor: Floor, command: PlaceOrder) -> Refusal | None:
    capabilities = floor.settings.capabilities
    live = floor.ledger.live_orders(command.instrument)
    if capabilities.refuses_opposite_side and any(order.side is not command.side for order in live):
        return "OPPOSITE_SIDE", "an order on the other side is working"
    if capabilities.reserves_inventory and command.side is Side.SELL:
        text = _short_of_inventory(floor, command.instrument, command.quantity)
        return None if text is None else ("INSUFFICIENT_POSITION", text)
    return None


def _short_of_inventory(floor: Floor, instrument: str, more: Decimal) -> str | None:
    """Live sell orders together may not exceed the position."""
    live = floor.ledger.live_orders(instrument)
    reserved = sum((order.leaves for order in live if order.side is Side.SELL), ZERO)
    held = floor.ledger.position(instrument)
    return f"position {held} is less than {reserved + more} on offer" if reserved + more > held else None
