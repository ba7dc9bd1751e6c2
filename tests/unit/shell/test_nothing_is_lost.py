"""A log that does not answer, a request that collides, a frame nobody can read: nothing is lost or silent."""

from collections.abc import Iterator
from decimal import localcontext

import pytest

from eventlog.errors import DatabaseAway, DuplicateKey
from eventlog.memory import MemoryLog
from oms import ExitRequested, Oms
from oms.brokers.simulated import SimulatedBroker
from oms.events.base import Stamped
from oms.values import CONTEXT, SECOND
from tests import builders
from tests.unit.shell import test_embed as e
from tests.unit.shell import test_runner as r


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


class AwayAtTheFill(MemoryLog):
    """Does not answer once: when the first fill is to be stored."""

    done = False

    def append(self, head, steps):
        if not self.done and any(row.type == "OrderFilled" for step in steps for row in step.events):
            self.done = True
            raise DatabaseAway
        return super().append(head, steps)


def test_a_fill_survives_a_moment_without_the_database():
    log = AwayAtTheFill()
    broker = SimulatedBroker()
    with Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO, broker=broker) as oms:
        oms.define(e.stock(), e.times())
        opened = e.hours()[1]
        oms.feed(e.quote(opened))
        raised = 0
        try:
            oms.request(e.entry("1"))
        except DatabaseAway:
            raised += 1
        for second in range(1, 60):
            try:
                oms.feed(e.quote(opened + second * SECOND))
            except DatabaseAway:
                raised += 1
        assert raised == 1
        assert oms.view.position("TEST") == 100, [row.type for row in log.read("sim/sim/main")][-30:]


class AwayAtTheStop(AwayAtTheFill):
    """Does not answer once: when the fill of the stop is to be stored."""

    def append(self, head, steps):
        if not self.done and any(
            row.type == "OrderFilled" and "SELL" in row.body for step in steps for row in step.events
        ):
            self.done = True
            raise DatabaseAway
        return MemoryLog.append(self, head, steps)


def test_the_fill_of_the_stop_survives_a_moment_without_the_database():
    log = AwayAtTheStop()
    with Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        opened = e.hours()[1]
        oms.feed(e.quote(opened))
        oms.request(e.entry("1"))
        raised = 0
        for second in range(1, 300):
            try:
                oms.feed(e.quote(opened + second * SECOND, "100.00" if second < 20 else "98.95"))
            except DatabaseAway:
                raised += 1
        assert raised == 1
        oms.view.open_trades("TEST")
        assert oms.view.position("TEST") == 0, (
            [
                (o.role, o.status, o.leaves, o.pending)
                for o in oms.published.pipelines["TEST"].orders.values()
            ],
            [row.type for row in log.read("sim/sim/main")][-12:],
        )


def test_the_fill_of_a_target_survives_a_moment_without_the_database():
    log = AwayAtTheStop()
    with Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        opened = e.hours()[1]
        oms.feed(e.quote(opened))
        oms.request(e.entry("1"))
        raised = 0
        for second in range(1, 300):
            try:
                oms.feed(e.quote(opened + second * SECOND, "100.00" if second < 20 else "101.20"))
            except DatabaseAway:
                raised += 1
        assert raised == 1
        assert oms.view.position("TEST") == 70, (
            oms.view.position("TEST"),
            [
                (o.role, o.status, o.leaves, o.pending)
                for o in oms.published.pipelines["TEST"].orders.values()
            ],
            [row.type for row in log.read("sim/sim/main")][-12:],
        )


