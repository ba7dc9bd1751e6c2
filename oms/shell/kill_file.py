"""The kill file: whoever can make a file beside the writer's socket can flatten the account.

It needs neither the socket nor the database. Its text, if it has any, is the reason. It stays where it is until a
person removes it: a writer that starts while it lies there takes it too, once.
"""

import os
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Final

from oms.events.base import Stamped
from oms.events.operator import Act, OperatorCommanded
from oms.shell.control import REASON_LIMIT, user_name
from oms.values import Micros

KILL_FILE: Final = "kill"
LEVEL: Final = 3
SOURCE: Final = "kill_file"
READ_LIMIT: Final = 4096
NO_REASON: Final = "kill file"


class KillFile:
    """Looks for one file. Not for several threads."""

    def __init__(self, place: Path) -> None:
        self.path = place / KILL_FILE
        self._seen: tuple[int, int, int] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the file lies there now, whatever it is."""
        return os.path.lexists(self.path)

    def poll(self, now: Micros) -> Stamped | None:
        """The act of a file that is new or has changed since the last look."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            self._seen = None
            return None
        except OSError:
            return None
        mark = found.st_ino, found.st_mtime_ns, found.st_size
        if mark == self._seen:
            return None
        self._seen = mark
        reason = _reason(self.path)
        act = OperatorCommanded(
            act=Act.KILL, principal=f"{user_name(found.st_uid)} (kill file)", reason=reason, level=LEVEL
        )
        key = f"{found.st_ino}:{found.st_mtime_ns}:{sha256(reason.encode()).hexdigest()[:16]}"
        return Stamped(event=act, logical_time=now, source=SOURCE, dedupe_key=key)


def _reason(path: Path) -> str:
    """What the file says, in one line that the log can store; a file that cannot be read kills all the same."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, READ_LIMIT)
        finally:
            os.close(descriptor)
    except OSError as problem:
        return f"{NO_REASON} ({problem.strerror})"
    text = data.decode("utf-8", "replace")
    plain = "".join(" " if unicodedata.category(one).startswith("C") else one for one in text)
    return " ".join(plain.split())[:REASON_LIMIT] or NO_REASON
