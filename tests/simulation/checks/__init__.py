"""The checkers: every invariant after every step, at quiet points, at the end of a day and at the very end.

An invariant is written against what the product says it knows (its published state and its log), against what was
really sent, and against the oracle's books. Ids and wording: the design's list of invariants I01 to I88.
"""

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from oms.commands import Command, QueryOrder
from oms.events.base import Event
from oms.shell.runner import Committed, Runner
from tests.simulation.checks import (  # noqa: F401
    answers,
    books,
    conduct,
    effects,
    exits,
    kill,
    log,
    market_orders,
    measures,
    money,
    orders,
    protection,
    questions,
    shell,
    sql,
    truth,
)
from tests.simulation.checks.base import DAY, END, IDLE, QUIET, STEP, TABLE, Row, Scene

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["IDS", "Checks", "Violation"]

IDS = tuple(sorted({row.invariant for row in TABLE}))
"""Every invariant that is looked at."""


class Violation(Struct, frozen=True):
    """An invariant that does not hold: which, at which step (log position), at which time, what was seen, by whom."""

    invariant: str
    step: int
    at: int
    text: str
    check: str = ""


_BY_TIME = {when: [row for row in TABLE if row.when == when] for when in (STEP, IDLE, QUIET, DAY, END)}


class Checks:
    """Watches one world. Stops at the first step that violates something."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.scene = Scene(world)
        self.violations: list[Violation] = []
        self.steps = 0
        self.cells: Counter[tuple[str, str, str, str]] = Counter()
        self.marks: Counter[str] = Counter()
        self.healed_at: int | None = None
        self._quiet_seq = self._idle_seq = 0
        self._chosen: dict[tuple[type[Event], frozenset[type[Event]]], list[Row]] = {}

    # The process

    def booted(self, runner: Runner) -> None:
        """A process has folded the log; its own opening inputs were durable before anybody watched."""
        self.scene.account = runner.published.account
        self.scene.pipelines = dict(runner.published.pipelines)
        self.scene.before = {}
        self.scene.memory["unscheduled"] = shell.unscheduled(runner)
        self.scene.memory["boots"] = self.scene.memory.get("boots", 0) + 1

    def died(self) -> None:
        """The process is gone; what it had only in memory counts for nothing."""
        self.marks["process died"] += 1

    def raised(self, error: Exception) -> None:
        """The product raised what it never should."""
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        self.violate(
            "RAISED", f"{type(error).__name__}: {error} ({where.name} in {where.filename.split('/')[-1]})"
        )
        if self.world.runner is not None:
            self.world.die()

    # When

    def after_step(self, committed: Committed) -> None:
        """A step is durable."""
        scene, result = self.scene, committed.result
        self.steps += 1
        scene.committed = committed
        scene.before = {name: scene.pipelines.get(name) for name in result.changed}
        scene.pipelines.update(result.changed)
        scene.account = result.account
        self._run(STEP)

    def between(self, at: int) -> None:
        """Nothing is being stepped at this moment; it may be a quiet point."""
        if not self.is_idle():
            return
        if self._idle_seq != self.scene.account.seq or self._is_watching():
            self._idle_seq = self.scene.account.seq
            self._run(IDLE)
        if self.is_quiet() and self._quiet_seq != self.scene.account.seq:
            self._quiet_seq = self.scene.account.seq
            self.marks["quiet point"] += 1
            self._run(QUIET)

    def is_idle(self) -> bool:
        """Whether a process runs that has stored and released everything it took."""
        world, runner = self.world, self.world.runner
        if runner is None or world.time is None or world.log.is_away or world.is_asleep:
            return False
        if world.time._queue or runner._undone:
            return False
        return runner.head.seq == runner.book.account.seq

    def _is_watching(self) -> bool:
        """Whether a level is watched inside, so that a quote that is not logged matters too."""
        return any(
            trade.guard is not None
            for pipeline in self.scene.pipelines.values()
            if pipeline.open_trades
            for trade in pipeline.open()
        )

    def is_quiet(self) -> bool:
        """Whether an idle process has no command in flight, no message under way and no question open."""
        desk = self.world.desk
        if desk.down or not desk.is_idle or not self.scene.account.reconciled:
            return False
        return not any(
            pipeline.questions or any(order.pending for order in _live(pipeline))
            for pipeline in self.scene.pipelines.values()
        )

    def at_day_end(self) -> None:
        """After the close of a day."""
        if not self.violations:
            self._run(DAY)

    def at_end(self) -> None:
        """The plan is over."""
        self._run(END)

    def _run(self, when: str) -> None:
        if self.violations:
            return
        for row in self._rows() if when == STEP else _BY_TIME[when]:
            for text in row.check(self.scene):
                self.violate(row.invariant, text, row.check.__name__)

    def _rows(self) -> list[Row]:
        """The checks that have something to say of this step."""
        key = type(self.scene.input), frozenset(map(type, self.scene.events[1:]))
        known = self._chosen.get(key)
        if known is None:
            known = self._chosen[key] = [
                row
                for row in _BY_TIME[STEP]
                if (not row.on or key[0] in row.on) and (not row.of or not key[1].isdisjoint(row.of))
            ]
        return known

    def violate(self, invariant: str, text: str, check: str = "") -> None:
        """Note a violation."""
        self.violations.append(Violation(invariant, self.scene.account.seq, self.world.clock, text, check))

    def hit(self, kind: str) -> None:
        """A fault struck now: note in which situation."""
        phase = _phase(self.world)
        for order in self.near() or ["NONE/NONE"]:
            role, status = order.split("/")
            self.cells[kind, role, status, phase] += 1

    def is_settled(self, command: Command) -> bool:
        """Whether what a command asks for has its outcome already, as far as the durable log tells."""
        if isinstance(command, QueryOrder):
            return False
        pipeline = self.scene.pipelines[command.instrument]
        order = pipeline.find(command.client_order_id)
        return order is not None and all(one.seq != command.seq for one in order.pending)

    def near(self) -> list[str]:
        """Role and state of every live order at this moment, each once."""
        found = {
            f"{order.role.value if order.role else 'EXTERNAL'}/{order.status.value}"
            for pipeline in self.scene.pipelines.values()
            for order in _live(pipeline)
        }
        return sorted(found)


def _live(pipeline):  # type: ignore[no-untyped-def]
    for number in pipeline.open_trades:
        for one in pipeline.trades[number].order_ids:
            order = pipeline.orders[one]
            if order.is_live:
                yield order


def _phase(world: "World") -> str:
    left = (world.today.close_at - world.clock) // 1_000_000
    if world.clock < world.today.open_at or left <= 0:
        return "closed"
    return "closing" if left <= 900 else "regular"
