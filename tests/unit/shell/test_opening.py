"""What is decided while an account is opened leaves once, after the broker was asked, whatever dies in between."""

from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext

import pytest

from eventlog import failpoints
from eventlog.errors import DatabaseAway
from eventlog.memory import MemoryLog
from oms.brokers.simulated import SimulatedBroker
from oms.brokers.simulated.floor import Settings as BrokerSettings
from oms.brokers.simulated.script import Disconnect, Misbehave, Reject, Script, When
from oms.commands import CancelOrder, Command, PlaceOrder, QueryOrder
from oms.config import Settings
from oms.events.base import Event, Stamped
from oms.events.broker import CancelCause, OrderCanceled
from oms.shell.opening import Identity, open_runner
from oms.shell.virtual import VirtualTime
from oms.values import CONTEXT, SECOND, ZERO, Micros, Role, Side
from tests import builders
from tests.builders import CLOSE, DAY, NAME, OPEN

WHO = Identity(log_id="log", code="code", dependencies="none")
ACCOUNT = "sim/sim/opening"
NEXT = builders.settings(gate__messages_per_second=60)
REFUSED = 5
LATE = CLOSE - 120 * SECOND
"""Inside the last minutes, in which the forced close goes to market."""


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield
    failpoints.arm(None)


class Killed(BaseException):
    """As SIGKILL: nothing is closed, flushed or told."""


class Kill(failpoints.Plan):
    """Ends this life at a point."""

    def strike(self) -> None:
        raise Killed


