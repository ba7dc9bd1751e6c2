"""What every importer shares: reading lines within bounds, checking values and order, merging streams.

A file that was given is either read as it stands or refused with file and line; nothing is repaired, because a
repaired tape would be a tape that nobody recorded.
"""

import gzip
import heapq
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, Self, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError, model_validator

from oms.errors import InputError
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.values import Micros, plain

MAX_LINE: Final = 1_000_000
"""Longest line in bytes; the deepest order book snapshot seen is a tenth of it."""
NEW_YORK: Final = ZoneInfo("America/New_York")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NUMBER: Final = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_MAX_DIGITS: Final = 40
_DAMAGED: Final = (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError)


class Bytes(Protocol):
    """A stream of bytes that can be read line by line."""

    def readline(self, limit: int, /) -> bytes:
        """The next line with its end, or its first `limit` bytes; empty at the end of the stream."""


class Tally:
    """What an import met besides the records that it yielded."""

    def __init__(self) -> None:
        self.rows = 0
        self.duplicates = 0
        self.ignored = 0

    def __repr__(self) -> str:
        return f"Tally(rows={self.rows}, duplicates={self.duplicates}, ignored={self.ignored})"


class Options(Struct, frozen=True, gc=False, kw_only=True):
    """What a file does not say about itself.

    `market` picks the conventions of a Lean file. `interval_us` is the length of a bar where the rows do not
    give it, or of the bars that are built from prints. `stamp` tells which end of its bar a row is stamped with.
    """

    market: Literal["equity", "crypto"] = "equity"
    interval_us: Micros | None = None
    stamp: Literal["start", "end"] = "start"


class Place(Struct, frozen=True, gc=False):
    """A line of a file."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path} line {self.line}"


class Row(Struct, frozen=True, gc=False):
    """A record and the line that it came from."""

    place: Place
    record: Stamped


def refused(code: str, what: str, place: Place | Path, why: str, hint: str | None = None) -> InputError:
    """The one shape in which an importer refuses."""
    return InputError(code, what, where=str(place), why=why, hint=hint)


def wrong_columns(place: Place, why: str, hint: str) -> InputError:
    """The header is not one that the format knows."""
    return refused("OMS-I003", "The columns of a file are not as expected", place, why, hint)


def bad_value(place: Place, why: str) -> InputError:
    """A row holds something that cannot be true."""
    return refused(
        "OMS-I004", "A row of a file is broken", place, why, "correct or remove the row and import again"
    )


def _number(text: object) -> Decimal:
    if not isinstance(text, str) or len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        raise ValueError("is not a number")
    if text[0] == "-":
        raise ValueError("is negative")
    value = Decimal(text)
    return value if text.isdecimal() else plain(value)


def _positive(text: object) -> Decimal:
    value = _number(text)
    if not value:
        raise ValueError("is not above zero")
    return value


# Plain validators: what they let through needs no second look, and a tape has millions of numbers.
Price = Annotated[Decimal, PlainValidator(_positive)]
"""A price as text, above zero. An exponent is read; a sign, blanks, NaN and infinity are refused."""
Amount = Annotated[Decimal, PlainValidator(_number)]
"""A quantity as text, zero or more."""


class RowModel(BaseModel):
    """Base of everything that is read from a file."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


_Model = TypeVar("_Model", bound=RowModel)


