"""A running writer in this process: operators first, the kill file, a strategy gone mad, an end that answers."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eventlog.errors import Fenced
from eventlog.memory import MemoryLog
from oms import Oms
from oms.brokers.simulated import SimulatedBroker
from oms.commands import Command, PlaceOrder
from oms.errors import InputError
from oms.events.operator import Act
from oms.shell.control import Answer, NotSent, ask, read_request
from oms.shell.kill_file import KILL_FILE, NO_REASON
from oms.values import SECOND, Micros, Role
from replay.verify import verify
from tests.unit.shell import test_embed as e
from tests.unit.shell.away import AwayLog

ACCOUNT = "sim/sim/main"


class Turning:
    """A clock that moves a tenth of a second each time it is looked at; nobody waits."""

    def __init__(self, at: Micros) -> None:
        self._at = at
        self._lock = threading.Lock()

    def now(self) -> Micros:
        with self._lock:
            self._at += SECOND // 10
            return self._at


class Counting(SimulatedBroker):
    """Remembers what was sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Command] = []

    def send_at(self, command: Command, now: Micros) -> None:
        self.sent.append(command)
        super().send_at(command, now)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="o") as folder:
        yield Path(folder) / "w"


@contextmanager
def running(
    log: MemoryLog, place: Path, broker: SimulatedBroker | None = None
) -> Iterator[tuple[Oms, Turning]]:
    """A live system with one stock and a quote."""
    with Oms.open(
        database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO, place=place, broker=broker
    ) as oms:
        oms.define(e.stock(), e.times())
        clock = Turning(e.hours()[1])
        oms.feed(e.quote(clock.now()))
        oms.start(clock)
        yield oms, clock


def operate(place: Path, kind: Act, request_id: str = "1", **fields: Any) -> Answer:
    level = {"level": 3} if kind is Act.KILL else {}
    words = {"id": request_id, "account": ACCOUNT, "act": kind, "principal": "alice", "reason": "because"}
    return ask(place, read_request(words | level | fields))


def until(oms: Oms, clock: Turning, reached: Callable[[], bool]) -> None:
    """Bring quotes until it is so; each moves the clock."""
    for _ in range(3000):
        if reached():
            return
        oms.put(e.quote(clock.now()))
        # The thread needs the processor, and takes one quote after the other.
        while oms._live is not None and oms._live._inbox.qsize() and oms._failure is None:
            os.sched_yield()
    raise AssertionError(f"never: {oms.day()} {oms._failure!r}")


def position(oms: Oms) -> Decimal:
    return oms.published.pipelines["TEST"].position


@pytest.mark.req("OD-020", "OM-010")
def test_an_act_is_answered_when_it_is_durable(place: Path) -> None:
    log = MemoryLog()
    with running(log, place) as (oms, clock):
        oms.request(e.entry())
        until(oms, clock, lambda: position(oms) == 100)
        said = operate(place, Act.KILL)
        assert (said.durable, said.kill_level, said.exit_code) == ("log", 3, 0)
        assert said.seq is not None
        assert next(log.read(ACCOUNT, said.seq - 1, said.seq)).type == "OperatorCommanded"
        assert said.effects[0].startswith("KillLevelRaised")
        assert oms._time._gate.kill_level == 3
        until(oms, clock, lambda: position(oms) == 0)
        again = operate(place, Act.KILL, "2")
        assert (again.effects, again.open) == ((), {})
        assert operate(place, Act.KILL, "2").repeated
    assert verify(log, ACCOUNT).is_identical
    with pytest.raises(NotSent):
        operate(place, Act.KILL, "3")


def test_positions_are_protected_and_flattened_without_the_log(place: Path) -> None:
    log = AwayLog()
    with running(log, place) as (oms, clock):
        codes: list[str] = []
        oms.on_alert(lambda alert: codes.append(alert.code), minimum="INFO")
        oms.request(e.entry())
        until(oms, clock, lambda: position(oms) == 100)
        log.away = True
        assert operate(place, Act.PAUSE).durable == "journal"
        assert operate(place, Act.KILL, "2").durable == "journal"
        until(oms, clock, lambda: position(oms) == 0)
        until(oms, clock, lambda: not oms.published.pipelines["TEST"].open_trades)
        seq = log.last_seq(ACCOUNT)
        assert seq < oms.day().seq
        log.away = False
        until(oms, clock, lambda: "log_back" in codes)
        assert log.last_seq(ACCOUNT) > seq
        assert codes.index("log_away") < codes.index("log_back")
    found = verify(log, ACCOUNT)
    assert found.is_identical, found.why
    assert not list(place.glob("*.journal"))


def test_no_entry_leaves_without_the_log(place: Path) -> None:
    log, broker = AwayLog(), Counting()
    with running(log, place, broker) as (oms, clock):
        log.away = True
        oms.request(e.entry())
        until(oms, clock, lambda: "1" in repr(oms.published.pipelines["TEST"].trades.get(1)))
        until(oms, clock, lambda: oms.published.pipelines["TEST"].trades[1].is_over)
        assert not [one for one in broker.sent if isinstance(one, PlaceOrder)]
        log.away = False
        until(oms, clock, lambda: not oms._runner.is_away)
    refused = [row for row in log.read(ACCOUNT) if row.type == "CommandRefused"]
    assert "log_away" in refused[0].body
    assert verify(log, ACCOUNT).is_identical


