"""Raw capture of Binance's combined websocket streams, gzipped: local time in nanoseconds, a blank, the message.

`bookTicker` becomes quotes and `trade` becomes prints; other messages (depth, snapshots, answers) are counted
and passed over. The local time says when a record was received and so when it acts; the exchange's clock is kept
as `event_time` for the eye only, since it may run ahead of ours by more than a second.

The stream has no bars, so bars are built from the prints: `interval_us` long (10 seconds unless given), aligned
to UTC, by local time. The window in which the capture begins is left out, because its start was not seen, and so
is the last one, because its end was not; a window without a print has no bar.
"""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Raw, Struct
from pydantic import ConfigDict, Field

from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.values import MILLISECOND, SECOND, ZERO, Micros
from replay.importers.rows import (
    Amount,
    Options,
    Place,
    Price,
    RowModel,
    Tally,
    bad_value,
    bar_record,
    lines,
    refused,
    tick_record,
    validated,
)

NAME: Final = "binance-raw"
SUMMARY: Final = "gzipped lines of local nanoseconds and a raw Binance message: bookTicker and trade"

DEFAULT_INTERVAL: Final = 10 * SECOND
_NANOSECONDS: Final = 1_000
_NS_DIGITS: Final = 19

_Millis = Annotated[int, Field(gt=0, lt=2**53)]
_Id = Annotated[int, Field(ge=0, lt=2**63)]


class _Envelope(Struct, gc=False):
    stream: str = ""
    data: Raw = Raw(b"")


class _Payload(RowModel):
    """A venue adds fields to its messages at will; those that are not named here are not read."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    s: str


class _BookTicker(_Payload):
    u: _Id
    b: Amount
    a: Amount
    T: _Millis | None = None


class _Trade(_Payload):
    t: _Id
    p: Price
    q: Amount
    T: _Millis


class _Seen:
    """What the stream has shown so far: the symbol, and the last id and content of each kind of message."""

    def __init__(self) -> None:
        self.symbol: str | None = None
        self.last: dict[str, tuple[int, bytes]] = {}

    def repeated(self, kind: str, number: int, content: bytes, symbol: str, place: Place) -> bool:
        """Whether the message came before; ids of a kind only rise."""
        if self.symbol not in (None, symbol):
            why, hint = f"{self.symbol} and {symbol}", "import one symbol at a time"
            raise refused("OMS-I008", "Files of different series were given together", place, why, hint)
        self.symbol = symbol
        before, same = self.last.get(kind, (-1, b""))
        if number == before and content == same:
            return True
        if number == before:
            raise refused(
                "OMS-I006", "Two rows disagree about the same id", place, f"{kind} {number} came before"
            )
        if number < before:
            raise refused("OMS-I005", "Time goes backwards", place, f"{kind} {number} after {before}")
        self.last[kind] = (number, content)
        return False


class _Window(Struct, gc=False):
    """The bar that is being built."""

    open_at: Micros
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class _Bars:
    """Builds bars from prints. `closed_by` yields the bar that a record at `at` shows to be over."""

    def __init__(self, instrument: str, interval: Micros) -> None:
        self.instrument = instrument
        self.interval = interval
        self.window: _Window | None = None
        self.first_open_at: Micros | None = None

    def closed_by(self, at: Micros) -> Iterator[Stamped]:
        """The finished bar, if any."""
        if self.first_open_at is None:
            self.first_open_at = -(-at // self.interval) * self.interval
        window = self.window
        if window is None or at < window.open_at + self.interval:
            return
        self.window = None
        if window.open_at >= self.first_open_at:
            yield bar_record(self._bar(window), NAME)

    def add(self, at: Micros, price: Decimal, quantity: Decimal) -> None:
        """Count a print."""
        window = self.window
        if window is None:
            start = at // self.interval * self.interval
            self.window = _Window(start, price, price, price, price, quantity)
            return
        window.high, window.low = max(window.high, price), min(window.low, price)
        window.close, window.volume = price, window.volume + quantity

    def _bar(self, window: _Window) -> BarClosed:
        return BarClosed(
            instrument=self.instrument,
            open_at=window.open_at,
            end_at=window.open_at + self.interval,
            open=window.open,
            high=window.high,
            low=window.low,
            close=window.close,
            volume=window.volume,
        )


def read(paths: Sequence[Path], instrument: str, options: Options, tally: Tally) -> Iterator[Stamped]:
    """Quotes, prints and bars of all files, which are given in the order of their times."""
    seen, last = _Seen(), 0
    bars = _Bars(instrument, options.interval_us or DEFAULT_INTERVAL)
    for path in paths:
        for place, line in lines(path, tally):
            nanoseconds, message = _split(line, place)
            if nanoseconds < last:
                raise refused("OMS-I005", "Time goes backwards", place, f"{nanoseconds} after {last}")
            last = nanoseconds
            record = _record(message, nanoseconds // _NANOSECONDS, instrument, seen, place, tally)
            if record is None:
                continue
            yield from bars.closed_by(record[0].logical_time)
            yield record[0]
            if isinstance(record[0].event, TradePrinted):
                bars.add(record[0].logical_time, record[0].event.price, record[1])


def _split(line: str, place: Place) -> tuple[int, bytes]:
    stamp, blank, message = line.partition(" ")
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) == _NS_DIGITS and blank):
        raise bad_value(place, "the line does not begin with nanoseconds since 1970 and a blank")
    return int(stamp), message.encode()


def _record(
    message: bytes, at: Micros, instrument: str, seen: _Seen, place: Place, tally: Tally
) -> tuple[Stamped, Decimal] | None:
    """The record and, for a print, its quantity; None for a message that says nothing here."""
    try:
        envelope = msgspec.json.decode(message, type=_Envelope)
    except msgspec.DecodeError as error:
        raise bad_value(place, f"the message is not JSON: {error}") from None
    kind = envelope.stream.partition("@")[2]
    if kind not in ("bookTicker", "trade"):
        tally.ignored += 1
        return None
    content = bytes(envelope.data)
    data = _object(content, place)
    payload = validated(_BookTicker, data, place) if kind == "bookTicker" else validated(_Trade, data, place)
    number = payload.u if isinstance(payload, _BookTicker) else payload.t
    if seen.repeated(kind, number, content, payload.s, place):
        tally.duplicates += 1
        return None
    event_time = payload.T * MILLISECOND if payload.T else None
    if isinstance(payload, _Trade):
        printed = TradePrinted(instrument=instrument, price=payload.p, received_at=at)
        return tick_record(printed, NAME, event_time), payload.q
    # The venue writes a price of zero for a side that nobody quotes.
    quote = QuoteReported(instrument=instrument, bid=payload.b or None, ask=payload.a or None, received_at=at)
    return tick_record(quote, NAME, event_time), ZERO


def _object(content: bytes, place: Place) -> dict[str, Any]:
    """A JSON object in which no key stands twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise bad_value(place, "a key stands twice in the message")
        return found

    try:
        data = json.loads(content, object_pairs_hook=unique)
    except ValueError as error:
        raise bad_value(place, f"the message is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise bad_value(place, "the message is not an object")
    return data
