"""Plain CSV with a header line: the format to bring one's own data in.

| rows | columns, in any order |
|---|---|
| bars | `open_at`, `end_at`, `open`, `high`, `low`, `close`, optionally `volume` |
| quotes | `received_at`, `bid`, `ask`; an empty side is missing |
| prints | `received_at`, `price` |

One file holds one kind of rows; several files may be given, those of one kind in the order of their times. Times
are ISO 8601 with an offset or `Z`, floored to microseconds. Of `open_at` and `end_at` one may be left out where
the length of a bar is given as an option.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.values import Micros
from replay.importers.rows import (
    Amount,
    Options,
    Place,
    Price,
    PriceBar,
    Row,
    RowModel,
    Tally,
    bad_value,
    bar_record,
    lines,
    merged,
    micros,
    ordered_bars,
    ordered_ticks,
    tick_record,
    validated,
    wrong_columns,
)

NAME: Final = "csv"
SUMMARY: Final = "plain CSV with a header: bars, quotes or prints, times with offset"

_PRICES: Final = ("open", "high", "low", "close")
_SHAPES: Final = (
    "bars: open_at,end_at,open,high,low,close[,volume]; "
    "quotes: received_at,bid,ask; "
    "prints: received_at,price"
)

_Convert = Callable[[dict[str, str], Place], Stamped]


class _Bar(PriceBar):
    volume: Amount | None = None


class _Quote(RowModel):
    bid: Price | None
    ask: Price | None


class _Print(RowModel):
    price: Price


def read(paths: Sequence[Path], instrument: str, options: Options, tally: Tally) -> Iterator[Stamped]:
    """The records of all files in time order."""
    kinds: dict[str, list[Path]] = {"bars": [], "quotes": [], "prints": []}
    for path in paths:
        kinds[_kind_of(path)].append(path)

    def rows(kind: str) -> Iterator[Row]:
        for path in kinds[kind]:
            yield from _rows(path, kind, instrument, options, tally)

    return merged(
        ordered_ticks(rows("quotes"), tally),
        ordered_ticks(rows("prints"), tally),
        ordered_bars(rows("bars"), tally),
    )


def _kind_of(path: Path) -> str:
    """What the header says the file holds."""
    place, header = _header(path, Tally())
    names = set(header)
    if len(names) < len(header):
        raise wrong_columns(place, "a column stands there twice", _SHAPES)
    if names == {"received_at", "bid", "ask"}:
        return "quotes"
    if names == {"received_at", "price"}:
        return "prints"
    known = {"open_at", "end_at", *_PRICES, "volume"}
    if names >= set(_PRICES) and names & {"open_at", "end_at"} and names <= known:
        return "bars"
    missing = [name for name in ("open_at", *_PRICES) if name not in names]
    unknown = sorted(names - known)
    raise wrong_columns(place, f"missing {missing}, unknown {unknown}", _SHAPES)


def _header(path: Path, tally: Tally) -> tuple[Place, list[str]]:
    for place, line in lines(path, tally):
        return place, _cells(line.removeprefix("\ufeff"), place)
    raise wrong_columns(Place(path, 1), "the file is empty", _SHAPES)


def _cells(line: str, place: Place) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise bad_value(place, str(error)) from None


def _rows(path: Path, kind: str, instrument: str, options: Options, tally: Tally) -> Iterator[Row]:
    numbered = lines(path, tally)
    place, first = next(numbered)
    header = _cells(first.removeprefix("\ufeff"), place)
    converts: dict[str, _Convert] = {
        "bars": lambda cells, at: _bar(cells, at, instrument, options),
        "quotes": lambda cells, at: _quote(cells, at, instrument),
        "prints": lambda cells, at: _print(cells, at, instrument),
    }
    convert = converts[kind]
    for place, line in numbered:
        cells = _cells(line, place)
        if len(cells) != len(header):
            raise bad_value(place, f"{len(cells)} values under {len(header)} columns")
        yield Row(place, convert(dict(zip(header, cells, strict=True)), place))


def _bar(cells: dict[str, str], place: Place, instrument: str, options: Options) -> Stamped:
    open_at, end_at = _bar_times(cells, place, options.interval_us)
    values = {name: cells[name] for name in _PRICES}
    if cells.get("volume"):
        values["volume"] = cells["volume"]
    row = validated(_Bar, values, place)
    bar = BarClosed(
        instrument=instrument,
        open_at=open_at,
        end_at=end_at,
        open=row.open,
        high=row.high,
        low=row.low,
        close=row.close,
        volume=row.volume,
    )
    return bar_record(bar, NAME)


def _bar_times(cells: dict[str, str], place: Place, interval: Micros | None) -> tuple[Micros, Micros]:
    start = _time(cells["open_at"], place) if "open_at" in cells else None
    end = _time(cells["end_at"], place) if "end_at" in cells else None
    if start is not None and end is None and interval is not None:
        end = start + interval
    if end is not None and start is None and interval is not None:
        start = end - interval
    if start is None or end is None:
        raise wrong_columns(
            place, "only one end of each bar is given", "add end_at, or give the length of a bar"
        )
    if start >= end:
        raise bad_value(place, "the bar ends before it begins")
    return start, end


def _quote(cells: dict[str, str], place: Place, instrument: str) -> Stamped:
    at = _time(cells["received_at"], place)
    quote = validated(_Quote, {"bid": cells["bid"] or None, "ask": cells["ask"] or None}, place)
    return tick_record(
        QuoteReported(instrument=instrument, bid=quote.bid, ask=quote.ask, received_at=at), NAME
    )


def _print(cells: dict[str, str], place: Place, instrument: str) -> Stamped:
    at = _time(cells["received_at"], place)
    price = validated(_Print, {"price": cells["price"]}, place).price
    return tick_record(TradePrinted(instrument=instrument, price=price, received_at=at), NAME)


def _time(text: str, place: Place) -> Micros:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise bad_value(place, f"{text[:40]!r} is not a time in ISO 8601") from None
    if moment.tzinfo is None:
        raise bad_value(place, f"{text[:40]!r} has no offset; write Z for UTC")
    return micros(moment)
