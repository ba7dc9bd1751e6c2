"""One day of a plan: ticks, bars, wishes and what goes wrong at a time, in order, until after the close."""

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tests.simulation import acts
from tests.simulation.acts import Weather
from tests.simulation.market import mixed
from tests.simulation.plan import CLOSING_MS, Fault, Wish

if TYPE_CHECKING:
    from tests.simulation.world import World

MS = 1000
BEFORE_OPEN_MS = 30_000
AFTER_CLOSE_MS = 240_000
IDLE_MS = 5_000
OPEN_MS = 2_500
BUSY_MS = (400, 600, 800, 1000)
SETTLING_MS = 20_000


class Moment(Struct, frozen=True, order=True):
    """Something that happens at a time of the day (ms after the open); `n` keeps the order of equals."""

    at: int
    n: int
    what: str
    detail: Any = None

    def __lt__(self, other: "Moment") -> bool:
        return (self.at, self.n) < (other.at, other.n)


class Day:
    """The day being played."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.origin = world.today.open_at
        self.close_ms = (world.today.close_at - self.origin) // MS
        self.offset = number * 86_400_000
        self.weather = {name: Weather() for name in world.plan.symbols}
        self.busy_until = -BEFORE_OPEN_MS
        self.waiting: list[Fault] = []
        """What strikes as soon as an order is in the situation it is for."""
        self._n = 0
        self.moments: list[Moment] = []
        self._fill()

    def _fill(self) -> None:
        plan, close = self.world.plan, self.close_ms
        found: list[tuple[int, str, Any]] = [
            (0, "open", None), (close - CLOSING_MS, "closing", None), (close, "close", None)
        ]  # fmt: skip
        found += [(at, "bar", None) for at in range(60_000, close + 1, 60_000)]
        found += [(wish.at, "wish", wish) for wish in plan.wishes if wish.day == self.number]
        found += [
            (fault.at, "fault", fault)
            for fault in plan.faults
            if fault.on == "time" and fault.day == self.number
        ]
        is_last = self.number == plan.days - 1
        if is_last and plan.heal_at:
            found.append((min(plan.heal_at, close - 60_000), "heal", None))
        self.moments = [Moment(at, n, what, detail) for n, (at, what, detail) in enumerate(found)]
        self._n = len(found)
        heapify(self.moments)

    def later(self, at: int, what: str, detail: Any = None) -> None:
        """Something more happens at a time of this day."""
        self._n += 1
        heappush(self.moments, Moment(at, self._n, what, detail))

    def wall(self, at: int) -> int:
        """The virtual clock's time (microseconds) of a time of the day."""
        return self.origin + at * MS

    def pass_until(self, at: int) -> None:
        """Let everything happen that is due; where a fault waits for an order, from one millisecond to the next due."""
        world = self.world
        # While the log is away what is due stays due.
        while self.waiting and world.time is not None and not world.log.is_away:
            due = world.time.next_due()
            then = at if due is None else -((self.origin - max(due, world.passed + 1)) // MS)
            if then >= at:
                break
            self._pass_until(then)
        self._pass_until(at)

    def _pass_until(self, at: int) -> None:
        self.world.pass_until(self.wall(at))
        near = self.world.checks.near() if self.waiting else ()
        for fault in [one for one in self.waiting if one.near in near]:
            self.waiting.remove(fault)
            self.busy_until = at + SETTLING_MS
            acts.fault(self, fault, at)

    def tick_gap(self, at: int) -> int:
        """How long until the next look at the market: often while anything of ours is open, else seldom."""
        if at < self.busy_until or self.is_watching():
            return BUSY_MS[mixed(self.world.plan.seed, at) % len(BUSY_MS)]
        floor = self.world.oracle.floor
        open_ = any(floor.orders.open.get(name) or floor.held(name) for name in self.world.plan.symbols)
        return OPEN_MS if open_ else IDLE_MS

    def is_watching(self) -> bool:
        """Whether the product itself watches a price."""
        pipelines = self.world.checks.scene.pipelines
        return any(trade.guard or trade.close for one in pipelines.values() for trade in one.open())


def play_day(world: "World", number: int) -> None:
    """Play one day of the world's plan."""
    day = Day(world, number)
    at, end = -BEFORE_OPEN_MS, day.close_ms + AFTER_CLOSE_MS
    if world.plan.ends_at and number == world.plan.days - 1:
        end = world.plan.ends_at
    if number:
        acts.new_day(day)
    next_tick = at
    while at < end and not world.checks.violations:
        moment = day.moments[0] if day.moments else None
        if moment is not None and moment.at <= next_tick:
            heappop(day.moments)
            at = max(at, moment.at)
            day.pass_until(at)
            happen(day, moment, at)
            # News makes the market lively from this moment on.
            if moment.what in ("wish", "fault", "heal"):
                day.busy_until = at + SETTLING_MS
                next_tick = min(next_tick, at + 1)
        else:
            at = next_tick
            day.pass_until(at)
            if at >= 0:
                acts.tick(day, at)
            next_tick = at + day.tick_gap(at)
        world.checks.between(at)
    acts.end_day(day)


def happen(day: Day, moment: Moment, at: int) -> None:
    """Let one moment take place."""
    match moment.what:
        case "open":
            acts.open_session(day)
        case "closing":
            day.world.is_closing = True
        case "close":
            acts.close_session(day)
        case "bar":
            acts.bar(day, at)
        case "heal":
            acts.heal(day)
        case "wish":
            assert isinstance(moment.detail, Wish)
            acts.tick(day, at)
            acts.wish(day, moment.detail, at)
        case "fault":
            assert isinstance(moment.detail, Fault)
            if moment.detail.near:
                day.waiting.append(moment.detail)
            else:
                acts.fault(day, moment.detail, at)
        case "undo":
            acts.undo(day, moment.detail, at)
