"""The log of a story: what `tests.given` decided, as a writer would have stored it."""

from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from oms.events.base import Stamped
from oms.shell.record import record
from tests.builders import DAY
from tests.given import Story


def log_of(story: Story, log: EventLog | None = None) -> EventLog:
    """A log with every step of the story, by default in memory."""
    log = log or MemoryLog()
    log.ensure_partitions(DAY, 1)
    records = [
        record(result, Stamped(event=result.events[0].event, logical_time=result.account.now))
        for result in story.results
    ]
    log.append(log.acquire(story.book.account.account, "story"), records)
    return log
