"""Minute and second files of Lean: a zip for each day and kind, holding one CSV without a header.

The name inside the zip says what it is: `20131007_spy_second_quote.csv`. The first column is milliseconds since
midnight, and a bar is stamped with its start; here it acts at its end. Trade rows are bars, and carry the quote row
of the same time with them. A quote row without a trade row becomes one quote, the last of its bar, because the
file does not tell when within the bar the others stood. A side without a quote is empty.

| market | clock | prices |
|---|---|---|
| equity | New York | times 10,000 |
| crypto | UTC | as they are |
"""

import heapq
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from oms.events.base import Event, Stamped
from oms.events.market import BarClosed, Prices, QuoteReported
from oms.values import MILLISECOND, SECOND, Micros, plain
from replay.importers.rows import (
    NEW_YORK,
    Amount,
    Options,
    Place,
    PriceBar,
    Row,
    RowModel,
    Tally,
    bad_value,
    bar_record,
    damaged,
    local_micros,
    ordered_bars,
    refused,
    stream_lines,
    tick_record,
    validated,
)

NAME: Final = "lean"
SUMMARY: Final = "Lean zips, minute or second, trades and quotes; --market equity or crypto"

_MEMBER: Final = re.compile(r"(\d{8})_([a-z0-9.]+)_(minute|second)_(trade|quote)(?:_[a-z]+)?\.csv", re.ASCII)
_INTERVAL: Final = {"minute": 60 * SECOND, "second": SECOND}
_EQUITY_SCALE: Final = -4
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_FIELDS: Final = ("open", "high", "low", "close", "volume")


class _Day(Struct, frozen=True, gc=False):
    """One file: what its inner name says, and the conventions of its market."""

    path: Path
    member: str
    midnight: datetime
    ticker: str
    resolution: str
    kind: str
    exponent: int


class _Bar(PriceBar):
    volume: Amount


class _Quote(RowModel):
    bid: _Bar | None
    ask: _Bar | None


class _QuoteBar(Event, frozen=True, kw_only=True):
    """A quote row until its trade row is found; it never leaves this module."""

    instrument: str
    end_at: Micros
    bid: Prices | None
    ask: Prices | None


def read(paths: Sequence[Path], instrument: str, options: Options, tally: Tally) -> Iterator[Stamped]:
    """The records of all zips in time order, whatever the order in which they are given."""
    days = sorted((_open(path, options) for path in paths), key=lambda day: (day.midnight, day.path))
    for first, other in pairwise(days):
        if (first.ticker, first.resolution) != (other.ticker, other.resolution):
            raise refused(
                "OMS-I008",
                "Files of different series were given together",
                other.path,
                f"{first.ticker} {first.resolution} and {other.ticker} {other.resolution}",
                "import one symbol in one resolution at a time",
            )

    def rows(kind: str) -> Iterator[Row]:
        for day in days:
            if day.kind == kind:
                yield from _rows(day, instrument, tally)

    return _joined(ordered_bars(rows("quote"), tally), ordered_bars(rows("trade"), tally))


def _joined(quotes: Iterator[Stamped], trades: Iterator[Stamped]) -> Iterator[Stamped]:
    """One stream in time order; what ends at the same instant, at most one row of each kind, becomes one record."""
    for _, records in groupby(heapq.merge(quotes, trades, key=_end_of), key=_end_of):
        quoted, traded = None, None
        for record in records:
            if isinstance(record.event, _QuoteBar):
                quoted = record.event
            else:
                traded = record.event
        if isinstance(traded, BarClosed):
            bar = replace(traded, bid=quoted.bid, ask=quoted.ask) if quoted is not None else traded
            yield bar_record(bar, NAME)
        elif quoted is not None:
            quote = QuoteReported(
                instrument=quoted.instrument,
                bid=quoted.bid.close if quoted.bid is not None else None,
                ask=quoted.ask.close if quoted.ask is not None else None,
                received_at=quoted.end_at,
            )
            yield tick_record(quote, NAME, quoted.end_at)


def _end_of(record: Stamped) -> Micros:
    return record.logical_time