class PriceBar(RowModel):
    """Open, high, low, close; high and low enclose the other two."""

    open: Price
    high: Price
    low: Price
    close: Price

    @model_validator(mode="after")
    def _enclosed(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high {self.high} is below low {self.low}")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError("open or close lies outside low and high")
        return self


def validated(model: type[_Model], data: Mapping[str, object], place: Place) -> _Model:
    """The data as a model. Raises InputError that names the line and the first value that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ")
        shown = f" (found {str(first['input'])[:_MAX_DIGITS]!r})" if name else ""
        raise bad_value(place, f"{name} {text}{shown}".strip()) from None


def micros(moment: datetime) -> Micros:
    """Whole microseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // _MICROSECOND


def local_micros(moment: datetime) -> Micros:
    """UTC of a wall-clock time in a zone. Raises ValueError where a clock change skips or repeats it."""
    if moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset():
        raise ValueError(
            f"{moment:%Y-%m-%d %H:%M:%S} is skipped or repeated by a clock change ({moment.tzinfo})"
        )
    return micros(moment)


def lines(path: Path, tally: Tally) -> Iterator[tuple[Place, str]]:
    """The lines of a plain or gzip file, without their ends."""
    try:
        with path.open("rb") as plain_stream:
            packed = path.suffix == ".gz"
            yield from stream_lines(
                gzip.GzipFile(fileobj=plain_stream) if packed else plain_stream, path, tally
            )
    except FileNotFoundError:
        raise refused("OMS-I001", "A file does not exist", path, "nothing was imported from it") from None
    except _DAMAGED as error:
        raise damaged(path, error) from None


def stream_lines(stream: Bytes, path: Path, tally: Tally) -> Iterator[tuple[Place, str]]:
    """The lines of an open stream; each is bounded, so that a file without line ends cannot fill the memory."""
    number = 0
    while True:
        number += 1
        place = Place(path, number)
        try:
            line = stream.readline(MAX_LINE + 1)
            text = line.decode().rstrip("\r\n")
        except _DAMAGED as error:
            raise damaged(place, error) from None
        if not line:
            return
        if len(line) > MAX_LINE:
            raise bad_value(place, f"the line is longer than {MAX_LINE} bytes")
        tally.rows += 1
        yield place, text


def damaged(place: Place | Path, error: Exception) -> InputError:
    """The bytes of a file cannot be read to their end."""
    why = f"{type(error).__name__}: {error}".rstrip(": ")
    return refused("OMS-I002", "A file is damaged or cut short", place, why, "fetch the file again")


def bar_record(bar: BarClosed, source: str) -> Stamped:
    """A bar acts when it ends; that is also the earliest time at which anybody could have received it."""
    return Stamped(
        event=bar, logical_time=bar.end_at, event_time=bar.end_at, received_at=bar.end_at, source=source
    )


def tick_record(
    event: QuoteReported | TradePrinted, source: str, event_time: Micros | None = None
) -> Stamped:
    """A quote or print acts when it was received."""
    at = event.received_at
    return Stamped(event=event, logical_time=at, event_time=event_time, received_at=at, source=source)


def ordered_bars(rows: Iterable[Row], tally: Tally) -> Iterator[Stamped]:
    """The records of one stream of bars, proven to be in order and without overlap.

    An exact repetition of the row before is dropped and counted; another row for the same time is refused.
    """
    last: Stamped | None = None
    last_end: Micros = 0
    for row in rows:
        start, end = _span(row.record)
        if last is not None and row.record == last:
            tally.duplicates += 1
            continue
        if last is not None and end == last.logical_time:
            raise refused(
                "OMS-I006", "Two rows disagree about the same time", row.place, "the row before differs"
            )
        if start < last_end:
            raise _backwards(row.place)
        last, last_end = row.record, end
        yield row.record


def ordered_ticks(rows: Iterable[Row], tally: Tally) -> Iterator[Stamped]:
    """The records of one stream of quotes or prints, proven never to go back in time.

    Several may share an instant and keep their order. An exact repetition of the row before is dropped and
    counted: it could not change a decision.
    """
    last: Stamped | None = None
    for row in rows:
        if last is not None and row.record == last:
            tally.duplicates += 1
            continue
        if last is not None and row.record.logical_time < last.logical_time:
            raise _backwards(row.place)
        last = row.record
        yield row.record


def merged(*streams: Iterable[Stamped]) -> Iterator[Stamped]:
    """One stream in time order. At one instant quotes come first, then prints, then the bar that they end."""
    return heapq.merge(*streams, key=_merge_key)


def _span(record: Stamped) -> tuple[Micros, Micros]:
    """Start and end; a quote bar has become a quote and counts as a point."""
    if isinstance(record.event, BarClosed):
        return record.event.open_at, record.event.end_at
    return record.logical_time, record.logical_time


def _merge_key(record: Stamped) -> tuple[Micros, int]:
    rank = (
        0 if isinstance(record.event, QuoteReported) else 1 if isinstance(record.event, TradePrinted) else 2
    )
    return record.logical_time, rank


def _backwards(place: Place) -> InputError:
    return refused(
        "OMS-I005",
        "Time goes backwards",
        place,
        "the row lies before the end of the row before it",
        "give several files in the order of their times",
    )
