"""Where the months are that left the database: a folder that is named, and read when rows of it are asked for."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventlog.log import StoredRow

if TYPE_CHECKING:
    from eventlog.archive import Archive

VARIABLE: Final = "OMS_ARCHIVE"


class Folder:
    """An archive that is opened with the first row that is wanted of it, so that nobody else needs its packages."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._archive: Archive | None = None

    def opened(self) -> "Archive":
        """The archive. Raises ArchiveBroken, ExtraMissing."""
        if self._archive is None:
            from eventlog.archive import Archive

            self._archive = Archive(self.place)
        return self._archive

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[StoredRow]:
        """Rows with after < seq <= until in seq order, all of them."""
        return self.opened().read(account, after, until)


def earlier(place: Path | None = None) -> Folder | None:
    """The given folder, or the one that OMS_ARCHIVE names, or None."""
    named = place or (Path(text) if (text := os.environ.get(VARIABLE)) else None)
    return Folder(named) if named is not None else None
