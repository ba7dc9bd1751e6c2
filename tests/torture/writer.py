"""The process that is killed: the product's own writer over the day of `day.py`, from wherever its log ends.

It notes every acknowledged head in a file of its own, which outlives it: what stands there may never be missing
from the log again.
"""

import json
import os
import traceback
from collections.abc import Callable
from decimal import localcontext
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from eventlog import failpoints, schema
from eventlog.envelope import Head
from eventlog.postgres import PostgresLog
from oms.brokers.simulated.remote import RemoteSimulatedBroker
from oms.config import Settings
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.events.session import VenueStatusChanged
from oms.shell import runner as runners
from oms.shell.opening import Identity, open_runner
from oms.shell.runner import Committed, Runner
from oms.shell.snapshots import taken
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.values import CONTEXT, SECOND, Micros
from tests.torture import wires
from tests.torture.day import DAY, START, tape

SNAPSHOT_EVERY: Final = 150
"""Inputs between two cached folds."""
MARKET: Final = (QuoteReported, BarClosed, VenueStatusChanged)
RENEW_SECONDS: Final = 0.02
"""So often the lease is prolonged, so that a day of a second sees it."""


class Desk(Struct, frozen=True):
    """Where one case lives: its log, its broker, and the file of what was acknowledged.

    `downtime_s` passes between a death and the next life: the market goes on, and nobody watches.
    """

    conninfo: str
    account: str
    socket: str
    notes: str
    migrate: bool = False
    downtime_s: int = 0


def fork(work: Callable[..., Any], *given: Any) -> int:
    """Run `work` in a process of its own and return its pid. It ends with 0, or with 70 after an exception."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = work(*given) or 0
    except BaseException:  # noqa: BLE001 - the parent reads the exit code, a person the text.
        traceback.print_exc()
    finally:
        os._exit(code)
    return 0


def run(desk: Desk, plan: failpoints.Plan | None) -> int:
    """One life of the writer: to the end of the day, or to the point of the plan."""
    failpoints.arm(plan)
    runners.RENEWAL_SECONDS = RENEW_SECONDS  # type: ignore[misc]
    with localcontext(CONTEXT):
        if desk.migrate:
            schema.upgrade(desk.conninfo)
        log = wires.Log(desk.conninfo, plan)
        log.ensure_partitions(DAY, 2)
        broker = wires.Broker(Path(desk.socket), plan)
        at = _sleep(broker, desk.downtime_s) if desk.downtime_s and log.last_seq(desk.account) else START
        writer = open_runner(log, desk.account, Settings(), at=at, trading_day=DAY, who=identity(desk))
        note = Notes(Path(desk.notes), writer)
        _trade(log, writer, broker)
        log.release(writer.head)
        state = writer.published
        note.finish(digest(state.account, state.pipelines), plan)
    return 0


def identity(desk: Desk) -> Identity:
    """Fixed, so that the ids of a case can be made again."""
    return Identity(log_id=f"torture {desk.account}", code="torture", dependencies="torture")


def _trade(log: PostgresLog, writer: Runner, broker: RemoteSimulatedBroker) -> None:
    clock = VirtualTime(writer, broker)
    clock.books.every_so_often = True
    clock.connect()
    seen = broker.now
    for number, record in enumerate(missing(log, writer)):
        if record.logical_time > clock.now:
            # As a live writer: what came in an instant is durable before the next one.
            clock.flush()
        feed(clock, record, seen)
        if number % SNAPSHOT_EVERY == 0:
            log.save_snapshot(taken(writer.head, writer.published))
    clock.flush()


def _sleep(broker: RemoteSimulatedBroker, seconds: int) -> Micros:
    """Let the venue have its market for so long; the time it is then."""
    broker.dump()
    seen = broker.now
    until = seen + seconds * SECOND
    for record in tape():
        if seen < record.logical_time <= until and isinstance(record.event, MARKET):
            broker.market(record.event, record.logical_time)
    return until


def missing(log: PostgresLog, writer: Runner) -> list[Stamped]:
    """What the log may lack of the day: keyed records that it has not, and quotes that are not history.

    Records of the present instant come again: the keys of those that are logged drop them.
    """
    logged = {row.dedupe_key: row.logical_time for row in log.read(writer.head.account)}
    now = writer.now
    return [
        record
        for record in tape()
        if record.logical_time >= now
        or (record.dedupe_key is not None and logged.get(record.dedupe_key, now) >= now)
    ]


def feed(clock: VirtualTime, record: Stamped, seen: Micros) -> None:
    """One record; the venue, whose time was `seen` when we came, hears no price twice.

    A life may end when the venue has the time of a record but not the record, and nobody can tell later. Its own status
    it may hear again, which changes nothing; if it never did, a halt would not end for it.
    """
    at, is_status = record.logical_time, isinstance(record.event, VenueStatusChanged)
    clock.feed(record, broker_sees=at > seen or at <= START or is_status)


class Notes:
    """Appends each acknowledged head to a file, as an outside witness would."""

    def __init__(self, path: Path, writer: Runner) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._writer = writer
        self._last: Head | None = None
        self._note(writer.head)
        writer.observe(self._observe)

    def _observe(self, committed: Committed) -> None:
        if self._writer.head is not self._last:
            self._note(self._writer.head)

    def _note(self, head: Head) -> None:
        self._last = head
        os.write(self._file, f"{head.seq} {head.chain.hex()}\n".encode())

    def finish(self, live: str, plan: failpoints.Plan | None) -> None:
        """The digest of the state at the end of the day, and how often each point was passed."""
        passed = dict(plan.passed) if plan is not None else {}
        self._path.with_suffix(".end").write_text(json.dumps({"digest": live, "passed": passed}))
