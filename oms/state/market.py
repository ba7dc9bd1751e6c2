"""What is known of an instrument's market: newest quote, print and bar, indicators, session and halts.

Evidence is kept as log positions (`*_seq`): a market order names the events that justify it. Quote age is
`now - quote_at`, by our receive clock; exchange clocks never enter.
"""

from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from oms.events.market import BarClosed, DepthReported, QuoteReported, QuoteTick, TradePrinted
from oms.events.session import SessionOpened, VenueStatus, VenueStatusChanged
from oms.formulas.indicators import Atr, Ema, Swings
from oms.values import SECOND, ZERO, Micros, Side, TradingPhase

HALTED: Final = VenueStatus.HALTED


class Market(Struct, frozen=True, gc=False, kw_only=True):
    """The market of one instrument as our log knows it. Prices in the quote currency, times in `Micros`.

    `volumes` are the bars before the open of this session, by their beginning, of the last hour.
    """

    atr: Atr
    ema: Ema
    swings: Swings = Swings()
    bid: Decimal | None = None
    ask: Decimal | None = None
    quote_at: Micros | None = None
    quote_seq: int = 0
    last: Decimal | None = None
    last_at: Micros | None = None
    last_seq: int = 0
    bar: BarClosed | None = None
    bar_seq: int = 0
    status: VenueStatus = VenueStatus.TRADING
    status_at: Micros = 0
    status_seq: int = 0
    resumed_at: Micros | None = None
    resume_seq: int = 0
    calendar: str | None = None
    pre_open_at: Micros | None = None
    open_at: Micros | None = None
    close_at: Micros | None = None
    session_seq: int = 0
    depth: DepthReported | None = None
    depth_seq: int = 0
    volumes: tuple[tuple[Micros, Decimal], ...] = ()

    @property
    def is_halted(self) -> bool:
        """Whether the venue reported a halt that has not ended."""
        return self.status is HALTED

    @property
    def is_two_sided(self) -> bool:
        """Whether the newest quote has both sides and is not crossed."""
        return self.bid is not None and self.ask is not None and self.bid <= self.ask

    def is_fresh(self, now: Micros, stale_us: int) -> bool:
        """Whether the newest quote may be used: two-sided, uncrossed and young enough (reliability I80)."""
        return self.is_two_sided and self.quote_at is not None and now - self.quote_at <= stale_us

    def exit_price(self, side: Side) -> Decimal | None:
        """The side of the quote that an order of `side` would meet."""
        return self.bid if side is Side.SELL else self.ask

    def is_regular(self, now: Micros) -> bool:
        """Whether the regular session is on: always, where the instrument has none."""
        if self.open_at is None:
            return True
        return self.open_at <= now and (self.close_at is None or now < self.close_at)

    def phase(self, now: Micros) -> TradingPhase:
        """The part of the day; before the session's times are known and without a session it is the regular one."""
        if self.is_regular(now):
            return TradingPhase.REGULAR
        before = self.open_at is not None and now < self.open_at
        return TradingPhase.PRE_MARKET if before else TradingPhase.POST_MARKET

    def is_before_open(self, at: Micros) -> bool:
        """Whether a time lies in the trading before the open of this session."""
        return (
            self.pre_open_at is not None
            and self.open_at is not None
            and self.pre_open_at <= at < self.open_at
        )


VOLUMES_KEPT: Final[Micros] = 3_600 * SECOND


def quote_reported(market: Market, event: QuoteReported | QuoteTick, seq: int) -> Market:
    """Take the newest quote; an older one than we have changes nothing. A price that is not above zero is none."""
    if market.quote_at is not None and event.received_at < market.quote_at:
        return market
    market = replace(
        market, bid=_price(event.bid), ask=_price(event.ask), quote_at=event.received_at, quote_seq=seq
    )
    return _first_after_resume(market, event.received_at, seq) if market.is_two_sided else market


def _price(side: Decimal | None) -> Decimal | None:
    return side if side is not None and side > ZERO else None


def trade_printed(market: Market, event: TradePrinted, seq: int) -> Market:
    """Take the newest print."""
    if market.last_at is not None and event.received_at < market.last_at:
        return market
    market = replace(market, last=event.price, last_at=event.received_at, last_seq=seq)
    return _first_after_resume(market, event.received_at, seq)


def _first_after_resume(market: Market, at: Micros, seq: int) -> Market:
    """Remember the first print or valid quote after a halt: the resume rule looks at that one only."""
    if market.resumed_at is None or market.resume_seq or market.is_halted or at < market.resumed_at:
        return market
    return replace(market, resume_seq=seq)


def depth_reported(market: Market, event: DepthReported, seq: int) -> Market:
    """Take the newest book. No indicator, level or signal is made from it (OD-110, OD-111)."""
    if market.depth is not None and event.received_at < market.depth.received_at:
        return market
    return replace(market, depth=event, depth_seq=seq)


def bar_closed(market: Market, event: BarClosed, seq: int) -> Market:
    """Take a finished bar and move the indicators."""
    if market.bar is not None and event.end_at <= market.bar.end_at:
        return market
    return replace(
        market,
        bar=event,
        bar_seq=seq,
        atr=market.atr.update(event),
        ema=market.ema.update(event),
        swings=market.swings.update(event),
        volumes=_volumes(market, event),
    )


def _volumes(market: Market, bar: BarClosed) -> tuple[tuple[Micros, Decimal], ...]:
    """With a bar that ends before the open; at the open they have served. What lies in two bars counts once at most."""
    if bar.volume is None or not market.is_before_open(bar.end_at - 1):
        return () if market.volumes and not market.is_before_open(bar.open_at) else market.volumes
    kept = tuple(one for one in market.volumes if one[0] >= bar.end_at - VOLUMES_KEPT)
    overlaps = market.bar is not None and bar.open_at < market.bar.end_at
    return kept if overlaps else (*kept, (bar.open_at, bar.volume))


def session_opened(market: Market, event: SessionOpened, seq: int) -> Market:
    """Take the times of a session."""
    return replace(
        market,
        calendar=event.calendar,
        pre_open_at=event.pre_open_at,
        open_at=event.open_at,
        close_at=event.close_at,
        session_seq=seq,
        volumes=(),
    )


def venue_status_changed(market: Market, event: VenueStatusChanged, now: Micros, seq: int) -> Market:
    """Take a halt or a resumption."""
    if event.status is market.status:
        return market
    resumed = now if event.status is VenueStatus.TRADING else None
    return replace(
        market, status=event.status, status_at=now, status_seq=seq, resumed_at=resumed, resume_seq=0
    )
