"""What an embedding program reads: the committed state, the outcome of a call, a day as it stands."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from oms.events.decisions import IntentRefused
from oms.events.session import InstrumentDefined
from oms.shell.runner import Published
from oms.state.trade import Trade
from oms.step import Recorded
from oms.values import ZERO, Micros


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
