"""Every answer a broker can give, for one trade of three shares with two targets and a stop, breadth first.

`step` is pure and state immutable, so a state is a value: the product's state and what is true at the broker. From
each one every possible answer is tried: acknowledge, reject, fill one share or all, cancel, refuse a request, cancel
unasked, fill late, bust, say it again, answer a question, or nothing in time. States are told apart by a digest in
which ids are numbers in order of appearance and times are distances from now.
"""

import time
from collections import deque
from collections.abc import Iterator
from decimal import Decimal, localcontext
from hashlib import blake2b
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from oms.book import Book
from oms.commands import CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder
from oms.events.base import Event, Stamped
from oms.events.clock import ClockAdvanced
from oms.events.market import QuoteTick
from oms.state.account import Account
from oms.state.order import Order, PendingKind
from oms.state.pipeline import Pipeline
from oms.state.protection import Protection, protection
from oms.state.view import View
from oms.step import decide, next_due
from oms.values import CONTEXT, MILLISECOND, SIGN_OF_SIDE, ZERO
from tests import builders
from tests.builders import NAME, OPEN
from tests.simulation import answers
from tests.simulation.answers import Truth

MOST_STATES: Final = 1_000_000
LADDER: Final = [
    {"trigger": "1R", "pct": "0.34"},
    {"trigger": "2R", "pct": "0.33"},
    {"trigger": "RUNNER", "pct": "0.33"},
]


class Node(Struct, frozen=True):
    """A state of the product and of the broker, and how it was reached."""

    account: Account
    pipeline: Pipeline
    truth: Truth
    path: tuple[str, ...]


