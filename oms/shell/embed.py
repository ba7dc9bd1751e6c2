"""Embed the system behind a strategy process: open, attach, feed or run live, read from any thread, close.

One face, synchronous. `feed` is deterministic: the same data give the same events. `start` runs the same writer
on a clock in a thread of its own. Construction does no I/O; `open` does.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final, Protocol, Self

from eventlog import embedded
from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from eventlog.postgres import PostgresLog
from eventlog.processes import owner_text
from eventlog.schema import upgrade
from oms.brokers.simulated import SimulatedBroker
from oms.config import Settings
from oms.errors import InputError
from oms.events.base import Event, Stamped
from oms.events.decisions import Alerted, IntentRefused
from oms.events.session import InstrumentDefined, SessionOpened
from oms.events.strategy import (
    AddRequested,
    EntryRequested,
    ExhaustionReported,
    ExitRequested,
    StrategyCycleBegun,
    TrailOnlyRequested,
)
from oms.shell.clock import Clock, SystemClock
from oms.shell.control import ControlServer
from oms.shell.journaled import JournaledLog
from oms.shell.live import Live
from oms.shell.opening import Identity, open_runner
from oms.shell.places import make_private, writer_dir
from oms.shell.runner import BATCH_LIMIT, Committed, Published, Runner
from oms.shell.virtual import VirtualBroker, VirtualTime
from oms.state.digest import digest
from oms.state.trade import Trade
from oms.step import Recorded
from oms.values import CONTEXT, SECOND, ZERO, Micros, Severity

MEMORY: Final = "memory"
EMBEDDED: Final = "embedded"
_ORDER: Final = list(Severity)
_REQUESTS: Final = (
    AddRequested,
    EntryRequested,
    ExitRequested,
    TrailOnlyRequested,
    ExhaustionReported,
    StrategyCycleBegun,
)


class Strategy(Protocol):
    """Any object with `on_event`: called with each market event and broker input once it is durable."""

    def on_event(self, event: Event, view: "View") -> Iterable[Event]:
        """Yield requests (`EntryRequested`, `ExitRequested`, ...); they are wishes, answered by decisions."""


class View:
    """What may be read: a committed state. Immutable, so any thread may hold it as long as it likes."""

    def __init__(self, published: Published, now: Micros) -> None:
        self.published = published
        self.now = now

    def position(self, instrument: str) -> Decimal:
        """Signed position; zero for an instrument that is not defined."""
        pipeline = self.published.pipelines.get(instrument)
        return pipeline.position if pipeline is not None else ZERO

    def open_trades(self, instrument: str) -> tuple[Trade, ...]:
        """Trades that are not over, oldest first."""
        pipeline = self.published.pipelines.get(instrument)
        return tuple(pipeline.open()) if pipeline is not None else ()

    def session(self, instrument: str) -> Any:
        """The market state with `open_at` and `close_at` of the present session, or None before it is known."""
        pipeline = self.published.pipelines.get(instrument)
        return pipeline.market if pipeline is not None and pipeline.market.open_at is not None else None

    def instrument(self, instrument: str) -> InstrumentDefined | None:
        """Tick, lot and multiplier of an instrument."""
        pipeline = self.published.pipelines.get(instrument)
        return pipeline.instrument if pipeline is not None else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call caused: all events logged, and the requests that were refused."""

    events: tuple[Recorded, ...]

    @property
    def rejections(self) -> tuple[IntentRefused, ...]:
        """Refused requests, each with a stable code and a text."""
        return tuple(one.event for one in self.events if isinstance(one.event, IntentRefused))


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it stands: the log's end and chain tip, the state's digest, money by currency before fees."""

    account: str
    seq: int
    chain: str
    digest: str
    realized: dict[str, Decimal]
    open_positions: dict[str, Decimal]


class Oms:
    """One account's order management. Use `Oms.open(...)` as a context manager."""

    def __init__(self, log: EventLog, runner: Runner, broker: VirtualBroker, owner: str) -> None:
        self._log = log
        self._runner = runner
        self._owner = owner
        self._place: Path | None = None
        self._time = VirtualTime(runner, broker)
        self._alerts: list[tuple[int, Callable[[Alerted], None]]] = []
        self._decisions: list[Callable[[Recorded], None]] = []
        self._seen: list[Recorded] = []
        self._live: Live | None = None
        self._control: ControlServer | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        runner.observe(self._observe)

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings | None = None,
        *,
        database: str | EventLog = EMBEDDED,
        account: str = "sim/sim/main",
        broker: VirtualBroker | None = None,
        day: date,
        at: Micros,
        identity: Identity | None = None,
        batch_limit: int = BATCH_LIMIT,
        place: Path | None = None,
    ) -> Iterator[Self]:
        """Open an account as its only writer: "embedded", "memory", a PostgreSQL URL, or an open log.

        Folds the log, asks the broker for its books, and only then takes anything else. Raises what the log
        raises (LeaseHeld while another writer lives, DatabaseAway, ...). `place` is the private directory of the
        writer's emergency journal, control socket and kill file; by default one of this account for a database
        that is named, and none for a log in memory or one that is given.
        """
        with ExitStack() as stack, localcontext(CONTEXT):
            log = _opened(stack, database)
            if place is None and isinstance(database, str) and database != MEMORY:
                place = writer_dir(account)
            if place is not None:
                log = JournaledLog(log, make_private(place, account))
            log.ensure_partitions(day, 2)
            runner = open_runner(
                log,
                account,
                settings or Settings(),
                at=at,
                trading_day=day,
                who=identity,
                batch_limit=batch_limit,
            )
            oms = cls(log, runner, broker or SimulatedBroker(), owner_text())
            oms._place = place
            stack.callback(oms.close)
            oms._time.connect()
            yield oms

    @property
    def published(self) -> Published:
        """The last committed state; safe to read from any thread."""
        return self._runner.published

    @property
    def view(self) -> View:
        """The last committed state in a strategy's words."""
        return View(self._runner.published, self._time.now)

    def attach(self, strategy: Strategy, name: str | None = None) -> None:
        """Ask this strategy after every market event and broker input. Its requests carry its name."""
        title = name or type(strategy).__name__

        def listen(event: Event) -> Iterator[Stamped]:
            for request in strategy.on_event(event, self.view):
                yield self._request(request, title)

        self._time.listen(listen)

    def on_alert(self, call: Callable[[Alerted], None], minimum: str = "WARNING") -> None:
        """Call with every alert of at least this severity, once it is durable."""
        self._alerts.append((_ORDER.index(Severity(minimum)), call))

    def on_decision(self, call: Callable[[Recorded], None]) -> None:
        """Call with every decision, once it is durable."""
        self._decisions.append(call)

    def define(self, instrument: InstrumentDefined, session: SessionOpened | None = None) -> Outcome:
        """Make an instrument known, and the times of its session where it has one."""
        outcome = self.feed(Stamped(event=instrument, logical_time=self._time.now))
        if session is None:
            return outcome
        return Outcome(outcome.events + self.feed(Stamped(event=session, logical_time=self._time.now)).events)

    def feed(self, *records: Stamped) -> Outcome:
        """Take market data in time order; everything due before each of them happens first."""
        self._refuse_while_running()
        with localcontext(CONTEXT):
            for record in records:
                self._time.feed(record)
            self._time.flush()
        return self._outcome()

    def request(self, event: Event, strategy: str = "caller") -> Outcome:
        """Make a request now; the answer is among the events of the outcome."""
        if self._failure is not None:
            raise self._failure
        if self._live is not None:
            self._live.put(self._request(event, strategy))
            return Outcome(())
        with localcontext(CONTEXT):
            self._time.submit(self._request(event, strategy))
            self._time.flush()
        return self._outcome()

    def wait(self, until: Micros) -> Outcome:
        """Let virtual time pass without market data."""
        self._refuse_while_running()
        with localcontext(CONTEXT):
            self._time.pass_until(until)
            self._time.flush()
        return self._outcome()

    def start(self, clock: Clock | None = None) -> None:
        """Run live: a thread takes what `put` brings and lets time pass by the clock. Ends with `close`.

        From now on operators reach it (`oms kill` and its like), and it goes on when the database does not answer.
        """
        self._refuse_while_running()
        clock = clock or SystemClock()
        log = self._log if isinstance(self._log, JournaledLog) else None
        if log is not None:
            log.arm(lambda: clock.now() / SECOND)
        live = Live(
            self._time,
            self._runner,
            clock,
            log=log,
            place=self._place,
            after_turn=self._seen.clear,
        )
        if self._place is not None:
            self._control = ControlServer(self._place, self._runner.head.account, live.operate)
        self._live = live
        self._thread = threading.Thread(target=self._run, args=(live,), name="oms", daemon=True)
        self._thread.start()

    def put(self, record: Stamped) -> None:
        """Hand market data to the running thread; never blocks. Raises what ended the thread, if it has ended."""
        if self._failure is not None:
            raise self._failure
        if self._live is None:
            raise InputError("OMS-E003", "The system does not run on a clock", hint="call start() first")
        self._live.put(record)

    def day(self) -> Day:
        """The day as it stands: what to compare with a replay."""
        state, head = self._runner.published, self._runner.head
        positions = {name: one.position for name, one in state.pipelines.items() if one.position != ZERO}
        return Day(
            account=head.account,
            seq=head.seq,
            chain=head.chain.hex(),
            digest=digest(state.account, state.pipelines),
            realized=dict(state.account.realized),
            open_positions=positions,
        )

    def close(self) -> None:
        """Make everything durable, stop the thread, give the account back. Orders at the broker stay working."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        elif self._failure is None:
            with localcontext(CONTEXT):
                self._time.flush()
        if self._control is not None:
            self._control.close()
            self._control = None
        self._log.release(self._runner.head.account, self._owner)
        if self._failure is not None:
            raise self._failure

    def _run(self, live: Live) -> None:
        try:
            live.run()
        except BaseException as failure:  # noqa: BLE001 - kept for the caller's thread, which raises it.
            self._failure = failure

    def _request(self, event: Event, strategy: str) -> Stamped:
        if not isinstance(event, _REQUESTS):
            raise InputError(
                "OMS-E001",
                f"A strategy may only make requests, not  {type(event).__name__}",
                where=f"strategy {strategy}",
                hint="yield " + ", ".join(kind.__name__ for kind in _REQUESTS),
            )
        return Stamped(
            event=event,
            logical_time=self._time.now,
            source=f"strategy:{strategy}",
            dedupe_key=f"{type(event).__name__}:{event.strategy}:{event.intent_id}",
        )

    def _observe(self, committed: Committed) -> None:
        for recorded in committed.result.events:
            self._seen.append(recorded)
            event = recorded.event
            if event.KIND != "D":
                continue
            for tell in self._decisions:
                tell(recorded)
            if isinstance(event, Alerted):
                for minimum, call in self._alerts:
                    if _ORDER.index(event.severity) >= minimum:
                        call(event)

    def _outcome(self) -> Outcome:
        seen, self._seen = self._seen, []
        return Outcome(tuple(seen))

    def _refuse_while_running(self) -> None:
        if self._thread is not None:
            raise InputError(
                "OMS-E002", "The system runs on its own clock", hint="use put() while it is started"
            )


def _opened(stack: ExitStack, database: str | EventLog) -> EventLog:
    if not isinstance(database, str):
        return database
    if database == MEMORY:
        return MemoryLog()
    conninfo = stack.enter_context(embedded.session()) if database == EMBEDDED else database
    upgrade(conninfo)
    log = PostgresLog(conninfo)
    stack.callback(log.close)
    return log
