"""When the broker's books are asked for: whenever the link is made, now and then while it stands, and at the close.

A report may be lost without a trace: a stop cancelled by hand, a fill that never came. Only the books tell, and nobody
else asks for them while the link stands. From time to time only positions and the names of open orders are asked for;
what they contradict the core asks about itself, and where a position is at odds, or an order that nobody knows is open,
all of the books are asked for. So they are at the day's last close: only the list of executions tells of a price that
was corrected. BB-052..056; I62, I67..I72.
"""

from typing import Final, Protocol

from oms.events.broker import BooksUnanswered, BrokerSnapshotReported
from oms.events.session import SessionOpened
from oms.policies.reconciliation import difference
from oms.shell.runner import Committed, Runner
from oms.values import MILLISECOND, Micros

TRIES: Final = 5
"""How often all of the books are asked for because of the same thing."""
PATIENCE: Final = 3
"""Questions in a row without an answer that are told as an alert."""
_DOUBLINGS: Final = 4


class Query(Protocol):
    """How a broker is asked for its books."""

    def __call__(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for them."""


class Books:
    """The writer's questions for the broker's books.

    `every_so_often` is off until somebody sets it: a simulated broker in virtual time loses nothing.
    """

    def __init__(self, runner: Runner, query: Query) -> None:
        self._runner = runner
        self._query = query
        self.every_so_often = False
        self._asked_at: Micros = runner.now
        self._unanswered = 0
        self._waits_since: Micros = runner.now
        self._is_look = False
        self._whole_asked: tuple[int, Micros] = (-1, 0)
        self._whole_told_at: Micros = 0
        self._closes = {
            one.market.close_at for one in runner.book.pipelines.values() if one.market.close_at is not None
        }
        self._close_at: Micros | None = min(self._closes, default=None)
        self._odds: dict[str, int] = {}

    def ask(self, asked_at_seq: int, now: Micros) -> None:
        """Ask for all of them. `asked_at_seq` is the end of the log as far as the broker can know of it."""
        self._note(asked_at_seq, now, is_whole=True)
        self._unanswered, self._waits_since = 1, now
        self._query(asked_at_seq)

    def next_due(self) -> Micros | None:
        """When to look next; None while the link is down."""
        every = self._every()
        if not every:
            return None
        due = self._asked_at + every
        return due if self._close_at is None else min(due, self._close_at)

    def slept(self, until: Micros) -> None:
        """Time will pass to `until` at once. A writer that was asleep for long looks once, when it wakes."""
        every = self._every()
        if every and until - self._asked_at > 2 * every:
            self._asked_at = until - every

    def _every(self) -> Micros:
        if not self.every_so_often:
            return 0
        account = self._runner.book.account
        if not (account.connected and account.config_sha256):
            return 0
        setting = account.settings.protection
        every = setting.books_every_ms
        if not account.reconciled:
            # Nothing is compared yet, and no entry possible: not that long, but longer each time (I87).
            every = min(every, setting.resolve_timeout_ms << min(max(self._unanswered - 1, 0), _DOUBLINGS))
        return every * MILLISECOND

    def look(self, asked_at_seq: int, now: Micros) -> BooksUnanswered | None:
        """Ask for positions and the names of open orders; what has to be told, if nobody has answered for too long."""
        # The books of a new link have not come, and without them no entry is possible; or the day is over.
        is_due = self._unanswered > 0 and not self._runner.book.account.reconciled
        is_whole = is_due or any(self._whole_told_at < close <= now for close in self._closes)
        self._query(asked_at_seq, whole=is_whole)
        self._note(asked_at_seq, now, is_whole=is_whole)
        if not self._unanswered:
            self._waits_since = now
        self._unanswered += 1
        if self._unanswered != PATIENCE + 1:
            return None
        return BooksUnanswered(times=PATIENCE, asked_first_at=self._waits_since)

    def is_whole_wanted(self, committed: Committed) -> bool:
        """Whether a durable step was an answer that only all of the books can explain."""
        event = committed.stamped.event
        if isinstance(event, SessionOpened) and event.close_at is not None:
            self._closes.add(event.close_at)
            self._close_at = min(one for one in (self._close_at, event.close_at) if one is not None)
        if not isinstance(event, BrokerSnapshotReported):
            return False
        if event.complete and event.asked_at_seq == self._whole_asked[0]:
            self._whole_told_at = self._whole_asked[1]
        was_look, self._is_look = self._is_look, False
        if event.complete and self._runner.published.account.reconciled:
            self._unanswered = 0
        if not was_look:
            return False
        pipelines = self._runner.published.pipelines.values()
        odds = {f"{one.name} by {difference(one)}" for one in pipelines if difference(one) != "0"}
        odds |= set(event.open_orders).difference(*(one.aliases for one in pipelines))
        # Again, for what all of the books said may have been lost as well; not for ever, for some they cannot explain:
        # a stranger's order in an instrument that nobody has defined, a position of another day.
        self._odds = {one: self._odds.get(one, 0) + 1 for one in odds}
        return any(times <= TRIES for times in self._odds.values())

    def _note(self, asked_at_seq: int, now: Micros, *, is_whole: bool) -> None:
        """Something was asked. A close before the last answer to a question for all of them is done with."""
        self._asked_at, self._is_look = now, not is_whole
        if is_whole:
            self._whole_asked = (asked_at_seq, now)
        self._closes = {close for close in self._closes if close > self._whole_told_at}
        self._close_at = min((close for close in self._closes if close > now), default=None)
