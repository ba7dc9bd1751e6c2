"""One plan played: the virtual clock, the market, the process with its deaths, and the checkers beside it.

Nothing of the product is replaced but the clock, the link and the broker: writer, dispatcher, gate, quote filter and
virtual time are the real ones.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cache

from eventlog.errors import DatabaseAway, Fenced
from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from oms.calendar import Session, session
from oms.config import Settings, load_settings
from oms.events.base import Event, Stamped
from oms.events.session import InstrumentDefined, SessionOpened, VenueStatus, VenueStatusChanged
from oms.shell.opening import Identity, open_runner
from oms.shell.runner import Committed, Runner
from oms.shell.virtual import VirtualTime
from oms.values import CONTEXT
from tests.simulation import timeline
from tests.simulation.checks import Checks, Violation
from tests.simulation.desk import Crash, Desk
from tests.simulation.faultylog import FaultyLog
from tests.simulation.market import Path, Told
from tests.simulation.oracle.behaviour import personality
from tests.simulation.oracle.broker import Oracle
from tests.simulation.oracle.floor import Quirk
from tests.simulation.plan import Plan, Setting, occasions

ACCOUNT = "sim/sim/seed"
TICK = Decimal("0.01")
CALENDAR = "XNYS"
MS = 1000
LONGEST_BATCH = 64
BOOKS_MS = 300_000
"""Less often than by default: most of a day would be nothing else."""


@dataclass(slots=True)
class Result:
    """What came of a plan."""

    violations: list[Violation]
    digest: str
    steps: int
    days: int
    struck: Counter[str]
    cells: Counter[tuple[str, str, str, str]]
    marks: Counter[str]


@cache
def settings_of(changes: tuple[tuple[str, Setting], ...]) -> Settings:
    """The defaults with changes by dotted name."""
    return load_settings(arguments={"protection.books_every_ms": BOOKS_MS, **dict(changes)}).settings


@cache
def sessions(first: str, days: int) -> tuple[Session, ...]:
    """The exchange's sessions from a date on."""
    found: list[Session] = []
    day = date.fromisoformat(first)
    while len(found) < days:
        one = session(CALENDAR, day)
        if one is not None:
            found.append(one)
        day += timedelta(days=1)
    return tuple(found)


