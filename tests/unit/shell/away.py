"""A log in memory that can be away, and a runner over it that goes on without it."""

from collections.abc import Sequence
from pathlib import Path

from eventlog.envelope import Head, StepRecord
from eventlog.errors import DatabaseAway
from eventlog.memory import MemoryLog
from oms.shell.journaled import JournaledLog
from oms.shell.opening import open_runner
from oms.shell.runner import Runner
from tests import builders
from tests.unit.shell.test_runner import WHO

ACCOUNT = "sim/sim/test"


class AwayLog(MemoryLog):
    """While `away` it answers nothing. `stores_first`: the first append of an absence arrives all the same."""

    away = False
    stores_first = False

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        if self.away and self.stores_first:
            self.stores_first = False
            super().append(head, steps)
        self._refuse_while_away()
        return super().append(head, steps)

    def head(self, account: str) -> Head | None:
        self._refuse_while_away()
        return super().head(account)

    def renew(self, head: Head) -> None:
        self._refuse_while_away()
        super().renew(head)

    def inbox(self, account: str, source: str, dedupe_key: str) -> tuple[int, bytes] | None:
        self._refuse_while_away()
        return super().inbox(account, source, dedupe_key)

    def _refuse_while_away(self) -> None:
        if self.away:
            raise DatabaseAway


class Clock:
    """Seconds as the test turns them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def writer(log: MemoryLog, directory: Path, clock: Clock | None = None) -> tuple[Runner, JournaledLog]:
    """A writer of the test account whose log may go away from here on."""
    log.ensure_partitions(builders.DAY, 1)
    journaled = JournaledLog(log, directory)
    runner = open_runner(
        journaled,
        ACCOUNT,
        builders.settings(),
        at=builders.PRE_OPEN,
        trading_day=builders.DAY,
        who=WHO,
    )
    journaled.arm(clock or Clock())
    return runner, journaled
