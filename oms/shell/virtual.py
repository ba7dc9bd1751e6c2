"""The loop of virtual time: market data, broker replies and deadlines in one order, through the real writer.

Backtest, demo and embedding drive the same runner, log and broker interface as a live process; only the clock is
the data's own. At equal times the broker sees the market first, then its replies come, then the core acts.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from msgspec.structs import replace

from eventlog import failpoints
from oms.brokers.base import Sink
from oms.commands import Command, QueryOrder
from oms.events.base import Event, Stamped
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus
from oms.events.clock import ClockAdvanced
from oms.events.market import BarClosed, DepthReported, QuoteReported, TradePrinted
from oms.events.session import InstrumentDefined, SessionOpened, VenueStatusChanged
from oms.shell.books import Books
from oms.shell.dispatcher import Dispatcher
from oms.shell.gate import Gate
from oms.shell.market_filter import MarketFilter
from oms.shell.runner import Committed, Runner
from oms.values import MILLISECOND, Micros

_FOR_BROKER = (QuoteReported, TradePrinted, BarClosed, VenueStatusChanged, SessionOpened, InstrumentDefined)


class VirtualBroker(Protocol):
    """A broker that lives in virtual time: it sees the market and is told how late it is."""

    def start(self, sink: Sink, checkpoint: str | None = None) -> None:
        """Connect; answers come with the first `advance`."""

    def send_at(self, command: Command, now: Micros) -> None:
        """Take a command at a time."""

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for everything that is open, or only for positions and the names of open orders."""

    def market(self, event: Any, at: Micros) -> None:
        """Show the market to the broker."""

    def advance(self, now: Micros) -> None:
        """Deliver every reply that is due."""

    def next_due(self) -> Micros | None:
        """When the next reply is due."""


Listener = Callable[[Event], Iterable[Stamped]]
"""Called with each market event and broker input once it is durable; yields requests of a strategy."""