class World:
    """Plays one plan, until it ends or something is violated."""

    def __init__(
        self,
        plan: Plan,
        log: EventLog | None = None,
        conninfo: str | None = None,
        *,
        listener: Callable[[Committed], None] | None = None,
    ) -> None:
        self.plan = plan
        self.conninfo = conninfo
        self.store = log if log is not None else MemoryLog()
        self.listener = listener
        self.log = FaultyLog(self.store, plan.faults, lambda: self.clock)
        others = {**plan.settings, **plan.other_settings}
        self.settings = [settings_of(tuple(sorted(one.items()))) for one in (plan.settings, others)]
        self.sessions = sessions(plan.first_day, plan.days)
        self.today = self.sessions[0]
        self.clock = self.today.open_at - 60_000 * MS
        self.oracle = Oracle(personality(plan.personality, **plan.switches), plan.seed, _quirks(plan))
        self.desk = Desk(self.oracle, plan.faults)
        self.desk.now_of = lambda: self.time.now if self.time is not None else self.clock
        self.paths = {name: Path(plan.seed, name, plan.days, calm=plan.calm) for name in plan.symbols}
        self.runner: Runner | None = None
        self.time: VirtualTime | None = None
        self.dead_until = 0
        self.healed = False
        self.is_closing = False
        """From the forced close on some faults are counted anew, until the next day."""
        self.is_aimed = any(fault.near for fault in plan.faults)
        self.struck: Counter[str] = Counter()
        self.requests = 0
        self.restarts = 0
        self.told: dict[str, Told] = {}
        self.is_asleep = False
        """Whether time has passed at which the process did not wake up yet."""
        self.passed = 0
        """Up to when things have happened; after a sleep the clock is ahead of it for a while."""
        self.checks = Checks(self)
        self.desk.names_of = self.log.names_of = self.oracle.floor.names_of = self.names_of
        self.desk.is_settled = self.checks.is_settled
        self.desk.on_strike = self.log.on_strike = self.oracle.floor.on_strike = self.checks.hit

    def run(self) -> Result:
        """Play all days."""
        with localcontext(CONTEXT):
            for name in self.plan.symbols:
                self.oracle.list_symbol(name, TICK)
            self.boot()
            for number, today in enumerate(self.sessions):
                self.today = today
                timeline.play_day(self, number)
                if self.checks.violations:
                    break
            else:
                self.checks.at_end()
        struck = self.struck + self.desk.struck + self.log.struck + self.oracle.floor.struck
        head = self.store.head(ACCOUNT)
        return Result(
            violations=self.checks.violations,
            digest=head.chain.hex() if head is not None else "",
            steps=self.checks.steps,
            days=len(self.sessions),
            struck=struck,
            cells=self.checks.cells,
            marks=self.checks.marks,
        )

    # The process

    @property
    def is_dead(self) -> bool:
        """Whether no process runs."""
        return self.runner is None

    def boot(self) -> None:
        """Start the process: fold, ask the broker, go on. It may die on the way."""
        if self.clock >= self.dead_until and not self.log.is_away:
            self.attempt(self._boot)

    def _boot(self) -> None:
        self.log.ensure_partitions(self.today.session_date, 2)
        runner = open_runner(
            self.log,  # type: ignore[arg-type]
            ACCOUNT,
            self.settings[self.restarts % 2],
            at=self.clock,
            trading_day=self.today.session_date,
            who=Identity(f"log{self.plan.seed}", "code", "none"),
            batch_limit=LONGEST_BATCH,
        )
        self.runner = runner
        self.restarts += 1
        self.checks.booted(runner)
        runner.observe(self._observe)
        self.time = VirtualTime(runner, self.desk)
        self.time.books.every_so_often = True
        # A log that goes away meanwhile keeps nobody from being told the instruments.
        self.attempt(self.time.connect)
        if self.runner is runner:
            self.define()

    def define(self) -> None:
        """Tell a process what it does not know of its instruments."""
        assert self.runner is not None
        for name in self.plan.symbols:
            known = self.runner.book.pipelines.get(name)
            if known is None:
                self.tell(
                    InstrumentDefined(
                        instrument=name,
                        symbol=name,
                        currency="USD",
                        tick=TICK,
                        lot=Decimal(1),
                        calendar=CALENDAR,
                    )
                )
            if known is None or known.market.open_at != self.today.open_at:
                self.tell(
                    SessionOpened(
                        instrument=name,
                        calendar=CALENDAR,
                        session_date=self.today.session_date,
                        pre_open_at=self.today.pre_open_at,
                        open_at=self.today.open_at,
                        close_at=self.today.close_at,
                    )
                )
            halted = self.oracle.floor.venues[name].halted
            if halted != (known is not None and known.market.is_halted):
                status = VenueStatus.HALTED if halted else VenueStatus.TRADING
                self.tell(VenueStatusChanged(instrument=name, status=status))

    def tell(self, event: Event) -> bool:
        """Feed an input of the market or the venue at the present time; whether a process was there and took it."""
        if self.time is None:
            return False
        return self.attempt(self.time.feed, Stamped(event=event, logical_time=self.clock), broker_sees=False)

    def ask(self, event: Event, source: str) -> None:
        """Submit a request of a strategy or an operator at the present time."""
        self.requests += 1
        if self.time is not None:
            now = self.time.now
            stamped = Stamped(event=event, logical_time=now, source=source, dedupe_key=str(self.requests))
            self.attempt(self.time.submit, stamped)

    def die(self, ms: int = 0) -> None:
        """The process is gone with everything it held in memory."""
        self.runner = self.time = None
        self.told.clear()
        self.dead_until = self.clock + ms * MS
        self.desk.drop_client()
        self.checks.died()

    def attempt(self, act: Callable[..., object], *words: object, **named: object) -> bool:
        """What ends a process ends it here; what the product must never raise is a violation."""
        try:
            act(*words, **named)
            return True
        except Crash as crash:
            self.struck["crash"] += 1
            self.die(_downtime(self.plan.seed, str(crash)))
        except DatabaseAway:
            # The writer keeps its inputs; one whose opening failed has to start again.
            if self.time is None:
                self.die()
            self.checks.marks["log away"] += 1
        except Fenced:
            self.checks.marks["fenced by an unknown commit"] += 1
            self.die()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding.
            self.checks.raised(error)
        return False

    def _observe(self, committed: Committed) -> None:
        self.checks.after_step(committed)
        if self.listener is not None:
            self.listener(committed)

    # Time and market

    def pass_until(self, at: int) -> None:
        """Let everything happen that is due up to a time."""
        self.clock = max(self.clock, at)
        self.passed = at
        self.is_asleep = False
        if self.is_dead:
            self.desk.advance(at)
            self.boot()
            return
        self.attempt(self._pass_until, at)

    def _pass_until(self, at: int) -> None:
        assert self.time is not None
        self.time.pass_until(at)
        self.time.flush()

    def names_of(self, names: Sequence[str]) -> list[str]:
        """All names under which an occasion counts at this moment."""
        return occasions(names, self.checks.near() if self.is_aimed else (), closing=self.is_closing)

    def heal(self) -> None:
        """Faults stop."""
        self.healed = True
        self.desk.heal()
        self.log.heal()
        self.dead_until = 0
        if self.is_dead:
            self.boot()
        self.checks.healed_at = self.clock


def _downtime(seed: int, where: str) -> int:
    """How long a process stays dead, in ms: mostly it is back at once."""
    choice = sum(map(ord, where)) + seed
    return (0, 0, 0, 200, 1500, 8000)[choice % 6]


def _quirks(plan: Plan) -> dict[tuple[str, int], list[Quirk]]:
    found: dict[tuple[str, int], list[Quirk]] = {}
    for fault in plan.faults:
        if fault.nth and fault.on.split(":")[0] in (
            "new",
            "amend",
            "cancel",
            "trade",
            "elected",
            "ask",
            "books",
        ):
            found.setdefault((fault.occasion, fault.nth), []).append(
                Quirk(fault.kind, fault.ms, fault.quantity)
            )
    return found
