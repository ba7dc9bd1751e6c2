"""Look for the fate of unanswered requests, compare with the broker's books, repair an oversell.

UNKNOWN ends only by evidence; nothing is ever resent blindly. Reliability I62, I64, I67..I71; F2, F5.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.broker import BrokerSnapshotReported
from oms.events.decisions import Alerted, PolicyNoted
from oms.execution import orders
from oms.state.calm import BOOKS, CHANGED
from oms.state.order import Order, Pending
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, Severity, plain

NAME: Final = "reconciliation"
VERSION: Final = 1
PRIORITY: Final = 8
SCOPE: Final = "pipeline"
ASKED: Final = CHANGED | BOOKS

MISMATCH: Final = "position_mismatch"
_DOUBLINGS: Final = 4

Books = tuple[dict[str, Decimal], frozenset[str]]
_READ: list[tuple[BrokerSnapshotReported | None, Books]] = [(None, ({}, frozenset()))]


def decide(view: View) -> Iterator[Event]:
    """Query overdue orders, flatten oversold trades, and answer a snapshot of the broker's books."""
    for trade in view.pipeline.open():
        yield from _repair(view, trade)
    if view.account.connected:
        for order, due in _unanswered(view):
            if view.now >= due:
                yield orders.query(order, policy=NAME, reason="unanswered")
    snapshot = view.wish
    if isinstance(snapshot, BrokerSnapshotReported) and view.account.is_proof(snapshot):
        yield from _compare(view, snapshot)


def next_due(view: View) -> Iterator[Micros]:
    """When unanswered requests and questions become overdue."""
    if view.account.connected:
        for _, due in _unanswered(view):
            yield due


def _repair(view: View, trade: Trade) -> Iterator[Event]:
    """More was sold than held: buy it back at once, whatever else was asked for."""
    if trade.held >= ZERO:
        return
    if trade.close is not None and trade.close.reason == MarketReason.OVERSELL_REPAIR:
        return
    seqs = sorted(one.seq for order in view.orders(trade.order_ids) for one in order.executions)
    yield orders.close(
        trade, MarketReason.OVERSELL_REPAIR, PRIORITY, market=True, evidence=tuple(seqs[-2:]), policy=NAME
    )


def _unanswered(view: View) -> Iterator[tuple[Order, Micros]]:
    """Orders whose requests or questions the broker has not answered, and when to ask; each order once."""
    known = view.pipeline.orders
    for trade in view.pipeline.open():
        for one in trade.order_ids:
            order = known[one]
            if order.pending:
                yield order, min(_due_of_request(view, pending) for pending in order.pending)
    for own, question in view.pipeline.questions.items():
        # A request asked for meanwhile is asked about by its own id, and the answer tells of the order too.
        if not known[own].pending:
            yield known[own], _due(view, question.asked_at, question.queries - 1)


def _due_of_request(view: View, pending: Pending) -> Micros:
    return pending.asked_at if pending.unknown else _due(view, pending.asked_at, pending.queries)


def _due(view: View, asked_at: Micros, again: int) -> Micros:
    """Each further question waits longer, so that a broker that cannot answer is not flooded (I87)."""
    patience = view.ack_timeout() << min(again, _DOUBLINGS)
    longest = view.settings.protection.resolve_timeout_ms * MILLISECOND * 2
    return asked_at + min(patience, longest)


def _compare(view: View, snapshot: BrokerSnapshotReported) -> Iterator[Event]:
    """A snapshot older than what we know proves nothing against it (I68)."""
    known, (held, open_orders) = view.pipeline.orders.values(), _read(snapshot)
    newest = max((one.seq for order in known for one in order.executions), default=0)
    if newest <= snapshot.asked_at_seq:
        yield from _difference(view, held.get(view.pipeline.name, ZERO))
    for order in known:
        listed = order.client_order_id in open_orders or order.wire_id in open_orders
        if (
            order.is_live
            and not listed
            and not order.is_external
            and order.placed_seq <= snapshot.asked_at_seq
        ):
            reason = "not among the broker's open orders"
        elif listed and not order.is_live:
            reason = "among the broker's open orders"
        else:
            continue
        if order.client_order_id not in view.pipeline.questions and not _is_awaited(view, order):
            yield orders.query(order, policy=NAME, reason=reason)


def _read(snapshot: BrokerSnapshotReported) -> Books:
    """Positions by instrument and the names of open orders, read once for all pipelines that the snapshot addresses."""
    if _READ[0][0] is not snapshot:
        held: dict[str, Decimal] = {}
        for line in snapshot.positions:
            held[line.instrument] = held.get(line.instrument, ZERO) + line.quantity
        _READ[0] = (snapshot, (held, frozenset(snapshot.open_orders)))
    return _READ[0][1]


def _is_awaited(view: View, order: Order) -> bool:
    """Whether a request on its way may explain what the broker lists; it is asked about when it is overdue."""
    return any(view.now < _due_of_request(view, one) for one in order.pending)


def difference(pipeline: Pipeline) -> str:
    """By how much the broker's position, as it said last, was more than the log's; "0" where they agreed."""
    return str(pipeline.notes.get(NAME, {}).get("difference", "0"))


def _difference(view: View, theirs: Decimal) -> Iterator[Event]:
    """Each new difference is reported once; its end is remembered, so that it can be reported again."""
    ours = view.pipeline.position
    now = str(plain(theirs - ours))
    if now == difference(view.pipeline):
        return
    yield PolicyNoted(instrument=view.pipeline.name, policy=NAME, value={"difference": now})
    if theirs != ours:
        yield Alerted(
            severity=Severity.CRITICAL,
            code=MISMATCH,
            text=f"broker holds {plain(theirs)}, the log says {plain(ours)}",
            instrument=view.pipeline.name,
            quantity=theirs - ours,
            policy=NAME,
        )
