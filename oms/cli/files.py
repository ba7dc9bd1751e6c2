"""A log that lies in files: an export, or the Parquet files of an archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oms.cli.extra import require_archive
from oms.cli.output import Output

if TYPE_CHECKING:
    from eventlog.log import EventLog


@contextmanager
def opened_file(output: Output, path: Path) -> Iterator["EventLog"]:
    """The log in a file or folder, whatever it is. Raises InputError or ArchiveBroken for what is none."""
    from eventlog.archive import Archive, is_archive
    from replay.archive import ArchiveLog
    from replay.logfile import LogFile

    log: LogFile | ArchiveLog
    if is_archive(path):
        require_archive(output)
        log = ArchiveLog(Archive(path))
    else:
        log = LogFile(path)
    try:
        yield log
    finally:
        log.close()
