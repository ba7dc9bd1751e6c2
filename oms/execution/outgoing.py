"""Decisions that are commands: what leaves the process, read off the logged decision and the order it concerns."""

from collections.abc import Iterator

from msgspec.structs import replace

from oms.commands import CancelOrder, Command, PlaceOrder, QueryOrder, ReplaceOrder, order_id
from oms.events import decisions
from oms.events.base import Event
from oms.execution.orders import entry_side
from oms.state.account import Account
from oms.state.order import Pending
from oms.state.pipeline import Pipeline
from oms.values import ZERO, Role


def identified(decision: Event, account: Account, seq: int) -> Event:
    """The decision with the wire id that follows from its place in the log, if it has one."""
    if isinstance(decision, decisions.OrderPlaced):
        return replace(
            decision, client_order_id=order_id(account.log_id, account.account, account.epoch, seq)
        )
    if isinstance(decision, decisions.ReplaceRequested | decisions.CancelRequested):
        return replace(decision, wire_id=order_id(account.log_id, account.account, account.epoch, seq))
    return decision


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
            enlarges=decision.role is Role.EXIT and _may_enlarge(decision, pipeline),
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


def _may_enlarge(decision: decisions.OrderPlaced, pipeline: Pipeline | None) -> bool:
    """Whether an exit closes its trade and not what the account holds: it buys an oversell back, or another trade holds
    the opposite, and of the two the account has only the difference."""
    assert pipeline is not None
    trade = pipeline.trades[decision.trade_no]
    opposite = (one for one in pipeline.open() if one.side is not trade.side)
    return decision.side is entry_side(trade) or any(one.held > ZERO for one in opposite)


def settled(before: Pipeline | None, after: Pipeline) -> Iterator[Pending]:
    """Requests that were unanswered before the step and are not any more."""
    if before is None or before.orders is after.orders:
        return
    for own, old in before.orders.items():
        if old.pending:
            new = after.orders.get(own)
            left = {pending.seq for pending in new.pending} if new is not None else set()
            yield from (pending for pending in old.pending if pending.seq not in left)
