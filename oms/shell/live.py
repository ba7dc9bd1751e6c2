"""The loop of a running writer: operators first, then what waits and what is due, by a clock.

It runs in a thread of its own; everybody else hands things over. An operator's act is stepped before any other
input that waits, and answered when it is durable. Architecture 3; reliability O04, O12, I76.
"""

import queue
import threading
from collections.abc import Callable
from decimal import localcontext
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from oms.errors import DomainProblem, EnvironmentProblem
from oms.events.base import Stamped
from oms.events.decisions import Alerted
from oms.events.operator import Act, OperatorCommanded
from oms.policies.kill_switch import IGNORED
from oms.shell.clock import Clock
from oms.shell.control import ANSWER_SECONDS, Answer, Request
from oms.shell.journaled import JournaledLog
from oms.shell.kill_file import KillFile
from oms.shell.runner import Committed, Runner
from oms.shell.snapshots import Keeper
from oms.shell.virtual import VirtualTime
from oms.step import Recorded
from oms.values import CONTEXT, SECOND, ZERO, plain

POLL_SECONDS: Final = 0.25
"""The longest sleep: a kill file is seen and an absent log is tried so often."""
SOURCE: Final = "operator"


class Ticket:
    """An act that waits for its answer."""

    def __init__(self, stamped: Stamped) -> None:
        self.stamped = stamped
        self.answer: Answer | None = None
        self.failure: BaseException | None = None
        self.done = threading.Event()


