"""The shape of a check, the table of all checks, and what they look at."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from oms.events.base import Event
from oms.shell.runner import Committed
from oms.state.account import Account
from oms.state.market import Market
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import ZERO, PositionSide

if TYPE_CHECKING:
    from tests.simulation.world import World

Check = Callable[["Scene"], Iterator[str]]
"""Yields a sentence for everything that does not hold."""

STEP, IDLE, QUIET, DAY, END = "step", "idle", "quiet", "day end", "end"
"""After a step; whenever nothing waits to be stepped, stored or sent; when nothing is under way either; the ends."""


class Row(Struct, frozen=True):
    """A check in the table: the invariant, when it is looked at, and how.

    After a step it is looked at for every input, or for those of some types; and for whatever was decided, or only
    where a decision of some types was made.
    """

    invariant: str
    when: str
    check: Check
    on: tuple[type[Event], ...] = ()
    of: tuple[type[Event], ...] = ()


TABLE: list[Row] = []


def check(
    invariant: str, when: str = STEP, *, on: tuple[type[Event], ...] = (), of: tuple[type[Event], ...] = ()
) -> Callable[[Check], Check]:
    """Enter a check into the table. Most have nothing to say of most steps: `on` and `of` say of which it has."""

    def enter(one: Check) -> Check:
        TABLE.append(Row(invariant, when, one, on, of))
        return one

    return enter


class Scene:
    """What a check may look at: the durable state after a step, the step itself, the link and the oracle."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.account = Account()
        self.pipelines: dict[str, Pipeline] = {}
        self.before: dict[str, Pipeline | None] = {}
        self.committed: Committed | None = None
        self.memory: dict[str, Any] = {}

    @property
    def events(self) -> list[Event]:
        """The input of the step and all its decisions."""
        assert self.committed is not None
        return [one.event for one in self.committed.result.events]

    @property
    def input(self) -> Event:
        """The input of the step."""
        assert self.committed is not None
        return self.committed.stamped.event

    @property
    def seq(self) -> int:
        """The log position of the step's input."""
        assert self.committed is not None
        return self.committed.result.events[0].seq

    @property
    def now(self) -> int:
        """Logical time."""
        return self.account.now

    @property
    def changed(self) -> list[Pipeline]:
        """The pipelines that the step changed."""
        assert self.committed is not None
        return [self.pipelines[name] for name in self.committed.result.changed]

    def decisions(self, *types: type[Event]) -> Iterator[Any]:
        """The step's decisions of these types, with their log positions."""
        assert self.committed is not None
        for one in self.committed.result.events[1:]:
            if isinstance(one.event, types):
                yield one

    def own(self, name: str, fresh: Any) -> Any:
        """The memory of a check, made when it is asked for first."""
        return self.memory.setdefault(name, fresh)

    def moved(self, pipeline: Pipeline) -> Iterator[tuple[Order | None, Order]]:
        """The orders of a pipeline that the step changed, as they were and as they are."""
        before = self.before.get(pipeline.name)
        if before is not None and before.orders is pipeline.orders:
            return
        for own, order in pipeline.orders.items():
            old = before.orders.get(own) if before is not None else None
            if old is not order:
                yield old, order

    def held(self) -> Iterator[tuple[Pipeline, Trade]]:
        """Every open trade."""
        for pipeline in self.pipelines.values():
            for trade in pipeline.open():
                yield pipeline, trade


def is_sound(market: Market) -> bool:
    """Whether the newest quote has two sides in their order, judged apart from the product."""
    return market.bid is not None and market.ask is not None and market.bid <= market.ask


def is_fresh(market: Market, now: int, stale_us: int) -> bool:
    """Whether the newest quote may be acted on, judged apart from the product."""
    return is_sound(market) and market.quote_at is not None and now - market.quote_at <= stale_us


def exposed_of(pipeline: Pipeline, trade: Trade) -> Decimal:
    """What of the trade is at risk, computed apart from the product: what the account has of it on its side, less
    what the broker counts for its ended exits; or what was oversold, and others have not bought. What it counts for
    entries is there, seen or not, and others take that first. What another trade has oversold is among what others
    hold: it may be just what they have bought."""
    exits = [pipeline.orders[one] for one in (*trade.stops, *trade.targets, *trade.exits)]
    unseen = sum((max(one.total - one.filled, ZERO) for one in exits if not one.is_live), ZERO)
    oversold = (one.position for one in pipeline.open() if one is not trade and one.held < ZERO)
    others = pipeline.external + pipeline.adjusted + sum(oversold, ZERO)
    if trade.side is PositionSide.SHORT:
        others = -others
    if trade.held < ZERO:
        return max(ZERO, -trade.held - max(others, ZERO))
    entries = [pipeline.orders[one] for other in pipeline.open() for one in other.entries]
    entered = sum((max(one.total - one.filled, ZERO) for one in entries), ZERO)
    return max(ZERO, trade.held - unseen + min(others + entered, ZERO))
