"""Spoil one thing in an otherwise sound run, so that the check of one invariant has to fire."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from oms.events.base import Event
from oms.shell.runner import Committed
from oms.state.order import Order
from oms.state.trade import Trade
from oms.step import Recorded
from oms.values import Role
from tests.simulation.checks.base import Scene
from tests.simulation.plan import Plan
from tests.simulation.world import World

Spoil = Callable[[Scene], bool]
"""Spoils the scene and returns True, or waits for a better moment."""


def fired(plan: Plan, when: str, spoil: Spoil) -> set[str]:
    """The invariants violated in the run in which `spoil` had its effect first, and the checks that said so."""
    world = World(plan)
    checks, plain = world.checks, world.checks._run
    done: list[bool] = []

    def run(now: str) -> None:
        if now == when and not done and spoil(checks.scene):
            done.append(True)
        plain(now)

    checks._run = run  # type: ignore[method-assign]
    world.run()
    assert done, "the moment never came"
    return {name for one in checks.violations for name in (one.invariant, one.check)}


def decision(kind: type[Event], **changes: Any) -> Spoil:
    """Change the first decision of a kind, as the checks see it."""

    def spoil(scene: Scene) -> bool:
        assert scene.committed is not None
        events = list(scene.committed.result.events)
        for index, one in enumerate(events[1:], start=1):
            if isinstance(one.event, kind) and _applies(one.event, changes):
                values = {
                    name: value(one.event) if callable(value) else value for name, value in changes.items()
                }
                events[index] = Recorded(one.seq, replace(one.event, **values), one.pipeline)
                _put(scene, tuple(events))
                return True
        return False

    return spoil


def _applies(event: Event, changes: dict[str, Any]) -> bool:
    return all(name in event.__struct_fields__ for name in changes)


def dropped(kind: type[Event], *, all_of: bool = False) -> Spoil:
    """Take a decision of a kind out of the step."""

    def spoil(scene: Scene) -> bool:
        assert scene.committed is not None
        events = scene.committed.result.events
        left = [one for one in events[1:] if not isinstance(one.event, kind)]
        if len(left) == len(events) - 1:
            return False
        _put(scene, (events[0], *([] if all_of else left)))
        return True

    return spoil


def added(after: type[Event], make: Callable[[Scene], Event]) -> Spoil:
    """Add a decision to the first step whose input is of a kind."""

    def spoil(scene: Scene) -> bool:
        assert scene.committed is not None
        events = scene.committed.result.events
        if not isinstance(events[0].event, after):
            return False
        event = make(scene)
        _put(scene, (*events, Recorded(events[-1].seq + 1, event, getattr(event, "instrument", None))))
        return True

    return spoil


def input_of(kind: type[Event], **changes: Any) -> Spoil:
    """Change the input of the first step that begins with one of a kind."""

    def spoil(scene: Scene) -> bool:
        assert scene.committed is not None
        events = scene.committed.result.events
        if not isinstance(events[0].event, kind):
            return False
        event = replace(events[0].event, **changes)
        scene.committed = Committed(replace(scene.committed.stamped, event=event), scene.committed.result)
        _put(scene, (Recorded(events[0].seq, event, events[0].pipeline), *events[1:]))
        return True

    return spoil


def _put(scene: Scene, events: tuple[Recorded, ...]) -> None:
    assert scene.committed is not None
    scene.committed = Committed(scene.committed.stamped, replace(scene.committed.result, events=events))


def order(role: Role, change: Callable[[Order, Scene], Order | None]) -> Spoil:
    """Change an order of a role that the step changed."""

    def spoil(scene: Scene) -> bool:
        for name, pipeline in scene.pipelines.items():
            for own, one in pipeline.orders.items():
                changed = change(one, scene) if one.role is role else None
                if changed is not None:
                    scene.pipelines[name] = replace(pipeline, orders={**pipeline.orders, own: changed})
                    if scene.committed is not None:
                        scene.committed.result.changed.setdefault(name, pipeline)
                        scene.before.setdefault(name, None)
                    return True
        return False

    return spoil


def trade(change: Callable[[Trade, Scene], Trade | None]) -> Spoil:
    """Change an open trade."""

    def spoil(scene: Scene) -> bool:
        for name, pipeline in scene.pipelines.items():
            for one in pipeline.open():
                changed = change(one, scene)
                if changed is not None:
                    scene.pipelines[name] = replace(
                        pipeline, trades={**pipeline.trades, one.trade_no: changed}
                    )
                    return True
        return False

    return spoil


def account(condition: Callable[[Scene], bool], **changes: Any) -> Spoil:
    """Change the account once a condition holds."""

    def spoil(scene: Scene) -> bool:
        if not condition(scene):
            return False
        scene.account = replace(scene.account, **changes)
        return True

    return spoil


def world_of(change: Callable[[Scene], bool]) -> Spoil:
    """Change something outside: the wire, the store, the oracle."""
    return change
