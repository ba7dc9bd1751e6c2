"""What is spoilt, invariant by invariant; each waits for its moment."""

import re
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from oms.commands import PlaceOrder
from oms.events.broker import (
    BrokerSnapshotReported,
)
from oms.events.clock import ClockAdvanced
from oms.events.decisions import (
    Alerted,
    OrderPlaced,
)
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import ZERO, OrderStatus, Role
from tests.simulation.checks.base import Scene
from tests.simulation.spoiling import (
    Spoil,
    added,
    input_of,
    world_of,
)

D = Decimal


def live(one: Order) -> bool:
    return one.is_live and one.status is OrderStatus.SUBMITTED and not one.pending


def when(condition: bool, value: Any) -> Any:
    return value if condition else None


def again(one: Order, **changes: Any) -> Order:
    """The same executions under a further report."""
    return replace(one, **changes)


def twin(role: Role) -> Spoil:
    """A second live order of a role."""
    slot = {Role.STOP: "stops", Role.ENTRY: "entries", Role.TARGET: "targets"}[role]

    def spoil(scene: Scene) -> bool:
        for pipeline in list(scene.pipelines.values()):
            for one in pipeline.open():
                known = [
                    order for order in pipeline.live(getattr(one, slot)) if order.leaves and not order.pending
                ]
                if known:
                    doubled(scene, pipeline, one, known[0], slot)
                    return True
        return False

    return spoil


def doubled(scene: Scene, pipeline: Pipeline, one: Trade, known: Order, slot: str) -> None:
    """The same order once more under another id."""
    own = "S" + "Z" * 16
    other = replace(one, **{slot: (*getattr(one, slot), own)})
    scene.pipelines[pipeline.name] = replace(
        pipeline,
        orders={**pipeline.orders, own: replace(known, client_order_id=own)},
        trades={**pipeline.trades, one.trade_no: other},
    )
    if scene.committed is not None:
        scene.committed.result.changed.setdefault(pipeline.name, pipeline)


def sent_twice(scene: Scene) -> bool:
    sent = scene.world.desk.sent
    found = next((row for row in sent if isinstance(row[1], PlaceOrder)), None)
    if found is None:
        return False
    sent.append(found)
    return True


def sent(**changes: Any) -> Spoil:
    def spoil(scene: Scene) -> bool:
        wire = scene.world.desk.sent
        found = next(
            (row for row in wire if isinstance(row[1], PlaceOrder) and row[1].role is Role.ENTRY), None
        )
        if found is None:
            return False
        values = {name: value(scene) if callable(value) else value for name, value in changes.items()}
        wire.append((scene.world.desk.now, replace(found[1], **values)))
        return True

    return world_of(spoil)


def many_sent(scene: Scene) -> bool:
    wire = scene.world.desk.sent
    if not wire:
        return False
    wire.extend([wire[0]] * 60)
    return True


def behind(scene: Scene) -> bool:
    wire = scene.world.desk.sent
    entry = next((row for row in wire if row[1].role is Role.ENTRY), None) if wire else None
    if entry is None:
        return False
    wire.append(entry)
    wire.append((entry[0], replace(entry[1], role=Role.STOP)))
    return True


def ledger(scene: Scene) -> bool:
    scene.world.oracle.floor.ledger._balances["client", "cash"] += 1
    return True


def held(scene: Scene) -> bool:
    """The broker holds more than it said."""
    if not scene.account.reconciled or not any(True for _ in scene.held()):
        return False
    scene.world.oracle.floor.ledger.trade("magic", "AAA", D(3), D(100))
    return True


def row(change: Any) -> Spoil:
    """The store forgets what it had."""

    def spoil(scene: Scene) -> bool:
        rows = scene.world.store._accounts["sim/sim/seed"].rows
        index = next(i for i in range(15, len(rows), 16) if rows[i].kind == "I" and "AAA" in rows[i].body)
        rows[index] = change(rows[index])
        return True

    return world_of(spoil)


def epochs(scene: Scene) -> bool:
    rows = scene.world.store._accounts["sim/sim/seed"].rows
    index = max(i for i, one in enumerate(rows) if one.type == "WriterStarted")
    rows[index] = replace(rows[index], body=re.sub(r'"epoch": \d+', '"epoch": 0', rows[index].body))
    return True


def lie(scene: Scene) -> bool:
    runner = scene.world.runner
    assert runner is not None
    runner.published = replace_published(runner.published)
    return True


def replace_published(published: Any) -> Any:
    return type(published)(replace(published.account, kill_level=9), published.pipelines)


def forgotten_key(scene: Scene) -> bool:
    committed = scene.committed
    if committed is None or committed.stamped.dedupe_key is None or scene.account.seq % 16:
        return False
    scene.world.store._accounts["sim/sim/seed"].inbox.clear()
    return True


def late_deadline(scene: Scene) -> bool:
    if not isinstance(scene.input, ClockAdvanced):
        return False
    assert scene.world.runner is not None
    scene.world.runner.book.deadlines.put("AAA", scene.now - 1)
    return True


def incomplete(scene: Scene) -> bool:
    """An incomplete answer that moved a position."""
    if not isinstance(scene.input, BrokerSnapshotReported) or "AAA" not in scene.before:
        return False
    assert scene.committed is not None
    input_of(BrokerSnapshotReported, complete=False)(scene)
    before = scene.before["AAA"]
    if before is None:
        return False
    scene.before["AAA"] = replace(before, external=D(5))
    return True


def told_again(scene: Scene) -> bool:
    if not isinstance(scene.input, BrokerSnapshotReported):
        return False
    from oms.values import Severity

    alert = Alerted(severity=Severity.CRITICAL, code="position_mismatch", text="x", policy="reconciliation")
    added(BrokerSnapshotReported, lambda _: alert)(scene)
    key = (
        scene.input.positions,
        tuple(sorted((name, one.position) for name, one in scene.pipelines.items())),
    )
    scene.memory["I71"] = {"key": key, "told": ["x"]}
    return True


def busy(scene: Scene) -> bool:
    scene.memory["I87"] = {("AAA", scene.now // 60_000_000): [10_000]}
    return any(True for _ in scene.decisions(OrderPlaced))


def alive_overnight(scene: Scene) -> bool:
    from tests.simulation.oracle.messages import New

    scene.world.oracle.floor.venues["AAA"].is_session = False
    scene.world.oracle.request(New("Sx", "AAA", "SELL", D(1), "LIMIT", "GTC", D(200)), scene.world.clock)
    return True


def stranger(scene: Scene) -> bool:
    assert scene.committed is not None
    if not scene.committed.result.commands:
        return False
    first = replace(scene.committed.result.commands[0], client_order_id="manual-1")
    scene.committed = type(scene.committed)(
        scene.committed.stamped, replace(scene.committed.result, commands=(first,))
    )
    return True


def oversold(one: Any, scene: Scene) -> Any:
    floor = scene.world.oracle.floor
    if floor.held(one.instrument) > ZERO:
        floor.ledger.trade("more than was held", one.instrument, -floor.held(one.instrument) - 1, one.ideal)
    return when(one.held > ZERO and one.close is None, replace(one, exited=one.entered + 1))
