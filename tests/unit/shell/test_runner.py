"""The writer: duplicates, conflicts, what cannot be stored, refused batches, batches that nobody can tell."""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import pytest

from eventlog.errors import DatabaseAway, Fenced
from eventlog.memory import MemoryLog
from oms.errors import UsageProblem
from oms.events.base import Stamped
from oms.events.broker import DuplicateConflict, OrderFilled, UnparsedFrame
from oms.events.market import QuoteReported
from oms.shell.opening import Identity, open_runner
from oms.shell.record import event_of
from oms.shell.recovery import recover
from oms.shell.runner import Runner
from oms.state.digest import digest
from oms.values import CONTEXT, Side
from tests import builders

WHO = Identity(log_id="log", code="code", dependencies="none")


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def opened(log: MemoryLog, **options: int) -> Runner:
    log.ensure_partitions(builders.DAY, 1)
    runner = open_runner(
        log,
        "sim/sim/test",
        builders.settings(),
        at=builders.PRE_OPEN,
        trading_day=builders.DAY,
        who=WHO,
        **options,
    )
    runner.process(Stamped(event=event, logical_time=builders.PRE_OPEN) for event in [builders.instrument()])
    return runner


def fill(quantity: int = 10) -> Stamped:
    event = OrderFilled(
        instrument=builders.NAME,
        broker_order_id="B1",
        execution="X1",
        side=Side.BUY,
        quantity=Decimal(quantity),
        price=Decimal(100),
    )
    return Stamped(event=event, logical_time=builders.OPEN, source="sim", dedupe_key="X1")


def quote(at: int) -> Stamped:
    event = QuoteReported(instrument=builders.NAME, bid=Decimal(99), ask=Decimal(100), received_at=at)
    return Stamped(event=event, logical_time=at)


def types(log: MemoryLog) -> list[str]:
    return [row.type for row in log.read("sim/sim/test")]


@pytest.mark.req("OD-010", "OD-013")
def test_input_delivered_again_is_counted_and_has_no_effect() -> None:
    log = MemoryLog()
    runner = opened(log)
    runner.process(iter([fill()]))
    before = runner.head
    runner.process(iter([fill()]))
    assert runner.head == before
    assert runner.counts["duplicates"] == 1
    assert runner.published.pipelines[builders.NAME].position == 10


def test_same_key_with_other_content_is_logged_as_conflict() -> None:
    log = MemoryLog()
    runner = opened(log)
    runner.process(iter([fill(10)]))
    first = runner.head.seq
    runner.process(iter([fill(20)]))
    runner.process(iter([fill(20)]))
    conflicts = [event_of(row) for row in log.read("sim/sim/test", first) if row.type == "DuplicateConflict"]
    assert len(conflicts) == 1
    assert isinstance(conflicts[0], DuplicateConflict)
    assert conflicts[0].conflict_key == "X1"
    assert runner.published.pipelines[builders.NAME].position == 10


def test_duplicate_in_a_batch_costs_only_itself() -> None:
    log = MemoryLog()
    runner = opened(log)
    runner.process(iter([fill()]))
    for stamped in (quote(builders.OPEN + 1), fill(), quote(builders.OPEN + 2)):
        runner.step(stamped)
    runner.flush()
    assert types(log).count("QuoteReported") == 2
    assert types(log).count("OrderFilled") == 1
    book = recover(log, "sim/sim/test")
    state = runner.published
    assert digest(book.account, book.pipelines) == digest(state.account, dict(state.pipelines))


def test_unstorable_input_becomes_an_unparsed_frame() -> None:
    log = MemoryLog()
    runner = opened(log)
    bad = builders.instrument()
    bad = type(bad)(instrument="A\0B", symbol="A", currency="USD", tick=Decimal(1), lot=Decimal(1))
    runner.process(iter([Stamped(event=bad, logical_time=builders.OPEN)]))
    rows = list(log.read("sim/sim/test"))
    event = event_of(rows[-1]) if rows[-1].type == "UnparsedFrame" else event_of(rows[-2])
    assert isinstance(event, UnparsedFrame)
    assert "A\0B" not in runner.published.pipelines
    assert log.raw_frame("sim/sim/test", rows[-1].cause_seq) is not None


class Failing(MemoryLog):
    """A log whose next append is refused."""

    failure: Exception | None = None

    def append(self, head, steps):  # type: ignore[no-untyped-def]
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return super().append(head, steps)


@pytest.mark.parametrize("failure", [DatabaseAway(), Fenced()])
def test_refused_append_publishes_nothing(failure: Exception) -> None:
    log = Failing()
    runner = opened(log)
    before, state = runner.head, runner.published
    log.failure = failure
    with pytest.raises(type(failure)):
        runner.process(iter([fill()]))
    assert runner.head == before
    assert runner.published is state
    assert runner.book.account == state.account
    runner.process(iter([fill()]))
    assert runner.published.pipelines[builders.NAME].position == 10


def test_logical_time_never_goes_back() -> None:
    log = MemoryLog()
    runner = opened(log)
    runner.process(iter([quote(builders.OPEN + 5)]))
    runner.process(iter([quote(builders.OPEN)]))
    times = [row.logical_time for row in log.read("sim/sim/test")]
    assert times == sorted(times)


@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_the_opening_is_stored_whole_whatever_the_batch(limit: int) -> None:
    log = MemoryLog()
    log.ensure_partitions(builders.DAY)
    who = Identity("log", "code", "none")
    opened = open_runner(
        log, "sim/x/1", builders.settings(), at=1, trading_day=builders.DAY, who=who, batch_limit=limit
    )
    assert opened.book.account.config_sha256 == builders.settings().sha256
    assert [row.type for row in log.read("sim/x/1")] == ["AccountOpened", "WriterStarted", "ConfigActivated"]


def test_a_writer_without_a_wanted_policy_does_not_start() -> None:
    log = MemoryLog()
    wanted = builders.settings(policies__enabled={"entry": 99})
    with pytest.raises(UsageProblem, match="entry@99, this program has entry@2"):
        open_runner(log, "sim/x/1", wanted, at=1, trading_day=builders.DAY, who=WHO)
    assert log.head("sim/x/1") is None
