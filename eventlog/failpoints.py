"""Named points between input and outcome at which a test kills this very process, as a power cut would.

Off unless the environment variable `OMS_FAILPOINT` said `NAME:NTH` when the program started, or a test called
`arm`. The process then dies by SIGKILL when it reaches that point for the NTH time: nothing is closed, flushed or
told. `python3 -m oms torture` goes through all of them.
"""

import os
import signal
from collections import Counter

VARIABLE = "OMS_FAILPOINT"
POINTS = {
    "migration.begun": "the schema is there, no migration has run",
    "migration.done": "all migrations ran, nothing is committed",
    "migration.committed": "the migration is durable, nobody was told",
    "partition.created": "the table of a month exists inside the transaction, not attached",
    "partition.attached": "the month is durable, nobody was told",
    "lease.taking": "lease and epoch are taken inside the transaction",
    "lease.taken": "the takeover is durable, the new writer knows nothing yet",
    "lease.renewing": "the lease is about to be prolonged",
    "lease.renewed": "the lease was prolonged",
    "lease.released": "the account was given back, the process still lives",
    "append.ready": "the statement is about to leave",
    "append.stored": "the step is durable, the writer was not told",
    "snapshot.saving": "a cached fold is about to be stored",
    "snapshot.saved": "a cached fold is stored",
    "writer.recovering": "the account is ours, its log is not read yet",
    "writer.recovered": "the log is folded, nothing was appended",
    "writer.started": "the start is logged, the broker was not asked",
    "link.started": "connected to the broker, nothing was asked",
    "books.due": "it is time to look at the broker's books, nobody was asked",
    "link.asked": "asked for the broker's books, no answer was taken",
    "link.settled": "the broker's books are logged",
    "input.received": "an input was taken from the queue, nothing is stored",
    "input.stepped": "an input was stepped, its decisions exist in memory only",
    "batch.appending": "a batch is about to be appended",
    "batch.appended": "a batch is durable, its state is not published",
    "batch.published": "state is published, commands are not released",
    "single.appending": "one step of a refused batch is about to be appended",
    "single.appended": "one step of a refused batch is durable, the others are not",
    "clock.due": "a deadline has come, its input is not queued",
    "replies.taken": "the broker's messages were handed over, none is stored",
    "command.claimed": "a durable command is about to be checked by the gate",
    "command.sending": "the gate let a command pass, no byte has left",
    "command.sent": "a command has left, its outcome is not known",
}
"""Every point and the moment it stands for, in the order in which a day first passes them."""

BESIDE = {
    "archive.written": "a month lies in the archive, it was not read back",
    "archive.checked": "the archive was proven, the month is still part of the log",
    "archive.detaching": "the month is detached inside the transaction",
    "archive.detached": "the month is detached, nobody was told",
}
"""Points that no trading day passes."""

_plan: "Plan | None" = None


class Plan:
    """Die at the `nth` pass through the point `name`; without a name only count."""

    def __init__(self, name: str = "", nth: int = 0) -> None:
        if name and name not in POINTS and name not in BESIDE:
            raise ValueError(f"there is no failpoint {name!r}; known are {', '.join((*POINTS, *BESIDE))}")
        self.name = name
        self.nth = nth
        self.passed: Counter[str] = Counter()

    def reach(self, name: str) -> None:
        """Count one pass, and die if it is the one."""
        assert name in POINTS or name in BESIDE, name
        self.passed[name] += 1
        if name == self.name and self.passed[name] == self.nth:
            self.strike()

    def strike(self) -> None:
        """What happens at the point."""
        os.kill(os.getpid(), signal.SIGKILL)


def reach(name: str) -> None:
    """Pass a point. Costs one comparison as long as nothing is armed."""
    if _plan is not None:
        _plan.reach(name)


def arm(plan: Plan | None) -> None:
    """Arm one plan for this process, or none."""
    global _plan  # noqa: PLW0603 - one per process, like the death that it brings.
    _plan = plan


def is_armed() -> bool:
    """Whether this process may die on purpose; a live writer refuses to start then."""
    return _plan is not None


def _from_environment(text: str) -> Plan | None:
    name, colon, nth = text.partition(":")
    if not text:
        return None
    if not colon or not nth.isascii() or not nth.isdecimal() or int(nth) < 1:
        raise ValueError(f"{VARIABLE} is {text!r}; it has to be NAME:NTH with NTH from 1 on")
    return Plan(name, int(nth))


arm(_from_environment(os.environ.get(VARIABLE, "")))