@pytest.mark.parametrize(
    ("text", "reason"), [("", NO_REASON), ("fire\nin the\x1b[2J house", "fire in the [2J house")]
)
def test_a_kill_file_flattens_once(place: Path, text: str, reason: str) -> None:
    log = MemoryLog()
    with running(log, place) as (oms, clock):
        oms.request(e.entry())
        until(oms, clock, lambda: position(oms) == 100)
        # Moved into place, so that it is never seen half written.
        (place / "new").write_text(text)
        (place / "new").rename(place / KILL_FILE)
        until(oms, clock, lambda: position(oms) == 0)
        assert oms.published.account.kill_reason == reason
        assert not oms._runner.counts["duplicates"], "it is looked at once"
        refused = operate(place, Act.REARM)
        assert refused.code == "OMS-O022"
    with running(log, place) as (oms, clock):
        until(oms, clock, lambda: oms.published.account.epoch == 2)
        operate(place, Act.PAUSE)
    assert [row.type for row in log.read(ACCOUNT)].count("KillLevelRaised") == 1


def test_a_kill_file_that_cannot_be_read_kills_all_the_same(place: Path) -> None:
    with running(MemoryLog(), place) as (oms, clock):
        (place / KILL_FILE).symlink_to(place / "nowhere")
        until(oms, clock, lambda: oms.published.account.kill_level == 3)
        assert oms.published.account.kill_reason.startswith(NO_REASON)


def test_a_writer_that_starts_beside_a_kill_file_begins_flat(place: Path) -> None:
    log, broker = MemoryLog(), Counting()
    with running(log, place, broker) as (oms, clock):
        oms.request(e.entry())
        until(oms, clock, lambda: position(oms) == 100)
    (place / KILL_FILE).touch()
    with running(log, place, broker) as (oms, clock):
        oms.request(e.entry("2"))
        until(oms, clock, lambda: position(oms) == 0)
        assert oms.published.account.kill_level == 3
    assert verify(log, ACCOUNT).is_identical


@pytest.mark.req("OM-010", "I75")
def test_a_strategy_gone_mad_is_stopped_and_the_stop_goes_out(place: Path) -> None:
    log, broker = MemoryLog(), Counting()
    with running(log, place, broker) as (oms, clock):
        oms.request(e.entry())
        for number in range(10_000):
            oms.request(e.entry(f"mad-{number}"))
        until(oms, clock, lambda: position(oms) == 100)
        said = operate(place, Act.KILL)
        assert said.kill_level == 3
        until(oms, clock, lambda: position(oms) == 0)
    placed = [one for one in broker.sent if isinstance(one, PlaceOrder)]
    assert [one.role for one in placed].count(Role.ENTRY) == 1
    rows = [row.type for row in log.read(ACCOUNT, 0, placed[1].seq)]
    assert placed[1].role is Role.STOP
    assert rows.count("IntentRefused") < 20, "the stop did not wait behind the requests"
    assert [row.type for row in log.read(ACCOUNT)].count("IntentRefused") == 10_000


def test_an_act_goes_before_everything_that_waits(place: Path) -> None:
    log, busy, held = MemoryLog(), threading.Event(), threading.Event()

    def hold(_decision: object) -> None:
        busy.set()
        held.wait(60)

    with running(log, place) as (oms, _):
        assert oms._live is not None
        oms.on_decision(hold)
        for number in range(100):
            oms.request(e.entry(f"bad-{number}", quantity=-1))
        # Only then does the act find the writer at work; one that came first would be held itself.
        assert busy.wait(60)
        asking = threading.Thread(target=operate, args=(place, Act.PAUSE))
        asking.start()
        while not oms._live._tickets.qsize():
            os.sched_yield()
        held.set()
        asking.join()
    rows = [row.type for row in log.read(ACCOUNT)]
    assert rows[: rows.index("OperatorCommanded")].count("EntryRequested") == 1


def test_who_waits_is_told_when_the_writer_fails(place: Path) -> None:
    class Failing(MemoryLog):
        def append(self, head, steps):  # type: ignore[no-untyped-def]
            if any(row.type == "OperatorCommanded" for step in steps for row in step.events):
                raise Fenced("another writer took over")
            return super().append(head, steps)

    answers: list[Answer] = []

    def fail() -> None:
        with running(Failing(), place) as (oms, _):
            answers.extend(operate(place, Act.PAUSE, number) for number in ("1", "2"))
            oms.put(e.quote(0))

    with pytest.raises(Fenced):
        fail()
    assert [(one.code, one.exit_code) for one in answers] == [("OMS-O021", 3)] * 2
    assert "another writer" in answers[0].why


def test_data_is_not_put_before_the_start() -> None:
    opened = Oms.open(database="memory", day=e.DAY, at=e.hours()[0], identity=e.WHO)
    with opened as oms, pytest.raises(InputError, match="OMS-P003"):
        oms.put(e.quote(0))


@pytest.mark.parametrize(
    ("fields", "exit_code"),
    [
        ({"instrument": "TEST"}, 1),
        ({"instrument": "NONE"}, 1),
        ({"trade_no": 7}, 1),
    ],
)
def test_closing_what_is_not_there_is_said(place: Path, fields: dict[str, Any], exit_code: int) -> None:
    with running(MemoryLog(), place):
        said = operate(place, Act.CLOSE, **fields)
        assert said.exit_code == exit_code
        assert said.refusals
        said = operate(place, Act.CANCEL, "2", client_order_id="nothing")
        assert said.refusals == ("nothing here is called nothing",)
        assert not operate(place, Act.CANCEL, "3").refusals