class Broker(SimulatedBroker):
    """Remembers what reached its door. It may refuse stops and the first exits, so that nothing works for a while."""

    def __init__(self, script: Script, *, refuses: bool) -> None:
        refused = [When(role=Role.STOP), *(When(role=Role.EXIT, nth=nth) for nth in range(1, REFUSED + 1))]
        refusals = tuple(Misbehave(when=one, what=Reject(text="no")) for one in refused)
        super().__init__(BrokerSettings(seed=1, script=(*script, *refusals) if refuses else script))
        self.asked = 0
        self.asked_as_of: list[int] = []
        self.sent: list[Command] = []
        self.tells_books = True
        self.watch: Callable[[], bool] = lambda: True
        self.seen: list[bool] = []

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Answer, unless it does not."""
        self.asked += 1
        self.asked_as_of.append(asked_at_seq)
        if self.tells_books:
            super().query(asked_at_seq, whole=whole)

    def send_at(self, command: Command, now: Micros) -> None:
        """Note it, and take it."""
        self.sent.append(command)
        self.seen.append(self.watch())
        super().send_at(command, now)


class Account:
    """One account over several lives of its writer, at one broker. It holds 100 when the first life is over."""

    def __init__(self, *, refuses: bool = False, script: Script = ()) -> None:
        self.log, self.broker = MemoryLog(), Broker(script, refuses=refuses)
        self.log.ensure_partitions(DAY, 1)
        self.open(OPEN, builders.settings())
        self.feed(builders.instrument(), OPEN)
        self.feed(builders.session(), OPEN)
        self.quotes(OPEN, 1)
        self.time.submit(
            Stamped(event=builders.entry(), logical_time=OPEN, source="strategy:tests", dedupe_key="1")
        )
        self.quotes(OPEN + SECOND, 2)
        assert self.held == 100
        self.broker.sent.clear()
        self.broker.seen.clear()

    def open(self, at: Micros, settings: Settings, *, until: str = "") -> None:
        """A new life; with `until` it ends where it first reaches that point."""
        failpoints.arm(Kill(until, 1) if until else None)
        try:
            self.runner = open_runner(self.log, ACCOUNT, settings, at=at, trading_day=DAY, who=WHO)
            self.time = VirtualTime(self.runner, self.broker)
            self.time.connect()
        except Killed:
            assert until
        else:
            assert not until, f"{until} was not reached"
        finally:
            failpoints.arm(None)

    def feed(self, event: Event, at: Micros) -> None:
        """Market data at a time."""
        self.time.feed(Stamped(event=event, logical_time=at, received_at=at))

    def quotes(self, first: Micros, seconds: int) -> None:
        """A still market."""
        for at in range(first, first + seconds * SECOND, SECOND):
            self.feed(builders.quote("99.99", "100.00", at=at), at)
        self.time.flush()

    @property
    def held(self) -> Decimal:
        """The position of the log."""
        return self.runner.published.pipelines[NAME].position

    @property
    def sold(self) -> Decimal:
        """What the broker has sold."""
        orders = self.broker.orders.values()
        return sum((one.cumulative for one in orders if one.side is Side.SELL), ZERO)


@pytest.mark.parametrize(("refuses", "kinds"), [(False, [CancelOrder, CancelOrder]), (True, [PlaceOrder])])
def test_what_the_opening_decided_leaves_once_the_books_are_compared(
    *, refuses: bool, kinds: list[type[Command]]
) -> None:
    account = Account(refuses=refuses)
    account.open(LATE, NEXT)
    assert [type(one) for one in account.broker.sent] == kinds
    rows = {row.seq: row for row in account.log.read(ACCOUNT)}
    assert {rows[rows[one.seq].cause_seq].type for one in account.broker.sent} == {"ConfigActivated"}
    account.quotes(LATE + SECOND, 5)
    assert (account.held, account.sold) == (0, 100)


def test_nothing_that_was_decided_leaves_before_the_books_are_compared() -> None:
    account = Account()
    account.broker.watch = lambda: account.runner.published.account.reconciled
    account.open(LATE, NEXT)
    assert account.broker.seen == [True, True]


@pytest.mark.parametrize("refuses", [False, True])
@pytest.mark.parametrize(
    "point",
    [
        "writer.started",
        "link.asked",
        "replies.taken",
        "command.claimed",
        "command.sending",
        "command.sent",
        "link.settled",
    ],
)
def test_what_the_opening_decided_leaves_once_whatever_dies(*, point: str, refuses: bool) -> None:
    account = Account(refuses=refuses)
    account.open(LATE, NEXT, until=point)
    account.open(LATE + SECOND, NEXT)
    account.quotes(LATE + 2 * SECOND, 30)
    assert (account.held, account.sold, account.broker.positions[NAME]) == (0, 100, 0)


@pytest.mark.parametrize("refuses", [False, True])
def test_an_order_that_is_asked_about_before_it_left_does_not_leave(*, refuses: bool) -> None:
    account = Account(refuses=refuses)
    account.broker.tells_books = False
    account.open(LATE, NEXT)
    assert [one for one in account.broker.sent if not isinstance(one, QueryOrder)] == []
    account.quotes(LATE + 3 * SECOND, 30)
    assert (account.held, account.sold, account.broker.positions[NAME]) == (0, 100, 0)


def test_books_are_asked_for_whenever_the_link_is_made() -> None:
    drop = Misbehave(what=Disconnect(after_messages=4, for_ms=5000))
    account = Account(script=(drop,))
    assert not account.runner.published.account.connected
    assert account.broker.asked == 1
    account.quotes(OPEN + 3 * SECOND, 5)
    assert account.runner.published.account.reconciled
    assert account.broker.asked == 2


def test_what_was_settled_while_it_was_held_back_is_no_reason_to_ask_as_of_before() -> None:
    """Given cancels that are held, when their orders end and the books are asked for again, then as of now."""
    account = Account()
    account.broker.tells_books = False
    account.open(LATE, NEXT)
    account.time.books.every_so_often = True
    pipeline = account.runner.published.pipelines[NAME]
    canceled = [one for one in pipeline.orders.values() if one.is_live and one.pending]
    assert len(canceled) == 2
    first = account.broker.asked_as_of[-1]
    for order in canceled:
        event = OrderCanceled(instrument=NAME, client_order_id=order.wire_id, cause=CancelCause.UNSOLICITED)
        account.time.submit(Stamped(event=event, logical_time=account.time.now))
    account.time.flush()
    head = account.runner.head.seq
    account.quotes(LATE + SECOND, 20)
    assert account.broker.asked_as_of[-1] >= head > first
    assert not [one for one in account.broker.sent if isinstance(one, CancelOrder) and one.seq <= head]


def test_an_input_is_kept_while_the_quote_before_it_cannot_be_stored() -> None:
    """Given a quote that is newer than the log's, when its step finds the log away, then what came with it is stepped
    later."""
    account = Account()
    time, log = account.time, account.log
    account.feed(builders.quote("99.98", "100.01", at=OPEN + 4 * SECOND), OPEN + 4 * SECOND)
    step, failed = time._step, []

    def fails_once(stamped: Stamped) -> None:
        step(stamped)
        if not failed:
            failed.append(type(stamped.event).__name__)
            raise DatabaseAway

    time._step = fails_once  # type: ignore[method-assign]
    request = Stamped(event=builders.leave(), logical_time=time.now, source="strategy:tests", dedupe_key="2")
    with pytest.raises(DatabaseAway):
        time.submit(request)
    assert failed == ["QuoteReported"]
    time.flush()
    assert [row.type for row in log.read(ACCOUNT)].count("ExitRequested") == 1