def test_two_strategies_may_use_the_same_intent_id():
    with Oms.open(database="memory", day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        oms.define(e.stock("TWO"), e.times("TWO"))
        from msgspec.structs import replace

        oms.feed(e.quote(e.hours()[1]))
        oms.request(replace(e.entry("1"), strategy="a"))
        out = oms.request(replace(e.entry("1", instrument="TWO"), strategy="b"))
        assert any(type(x.event).__name__ in ("EntryAccepted", "IntentRefused") for x in out.events), [
            type(x.event).__name__ for x in out.events
        ]


class AwayAtTheRenewal(MemoryLog):
    away = False

    def renew(self, head):
        if self.away:
            self.away = False
            raise DatabaseAway
        return super().renew(head)


def test_a_failed_renewal_loses_no_input(monkeypatch):
    log = AwayAtTheRenewal()
    runner = r.opened(log)
    runner._renewed -= 100
    log.away = True
    with pytest.raises(DatabaseAway):
        runner.process(iter([r.fill()]))
    runner.flush()
    assert "OrderFilled" in r.types(log), "the fill is gone"
    assert runner.book.account.seq == runner.head.seq, "the book is ahead of the log"


def test_a_failed_renewal_and_the_next_input():
    log = AwayAtTheRenewal()
    runner = r.opened(log)
    runner._renewed -= 100
    log.away = True
    with pytest.raises(DatabaseAway):
        runner.process(iter([r.fill()]))
    runner.process(iter([r.quote(builders.OPEN + 5)]))
    rows = list(log.read("sim/sim/test"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1)), [(row.seq, row.type) for row in rows]


def test_a_conflicting_fill_is_alerted():
    log = MemoryLog()
    runner = r.opened(log)
    runner.process(iter([r.fill(10)]))
    runner.process(iter([r.fill(20)]))
    assert "Alerted" in r.types(log), r.types(log)


def test_an_unparsed_frame_is_alerted():
    log = MemoryLog()
    runner = r.opened(log)
    from msgspec.structs import replace

    one = r.fill(10)
    runner.process(iter([replace(one, event=replace(one.event, execution="X\0"))]))
    assert "UnparsedFrame" in r.types(log)
    assert "Alerted" in r.types(log), r.types(log)


def test_an_exit_under_a_used_intent_is_answered():
    with Oms.open(database="memory", day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        oms.feed(e.quote(e.hours()[1]))
        oms.request(e.entry("1"))
        for second in range(1, 5):
            oms.feed(e.quote(e.hours()[1] + second * SECOND))
        assert oms.view.position("TEST") == 100
        out = oms.request(ExitRequested(instrument="TEST", strategy="test", intent_id="1"))
        assert out.rejections or oms.view.open_trades("TEST")[0].close is not None, [
            type(x.event).__name__ for x in out.events
        ]


def test_a_request_after_the_thread_has_died_is_refused():
    log = AwayAtTheFill()
    oms_cm = Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO)
    oms = oms_cm.__enter__()
    oms._failure = DatabaseAway()  # what the thread keeps when it dies
    oms._thread = __import__("threading").Thread(target=lambda: None)
    oms._thread.start()
    try:
        with pytest.raises(DatabaseAway):
            oms.request(e.entry("9"))
    finally:
        oms._failure = None
        oms_cm.__exit__(None, None, None)


class AwayAfterTheEntry(MemoryLog):
    """Refuses a batch as holding a duplicate, stores the entry by itself, and then does not answer once."""

    away = False

    def append(self, head, steps):
        if self.away and len(steps) > 1:
            raise DuplicateKey
        stored = [row.type for step in steps for row in step.events]
        if self.away and "EntryRequested" not in stored:
            self.away = False
            raise DatabaseAway
        return super().append(head, steps)


def test_commands_stored_before_the_log_went_away_still_leave():
    log = AwayAfterTheEntry()
    runner = r.opened(log)
    told = [
        builders.session(),
        *builders.connection(),
        builders.quote("99.99", "100.01", at=builders.OPEN),
    ]
    runner.process([Stamped(event=one, logical_time=builders.OPEN) for one in told])
    log.away = True
    asked = [builders.entry(), builders.quote("99.98", "100.00", at=builders.OPEN + 5)]
    with pytest.raises(DatabaseAway):
        runner.process([Stamped(event=one, logical_time=builders.OPEN + 5) for one in asked])
    placed = [row.seq for row in log.read("sim/sim/test") if row.type == "OrderPlaced"]
    assert placed
    assert [command.seq for command in runner.flush()] == placed
