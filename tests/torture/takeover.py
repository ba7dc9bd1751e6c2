"""Writers that fight over one account: each is stopped in the middle of its work and wakes when another has it.

A stopped process keeps what it knows: state, commands it was about to send, a statement it was about to run. When
it wakes nothing of that may reach the log, and no command the broker. In the end the log is contiguous, and the
broker has seen the trades of a single writer's run.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import localcontext
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from eventlog import failpoints
from eventlog.errors import Fenced, LeaseHeld
from eventlog.postgres import PostgresLog
from oms.brokers.simulated import MarketEvent, wire
from oms.brokers.simulated import Settings as BrokerSettings
from oms.config import Settings
from oms.events.decisions import CancelRequested, OrderPlaced, ReplaceRequested
from oms.events.session import WriterStarted
from oms.shell import runner as runners
from oms.shell.opening import open_runner
from oms.shell.record import event_of
from oms.shell.runner import Runner
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.values import CONTEXT, SECOND, Micros
from tests.torture import wires, writer
from tests.torture.day import BROKER, DAY, LENGTH, START

TTL_SECONDS: Final = 0.2
PATIENCE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.005
LOGGED: Final = 130
"""About so many different times stand in the log of a day."""
LAST: Final[Micros] = START + LENGTH * SECOND
END: Final = ".end"
HURRY: Final = ".hurry"
"""With a file of this suffix the contenders bring the day to its end."""
STOPS: Final = ("input.received", "input.stepped", "batch.appending", "append.ready", "append.stored",
    "batch.appended", "batch.published", "command.claimed", "command.claimed", "command.sending", "command.sending",
    "command.sent", "replies.taken", "link.started", "link.asked", "lease.taken", "writer.recovered",
    "writer.started", "clock.due")  # fmt: skip
VENUE: Final[BrokerSettings] = replace(BROKER, fill_model="perfect", latency_min=2000, latency_max=2000)
"""Nothing here is drawn from order ids, which differ from writer to writer."""


class Pause(failpoints.Plan):
    """Stop instead of dying; `slept` counts how often."""

    slept = 0

    def strike(self) -> None:
        """Sleep until somebody wakes this process."""
        self.slept += 1
        os.kill(os.getpid(), signal.SIGSTOP)


class Broker(wires.Broker):
    """A client whose old market data do not reach the venue: the market does not hear it from a writer."""

    def __init__(self, path: Path, plan: Pause) -> None:
        self._pause = plan
        super().__init__(path, None)

    def market(self, event: MarketEvent, at: Micros) -> None:
        """Hand on what is news to the venue."""
        if self._pause.slept:
            self._ask_quietly(wire.NextDue())
            if at <= self._now:
                return
        super().market(event, at)


class Contest(Struct, frozen=True):
    """How many takeovers, by how many processes, drawn from which seed."""

    takeovers: int
    contenders: int = 2
    seed: int = 1


class Bounds(Struct, frozen=True):
    """How much one reign may log, and where it is told to hurry."""

    quota: int
    desk: writer.Desk


def contend(desk: writer.Desk, contest: Contest, number: int) -> int:
    """One process: take the account, work a little, stop somewhere in it; begin again when woken and fenced."""
    random = Random(contest.seed * 1000 + number)
    runners.RENEWAL_SECONDS = TTL_SECONDS / 4  # type: ignore[misc]
    quota = LOGGED // contest.takeovers + 2
    while not _exists(desk, END):
        plan = Pause(random.choice(STOPS), random.randint(1, quota))
        failpoints.arm(plan)
        with localcontext(CONTEXT), suppress(Fenced):
            _reign(desk, plan, Bounds(quota, desk))
    return 0


def _reign(desk: writer.Desk, plan: Pause, bounds: Bounds) -> None:
    log, broker = PostgresLog(desk.conninfo, lease_ttl_s=TTL_SECONDS), Broker(Path(desk.socket), plan)
    try:
        held = _acquired(log, desk)
        if held is None:
            return
        note = writer.Notes(Path(desk.notes), held)
        clock = VirtualTime(held, broker)
        clock.connect()
        if _advance(log, clock, held, broker, bounds):
            clock.flush()
            state = held.published
            note.finish(digest(state.account, state.pipelines), plan)
            return
        clock.flush()
        while not plan.slept and not _exists(desk, HURRY):
            plan.strike()
        # Awake again, with a lease that has run out and, if somebody came, an epoch of the past.
        held.process([])
        _advance(log, clock, held, broker, bounds)
        clock.flush()
    finally:
        log.close()
        broker.close()


def _acquired(log: PostgresLog, desk: writer.Desk) -> Runner | None:
    """The writer, as soon as the lease of the other one has run out; None when the day is over."""
    log.ensure_partitions(DAY, 2)
    while not _exists(desk, END):
        try:
            return open_runner(
                log, desk.account, Settings(), at=START, trading_day=DAY, who=writer.identity(desk)
            )
        except LeaseHeld:
            time.sleep(POLL_SECONDS)
    return None


def _advance(log: PostgresLog, clock: VirtualTime, held: Runner, broker: Broker, bounds: Bounds) -> bool:
    """Feed records that the log may lack until so many were logged; whether the day is over.

    It does not end before there were enough takeovers.
    """
    seen, logged = broker.now, 0
    for record in writer.missing(log, held):
        hurry = _exists(bounds.desk, HURRY)
        if record.logical_time > LAST and not hurry:
            return False
        before = held.book.account.now
        writer.feed(clock, record, seen)
        logged += held.book.account.now != before
        if logged >= bounds.quota and not hurry:
            return False
    return True


def _exists(desk: writer.Desk, suffix: str) -> bool:
    return Path(desk.notes).with_suffix(suffix).exists()


def fight(desk: writer.Desk, contest: Contest) -> tuple[int, str]:
    """(takeovers, what went wrong): wake whoever stopped as soon as somebody else is the writer."""
    pids = [writer.fork(contend, desk, contest, number) for number in range(contest.contenders)]
    log = PostgresLog(desk.conninfo)
    stopped: dict[int, int] = {}
    try:
        alive, deadline, last = set(pids), time.monotonic() + PATIENCE_SECONDS, 0
        while alive:
            for pid, status in _news(alive):
                if os.WIFSTOPPED(status):
                    stopped[pid] = _epoch(log, desk.account)
                elif status:
                    return last, f"contender {pid} ended with {os.waitstatus_to_exitcode(status)}"
            epoch = _epoch(log, desk.account)
            if epoch != last:
                last, deadline = epoch, time.monotonic() + PATIENCE_SECONDS
                if epoch > contest.takeovers:
                    Path(desk.notes).with_suffix(HURRY).touch()
            for pid in _to_wake(stopped, alive, epoch):
                os.kill(pid, signal.SIGCONT)
                del stopped[pid]
            if time.monotonic() > deadline:
                return last, f"nobody took over for {PATIENCE_SECONDS} s in epoch {epoch}"
            time.sleep(POLL_SECONDS / 2)
        return last, ""
    finally:
        log.close()
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _news(alive: set[int]) -> Iterator[tuple[int, int]]:
    """(pid, status) of those that stopped or ended; the latter leave `alive`."""
    for pid in list(alive):
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done:
            if not os.WIFSTOPPED(status):
                alive.discard(pid)
            yield pid, status


def _to_wake(stopped: dict[int, int], alive: set[int], epoch: int) -> list[int]:
    """Those whose account somebody else has; and somebody, when all sleep."""
    overtaken = [pid for pid, then in stopped.items() if then != epoch]
    return overtaken or (list(stopped)[:1] if len(stopped) == len(alive) else [])


def _epoch(log: PostgresLog, account: str) -> int:
    head = log.head(account)
    return head.epoch if head is not None else 0


def superseded(log: PostgresLog, account: str, sent: list[str]) -> Iterator[str]:
    """Commands that reached the broker after one of a later writer had; `sent` are wire ids in order of arrival."""
    epoch, decided = 0, dict[str, int]()
    for row in log.read(account):
        event: Any = event_of(row)
        if isinstance(event, WriterStarted):
            if event.epoch <= epoch:
                yield f"row {row.seq}: epoch {event.epoch} starts after {epoch}"
            epoch = event.epoch
        elif isinstance(event, OrderPlaced):
            decided[event.client_order_id] = epoch
        elif isinstance(event, ReplaceRequested | CancelRequested):
            decided[event.wire_id] = epoch
    newest = 0
    for name in sent:
        if decided.get(name, newest) < newest:
            yield f"command {name} of epoch {decided[name]} came to the broker after one of epoch {newest}"
        newest = max(newest, decided.get(name, 0))