class VirtualTime:
    """Drives one writer and one broker. `feed` takes market data in time order; everything due before it happens."""

    def __init__(self, runner: Runner, broker: VirtualBroker, *, market: MarketFilter | None = None) -> None:
        self._runner = runner
        self._broker = broker
        self._filter = market or MarketFilter()
        self._queue: deque[Stamped] = deque()
        self._listeners: list[Listener] = []
        self._gate = Gate(runner.published.account, runner.published.pipelines)
        runner.observe(self._watch)
        self._dispatcher = Dispatcher(broker, self._queue.append, self._gate, runner.renew)
        self._held = runner.take_opening()
        self._is_asked = False
        self._must_ask = False
        self.books = Books(runner, broker.query)
        self.now: Micros = runner.now

    def listen(self, listener: Listener) -> None:
        """Attach a strategy."""
        self._listeners.append(listener)

    def connect(self) -> None:
        """Start order: the log is folded; ask the broker for its books, append the answers, then act.

        A broker that does not answer is waited for as long as for any other question (`resolve_timeout`).
        """
        settings = self._runner.book.account.settings
        patience = self.now + settings.protection.resolve_timeout_ms * MILLISECOND
        self._is_asked = True
        self._broker.start(self._queue.append, None)
        failpoints.reach("link.started")
        self.books.ask(self._asked_at(), self.now)
        failpoints.reach("link.asked")
        self._settle(self.now)
        for _ in range(1000):
            due = self._broker.next_due()
            if due is None or due > patience or self._runner.book.account.reconciled:
                break
            self._settle(due)
        self._release(self._runner.flush())
        self._is_asked = False
        failpoints.reach("link.settled")

    def forget(self, listener: Listener) -> None:
        """Detach a strategy."""
        self._listeners = [one for one in self._listeners if one is not listener]

    def put(self, stamped: Stamped) -> None:
        """Take an input at the present time once the step in progress is over; an observer may call it."""
        self._queue.append(stamped)

    def submit(self, stamped: Stamped) -> None:
        """Take an input from outside (a strategy, an operator, a session) at the present time."""
        self._queue.append(stamped)
        self._work()

    def feed(self, stamped: Stamped, *, broker_sees: bool = True) -> None:
        """Let time pass up to a piece of market data, and take it."""
        stamped = _received(stamped)
        self.pass_until(stamped.logical_time)
        event = stamped.event
        self._gate.see(event)
        if broker_sees and isinstance(event, _FOR_BROKER):
            self._broker.market(event, stamped.logical_time)
            due = self._broker.next_due()
            if due is not None and due <= stamped.logical_time:
                self._settle(stamped.logical_time)
        pipeline = self._runner.book.pipelines.get(getattr(event, "instrument", ""))
        if self._filter.admit(stamped, self._runner.book.account, pipeline):
            self._queue.append(stamped)
            self._work()
        elif self._listeners:
            self._tell(event)
            self._work()

    def pass_until(self, until: Micros) -> None:
        """Let everything happen that is due up to `until`."""
        self.books.slept(until)
        while True:
            clock, broker, books = self._clock_due(), self._broker.next_due(), self.books.next_due()
            due = min((at for at in (clock, broker, books) if at is not None), default=None)
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            if broker is not None and broker <= self.now:
                self._settle(self.now)
            elif books is not None and books <= self.now:
                self._look()
            else:
                self._tick()
        self.now = max(self.now, until)

    def flush(self) -> None:
        """Make everything taken so far durable."""
        self._release(self._runner.flush())
        self._work()

    def next_due(self) -> Micros | None:
        """When something happens by itself next: a deadline, or a reply of the broker."""
        dues = (self._clock_due(), self._broker.next_due(), self.books.next_due())
        return min((due for due in dues if due is not None), default=None)

    def _clock_due(self) -> Micros | None:
        book = self._runner.book
        due = book.next_due()
        stale = self._filter.stale_at(book.account, book.pipelines)
        if stale is not None and (due is None or stale[0] < due):
            return stale[0]
        return due

    def _tick(self) -> None:
        """A deadline has come: one clock input with the quotes of what is due, or the news of a silent feed."""
        failpoints.reach("clock.due")
        book = self._runner.book
        stale = self._filter.stale_at(book.account, book.pipelines)
        due = book.deadlines.due(self.now)
        if not due and stale is not None:
            event: Event = self._filter.stale(stale[1], book.pipelines[stale[1]].market)
        else:
            event = ClockAdvanced(quotes=self._filter.ticks(due, book.pipelines))
        self._queue.append(Stamped(event=event, logical_time=self.now))
        self._work()

    def _look(self) -> None:
        """It is time to look whether the broker's books agree. What was stepped before is made durable first."""
        self._release(self._runner.flush())
        failpoints.reach("books.due")
        unanswered = self.books.look(self._asked_at(), self.now)
        if unanswered is not None:
            self._queue.append(Stamped(event=unanswered, logical_time=self.now))
            self._work()

    def _settle(self, now: Micros) -> None:
        """Take the broker's replies up to `now`. What was stepped before them is made durable first."""
        self._release(self._runner.flush())
        self.now = max(self.now, now)
        self._broker.advance(now)
        failpoints.reach("replies.taken")
        self._work()

    def _work(self) -> None:
        """Step what is queued; a batch ends at the first command and before a strategy is asked."""
        while self._queue:
            # It stays in the queue while a quote is stepped before it, which may find the log away.
            stamped = self._queue[0]
            event = stamped.event
            failpoints.reach("input.received")
            for quote in self._filter.before(event, self._runner.book.pipelines):
                self._step(Stamped(event=quote.event, logical_time=self.now))
            self._queue.popleft()
            self._step(stamped)
            if self._listeners and not isinstance(event, ClockAdvanced):
                self._release(self._runner.flush())
                self._tell(event)

    def _step(self, stamped: Stamped) -> None:
        result = self._runner.step(stamped)
        if result.commands or self._runner.is_full:
            self._release(self._runner.flush())

    def _watch(self, committed: Committed) -> None:
        published, event = self._runner.published, committed.stamped.event
        self._gate.follow(published.account, published.pipelines)
        self._must_ask = self._must_ask or self.books.is_whole_wanted(committed)
        if isinstance(event, BrokerLinkChanged) and event.status is BrokerLinkStatus.CONNECTED:
            # The first one answers our own start, which was followed by the question.
            self._must_ask, self._is_asked = not self._is_asked, False

    def _release(self, commands: list[Command]) -> None:
        if self._must_ask:
            # What the broker did while the link was down is unknown until it has been asked.
            self._must_ask = False
            self.books.ask(self._asked_at(commands), self.now)
        if self._held:
            commands = self._with_held(commands)
        # What was settled since it was decided does not leave: its owner has decided anew. That may take long where it
        # was held back, or in steps that a log which was away stores all at once.
        commands = [one for one in commands if self._is_wanted(one)]
        if commands:
            self._gate.log_is_away = self._runner.is_away
            self._dispatcher.dispatch(commands, self.now)

    def _asked_at(self, coming: Iterable[Command] = ()) -> int:
        """The end of the log as far as the broker can know of it: what is held back, or leaves behind the question, has
        not reached it.

        Not from before the last link fell, for such an answer counts for nothing: what is held back still is then asked
        about, and decided anew.
        """
        unsent = (
            one for one in (*self._held, *coming) if not isinstance(one, QueryOrder) and self._is_wanted(one)
        )
        known = min((one.seq - 1 for one in unsent), default=self._runner.head.seq)
        return max(known, self._runner.published.account.asked_from)

    def _with_held(self, commands: list[Command]) -> list[Command]:
        """The commands, behind those of the opening once the books were compared (architecture 3, "Start order").

        One whose order is being asked about never leaves: the answer would be about an order still to come.
        """
        asked = {self._order_of(one) for one in commands if isinstance(one, QueryOrder)}
        self._held = [one for one in self._held if self._order_of(one) not in asked]
        if not self._runner.published.account.reconciled:
            return commands
        held, self._held = self._held, []
        return [*held, *commands]

    def _order_of(self, command: Command) -> str | None:
        pipeline = self._runner.published.pipelines[command.instrument]
        order = pipeline.find(command.client_order_id)
        return order.client_order_id if order is not None else None

    def _is_wanted(self, command: Command) -> bool:
        """Whether it is a question, or the request behind it still waits for its outcome."""
        if isinstance(command, QueryOrder):
            return True
        order = self._runner.published.pipelines[command.instrument].find(command.client_order_id)
        return order is not None and any(one.seq == command.seq for one in order.pending)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            self._queue.extend(listener(event))


def _received(stamped: Stamped) -> Stamped:
    """Market data as received no later than now: of two clocks ours counts.

    A time in the future would make a quote look fresh for as long, and every later one look older than it.
    """
    event = stamped.event
    if not isinstance(event, QuoteReported | TradePrinted | DepthReported):
        return stamped
    if event.received_at <= stamped.logical_time:
        return stamped
    return replace(stamped, event=replace(event, received_at=stamped.logical_time))
