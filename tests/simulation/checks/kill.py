"""I. Risk, kill and operation."""

from collections.abc import Iterator

from oms.commands import adds_risk
from oms.events.decisions import Alerted, KillLevelRaised, OrderPlaced
from oms.values import ZERO, Role, Severity
from tests.simulation.checks.base import Scene, check

FLAT = 3
"""The level from which on positions are left."""


@check("I73")
def kill_level_only_rises(scene: Scene) -> Iterator[str]:
    """Within a session the level never falls."""
    last = scene.own("I73", [0])
    if scene.account.kill_level < last[0]:
        yield f"the kill level fell from {last[0]} to {scene.account.kill_level}"
    last[0] = scene.account.kill_level


@check("I74")
def kill_adds_no_risk(scene: Scene) -> Iterator[str]:
    """After K2 no command adds risk; after K1 no new trade begins."""
    assert scene.committed is not None
    if scene.account.kill_level < 2 or any(isinstance(one, KillLevelRaised) for one in scene.events):
        return
    for command in scene.committed.result.commands:
        if adds_risk(command):
            yield f"{command.client_order_id} adds risk at kill level {scene.account.kill_level}"


@check("I74")
def openers_leave_under_a_kill(scene: Scene) -> Iterator[str]:
    """From K2 on every entry that works is given up."""
    assert scene.committed is not None
    for name in scene.committed.result.decided if scene.account.kill_level >= 2 else ():
        pipeline = scene.pipelines[name]
        for trade in pipeline.open():
            for order in pipeline.live(trade.entries):
                if order.leaves and not order.pending and not order.refusals:
                    yield f"entry {order.client_order_id} works at kill level {scene.account.kill_level}"


@check("I74")
def kill_leaves_positions(scene: Scene) -> Iterator[str]:
    """From K3 on whatever is held is being left, by market orders if need be."""
    assert scene.committed is not None
    if scene.account.kill_level < FLAT or any(isinstance(one, KillLevelRaised) for one in scene.events):
        return
    for name in scene.committed.result.decided:
        for trade in scene.pipelines[name].open():
            if trade.held > ZERO and (trade.close is None or not trade.close.market):
                yield f"trade {trade.trade_no} holds {trade.held} at kill level {scene.account.kill_level}"


@check("I75", of=(OrderPlaced,))
def orders_stay_within_limits(scene: Scene) -> Iterator[str]:
    """No order on its way is larger than the limits of size and value."""
    gate = scene.account.settings.gate if scene.account.config_sha256 else None
    for one in scene.decisions(OrderPlaced):
        event = one.event
        if gate is None or event.role is not Role.ENTRY:
            continue
        value = event.quantity * (event.price_limit or ZERO)
        if event.quantity > gate.max_order_quantity or value > gate.max_order_value:
            yield f"{event.client_order_id} is for {event.quantity}, {value}"


DOUBTFUL = frozenset({"fill_not_comparable", "fill_overlap"})


@check("I76")
def alerts_are_remembered(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) what was told: emergencies, anything above INFO, and fills that nobody can tell apart."""
    for one in scene.events:
        if isinstance(one, Alerted) and one.severity is Severity.EMERGENCY:
            scene.memory["emergency"] = True
        if isinstance(one, Alerted):
            loud = scene.own("loud", [])
            if one.severity is not Severity.INFO:
                loud.append(one.code)
            if one.code in DOUBTFUL:
                scene.own("doubtful", set()).add(one.instrument)
    yield from ()
