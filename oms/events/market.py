"""Inputs from the market: bars, quotes, prints. Prices are in the instrument's quote currency."""

from decimal import Decimal

from oms.events.base import Event, Part, register
from oms.values import Micros


class QuoteTick(Part, frozen=True, kw_only=True):
    """The newest quote of an instrument, carried by the `ClockAdvanced` that needs it."""

    instrument: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    received_at: Micros
    synthetic: bool = False


@register
class QuoteReported(Event, frozen=True, kw_only=True):
    """Best bid and offer. A missing side is None; `synthetic` marks a quote made from a bar."""

    instrument: str
    bid: Decimal | None = None
    ask: Decimal | None = None
    received_at: Micros
    synthetic: bool = False


@register
class TradePrinted(Event, frozen=True, kw_only=True):
    """A trade on the venue (not ours: an execution of ours is a fill)."""

    instrument: str
    price: Decimal
    received_at: Micros
    synthetic: bool = False


class Prices(Part, frozen=True, kw_only=True):
    """Where one side of the quote stood over a bar."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@register
class BarClosed(Event, frozen=True, kw_only=True):
    """A finished bar over [open_at, end_at). It acts at its end. Volume in units of the instrument.

    `bid` and `ask` are the quotes of the same time, where the source recorded them.
    """

    instrument: str
    open_at: Micros
    end_at: Micros
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None = None
    bid: Prices | None = None
    ask: Prices | None = None


class DepthLevel(Part, frozen=True, kw_only=True):
    """One price of a book and the quantity displayed there."""

    price: Decimal
    quantity: Decimal


@register
class DepthReported(Event, frozen=True, kw_only=True):
    """The displayed book, best prices first. Live only; it serves the price of an entry, never a signal (OD-110)."""

    instrument: str
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]
    received_at: Micros


@register
class FeedStale(Event, frozen=True, kw_only=True):
    """No quote arrived for half the permitted age while a level was armed."""

    instrument: str
    last_received_at: Micros | None = None