class Live:
    """Turns until `stop`. `run` is the writer's thread; `put` and `operate` may be called from any."""

    def __init__(
        self,
        time: VirtualTime,
        runner: Runner,
        clock: Clock,
        *,
        log: JournaledLog | None = None,
        place: Path | None = None,
        keeper: Keeper | None = None,
        after_turn: Callable[[], None] | None = None,
    ) -> None:
        self._time = time
        self._runner = runner
        self._clock = clock
        self._log = log
        self._kill_file = KillFile(place) if place is not None else None
        self._keeper = keeper
        self._after_turn = after_turn
        self._inbox: queue.SimpleQueue[Stamped | None] = queue.SimpleQueue()
        self._tickets: queue.SimpleQueue[Ticket] = queue.SimpleQueue()
        self._in_hand: list[Ticket] = []
        self._committed: Committed | None = None
        self._failure: BaseException | None = None
        self._has_ended = False
        # A live link can lose a report without a trace.
        time.books.every_so_often = True
        runner.observe(self._observe)

    # From any thread

    def put(self, record: Stamped) -> None:
        """Hand over market data or a request; never blocks."""
        self._inbox.put(record)

    def stop(self) -> None:
        """End after the turn in progress, with everything durable."""
        self._inbox.put(None)

    def operate(self, request: Request, user: str) -> Answer:
        """Take an operator's act and wait until it is durable. Raises what keeps it from being taken."""
        self._refuse_rearming(request)
        stamped = Stamped(event=request.event(user), logical_time=0, source=SOURCE, dedupe_key=request.id)
        ticket = Ticket(stamped)
        self._tickets.put(ticket)
        self._inbox.put(_WAKE)
        if self._has_ended:
            self._give_up()
        if not ticket.done.wait(ANSWER_SECONDS):
            raise EnvironmentProblem(
                "OMS-O020",
                "The writer did not take the act in time",
                why=f"it has been busy for {ANSWER_SECONDS:.0f} s; the act waits in front of everything else",
                hint="repeat the same command with the same --id; it counts once",
            )
        if ticket.failure is not None or ticket.answer is None:
            raise EnvironmentProblem(
                "OMS-O021",
                "The writer has stopped",
                why=f"{type(ticket.failure).__name__}: {ticket.failure}",
                hint="start it again; resting stops at the broker stay working",
            )
        return ticket.answer

    def _refuse_rearming(self, request: Request) -> None:
        if request.act is Act.REARM and self._kill_file is not None and self._kill_file.is_there:
            raise DomainProblem(
                "OMS-O022",
                "The kill file is still there",
                where=str(self._kill_file.path),
                hint="remove it first",
            )

    # The writer's thread

    def run(self) -> None:
        """Turn until `stop`, or until something fails: then everybody who waits is told, and it is raised."""
        try:
            with localcontext(CONTEXT):
                while self._turn():
                    pass
        except BaseException as failure:
            self._failure = failure
            raise
        finally:
            self._has_ended = True
            self._give_up()

    def _give_up(self) -> None:
        while not self._tickets.empty():
            self._in_hand.append(self._tickets.get())
        for ticket in self._in_hand:
            ticket.failure = self._failure or EOFError("it was closed")
            ticket.done.set()

    def _turn(self) -> bool:
        item = self._next()
        now = self._clock.now()
        self._operate(now)
        if item is None:
            self._time.flush()
            return False
        if item is not _WAKE:
            # Live, an input acts when it is taken, not when its sender says.
            self._time.feed(replace(item, logical_time=now))
        self._time.pass_until(now)
        self._time.flush()
        self._tend_log(now)
        if self._keeper is not None and self._inbox.empty():
            self._keeper.save_if_due()
        if self._after_turn is not None:
            self._after_turn()
        return True

    def _next(self) -> Stamped | None:
        """What waits, or the sign that it is time to look around."""
        due = self._time.next_due()
        longest = POLL_SECONDS if due is None else min(max(due - self._clock.now(), 0) / SECOND, POLL_SECONDS)
        try:
            return self._inbox.get(timeout=longest) if longest else self._inbox.get_nowait()
        except queue.Empty:
            return _WAKE

    def _tend_log(self, now: int) -> None:
        """Keep the lease, try to reach a log that is away, and step the news of both."""
        self._runner.renew()
        if self._log is None:
            return
        self._log.catch_up()
        for event in self._log.news():
            self._time.submit(Stamped(event=event, logical_time=now))
        self._time.flush()

    def _operate(self, now: int) -> None:
        """Step the acts of operators, each to its end, before anything else that waits."""
        while not self._tickets.empty():
            self._in_hand.append(self._tickets.get())
        found = self._kill_file.poll(now) if self._kill_file is not None else None
        if found is not None:
            self._step(found, now)
        while self._in_hand:
            ticket = self._in_hand[0]
            ticket.answer = self._step(ticket.stamped, now)
            ticket.done.set()
            self._in_hand.pop(0)

    def _step(self, stamped: Stamped, now: int) -> Answer:
        self._time.pass_until(now)
        self._committed = None
        self._time.submit(replace(stamped, logical_time=now))
        self._time.flush()
        durable = self._log.durable if self._log is not None else "log"
        return self._answer(stamped.event, self._committed, durable)

    def _observe(self, committed: Committed) -> None:
        if isinstance(committed.stamped.event, OperatorCommanded):
            self._committed = committed

    def _answer(self, event: object, committed: Committed | None, durable: str) -> Answer:
        assert isinstance(event, OperatorCommanded)
        state = self._runner.published
        events = committed.result.events if committed is not None else ()
        refusals = tuple(
            one.event.text
            for one in events
            if isinstance(one.event, Alerted) and one.event.code in (IGNORED, "unknown_instrument")
        )
        if not refusals and committed is not None and len(events) == 1 and not self._is_known(event):
            refusals = (f"nothing here is called {event.trade_no or ''}{event.client_order_id or ''}",)
        return Answer(
            exit_code=1 if refusals else 0,
            seq=events[0].seq if events else None,
            durable=durable,
            repeated=committed is None,
            effects=tuple(map(_said, events[1:])),
            refusals=refusals,
            kill_level=state.account.kill_level,
            paused=state.account.paused,
            open={
                name: str(plain(one.position))
                for name, one in sorted(state.pipelines.items())
                if one.position != ZERO
            },
        )

    def _is_known(self, event: OperatorCommanded) -> bool:
        """Whether what the act names by number or id is there; what it names by instrument the core has judged."""
        pipelines = self._runner.published.pipelines.values()
        if event.client_order_id is not None:
            return any(one.find(event.client_order_id) is not None for one in pipelines)
        return event.trade_no is None or any(event.trade_no in one.open_trades for one in pipelines)


def _said(recorded: Recorded) -> str:
    """A decision in one line, for whoever asked for it."""
    event = recorded.event
    names = ("level", "paused", "trade_no", "client_order_id", "reason")
    parts = [f"{name} {value}" for name in names if (value := getattr(event, name, None)) not in (None, "")]
    return " ".join([type(event).__name__, *filter(None, [recorded.pipeline]), *parts])


_WAKE: Final = Stamped(event=OperatorCommanded(act=Act.PAUSE, principal="", reason=""), logical_time=-1)
"""A sign, never a record: it is compared by identity."""
