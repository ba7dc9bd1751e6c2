"""Embed the system behind a strategy process: open, attach, feed or run live, read from any thread, close.

One face, synchronous. `feed` is deterministic: the same data give the same events. `start` runs the same writer
on a clock in a thread of its own. Construction does no I/O; `open` does.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import localcontext
from pathlib import Path
from typing import Any, Final, Protocol, Self

from msgspec.structs import replace

from eventlog.log import EventLog
from oms.brokers.simulated import SimulatedBroker
from oms.config import Settings
from oms.errors import InputError
from oms.events.base import Event, Stamped
from oms.events.checking import problem_of
from oms.events.decisions import Alerted
from oms.events.session import InstrumentDefined, SessionOpened
from oms.events.strategy import (
    AddRequested,
    EntryRequested,
    ExhaustionReported,
    ExitRequested,
    ListenerFailed,
    MonitorReported,
    StrategyCycleBegun,
    TrailOnlyRequested,
)
from oms.shell.clock import Clock, SystemClock
from oms.shell.control import ControlServer
from oms.shell.databases import EMBEDDED, MEMORY, open_log, refuse_unfit
from oms.shell.journaled import JournaledLog
from oms.shell.live import Live
from oms.shell.opening import Identity, open_runner
from oms.shell.places import make_private, writer_dir
from oms.shell.reading import Day, Outcome, View
from oms.shell.runner import BATCH_LIMIT, Committed, Published, Runner
from oms.shell.snapshots import Keeper
from oms.shell.virtual import VirtualBroker, VirtualTime
from oms.state.digest import digest
from oms.step import Recorded
from oms.values import CONTEXT, SECOND, ZERO, Micros, Severity

_ORDER: Final = list(Severity)
_REQUESTS: Final = (
    AddRequested,
    EntryRequested,
    ExitRequested,
    TrailOnlyRequested,
    ExhaustionReported,
    MonitorReported,
    StrategyCycleBegun,
)


class Strategy(Protocol):
    """Any object with `on_event`: called with each market event and broker input once it is durable."""

    def on_event(self, event: Event, view: View) -> Iterable[Event]:
        """Yield requests (`EntryRequested`, `ExitRequested`, ...); they are wishes, answered by decisions."""


class Oms:
    """One account's order management. Use `Oms.open(...)` as a context manager."""

    def __init__(self, log: EventLog, runner: Runner, broker: VirtualBroker) -> None:
        self._log = log
        self._runner = runner
        self._place: Path | None = None
        self._time = VirtualTime(runner, broker)
        self._calls: list[tuple[Callable[[Recorded], None], str]] = []
        self._raised: Exception | None = None
        self._seen: list[Recorded] = []
        self._live: Live | None = None
        self._clock: Clock = SystemClock()
        self._control: ControlServer | None = None
        self._keeper: Keeper | None = None
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
            log = open_log(stack, database, day)
            if place is None and isinstance(database, str) and database != MEMORY:
                place = writer_dir(account)
            if place is not None:
                log = JournaledLog(log, make_private(place, account))
            runner = open_runner(
                log,
                account,
                settings or Settings(),
                at=at,
                trading_day=day,
                who=identity,
                batch_limit=batch_limit,
            )
            oms = cls(log, runner, broker or SimulatedBroker())
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
        """Ask this strategy after every market event and broker input. Its requests carry its name.

        What it raises reaches the caller of `feed`. While live it would end the writer and leave positions alone:
        there the strategy is not called any more, its requests of that call are dropped, and an alert says so.
        """
        title = name or type(strategy).__name__

        def listen(event: Event) -> Iterable[Stamped]:
            try:
                return [self._request(one, title) for one in strategy.on_event(event, self.view)]
            except Exception as error:
                if self._live is None:
                    raise
                self._time.forget(listen)
                return [self._failed(f"strategy {title}", error)]

        self._time.listen(listen)

    def on_alert(self, call: Callable[[Alerted], None], minimum: str = "WARNING") -> None:
        """Call with every alert of at least this severity, once it is durable; what it raises: see `on_decision`."""
        least = _ORDER.index(Severity(minimum))

        def tell(recorded: Recorded) -> None:
            if isinstance(recorded.event, Alerted) and _ORDER.index(recorded.event.severity) >= least:
                call(recorded.event)

        self._calls.append((tell, f"on_alert {_name(call)}"))

    def on_decision(self, call: Callable[[Recorded], None]) -> None:
        """Call with every decision, once it is durable.

        What it raises is raised by the call in progress, when that has done its work. While live it is not called
        any more, and an alert says so.
        """
        self._calls.append((call, f"on_decision {_name(call)}"))

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
                self._time.feed(_sound(record))
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
        Raises EnvironmentProblem for a database login that could change what is logged, or a server that may forget it:
        nothing is started then.
        """
        self._refuse_while_running()
        refuse_unfit(self._log)
        clock = self._clock = clock or SystemClock()
        log = self._log if isinstance(self._log, JournaledLog) else None
        if log is not None:
            log.arm(lambda: clock.now() / SECOND)
        self._keeper = Keeper(self._log, self._runner)
        live = Live(
            self._time,
            self._runner,
            clock,
            log=log,
            place=self._place,
            keeper=self._keeper,
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
            raise InputError("OMS-P003", "The system does not run on a clock", hint="call start() first")
        self._live.put(_sound(record, self._clock.now()))

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
        if self._thread is not None:
            self._thread.join()
            # Until here it is live: what a strategy raises in the last turn must not end the writer either.
            self._live = self._thread = None
        elif self._failure is None:
            with localcontext(CONTEXT):
                self._time.flush()
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._keeper is not None and self._failure is None:
            self._keeper.save_last()
        self._log.release(self._runner.head)
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
                "OMS-P001",
                f"A strategy may only make requests, not {type(event).__name__}",
                where=f"strategy {strategy}",
                hint="yield " + ", ".join(kind.__name__ for kind in _REQUESTS),
            )
        stamped = Stamped(
            event=event,
            logical_time=self._time.now,
            source=f"strategy:{strategy}",
            dedupe_key=f"{type(event).__name__}:{event.strategy}:{event.intent_id}",
        )
        return _sound(stamped)

    def _failed(self, listener: str, error: Exception) -> Stamped:
        event = ListenerFailed(listener=listener, error=f"{type(error).__name__}: {error}"[:1000])
        return Stamped(event=event, logical_time=self._time.now)

    def _observe(self, committed: Committed) -> None:
        for recorded in committed.result.events:
            self._seen.append(recorded)
            event = recorded.event
            if event.KIND == "D":
                for call in tuple(self._calls):
                    self._call(call, recorded)

    def _call(self, call: tuple[Callable[[Recorded], None], str], recorded: Recorded) -> None:
        """The step is durable and its commands have to leave, whatever a callback does."""
        tell, name = call
        try:
            tell(recorded)
        except Exception as error:  # noqa: BLE001 - it is raised later, or told as an alert.
            if self._live is None:
                self._raised = self._raised or error
            elif call in self._calls:
                self._calls.remove(call)
                self._time.put(self._failed(name, error))

    def _outcome(self) -> Outcome:
        seen, self._seen = self._seen, []
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised
        return Outcome(tuple(seen))

    def _refuse_while_running(self) -> None:
        if self._thread is not None:
            raise InputError(
                "OMS-P002", "The system runs on its own clock", hint="use put() while it is started"
            )


def _name(call: Callable[..., Any]) -> str:
    return getattr(call, "__qualname__", type(call).__name__)


def _sound(record: Stamped, now: Micros | None = None) -> Stamped:
    """The record, if it is what its type promises. Raises InputError before anything was taken."""
    problem = problem_of(record if now is None else _at(record, now))
    if problem is None:
        return record
    raise InputError(
        "OMS-P004",
        "The record cannot be taken",
        why=problem,
        hint="numbers are Decimal made from text, times are int in microseconds, sides and kinds are enums",
    )


def _at(record: Any, now: Micros) -> Any:
    return replace(record, logical_time=now) if isinstance(record, Stamped) else record
