"""Small trading days for the replay tests: a random walk, a simulated broker that misbehaves, restarts."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal, localcontext

from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from oms.brokers.simulated import Script, SimulatedBroker
from oms.brokers.simulated import Settings as BrokerSettings
from oms.calendar import session
from oms.config import Settings
from oms.events.base import Event, Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.events.session import InstrumentDefined, SessionOpened
from oms.events.strategy import EntryRequested
from oms.fills.costs import Schedule
from oms.shell.opening import Identity, open_runner
from oms.shell.runner import Committed
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.state.pipeline import Pipeline
from oms.values import CONTEXT, SECOND, Micros, PositionSide

DAY = date(2026, 3, 9)
NEXT_DAY = date(2026, 3, 10)
ACCOUNT = "sim/test/day"
TICK = Decimal("0.01")
SPREAD = Decimal("0.02")


class TradingDay:
    """A day under way. `digests` holds the digest of the state that was published after each step, by seq."""

    def __init__(
        self, log: EventLog, names: tuple[str, ...], seed: int, script: Script, account: str
    ) -> None:
        times = session("XNYS", DAY)
        assert times is not None
        self.log, self.names, self.account = log, names, account
        self.chance = random.Random(seed)
        self.cents = dict.fromkeys(names, 10_000)
        self.digests: dict[int, str] = {}
        self.now: Micros = times.open_at
        self.restarts = 0
        self._pipelines: dict[str, Pipeline] = {}
        self._intents = 0
        log.ensure_partitions(DAY, 1)
        costs = Schedule(per_share=Decimal("0.005"), minimum=Decimal(1))
        self.broker = SimulatedBroker(
            BrokerSettings(seed=seed, fill_model="realistic", costs=costs, script=script)
        )
        self.start(DAY)
        for name in names:
            self.feed(
                InstrumentDefined(
                    instrument=name, symbol=name, currency="USD", tick=TICK, lot=Decimal(1), calendar="XNYS"
                )
            )
            self.feed(
                SessionOpened(
                    instrument=name,
                    calendar="XNYS",
                    session_date=DAY,
                    open_at=times.open_at,
                    close_at=times.close_at,
                )
            )

    def start(self, day: date = DAY) -> None:
        """Become the writer, for the first time or again."""
        who = Identity("log", f"code{self.restarts}", "packages")
        self.runner = open_runner(
            self.log, self.account, Settings(), at=self.now, trading_day=day, who=who, batch_limit=7
        )
        self.runner.observe(self._observe)
        self.clock = VirtualTime(self.runner, self.broker)
        self.clock.connect()

    def restart(self, day: date = DAY) -> None:
        """Stop and start again; what the old writer had in hand is durable."""
        self.clock.flush()
        self.broker.stop()
        self.log.release(self.runner.head)
        self.restarts += 1
        self.start(day)

    def feed(self, event: Event) -> None:
        """Market data or a session, now."""
        self.clock.feed(Stamped(event=event, logical_time=self.now))

    def quote(self, name: str, price: Decimal) -> None:
        """A quote around a price."""
        half = SPREAD / 2
        self.feed(QuoteReported(instrument=name, bid=price - half, ask=price + half, received_at=self.now))

    def enter(self, name: str, price: Decimal, *, long: bool = True) -> None:
        """A strategy asks for a trade with a risk of half a unit."""
        self._intents += 1
        sign = 1 if long else -1
        event = EntryRequested(
            instrument=name,
            strategy="s",
            intent_id=str(self._intents),
            side=PositionSide.LONG if long else PositionSide.SHORT,
            quantity=Decimal(100),
            ideal=price,
            zone_max=price + sign * Decimal("0.10"),
            stop=price - sign * Decimal("0.50"),
            key_level=price + sign * Decimal("0.75"),
        )
        key = str(self._intents)
        self.clock.submit(
            Stamped(event=event, logical_time=self.clock.now, source="strategy:s", dedupe_key=key)
        )

    def walk(self, seconds: int, *, every: int = 40) -> None:
        """Let prices wander, one quote each second; now and then a strategy wants something."""
        for second in range(seconds):
            self.now += SECOND
            for name in self.names:
                self.cents[name] += self.chance.choice((-8, -4, -2, -1, 0, 0, 1, 2, 4, 8))
                price = Decimal(self.cents[name]) / 100
                self.quote(name, price)
                if second % 60 == 59:
                    self.bar(name, price)
                if second % every == every // 2:
                    self.enter(name, price, long=self.chance.random() < 0.5)

    def path(self, name: str, prices: list[str], seconds: int = 5) -> None:
        """Quotes at given prices, each for some seconds."""
        for price in prices:
            for _ in range(seconds):
                self.now += SECOND
                self.quote(name, Decimal(price))

    def silence(self, seconds: int) -> None:
        """Time passes without a quote."""
        self.now += seconds * SECOND
        self.clock.pass_until(self.now)

    def end(self) -> None:
        """Make everything durable."""
        self.clock.pass_until(self.now)
        self.clock.flush()

    def bar(self, name: str, price: Decimal) -> None:
        """A bar of one minute that ends now."""
        reach = Decimal("0.3")
        bar = BarClosed(
            instrument=name,
            open_at=self.now - 60 * SECOND,
            end_at=self.now,
            open=price,
            high=price + reach,
            low=price - reach,
            close=price,
        )
        self.feed(bar)

    def _observe(self, committed: Committed) -> None:
        result = committed.result
        self._pipelines.update(result.changed)
        self.digests[result.events[-1].seq] = digest(result.account, self._pipelines)


@contextmanager
def trading_day(
    *,
    log: EventLog | None = None,
    names: tuple[str, ...] = ("AAPL",),
    seed: int = 1,
    script: Script = (),
    account: str = ACCOUNT,
) -> Iterator[TradingDay]:
    """A day that ends with the block."""
    with localcontext(CONTEXT):
        day = TradingDay(log if log is not None else MemoryLog(), names, seed, script, account)
        yield day
        day.end()


def ladder_day(script: Script = (), log: EventLog | None = None) -> TradingDay:
    """A long trade that reaches its first targets and falls through its stop."""
    with trading_day(script=script, log=log) as day:
        day.quote("AAPL", Decimal("100.00"))
        day.enter("AAPL", Decimal("100.00"))
        day.path(
            "AAPL", ["100.00", "99.99", "100.10", "100.40", "100.60", "100.80", "100.30", "99.30", "98.00"]
        )
        day.silence(12)
    return day


def busy_day(
    seed: int = 1, script: Script = (), log: EventLog | None = None, seconds: int = 240
) -> TradingDay:
    """Several trades on two instruments, with two restarts."""
    with trading_day(names=("AAPL", "MSFT"), seed=seed, script=script, log=log) as day:
        day.walk(seconds // 3)
        day.restart()
        day.walk(seconds // 3)
        day.restart()
        day.walk(seconds // 3)
    return day
