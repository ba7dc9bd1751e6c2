"""Decisions that are commands: what leaves the process, read off the logged decision and the order it concerns."""

from oms.commands import CancelOrder, Command, PlaceOrder, QueryOrder, ReplaceOrder
from oms.events import decisions
from oms.events.base import Event
from oms.state.pipeline import Pipeline


def command_of(decision: Event, seq: int, pipeline: Pipeline | None) -> Command | None:
    """The command behind a logged decision, or None. The outbox can be rebuilt from the log with it."""
    if isinstance(decision, decisions.OrderPlaced):
        return PlaceOrder(
            seq=seq,
            instrument=decision.instrument,
            client_order_id=decision.client_order_id,
            role=decision.role,
            side=decision.side,
            quantity=decision.quantity,
            order_type=decision.order_type,
            time_in_force=decision.time_in_force,
            price_limit=decision.price_limit,
            price_stop=decision.price_stop,
            valid_until=decision.valid_until,
            reason=decision.reason,
        )
    if isinstance(decision, decisions.ReplaceRequested):
        assert pipeline is not None
        order = pipeline.orders[decision.client_order_id]
        assert order.role is not None
        return ReplaceOrder(
            seq=seq,
            instrument=decision.instrument,
            client_order_id=decision.wire_id,
            orig_client_order_id=decision.orig_wire_id,
            broker_order_id=decision.broker_order_id,
            role=order.role,
            side=order.side,
            quantity=decision.quantity,
            order_type=decision.order_type,
            price_limit=decision.price_limit,
            price_stop=decision.price_stop,
            valid_until=decision.valid_until,
            reason=decision.reason,
        )
    if isinstance(decision, decisions.CancelRequested):
        return CancelOrder(
            seq=seq,
            instrument=decision.instrument,
            client_order_id=decision.wire_id,
            orig_client_order_id=decision.orig_wire_id,
            broker_order_id=decision.broker_order_id,
            reason=decision.reason,
        )
    if isinstance(decision, decisions.QueryRequested):
        return QueryOrder(
            seq=seq, instrument=decision.instrument, client_order_id=decision.wire_id, reason=decision.reason
        )
    return None
