"""Between the product and the oracle: the adapter with its translation, and the faulty link it speaks through.

It has the interface of a broker in virtual time. What the plan says about the link happens here: messages are
copied, lost, late or out of order, the connection falls, a request gets no answer.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from oms.brokers.base import Sink
from oms.commands import Command
from oms.events.base import Event, Stamped
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, BrokerSnapshotReported, CommandFailed
from tests.simulation import wording
from tests.simulation.oracle.broker import Oracle
from tests.simulation.oracle.messages import AskBooks, Report, Request
from tests.simulation.plan import Fault

MS = 1000
SOURCE = "oracle"


class Crash(BaseException):
    """The process is gone, at this very place."""


class Question(NamedTuple):
    """A question for the books: when, over which link, whether for all of them, as of which end of the log; and after
    how many commands."""

    at: int
    link: int
    whole: bool
    asked_at_seq: int = 0
    sent: int = 0


class Desk:
    """The link to one oracle. `hook` may raise Crash at any crossing."""

    def __init__(self, oracle: Oracle, faults: tuple[Fault, ...]) -> None:
        self.oracle = oracle
        self._faults: dict[tuple[str, int], list[Fault]] = defaultdict(list)
        for fault in faults:
            if fault.nth:
                self._faults[fault.occasion, fault.nth].append(fault)
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._n = 0
        self._requests = 0
        self._sink: Sink | None = None
        self._last_in = 0
        self._last_out = 0
        self._held: list[Stamped] = []
        self._swapped: Stamped | None = None
        self._session = 0
        self._clogged_until = 0
        self.down = True
        self.now = 0
        self.healthy = False
        self.uncertain = True
        self.lost: dict[str | None, int] = {}
        """When the last report of an order was lost; the next complete books that were asked for later tell of it."""
        self.owes_correction = False
        """Whether a correction was lost since all of the books were asked for: positions do not tell of a price."""
        self.link = 0
        """How often the link was made."""
        self.now_of: Callable[[], int] = lambda: self.now
        """What time it is where questions are asked: the link itself learns of it with the next command only."""
        self.questions: list[Question] = []
        self._asked: dict[int, int] = {}
        self.counts: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self.sent: list[tuple[int, Command]] = []
        self.tried: set[int] = set()
        """Commands that were handed over, whatever became of them then."""
        self.torn: set[int] = set()
        """Of these the ones that broke the link while they were sent, which this end does not tell."""
        self.is_settled: Callable[[Command], bool] = lambda _command: False
        """Whether what a command asks for has its outcome already, as far as the log tells."""
        self.settled: list[Command] = []
        """Commands that left all the same."""
        self.effects: list[tuple[int, Request]] = []
        self.received: Counter[str] = Counter()
        self.on_strike: Callable[[str], None] = lambda _kind: None
        self.names_of: Callable[[Sequence[str]], Iterable[str]] = lambda names: names

    # The interface of a broker in virtual time

    def start(self, sink: Sink, checkpoint: str | None = None) -> None:
        """Connect. The answer comes with the next `advance`."""
        self._sink = sink
        self._session += 1
        self.link += 1
        self._held.clear()
        self._swapped = None
        self.down = False
        self._later(self.now, self._connected)

    def stop(self) -> None:
        """Let go."""
        self.drop_client()

    def send_at(self, command: Command, now: int) -> None:
        """Put a command on the wire."""
        self.now = max(self.now, now)
        self.tried.add(command.seq)
        kind = wording.KINDS[type(command)]
        self._cross("send")
        request = wording.request_of(command, reduce_only=self.oracle.floor.behaviour.native_reduce_only)
        faults = self._strikes(f"out:{kind}", "out:any")
        role = getattr(command, "role", None)
        if role is not None:
            faults += self._strikes(f"out:{kind}:{role.value}")
        if self.down:
            self._local(_failed(command, sent=False, text="no link to the broker"))
            return
        self.sent.append((self.now, command))
        if self.is_settled(command):
            self.settled.append(command)
        delay, arrives, failure = 0, True, None
        for fault in faults:
            self._note(fault)
            match fault.kind:
                case "lose_request":
                    arrives = False
                case "late_request":
                    delay += fault.ms * MS
                case "fail_unsent":
                    arrives, failure = False, _failed(command, sent=False, text="could not be sent")
                case "fail_unknown":
                    failure = _failed(command, sent=True, text="no answer from the broker")
                case "raise_sent":
                    self._arrive(request, 0)
                    self.torn.add(command.seq)
                    raise OSError("connection reset while sending")
        if arrives:
            self._arrive(request, delay)
        if failure is not None:
            self._local(failure)
        self._cross("sent")

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for all books."""
        self._asked[asked_at_seq] = self.now
        self.questions.append(Question(self.now_of(), self.link, whole, asked_at_seq, len(self.sent)))
        self.owes_correction = self.owes_correction and not whole
        if not self.down:
            self._arrive(AskBooks(asked_at_seq, whole), 0)

    def market(self, event: Any, at: int) -> None:
        """The market reaches the broker without us."""

    def advance(self, now: int) -> None:
        """Let everything due by `now` happen, in order of time."""
        while True:
            own = self._heap[0][0] if self._heap else None
            theirs = self.oracle.next_due()
            dues = [due for due in (own, theirs) if due is not None]
            if not dues or min(dues) > now:
                break
            self.now = max(self.now, min(dues))
            if own is not None and own == min(dues):
                _, _, act = heapq.heappop(self._heap)
                act(self.now)
            else:
                self.oracle.advance(self.now)
            self.collect()
        self.now = max(self.now, now)

    def next_due(self) -> int | None:
        """When `advance` has something to do next."""
        dues = [self._heap[0][0]] if self._heap else []
        theirs = self.oracle.next_due()
        return min([*dues, *([theirs] if theirs is not None else [])], default=None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way on the link or at the broker."""
        return not self._heap and not self.oracle.floor.agenda and not self._held and self._swapped is None

    # The link

    def collect(self) -> None:
        """Put what the oracle has said onto the wire."""
        for at, report in self.oracle.take():
            self._say(at, report)

    def _say(self, at: int, report: Report) -> None:
        event = wording.event_of(report, self.oracle.floor.behaviour)
        if event is None:
            return
        floor = self.oracle.floor
        latency = 1 + floor.draw("in", report.number) % 3
        due = at + latency * MS
        faults = self._strikes(f"in:{report.kind}", "in:any")
        stamped = Stamped(
            event=event,
            logical_time=0,
            source=SOURCE,
            dedupe_key=wording.key_of(event, report, floor.behaviour),
        )
        if report.kind in ("trade", "corrected", "busted") and self._clogged_until > due:
            due = self._clogged_until
        elif not any(fault.kind == "late_message" for fault in faults):
            due = max(due, self._last_in + 1)
            self._last_in = due
        copies = 0
        for fault in faults:
            self._note(fault)
            match fault.kind:
                case "lose_message":
                    self.uncertain = True
                    self.lost[report.client_id] = at
                    self.owes_correction = self.owes_correction or report.kind == "corrected"
                    return
                case "late_message":
                    due += fault.ms * MS
                case "swap_messages":
                    self._swap(stamped, due)
                    return
                case "copy_message":
                    copies += max(fault.quantity, 1)
        self._deliver_at(due, stamped)
        for copy in range(copies):
            self._deliver_at(due + (copy + 1) * 700, stamped)
        if self._swapped is not None:
            waiting, self._swapped = self._swapped, None
            self._deliver_at(due + 1, waiting)

    def _swap(self, stamped: Stamped, due: int) -> None:
        """Let the next message pass first; without one it comes by itself."""
        if self._swapped is not None:
            self._deliver_at(due + 1, self._swapped)
        self._swapped = stamped
        session = self._session
        self._later(due + 250 * MS, lambda now: self._unswap(session, now))

    def _unswap(self, session: int, now: int) -> None:
        if self._swapped is not None and session == self._session:
            waiting, self._swapped = self._swapped, None
            self._deliver_at(now, waiting)

    def _deliver_at(self, due: int, stamped: Stamped) -> None:
        session = self._session
        self._later(due, lambda now: self._deliver(session, stamped, now))

    def _deliver(self, session: int, stamped: Stamped, now: int) -> None:
        if session != self._session:
            return
        if self.down:
            self._held.append(stamped)
            return
        self._hand_over(stamped, now)

    def _hand_over(self, stamped: Stamped, now: int) -> None:
        if self._sink is None:
            return
        self._cross("deliver")
        self.received[type(stamped.event).__name__] += 1
        if isinstance(stamped.event, BrokerSnapshotReported) and stamped.event.complete:
            asked = self._asked.get(stamped.event.asked_at_seq, 0)
            self.lost = {name: at for name, at in self.lost.items() if at >= asked}
            self.uncertain = bool(self.lost)
        self._sink(
            Stamped(
                event=stamped.event,
                logical_time=now,
                event_time=now,
                received_at=now,
                source=stamped.source if stamped.dedupe_key is not None else None,
                dedupe_key=stamped.dedupe_key,
            )
        )

    def _local(self, event: Event) -> None:
        """What this end of the link knows by itself."""
        session = self._session
        stamped = Stamped(event=event, logical_time=0)

        def tell(now: int) -> None:
            if session == self._session:
                self._hand_over(stamped, now)

        self._later(self.now, tell)

    def _arrive(self, request: Request, delay: int) -> None:
        self._requests += 1
        latency = 1 + self.oracle.floor.draw("out", self._requests) % 3
        due = self.now + latency * MS + delay
        if not delay:
            due = max(due, self._last_out + 1)
            self._last_out = due

        def act(now: int) -> None:
            self.effects.append((now, request))
            self.oracle.request(request, now)

        self._later(due, act)

    def _connected(self, now: int) -> None:
        self._local(wording.capabilities_of(self.oracle.floor.behaviour))
        self._local(BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED))
        self.oracle.link_made(now)

    def cut(self, at: int, ms: int, *, loses: bool) -> None:
        """The connection falls, and stands again after `ms`."""
        if self.down:
            return
        self.now = max(self.now, at)
        self.down = True
        self.uncertain = True
        if loses:
            self._session += 1
            self._swapped = None
        self.oracle.link_lost(at)
        session = self._session
        if self._sink is not None:
            sink, event = self._sink, BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED)
            self._later(at, lambda now: sink(Stamped(event=event, logical_time=now)))
        self._later(at + ms * MS, lambda now: self._reconnected(session, now))

    def _reconnected(self, session: int, now: int) -> None:
        if session != self._session or not self.down:
            return
        self.down = False
        self.link += 1
        self._local(BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED))
        self.oracle.link_made(now)
        held, self._held = self._held, []
        for stamped in held:
            self._deliver_at(now + 1, stamped)

    def clog(self, until: int) -> None:
        """Executions come late, whatever else is said meanwhile."""
        self._clogged_until = until

    def drop_client(self) -> None:
        """The client's process is gone, and with it what was on the way to it."""
        self._sink = None
        self._session += 1
        self.uncertain = True
        self._held.clear()
        self._swapped = None
        if not self.down:
            self.down = True
            self.oracle.link_lost(self.now)

    def heal(self) -> None:
        """From now on nothing goes wrong on the link."""
        self.healthy = True
        self._clogged_until = 0
        self.oracle.floor.quirks.clear()

    # Faults

    def _later(self, at: int, act: Callable[[int], None]) -> None:
        self._n += 1
        heapq.heappush(self._heap, (max(at, self.now), self._n, act))

    def _strikes(self, *names: str) -> list[Fault]:
        found: list[Fault] = []
        for name in self.names_of(names):
            self.counts[name] += 1
            if not self.healthy:
                found += self._faults.get((name, self.counts[name]), ())
        return found

    def _note(self, fault: Fault) -> None:
        self.struck[fault.kind] += 1
        self.on_strike(fault.kind)

    def _cross(self, name: str) -> None:
        for fault in self._strikes(name):
            if fault.kind == "crash":
                self._note(fault)
                raise Crash(f"{name} {fault.nth}")


def _failed(command: Command, *, sent: bool, text: str) -> Event:
    return CommandFailed(
        instrument=command.instrument,
        client_order_id=command.client_order_id,
        command_seq=command.seq,
        sent=sent,
        text=text,
    )
