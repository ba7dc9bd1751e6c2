"""Where this checkout keeps what belongs to it alone, outside the database: sockets, books, journals, kill files.

`OMS_RUN_DIR` names another place. Every directory is private (0700); one that others may enter is refused.
"""

import os
import re
import stat
from hashlib import sha256
from pathlib import Path
from typing import Final

from eventlog.cluster import default_data_dir
from oms.errors import EnvironmentProblem

VARIABLE: Final = "OMS_RUN_DIR"
WRITERS: Final = "writers"
ACCOUNT_FILE: Final = "account"
_READABLE: Final = 32


def run_dir(name: str) -> Path:
    """A private directory beside the embedded database's data, made if need be."""
    path = _base() / name
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def writer_dir(account: str) -> Path:
    """Where the writer of an account keeps its socket, kill file and journal; not made here."""
    readable = re.sub("[^A-Za-z0-9]+", "-", account)[:_READABLE].strip("-")
    return _base() / WRITERS / f"{readable}-{sha256(account.encode()).hexdigest()[:8]}"


def make_private(path: Path, account: str) -> Path:
    """Make a writer's directory and note whose it is. Raises EnvironmentProblem where others may enter it."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise EnvironmentProblem(
                "OMS-O010",
                "The directory of a writer must be this user's alone",
                where=str(path),
                why=f"it belongs to uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}",
                hint=f"chmod 700 {path}, or name another place with {VARIABLE}",
            )
        (path / ACCOUNT_FILE).write_text(account + "\n", encoding="utf-8")
    except OSError as error:
        raise EnvironmentProblem(
            "OMS-O011",
            "The directory of a writer cannot be made",
            where=str(path),
            why=str(error),
            hint=f"name another place with {VARIABLE}",
        ) from error
    return path


def known_accounts() -> dict[str, Path]:
    """The accounts that have ever had a live writer here, with their directories, sorted."""
    found = {}
    for note in (_base() / WRITERS).glob(f"*/{ACCOUNT_FILE}"):
        found[note.read_text(encoding="utf-8").strip()] = note.parent
    return dict(sorted(found.items()))


def _base() -> Path:
    given = os.environ.get(VARIABLE)
    return Path(given) if given else default_data_dir().parent