def _open(path: Path, options: Options) -> _Day:
    """Read the table of contents of one zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
    except FileNotFoundError:
        raise refused("OMS-I001", "A file does not exist", path, "nothing was imported from it") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from None
    found = _MEMBER.fullmatch(members[0]) if len(members) == 1 else None
    if found is None:
        raise refused(
            "OMS-I003",
            "A zip does not hold one Lean file",
            path,
            f"it holds {members[:3]}",
            "the inner name is DATE_SYMBOL_minute|second_trade|quote.csv",
        )
    day, ticker, resolution, kind = found.groups()
    equity = options.market == "equity"
    try:
        midnight = datetime.strptime(day, "%Y%m%d").replace(tzinfo=NEW_YORK if equity else ZoneInfo("UTC"))
    except ValueError:
        raise refused("OMS-I003", "A zip does not hold one Lean file", path, f"{day} is no date") from None
    return _Day(path, members[0], midnight, ticker, resolution, kind, _EQUITY_SCALE if equity else 0)


def _rows(day: _Day, instrument: str, tally: Tally) -> Iterator[Row]:
    convert = _trade if day.kind == "trade" else _quote
    width = 6 if day.kind == "trade" else 11
    with zipfile.ZipFile(day.path) as archive, archive.open(day.member) as stream:
        for place, line in stream_lines(stream, day.path, tally):
            cells = line.split(",")
            if len(cells) != width:
                raise bad_value(place, f"{len(cells)} values where a {day.kind} row has {width}")
            yield Row(place, convert(day, cells, place, instrument))


def _trade(day: _Day, cells: list[str], place: Place, instrument: str) -> Stamped:
    open_at = _time(day, cells[0], place)
    row = validated(_Bar, dict(zip(_FIELDS, cells[1:], strict=True)), place)
    bar = BarClosed(
        instrument=instrument,
        open_at=open_at,
        end_at=open_at + _INTERVAL[day.resolution],
        open=_scaled(row.open, day),
        high=_scaled(row.high, day),
        low=_scaled(row.low, day),
        close=_scaled(row.close, day),
        volume=row.volume,
    )
    return bar_record(bar, NAME)


def _quote(day: _Day, cells: list[str], place: Place, instrument: str) -> Stamped:
    end_at = _time(day, cells[0], place) + _INTERVAL[day.resolution]
    row = validated(_Quote, {"bid": _side(cells[1:6]), "ask": _side(cells[6:])}, place)
    quoted = _QuoteBar(
        instrument=instrument, end_at=end_at, bid=_prices(row.bid, day), ask=_prices(row.ask, day)
    )
    return Stamped(event=quoted, logical_time=end_at)


def _side(cells: list[str]) -> dict[str, str] | None:
    """The values of one side, or None where its prices are empty."""
    return dict(zip(_FIELDS, cells, strict=True)) if any(cells[:-1]) else None


def _prices(side: _Bar | None, day: _Day) -> Prices | None:
    if side is None:
        return None
    return Prices(
        open=_scaled(side.open, day),
        high=_scaled(side.high, day),
        low=_scaled(side.low, day),
        close=_scaled(side.close, day),
    )


def _scaled(price: Decimal, day: _Day) -> Decimal:
    return plain(price.scaleb(day.exponent)) if day.exponent else price


def _time(day: _Day, text: str, place: Place) -> Micros:
    """UTC of the start of a bar; the file counts by the wall clock of its market."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_DAY_MS)) and int(text) < _DAY_MS):
        raise bad_value(place, f"{text[:40]!r} is not a number of milliseconds since midnight")
    hour, rest = divmod(int(text), _HOUR_MS)
    try:
        return _hour_at(day.midnight, hour) + rest * MILLISECOND
    except ValueError as error:
        raise bad_value(place, str(error)) from None


@lru_cache(maxsize=64)
def _hour_at(midnight: datetime, hour: int) -> Micros:
    """UTC of a full hour by the wall clock; clocks change at full hours only."""
    return local_micros(midnight + timedelta(hours=hour))
