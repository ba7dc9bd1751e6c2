"""One-minute bars of an index in New York time: `Date,Open,Close,High,Low,Volume`, date `M/D/YYYY H:MM`.

The columns are found by name, because Close stands before High and Low. A row is stamped with the start of its
minute unless the option `stamp` says `end`; started bars may include one for the minute of the close. An index
is not traded, so its volume is unknown rather than the zero that the file holds.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from oms.events.base import Stamped
from oms.events.market import BarClosed
from oms.values import SECOND, Micros
from replay.importers.rows import (
    NEW_YORK,
    Options,
    Place,
    PriceBar,
    Row,
    Tally,
    bad_value,
    bar_record,
    lines,
    local_micros,
    ordered_bars,
    validated,
    wrong_columns,
)

NAME: Final = "index-minute"
SUMMARY: Final = "index bars, New York time: Date,Open,Close,High,Low,Volume"

_COLUMNS: Final = ("Date", "Open", "Close", "High", "Low", "Volume")
_TIME: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2})", re.ASCII)
_MINUTE: Final = 60 * SECOND


def read(paths: Sequence[Path], instrument: str, options: Options, tally: Tally) -> Iterator[Stamped]:
    """The bars of all files, which are given in the order of their times."""

    def rows() -> Iterator[Row]:
        for path in paths:
            yield from _rows(path, instrument, options, tally)

    return ordered_bars(rows(), tally)


def _rows(path: Path, instrument: str, options: Options, tally: Tally) -> Iterator[Row]:
    header: list[str] | None = None
    for place, line in lines(path, tally):
        cells = line.split(",")
        if header is None:
            header = cells
            _check_header(header, place)
            continue
        if len(cells) != len(header):
            raise bad_value(place, f"{len(cells)} values under {len(header)} columns")
        yield Row(place, _bar(dict(zip(header, cells, strict=True)), place, instrument, options))


def _check_header(header: list[str], place: Place) -> None:
    if sorted(header) != sorted(_COLUMNS):
        missing = [name for name in _COLUMNS if name not in header]
        raise wrong_columns(
            place, f"missing {missing}, found {header}", f"the columns are {','.join(_COLUMNS)}"
        )


def _bar(cells: dict[str, str], place: Place, instrument: str, options: Options) -> Stamped:
    interval = options.interval_us or _MINUTE
    stamped = _time(cells["Date"], place)
    open_at = stamped if options.stamp == "start" else stamped - interval
    prices = validated(
        PriceBar, {name: cells[name.title()] for name in ("open", "high", "low", "close")}, place
    )
    bar = BarClosed(
        instrument=instrument,
        open_at=open_at,
        end_at=open_at + interval,
        open=prices.open,
        high=prices.high,
        low=prices.low,
        close=prices.close,
    )
    return bar_record(bar, NAME)


def _time(text: str, place: Place) -> Micros:
    found = _TIME.fullmatch(text)
    if found is None:
        raise bad_value(place, f"{text[:40]!r} is not a time of the form M/D/YYYY H:MM")
    month, day, year, hour, minute = (int(part) for part in found.groups())
    try:
        return local_micros(datetime(year, month, day, hour, minute, tzinfo=NEW_YORK))
    except ValueError as error:
        raise bad_value(place, str(error)) from None
