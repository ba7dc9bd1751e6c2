"""A log that refuses, forgets to answer, or dies with its process, where the plan says so."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eventlog.envelope import Head, StepRecord
from eventlog.errors import DatabaseAway, DuplicateKey
from eventlog.log import EventLog
from tests.simulation.desk import Crash
from tests.simulation.plan import Fault

MS = 1000
ROLES = ("ENTRY", "STOP", "EXIT")
LATER = 3
"""How many appends after a batch that was refused because of a copy are an occasion of their own."""


def _holds(steps: Sequence[StepRecord], word: str) -> bool:
    """Whether a command in these steps says the word."""
    return any(word in row.body for step in steps for row in step.outbox)


class FaultyLog:
    """An EventLog around another one. `now_of` tells the virtual time, for outages."""

    def __init__(self, log: EventLog, faults: tuple[Fault, ...], now_of: Callable[[], int]) -> None:
        self._log = log
        self._now_of = now_of
        self._faults: dict[tuple[str, int], list[Fault]] = defaultdict(list)
        for fault in faults:
            if fault.on.split(":")[0] == "append":
                self._faults[fault.occasion, fault.nth].append(fault)
        self.counts: Counter[str] = Counter()
        self._again = 0
        self.away_until = 0
        self.healthy = False
        self.struck: Counter[str] = Counter()
        self.on_strike: Callable[[str], None] = lambda _kind: None
        self.names_of: Callable[[Sequence[str]], Iterable[str]] = lambda names: names

    def __getattr__(self, name: str) -> Any:
        """Everything else is the log's own."""
        return getattr(self._log, name)

    def heal(self) -> None:
        """Nothing goes wrong from now on."""
        self.healthy = True
        self.away_until = 0

    @property
    def is_away(self) -> bool:
        """Whether the store does not answer now."""
        return not self.healthy and self._now_of() < self.away_until

    def acquire(self, account: str, owner: str) -> Head:
        """Become the writer, if the store is there."""
        self._refuse()
        return self._log.acquire(account, owner)

    def read(self, *where: Any) -> Any:
        """Rows, if the store is there."""
        self._refuse()
        return self._log.read(*where)

    def append(self, head: Head, steps: Sequence[StepRecord]) -> Head:
        """Store, or not, or both."""
        if not steps:
            return head
        self._refuse()
        faults = self._strikes(steps)
        where = self.counts["append"]
        for fault in faults:
            self.struck[fault.kind] += 1
            self.on_strike(fault.kind)
            if fault.kind == "crash_before":
                raise Crash(f"before append {where}")
            if fault.kind == "log_away":
                self.away_until = self._now_of() + fault.ms * MS
                self._refuse()
        try:
            after = self._log.append(head, steps)
        except DuplicateKey:
            self._again = LATER
            raise
        for fault in faults:
            if fault.kind == "crash_after":
                raise Crash(f"after append {where}")
            if fault.kind == "log_unknown":
                self.away_until = self._now_of() + fault.ms * MS
                raise DatabaseAway("stored, but nobody said so")
        return after

    def _strikes(self, steps: Sequence[StepRecord]) -> list[Fault]:
        """Count the occasion under all its names: of any append, by whose command is in it, after a refused batch."""
        names = ["append", *(f"append:{role}" for role in ROLES if _holds(steps, f'"{role}"'))]
        if self._again:
            self._again -= 1
            names.append("append:again")
        found: list[Fault] = []
        for name in self.names_of(names):
            self.counts[name] += 1
            if not self.healthy:
                found += self._faults.get((name, self.counts[name]), ())
        return found

    def _refuse(self) -> None:
        if self.is_away:
            raise DatabaseAway("the store does not answer")
