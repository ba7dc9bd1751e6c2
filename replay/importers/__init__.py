"""Files of market data become inputs, in time order and with bounded memory. One module for each format.

`FORMATS` is the table of them. A format is a module with `NAME`, `SUMMARY` and
`read(paths, instrument, options, tally)`, which yields `Stamped` inputs: `BarClosed` at the end of its bar,
`QuoteReported` and `TradePrinted` when they were received. `instrument` is our own id; files know only tickers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from oms.errors import InputError
from oms.events.base import Stamped
from replay.importers import binance_raw, index_minute, lean, plain_csv
from replay.importers.rows import Options, Tally

__all__ = ["FORMATS", "Format", "Options", "Reading", "Tally", "open_format"]


class Format(Protocol):
    """What a module of this package offers."""

    NAME: str
    SUMMARY: str

    def read(
        self, paths: Sequence[Path], instrument: str, options: Options, tally: Tally
    ) -> Iterator[Stamped]:
        """The records of the files in time order. Raises InputError with file and line at the first broken row."""


FORMATS: Final[Mapping[str, Format]] = {
    "csv": plain_csv,
    "index-minute": index_minute,
    "lean": lean,
    "binance-raw": binance_raw,
}


class Reading:
    """One pass over the files. `tally` counts rows, dropped duplicates and ignored messages while it runs."""

    def __init__(self, records: Iterator[Stamped], tally: Tally) -> None:
        self._records = records
        self.tally = tally

    def __iter__(self) -> Iterator[Stamped]:
        return self._records


def open_format(
    name: str, files: Iterable[Path | str], instrument: str, options: Options | None = None
) -> Reading:
    """Begin to read `files` of the named format. Raises InputError, here or while reading."""
    found = FORMATS.get(name)
    if found is None:
        why = f"the formats are {', '.join(FORMATS)}"
        raise InputError(
            "OMS-I007", f"Unknown file format  {name}", why=why, hint=f"--format {next(iter(FORMATS))}"
        )
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("OMS-I001", "No file was given", hint="name one file or more")
    tally = Tally()
    return Reading(found.read(paths, instrument, options or Options(), tally), tally)
