"""The log of a story: what `tests.given` decided, as a writer would have stored it."""

from eventlog.memory import MemoryLog
from oms.events.base import Stamped
from oms.shell.record import record
from tests.builders import DAY
from tests.given import Story


def log_of(story: Story) -> MemoryLog:
    """A log in memory with every step of the story."""
    log = MemoryLog()
    log.ensure_partitions(DAY, 1)
    records = [
        record(result, Stamped(event=result.events[0].event, logical_time=result.account.now))
        for result in story.results
    ]
    log.append(log.acquire(story.book.account.account, "story"), records)
    return log
