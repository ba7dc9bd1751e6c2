"""G. Between the decisions and the world: what is durable leaves, what fails is told, what the core needs is logged.

Looked at whenever the process is idle: everything that it took is stored, and everything that it stored released.
"""

from collections.abc import Iterator

from oms.commands import Command
from oms.events.broker import CommandExpired, CommandFailed, CommandRefused
from oms.events.market import FeedStale
from oms.shell.runner import Runner
from oms.step import next_due
from oms.values import MILLISECOND, PositionSide
from tests.simulation.checks.base import IDLE, Scene, check

BETWEEN_TICKS_US = 2_000_000


class Owed:
    """Commands that were stored and have to leave, and what was told of those that did not; for one life."""

    def __init__(self, boot: int) -> None:
        self.boot = boot
        self.commands: dict[int, Command] = {}
        self.told: set[int] = set()


def _owed(scene: Scene) -> Owed:
    owed: Owed | None = scene.memory.get("owed")
    boot = scene.memory.get("boots", 0)
    if owed is None or owed.boot != boot:
        # What a process held in memory only is asked about by the next one.
        owed = scene.memory["owed"] = Owed(boot)
        scene.world.desk.torn.clear()
    return owed


@check("I64")
def commands_are_counted(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) what a step has asked for, and what the link was said to have done with it."""
    assert scene.committed is not None
    owed = _owed(scene)
    if isinstance(scene.input, CommandFailed | CommandRefused | CommandExpired):
        owed.told.add(scene.input.command_seq)
    for command in scene.committed.result.commands:
        owed.commands[command.seq] = command
    yield from ()


@check("I64", IDLE)
def what_was_decided_leaves(scene: Scene) -> Iterator[str]:
    """A durable command is handed to the link, or somebody says why not; or it had its outcome before it left."""
    owed = _owed(scene)
    if not owed.commands:
        return
    desk = scene.world.desk
    left = [one for seq, one in owed.commands.items() if seq not in desk.tried and seq not in owed.told]
    owed.commands.clear()
    for command in left:
        if not desk.is_settled(command):
            yield f"{type(command).__name__} {command.client_order_id} was decided and has not left"


@check("I61", IDLE)
def what_is_settled_does_not_leave(scene: Scene) -> Iterator[str]:
    """A request that had its outcome before it left is not sent: its owner has decided anew."""
    settled = scene.world.desk.settled
    for command in settled:
        yield f"{type(command).__name__} {command.client_order_id} left when its outcome was in the log"
    settled.clear()


@check("I62", IDLE)
def failures_to_send_are_told(scene: Scene) -> Iterator[str]:
    """A command that broke the link while it was sent is logged as one whose fate is unknown."""
    owed, torn = _owed(scene), scene.world.desk.torn
    for seq in sorted(torn - owed.told):
        yield f"sending command {seq} failed and nobody was told"
    torn.clear()


def unscheduled(runner: Runner) -> list[str]:
    """Pipelines with a deadline to come for which none is scheduled."""
    book = runner.book
    return [
        name
        for name, pipeline in book.pipelines.items()
        if book.deadlines.get(name) is None and next_due(book.account, pipeline, book.account.now) is not None
    ]


@check("I81")
def deadlines_outlive_the_process(scene: Scene) -> Iterator[str]:
    """Whatever is to come is scheduled by a process that has just begun, before it is told anything."""
    for name in scene.memory.pop("unscheduled", ()):
        yield f"{name} has a deadline to come and the new process has scheduled none"


@check("I80", on=(FeedStale,))
def silence_is_counted(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) of which quote on a feed was said to be silent."""
    event = scene.input
    if isinstance(event, FeedStale):
        scene.own("silent", {})[event.instrument] = event.last_received_at or 0
    yield from ()


@check("I80", IDLE)
def armed_levels_see_the_market(scene: Scene) -> Iterator[str]:
    """Where a level is watched inside, a quote that passes it is in the log at once."""
    for pipeline, trade in scene.held():
        told, guard = scene.world.told.get(pipeline.name), trade.guard
        if guard is None or told is None or guard.armed_at >= told.received:
            continue
        price = told.bid if trade.side is PositionSide.LONG else told.ask
        passed = price is not None and (
            price <= guard.level if trade.side is PositionSide.LONG else price >= guard.level
        )
        if passed and (pipeline.market.quote_at or 0) < told.received:
            yield f"{pipeline.name}: a quote of {price} passed the level of {guard.level} and is not in the log"


@check("I80", IDLE)
def silence_is_noticed(scene: Scene) -> Iterator[str]:
    """Where a level is watched inside, a feed that falls silent is told before its quote is too old to act on."""
    for pipeline, trade in scene.held():
        told, quote_at = scene.world.told.get(pipeline.name), pipeline.market.quote_at
        if trade.guard is None or told is None or quote_at is None:
            continue
        patience = scene.account.settings.market_data.stale_quote_ms * MILLISECOND // 2 + BETWEEN_TICKS_US
        # A process that slept has a clock that is ahead of what has happened to it since.
        now = min(scene.world.clock, scene.world.passed)
        silent = now - max(told.at, quote_at, trade.guard.armed_at)
        if silent > patience and scene.own("silent", {}).get(pipeline.name, 0) < quote_at:
            yield f"{pipeline.name}: the feed is silent for {silent // 1000} ms under a level, and nobody was told"
