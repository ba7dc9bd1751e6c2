"""Whole days in virtual time: the real writer and the simulated broker under a random market and misbehaviour."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from eventlog.memory import MemoryLog
from oms.brokers.simulated import Misbehave, SimulatedBroker
from oms.brokers.simulated import Settings as BrokerSettings
from oms.config import Settings
from oms.events.base import DECISION, Event, Stamped, body_text
from oms.events.broker import CapabilitiesDeclared
from oms.events.strategy import EntryRequested
from oms.fills.costs import Schedule
from oms.shell.market_filter import MarketFilter
from oms.shell.opening import Identity, open_runner
from oms.shell.runner import BATCH_LIMIT, Committed
from oms.shell.virtual import VirtualTime
from oms.values import MILLISECOND, SECOND, Micros, PositionSide
from tests import builders
from tests.builders import CLOSE, DAY, NAME, OPEN

ACCOUNT = "sim/sim/days"
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that happens `after` so many milliseconds: a quote, print, bar, halt, request or act."""

    what: str
    after: int
    value: int = 0
    wide: int = 1


@dataclass(slots=True)
class Day:
    """How a day is played. Moves are relative, so that any list of them is a day."""

    moves: list[Move]
    script: tuple[Misbehave, ...] = ()
    seed: int = 1
    fill_model: str = "realistic"
    capabilities: CapabilitiesDeclared = field(
        default_factory=lambda: CapabilitiesDeclared(client_ids_unique_for_ever=True)
    )
    settings: Settings = field(default_factory=builders.settings)
    start: Micros = OPEN
    batch_limit: int = BATCH_LIMIT
    everything: bool = False
    latency: tuple[Micros, Micros] = (1 * MILLISECOND, 4 * MILLISECOND)
    extended_hours: bool = False


class Played:
    """A day being played; `steps` are the durable ones so far."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.log = MemoryLog()
        self.log.ensure_partitions(DAY, 1)
        self.steps: list[Committed] = []
        start = min(day.start, OPEN) - SECOND
        self.runner = open_runner(
            self.log,
            ACCOUNT,
            day.settings,
            at=start,
            trading_day=DAY,
            who=Identity("log", "code", "none"),
            batch_limit=day.batch_limit,
        )
        self.runner.observe(self.steps.append)
        self.broker = SimulatedBroker(
            BrokerSettings(
                seed=day.seed,
                fill_model=day.fill_model,
                costs=Schedule(per_share=Decimal("0.005"), minimum=Decimal(1)),
                capabilities=day.capabilities,
                script=day.script,
                latency_min=day.latency[0],
                latency_max=day.latency[1],
                extended_hours=day.extended_hours,
            )
        )
        self.time = VirtualTime(self.runner, self.broker, market=MarketFilter(everything=day.everything))
        self.time.connect()
        self.now = start
        self.mid = 10_000
        self.requests = 0
        self.feed(builders.instrument())
        self.feed(builders.session())

    @property
    def pipeline(self) -> Any:
        return self.runner.book.pipelines[NAME]

    def feed(self, event: Event) -> None:
        self.time.feed(Stamped(event=event, logical_time=self.now))

    def request(self, event: Event) -> None:
        self.requests += 1
        key = f"{self.requests}"
        if isinstance(event, EntryRequested):
            event = replace(event, intent_id=key)
        self.time.submit(
            Stamped(event=event, logical_time=self.time.now, source="strategy:tests", dedupe_key=key)
        )

    def play(self) -> Iterator[None]:
        """Play the moves; pauses after each, so that the state can be looked at."""
        self.now = max(self.now, self.day.start)
        for move in self.day.moves:
            self.now += move.after * MILLISECOND
            self.move(move)
            yield

    def finish(self) -> None:
        """A quiet market until a minute after the close, then everything durable."""
        for at in range(self.now + SECOND, CLOSE + 60 * SECOND, 300 * SECOND):
            self.now = at
            self.move(Move("quote", 0))
        self.time.pass_until(CLOSE + 120 * SECOND)
        self.time.flush()

    def move(self, move: Move) -> None:
        match move.what:
            case "quote":
                self.mid = max(self.mid + move.value, 5_000)
                bid, ask = self.mid - move.wide, self.mid + move.wide
                self.feed(builders.quote(bid * CENT, ask * CENT, at=self.now))
            case "one_sided":
                self.feed(builders.quote(None, self.mid * CENT, at=self.now))
            case "crossed":
                self.feed(builders.quote((self.mid + 5) * CENT, self.mid * CENT, at=self.now))
            case "print":
                self.feed(builders.printed((self.mid + move.value) * CENT, at=self.now))
            case "bar":
                low, high = (self.mid - abs(move.value)) * CENT, (self.mid + abs(move.value)) * CENT
                self.feed(builders.bar(low, high, self.mid * CENT, end_at=self.now))
            case "halt":
                self.feed(builders.halt())
            case "resume":
                self.feed(builders.resume())
            case "silence":
                self.now += move.value * SECOND
            case "enter":
                self.request(self.entry(PositionSide.LONG if move.value >= 0 else PositionSide.SHORT, move))
            case "leave":
                self.request(builders.leave())
            case other:
                raise AssertionError(other)

    def entry(self, side: PositionSide, move: Move) -> EntryRequested:
        """Risk of 20 to 120 cents around the present middle."""
        sign = 1 if side is PositionSide.LONG else -1
        risk = 20 + abs(move.value) % 100
        return builders.entry(
            10 * (abs(move.value) % 30 + 1),
            ideal=self.mid * CENT,
            zone_max=(self.mid + sign * 5) * CENT,
            stop=(self.mid - sign * risk) * CENT,
            side=side,
        )

    @property
    def decisions(self) -> list[Event]:
        return [one.event for step in self.steps for one in step.result.events if one.event.KIND == DECISION]

    def transcript(self) -> str:
        """The log in readable form, for a failure."""
        rows = []
        for step in self.steps:
            for one in step.result.events:
                at = (step.stamped.logical_time - OPEN) / SECOND
                mark = "  >" if one.event.KIND == DECISION else ""
                rows.append(
                    f"{one.seq} {at:+.3f}{mark} {type(one.event).__name__} {body_text(one.event)[:230]}"
                )
        return "\n".join(rows)
