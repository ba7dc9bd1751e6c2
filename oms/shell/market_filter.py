"""Which market data enters the log: what a decision can use, and no more (architecture 5.2).

Bars always. Quotes travel with the input that needs them: the clock input of a deadline, or just before any other
input to their instrument. By themselves they enter when they stand at or beyond an armed level, come back inside
after that, are the first after a halt, or keep an armed level's price fresh. A book enters while an entry works.
"""

from decimal import Decimal

from oms.events.base import Event, Stamped
from oms.events.broker import BrokerLinkChanged, BrokerSnapshotReported
from oms.events.clock import ClockAdvanced
from oms.events.market import BarClosed, DepthReported, FeedStale, QuoteReported, QuoteTick, TradePrinted
from oms.events.operator import OperatorCommanded
from oms.execution.tranches import levels as target_levels
from oms.policies.guard_stop import levels
from oms.policies.stop_fallback import levels as stop_levels
from oms.state.account import Account
from oms.state.market import Market
from oms.state.pipeline import Pipeline
from oms.state.view import View
from oms.step import pipeline_of
from oms.values import MILLISECOND, SIGN_OF, ZERO, Micros, PositionSide

_UNACCOMPANIED = (
    QuoteReported,
    BarClosed,
    DepthReported,
    FeedStale,
    ClockAdvanced,
    BrokerLinkChanged,
    BrokerSnapshotReported,
)


class MarketFilter:
    """Keeps the newest quote per instrument and says what must be logged. `everything` logs all (for tests)."""

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._newest: dict[str, Stamped] = {}
        self._warned: dict[str, Micros] = {}

    def admit(self, stamped: Stamped, account: Account, pipeline: Pipeline | None) -> bool:
        """Whether this piece of market data must be logged now. Remembers the newest quote either way."""
        event = stamped.event
        if isinstance(event, DepthReported):
            return pipeline is not None and _is_wanted(event, account, pipeline)
        if isinstance(event, QuoteReported):
            self._newest[event.instrument] = stamped
        elif not isinstance(event, TradePrinted):
            return True
        if pipeline is None or not account.config_sha256:
            return False
        if self._everything or _is_first_after_halt(pipeline.market):
            return True
        if not pipeline.open_trades:
            return False
        if _reaches(event, account, pipeline):
            return True
        return any(_concerns(event, pipeline, side, level) for side, level in levels(pipeline)) or (
            isinstance(event, QuoteReported) and _is_news(event, account, pipeline)
        )

    def before(self, event: Event, pipelines: dict[str, Pipeline]) -> list[Stamped]:
        """The quotes to log before an input to their instrument, where newer ones are known than the log has.

        An operator's act on the whole account is one to everything that is open: it may arm levels there.
        """
        if isinstance(event, _UNACCOMPANIED):
            return []
        name = pipeline_of(event)
        if name is not None:
            names = [name] if name in pipelines else []
        elif isinstance(event, OperatorCommanded):
            names = [one for one, pipeline in pipelines.items() if pipeline.open_trades]
        else:
            names = []
        found = (self._newer(one, pipelines[one]) for one in names)
        return [stamped for stamped in found if stamped is not None]

    def ticks(self, names: list[str], pipelines: dict[str, Pipeline]) -> tuple[QuoteTick, ...]:
        """The newer quotes of the pipelines that are due, for their clock input."""
        found = [(name, self._newer(name, pipelines[name])) for name in names]
        return tuple(_tick(stamped.event) for _, stamped in found if stamped is not None)

    def stale_at(self, account: Account, pipelines: dict[str, Pipeline]) -> tuple[Micros, str] | None:
        """When the feed of an instrument with an armed level will have been silent for too long: (time, name)."""
        dues = []
        for name, pipeline in pipelines.items():
            quote_at = pipeline.market.quote_at
            if quote_at is None or not pipeline.open_trades or not levels(pipeline):
                continue
            newest = self._newest.get(name)
            last = max(quote_at, newest.event.received_at if newest else 0)  # type: ignore[attr-defined]
            if self._warned.get(name) != last:
                dues.append((last + _half(account), name))
        return min(dues, default=None)

    def stale(self, name: str, market: Market) -> FeedStale:
        """The input that says so; once per silence."""
        newest = self._newest.get(name)
        last = max(market.quote_at or 0, newest.event.received_at if newest else 0)  # type: ignore[attr-defined]
        self._warned[name] = last
        return FeedStale(instrument=name, last_received_at=last or None)

    def _newer(self, name: str, pipeline: Pipeline) -> Stamped | None:
        stamped = self._newest.get(name)
        if stamped is None:
            return None
        known = pipeline.market.quote_at
        received: Micros = stamped.event.received_at  # type: ignore[attr-defined]
        return stamped if known is None or received > known else None


def _is_wanted(event: DepthReported, account: Account, pipeline: Pipeline) -> bool:
    """Whether an entry that works may use this book, and the log's own one grows old."""
    if not account.config_sha256 or account.settings.depth.use == "off":
        return False
    known = pipeline.market.depth
    if known is not None and event.received_at - known.received_at < _half(account):
        return False
    return any(pipeline.live(trade.entries) for trade in pipeline.open())


def _tick(event: Event) -> QuoteTick:
    assert isinstance(event, QuoteReported)
    return QuoteTick(
        instrument=event.instrument,
        bid=event.bid,
        ask=event.ask,
        received_at=event.received_at,
        synthetic=event.synthetic,
    )


def _is_first_after_halt(market: Market) -> bool:
    return market.resumed_at is not None and not market.resume_seq


def _half(account: Account) -> Micros:
    return account.settings.market_data.stale_quote_ms * MILLISECOND // 2


def _is_news(event: QuoteReported, account: Account, pipeline: Pipeline) -> bool:
    """While a level is armed: a quote that keeps the log's own fresh, or that turns bad or good again."""
    market = pipeline.market
    if not levels(pipeline):
        return False
    is_good = event.bid is not None and event.ask is not None and event.bid <= event.ask
    return (
        market.quote_at is None
        or event.received_at - market.quote_at >= _half(account)
        or is_good != market.is_two_sided
    )


def _reaches(event: Event, account: Account, pipeline: Pipeline) -> bool:
    """Whether the quote is at or beyond a price that is watched by the quotes alone, or the first one back from it.

    Only where the broker's rules ask for it: targets that are held inside, stops whose election is not reported.
    """
    if not isinstance(event, QuoteReported):
        return False
    market = pipeline.market
    prices = {PositionSide.LONG: (event.bid, market.bid), PositionSide.SHORT: (event.ask, market.ask)}
    stops = [] if account.capabilities.reports_trigger else stop_levels(pipeline)
    # A stop is reached from the other side than a target.
    watched = [(prices[side], SIGN_OF[side], level) for side, level in stops]
    targets = target_levels(View(account, pipeline, account.now))
    watched += [(prices[side], -SIGN_OF[side], level) for side, level in targets]
    return any(
        price is not None and (level - price) * sign >= ZERO
        for found, sign, level in watched
        for price in found
    )


def _concerns(event: Event, pipeline: Pipeline, side: PositionSide, level: Decimal) -> bool:
    """Whether the price is at or beyond the level, or the first one back inside after a breach."""
    if isinstance(event, TradePrinted):
        price: Decimal | None = event.price
    else:
        assert isinstance(event, QuoteReported)
        price = event.bid if side is PositionSide.LONG else event.ask
    if price is None:
        return False
    through = price <= level if side is PositionSide.LONG else price >= level
    breached = any(
        trade.guard is not None and trade.guard.breached_at is not None for trade in pipeline.open()
    )
    return through or breached