class Found(Struct):
    """What the exploration came to. A violation comes with the answers that led to it."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    closed: bool = False
    seconds: float = 0.0
    violations: list[tuple[str, tuple[str, ...]]] = []


STARTS: Final[dict[str, tuple[str, ...]]] = {
    "entry": (),
    "bracket": ("fill all", "ack", "ack", "ack"),
    "scaled out": ("fill all", "ack", "ack", "ack", "fill one ~TARGET", "do"),
    "closing": ("fill all", "ack", "ack", "ack", "fill one ~STOP"),
}
"""Where an exploration may begin, as the answers that lead there; deeper places are reached sooner from nearby."""


def explore(limit: int = MOST_STATES, *, start: str = "entry", most_violations: int = 5) -> Found:
    """Visit states breadth first until there are no new ones, or `limit` is reached."""
    found = Found(violations=[])
    begun = time.perf_counter()
    with localcontext(CONTEXT):
        first = _led(_first(), STARTS[start])
        seen = {_digest(first)}
        queue: deque[Node] = deque([first])
        while queue and len(seen) < limit and len(found.violations) < most_violations:
            node = queue.popleft()
            found.depth = len(node.path)
            for label, event, truth in _successors(node):
                found.transitions += 1
                try:
                    after = _stepped(node, label, event, truth)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding.
                    found.violations.append((f"raised {error!r}", (*node.path, label)))
                    continue
                digest = _digest(after)
                if digest in seen:
                    continue
                seen.add(digest)
                queue.append(after)
                found.violations += [(text, after.path) for text in violated(after)]
        found.states, found.closed = len(seen), not queue
    found.seconds = time.perf_counter() - begun
    return found


def _first() -> Node:
    """An entry of three shares, just asked for."""
    settings = builders.settings(
        targets__compact=LADDER, targets__standard=LADDER, targets__full=LADDER, entry__max_cycles=1
    )
    book = Book()
    opening = [*builders.opening(settings), *builders.connection(), builders.instrument(), builders.session()]
    quote = builders.quote("99.99", "100.01", at=OPEN)
    for event in [*opening, quote, builders.entry(3)]:
        result = book.decide(Stamped(event=event, logical_time=OPEN))
        book.commit()
    node = Node(book.account, book.pipelines[NAME], Truth(), ())
    return replace(node, truth=_sent(node.truth, result.commands))


def _led(node: Node, labels: tuple[str, ...]) -> Node:
    """Follow the first answer that begins with each label; `~ROLE` picks the order. Raises StopIteration."""
    for label in labels:
        prefix, _, role = label.partition(" ~")
        chosen = next(
            one for one in _successors(node) if one[0].startswith(prefix) and _is_about(node, one[0], role)
        )
        node = _stepped(node, *chosen)
    return node


def _is_about(node: Node, label: str, role: str) -> bool:
    if not role:
        return True
    return any(
        label.endswith(own[-4:]) and order.role is not None and order.role.value == role
        for own, order in node.pipeline.orders.items()
    )


def _stepped(node: Node, label: str, event: Event, truth: Truth) -> Node:
    now = node.account.now
    due: tuple[str, ...] = ()
    if isinstance(event, ClockAdvanced):
        now, due = event.quotes[0].received_at, (NAME,)
    result = decide(node.account, {NAME: node.pipeline}, Stamped(event=event, logical_time=now), due)
    pipeline = result.changed.get(NAME, node.pipeline)
    return Node(result.account, pipeline, _sent(truth, result.commands), (*node.path, label))


def _sent(truth: Truth, commands: tuple[Any, ...]) -> Truth:
    for command in commands:
        match command:
            case PlaceOrder():
                truth = answers.placed(truth, command)
            case ReplaceOrder() | CancelOrder():
                truth = answers.asked(truth, command)
            case QueryOrder():
                truth = answers.questioned(truth, command)
    return truth


def _successors(node: Node) -> Iterator[tuple[str, Event, Truth]]:
    yield from answers.all_of(node.truth, node.account.seq)
    due = next_due(node.account, node.pipeline, node.account.now)
    if due is not None:
        for label, bid in (("time", "99.99"), *((("fall", "98.50"),) if not node.truth.fallen else ())):
            bid_, ask = Decimal(bid), Decimal(bid) + Decimal("0.02")
            tick = QuoteTick(instrument=NAME, bid=bid_, ask=ask, received_at=due)
            truth = node.truth if label == "time" else replace(node.truth, fallen=True)
            yield label, ClockAdvanced(quotes=(tick,)), truth


# What must hold in every state


def violated(node: Node) -> Iterator[str]:
    """What does not hold. Every report has been delivered, so the log must know the truth."""
    pipeline, truth = node.pipeline, node.truth
    held = sum((SIGN_OF_SIDE[one.side] * one.cumulative for one in truth.orders), ZERO)
    if pipeline.position != held:
        yield f"I24: the log says {pipeline.position}, the truth is {held}"
    for one in truth.orders:
        order = pipeline.orders.get(one.own)
        if order is not None and one.status == "live" and not order.is_live:
            yield f"I25: {one.own} works at the broker, the log says {order.status.value}"
        if (
            order is not None
            and one.status in ("done", "gone", "refused")
            and order.is_confirmed
            and not order.pending
        ):
            yield f"I25: {one.own} is {one.status} at the broker, the log says {order.status.value}"
    yield from _own_rules(node)
    if not truth.requests and not truth.questions and all(one.status != "away" for one in truth.orders):
        yield from _when_settled(node)


def _when_settled(node: Node) -> Iterator[str]:
    """Nothing is under way: the stop is for the position, targets are no more than it, and flat means flat."""
    view = View(node.account, node.pipeline, node.account.now)
    for trade in node.pipeline.open():
        stops, targets = view.live(trade.stops), view.live(trade.targets)
        if any(
            order.pending or order.refusals or order.filled for order in (*stops, *view.live(trade.exits))
        ):
            continue
        covered = sum((order.leaves for order in stops), ZERO)
        if trade.close is None and stops and trade.held > ZERO and covered != trade.held:
            yield f"I32: {trade.held} held, stops for {covered}"
        if (
            trade.close is None
            and sum((order.leaves for order in targets), ZERO) > max(trade.held, ZERO)
            and not any(order.pending or order.refusals for order in targets)
        ):
            yield f"I46: {trade.held} held, targets for more"
        retried = any(order.refusals for order in (*stops, *targets))
        if trade.held == ZERO and trade.is_over and (stops or targets) and not retried:
            yield "I40: flat and closed, and orders work"


def _own_rules(node: Node) -> Iterator[str]:
    view = View(node.account, node.pipeline, node.account.now)
    for trade in node.pipeline.open():
        if protection(view, trade) is Protection.NAKED and trade.naked_since is None:
            yield f"I31: {trade.held} held, naked, and nobody was told"
        if trade.held < ZERO and trade.close is None:
            yield f"I26: oversold by {-trade.held} and no repair was asked for"
        for ids, name in ((trade.stops, "I33"), (trade.entries, "I45")):
            live = [
                order
                for order in view.live(ids)
                if order.leaves > ZERO and not order.pending_of(PendingKind.CANCEL) and not order.refusals
            ]
            if len(live) > 1:
                yield f"{name}: {len(live)} live"
    if node.pipeline.safe_mode:
        yield f"safe mode: {node.pipeline.safe_mode}"


# Telling states apart


def _digest(node: Node) -> bytes:
    names: dict[str, int] = {}
    now = node.account.now

    def number(name: str | None) -> int | None:
        return None if name is None else names.setdefault(name, len(names))

    orders = [_order(order, number, now) for order in node.pipeline.orders.values()]
    trades = [
        (
            trade.entered, trade.exited, trade.level, trade.mfe, trade.alerts, trade.trail_only,
            trade.guard and (trade.guard.level, _ago(trade.guard.breached_at, now)),
            trade.close and (trade.close.reason, trade.close.priority, trade.close.market),
            trade.closed_at is None, trade.abandoned_at is None, _ago(trade.naked_since, now), trade.pnl,
        )
        for trade in node.pipeline.trades.values()
    ]  # fmt: skip
    market = (node.pipeline.market.bid, _ago(node.pipeline.market.quote_at, now))
    rest = (node.pipeline.alerts, node.pipeline.safe_mode, node.account.kill_level, _when(node))
    text = repr((orders, trades, market, rest, answers.shape(node.truth, number)))
    return blake2b(text.encode(), digest_size=12).digest()


def _when(node: Node) -> int | None:
    due = next_due(node.account, node.pipeline, node.account.now)
    return None if due is None else due - node.account.now


def _ago(at: int | None, now: int) -> int | None:
    return None if at is None else (now - at) // MILLISECOND


def _order(order: Order, number: Any, now: int) -> tuple[Any, ...]:
    pending = tuple(
        (one.kind.value, number(one.wire_id), one.quantity, one.price_limit, one.price_stop, one.queries,
         one.unknown, _ago(one.since, now), _ago(one.asked_at, now))
        for one in order.pending
    )  # fmt: skip
    executions = tuple(
        (number(one.root), one.quantity, one.revision, one.comparable) for one in order.executions
    )
    return (
        number(order.client_order_id), order.role, order.order_type, order.quantity, order.leaves, order.filled,
        order.total, order.status, order.price_limit, order.price_stop, order.refusals, order.cycles, order.assumed,
        order.cancel_cause, order.triggered_at is None, pending, executions, number(order.wire_id),
        _ago(order.first_fill_at, now), _ago(order.requested_at or None, now) if order.is_live else None,
        _ago(order.looked_at or None, now) if order.is_live else None,
    )  # fmt: skip
