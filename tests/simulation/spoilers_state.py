"""Spoilt states and decisions: orders that jump, trades that lie, markets that are not there."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from oms.events.broker import (
    OrderRejected,
    UnparsedFrame,
)
from oms.events.clock import ClockAdvanced
from oms.events.decisions import (
    CancelRequested,
    CloseRequested,
    Decision,
    EntryAccepted,
    OrderPlaced,
    StopMoved,
)
from oms.events.market import QuoteReported
from oms.events.strategy import EntryRequested
from oms.values import ZERO, OrderStatus, OrderType, Role
from tests.simulation.checks.base import Scene
from tests.simulation.spoilers import when
from tests.simulation.spoiling import (
    decision,
    dropped,
    trade,
)

D = Decimal


def has(scene: Scene, kind: type[Any]) -> bool:
    return any(True for _ in scene.decisions(kind))


def shifted(scene: Scene) -> bool:
    assert scene.committed is not None
    events = scene.committed.result.events
    if len(events) < 3:
        return False
    scene.committed = type(scene.committed)(
        scene.committed.stamped, replace(scene.committed.result, events=(events[0], *events[2:]))
    )
    return True


def unread(scene: Scene) -> bool:
    assert scene.committed is not None
    frame = UnparsedFrame(raw_sha256="0", error="x", origin="y")
    scene.committed = type(scene.committed)(
        replace(scene.committed.stamped, event=frame),
        replace(scene.committed.result, events=scene.committed.result.events[:1]),
    )
    return True


def jumped(scene: Scene, before: OrderStatus, after: OrderStatus) -> bool:
    """An order that is live now was in another state before, and no broker said a word."""
    pipeline = scene.pipelines.get("AAA")
    old = scene.before.get("AAA")
    if pipeline is None or old is None or not isinstance(scene.input, QuoteReported | EntryRequested):
        return False
    own = next((own for own in pipeline.orders if own in old.orders), None)
    if own is None:
        return False
    orders = {**pipeline.orders, own: replace(pipeline.orders[own], status=after)}
    scene.before["AAA"] = replace(old, orders={**old.orders, own: replace(old.orders[own], status=before)})
    scene.pipelines["AAA"] = replace(pipeline, orders=orders)
    return True


def fell(scene: Scene) -> bool:
    pipeline, old = scene.pipelines.get("AAA"), scene.before.get("AAA")
    if pipeline is None or old is None or not isinstance(scene.input, QuoteReported):
        return False
    own = next((own for own, one in old.orders.items() if one.filled), None)
    if own is None:
        return False
    scene.pipelines["AAA"] = replace(
        pipeline, orders={**pipeline.orders, own: replace(pipeline.orders[own], filled=ZERO)}
    )
    return True


def command_for_dead(scene: Scene) -> bool:
    found = next(iter(scene.decisions(CancelRequested)), None)
    if found is None:
        return False
    pipeline, own = scene.pipelines["AAA"], found.event.client_order_id
    dead = replace(pipeline.orders[own], status=OrderStatus.CANCELED, leaves=ZERO)
    scene.pipelines["AAA"] = replace(pipeline, orders={**pipeline.orders, own: dead})
    return True


def unguarded(scene: Scene) -> bool:
    assert scene.committed is not None
    pipeline = scene.pipelines.get("AAA")
    if (
        pipeline is None
        or "AAA" not in scene.committed.result.decided
        or not any(one.held > ZERO for one in pipeline.open())
    ):
        return False
    one = pipeline.open()[0]
    scene.pipelines["AAA"] = replace(
        pipeline, trades={**pipeline.trades, one.trade_no: replace(one, stops=(), exits=(), guard=None)}
    )
    return True


def placed(scene: Scene, role: Role, changes: dict[str, Any]) -> bool:
    found = next((one for one in scene.decisions(OrderPlaced) if one.event.role is role), None)
    if found is None:
        return False
    assert scene.committed is not None
    events = tuple(
        type(one)(one.seq, replace(one.event, **changes), one.pipeline) if one.seq == found.seq else one
        for one in scene.committed.result.events
    )
    scene.committed = type(scene.committed)(
        scene.committed.stamped, replace(scene.committed.result, events=events)
    )
    return True


def stop(scene: Scene, **changes: Any) -> bool:
    return placed(scene, Role.STOP, changes)


def entry(scene: Scene, **changes: Any) -> bool:
    return placed(scene, Role.ENTRY, changes)


def exit_order(scene: Scene, **changes: Any) -> bool:
    return placed(scene, Role.EXIT, changes)


def loosened(scene: Scene) -> bool:
    if not has(scene, StopMoved):
        return False
    scene.memory["I36"] = {1: D(10_000)}
    return True


def market_order(scene: Scene) -> bool:
    from oms.events.session import VenueStatus

    if not stop(scene, order_type=OrderType.MARKET):
        return False
    return market(scene, OrderPlaced, status=VenueStatus.HALTED)


def market(scene: Scene, kind: type[Any], **changes: Any) -> bool:
    if not has(scene, kind):
        return False
    pipeline = scene.pipelines["AAA"]
    scene.pipelines["AAA"] = replace(pipeline, market=replace(pipeline.market, **changes))
    return True


def not_flat(scene: Scene) -> bool:
    if not has(scene, EntryAccepted):
        return False
    before = scene.before["AAA"]
    assert before is not None
    scene.before["AAA"] = replace(before, external=D(5))
    return True


def open_late(scene: Scene) -> bool:
    assert scene.committed is not None
    pipeline = scene.pipelines.get("AAA")
    if pipeline is None or "AAA" not in scene.committed.result.decided:
        return False
    one = next((one for one in pipeline.open() if one.held > ZERO and one.close is None), None)
    if one is None:
        return False
    scene.pipelines["AAA"] = replace(pipeline, market=replace(pipeline.market, close_at=scene.now + 1))
    return True


def settled_by_time(scene: Scene) -> bool:
    pipeline, old = scene.pipelines.get("AAA"), scene.before.get("AAA")
    if pipeline is None or old is None or not isinstance(scene.input, ClockAdvanced | QuoteReported):
        return False
    own = next((own for own, one in old.orders.items() if one.pending), None)
    if own is None:
        return False
    scene.pipelines["AAA"] = replace(
        pipeline, orders={**pipeline.orders, own: replace(pipeline.orders[own], pending=())}
    )
    return True


def blind(scene: Scene) -> bool:
    if not decision(CloseRequested, reason="GUARD_STOP", evidence=(1,))(scene):
        return False
    return market(scene, CloseRequested, quote_at=1)


def silent_loss(scene: Scene) -> bool:
    """A stop is refused, and nobody says so."""
    if not isinstance(scene.input, OrderRejected) or not dropped(Decision, all_of=True)(scene):
        return False
    return trade(lambda one, _: when(one.held > ZERO, replace(one, alerts=())))(scene)
