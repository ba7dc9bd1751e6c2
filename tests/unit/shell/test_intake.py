"""What comes in: nothing but what its type promises becomes state, and nobody outside ends a writer."""

import threading
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog.memory import MemoryLog
from oms import Oms
from oms.errors import InputError
from oms.events.base import INPUT, REGISTRY, Event, Stamped
from oms.events.broker import UnparsedFrame
from oms.events.checking import _plan as plan_of
from oms.events.checking import problem_of, problem_of_event
from oms.events.decisions import Alerted, OrderPlaced
from oms.events.market import Prices, QuoteReported
from oms.events.operator import ConfigActivated
from oms.events.strategy import ListenerFailed
from oms.shell.opening import Identity, open_runner
from oms.shell.record import event_of
from oms.shell.recovery import recover
from oms.shell.runner import Runner
from oms.state.digest import digest
from oms.values import CONTEXT, SECOND, OrderType, PositionSide, Role, Side, TimeInForce
from replay.verify import verify
from tests import builders
from tests.integration.test_determinism import day, played
from tests.unit.policies.days import Day, Played
from tests.unit.shell import test_embed as e
from tests.unit.shell.test_live import Turning, place, running, until

__all__ = ["place"]

ACCOUNT = "sim/sim/door"
NOW = builders.OPEN


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def opened(log: MemoryLog) -> Runner:
    log.ensure_partitions(builders.DAY)
    who = Identity("log", "code", "none")
    at = builders.PRE_OPEN
    runner = open_runner(log, ACCOUNT, builders.settings(), at=at, trading_day=builders.DAY, who=who)
    runner.process([Stamped(event=builders.instrument(), logical_time=at)])
    return runner


GOOD = (
    builders.quote(100, 101, at=NOW),
    builders.bar(99, 101, 100, end_at=NOW),
    builders.entry(),
    builders.instrument(),
    builders.session(),
)
CONFIG = ConfigActivated(config_sha256="", profile="p", settings={"a": "\ud800"})
JUNK = (
    1.5,
    float("nan"),
    Decimal("NaN"),
    Decimal("-Infinity"),
    Decimal("1E+30"),
    Decimal("1E-30"),
    7,
    True,
    "7",
    b"7",
    "half \ud83d of a pair",
    "U+0000 \0",
    1 << 63,
)


@pytest.mark.parametrize(("wrong", "said"), [
    (replace(GOOD[2], quantity=100.0), "EntryRequested.quantity is the float 100.0, not Decimal"),
    (replace(GOOD[2], side="LONG"), "EntryRequested.side is the str 'LONG', not PositionSide"),
    (replace(GOOD[2], stop=Decimal("NaN")), "EntryRequested.stop is NaN, which is no number"),
    (replace(GOOD[2], quantity=Decimal("1E+30")), "EntryRequested.quantity is 1E+30, which is too large"),
    (replace(GOOD[0], received_at=1.0), "QuoteReported.received_at is the float 1.0, not int"),
    (replace(GOOD[0], synthetic=1), "QuoteReported.synthetic is the int 1, not bool"),
    (replace(GOOD[0], received_at=NOW * 1000), "s ahead of the present; times are in microseconds"),
    (replace(GOOD[1], end_at=NOW * 1000), "BarClosed.end_at"),
    (replace(GOOD[1], low=Decimal(0)), "BarClosed.low 0, high 101 do not enclose"),
    (replace(GOOD[1], bid=Prices(open=1, high=2, low=1, close=1)), "BarClosed.bid.open is the int 1, not Decimal"),
    (replace(GOOD[3], tick=Decimal(0)), "InstrumentDefined.tick is 0, not above zero"),
    (replace(GOOD[3], instrument=""), "InstrumentDefined.instrument is empty"),
    (replace(GOOD[4], close_at=1), "SessionOpened.close_at 1 is not after open_at"),
    (builders.printed(0, at=NOW), "TradePrinted.price is 0, not above zero"),
    (replace(GOOD[2], intent_id="\ud800"), "EntryRequested.intent_id is the str '\\ud800', which holds half a"),
    (replace(GOOD[0], received_at=-(1 << 63) - 1), "QuoteReported.received_at needs more than 64 bits"),
    (CONFIG, "ConfigActivated.settings cannot be written as JSON"),
    ("hello", "the str 'hello' is not an event"),
])  # fmt: skip
def test_says_what_is_wrong(wrong: Any, said: str) -> None:
    assert said in str(problem_of(Stamped(event=wrong, logical_time=NOW)))


DECISION = OrderPlaced(
    instrument=builders.NAME, trade_no=1, client_order_id="S1", role=Role.STOP, side=Side.SELL,
    quantity=Decimal(1), order_type=OrderType.MARKET, time_in_force=TimeInForce.DAY, policy="tests",
)  # fmt: skip


def test_a_decision_is_no_input() -> None:
    assert "only the core decides" in str(problem_of_event(replace(DECISION)))


@pytest.mark.parametrize("wrong", [
    {"logical_time": 1.0}, {"logical_time": NOW * 1000}, {"logical_time": -1}, {"received_at": 1.0},
    {"event_time": "now"}, {"source": 1}, {"dedupe_key": b"1"}, {"raw": "frame"},
])  # fmt: skip
def test_times_and_keys_are_checked_too(wrong: dict[str, Any]) -> None:
    log = MemoryLog()
    runner = opened(log)
    runner.process([replace(Stamped(event=GOOD[0], logical_time=NOW), **wrong)])
    assert [row.type for row in log.read(ACCOUNT)][-2:] == ["UnparsedFrame", "Alerted"]


def test_every_type_of_input_can_be_checked() -> None:
    for kind in REGISTRY.values():
        if kind.KIND == INPUT:
            assert len(plan_of(kind)) == len(kind.__struct_fields__)


def test_a_sound_day_has_no_problem() -> None:
    for seed in range(3):
        for one in played(day(seed)).steps:
            assert problem_of(one.stamped) is None


def fields() -> st.SearchStrategy[tuple[Event, str]]:
    return st.sampled_from([(one, name) for one in GOOD for name in one.__struct_fields__])


@settings(deadline=None, max_examples=150)
@given(place=fields(), junk=st.sampled_from(JUNK))
def test_whatever_comes_the_writer_goes_on_and_the_log_proves_itself(
    place: tuple[Event, str], junk: Any
) -> None:
    """A float in a price once ended every later step: it was state before the log refused it."""
    event, name = place
    log = MemoryLog()
    runner = opened(log)
    wrong = Stamped(event=replace(event, **{name: junk}), logical_time=NOW)
    runner.step(Stamped(event=builders.quote(100, 101, at=NOW), logical_time=NOW))
    runner.step(wrong)
    runner.process([Stamped(event=builders.quote(101, 102, at=NOW + 1), logical_time=NOW + 1)])
    assert runner.published.pipelines[builders.NAME].market.bid == 101
    if problem_of(wrong) is not None:
        assert any(isinstance(event_of(row), UnparsedFrame) for row in log.read(ACCOUNT))
    book, state = recover(log, ACCOUNT), runner.published
    assert digest(book.account, book.pipelines) == digest(state.account, dict(state.pipelines))
    assert verify(log, ACCOUNT).is_identical


# --- the embedding program ---------------------------------------------------------------------------------


def test_a_float_is_refused_by_name_and_nothing_is_taken() -> None:
    with Oms.open(database="memory", day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        oms.feed(e.quote(e.hours()[1]))
        before = oms.day()
        with pytest.raises(InputError, match=r"OMS-P004.*quantity is the float 100\.0, not Decimal; numbers"):
            oms.request(replace(e.entry(), quantity=100.0))
        with pytest.raises(InputError, match="is not a Stamped event"):
            oms.feed(e.quote(e.hours()[1]).event)  # type: ignore[arg-type]
        assert oms.day() == before
        oms.request(e.entry())
        assert oms.view.open_trades("TEST")


def test_a_quote_from_a_clock_ahead_of_ours_hides_no_later_one() -> None:
    """Nor is it fresh for as long as its clock is ahead: the guard of a stop would look at it and see peace."""
    run = Played(Day([], everything=True))
    run.time.feed(Stamped(event=builders.quote(100, 101, at=NOW + 30 * SECOND), logical_time=NOW))
    assert (run.pipeline.market.bid, run.pipeline.market.quote_at) == (100, NOW)
    run.time.feed(Stamped(event=builders.quote(90, 91, at=NOW + SECOND), logical_time=NOW + SECOND))
    assert (run.pipeline.market.bid, run.pipeline.market.quote_at) == (90, NOW + SECOND)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_price_that_is_not_above_zero_is_none(price: str) -> None:
    runner = opened(MemoryLog())
    for quoted in (builders.quote(price, 101, at=NOW), builders.quote(price, price, at=NOW)):
        runner.process([Stamped(event=quoted, logical_time=NOW)])
        market = runner.published.pipelines[builders.NAME].market
        assert market.bid is None
        assert not market.is_two_sided


class Broken(Exception):
    pass


class Breaking:
    """A strategy that enters once, and raises when told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.has_entered = self.must_break = False

    def on_event(self, event: Event, view: Any) -> Iterable[Event]:
        self.calls += 1
        if isinstance(event, QuoteReported) and not self.has_entered:
            self.has_entered = True
            yield e.entry()
        if self.must_break:
            yield replace(e.entry("half"), side=PositionSide.SHORT)
            raise Broken("division by zero, as it were")


def alerts(log: MemoryLog) -> list[str]:
    found = [event_of(row) for row in log.read("sim/sim/main")]
    return [one.code for one in found if isinstance(one, Alerted)]


def test_a_strategy_that_raises_while_live_is_left_and_its_position_is_kept(place: Path) -> None:
    log = MemoryLog()
    strategy = Breaking()
    with Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO, place=place) as oms:
        oms.define(e.stock(), e.times())
        clock = Turning(e.hours()[1])
        oms.attach(strategy)
        oms.start(clock)
        until(oms, clock, lambda: oms.view.position("TEST") == 100)
        strategy.must_break = True
        until(oms, clock, lambda: "listener_failed" in alerts(log))
        calls = strategy.calls
        until(oms, clock, lambda: oms.view.position("TEST") == 100)
        assert strategy.calls == calls
        for _ in range(3000):
            oms.put(e.quote(clock.now(), "98.00"))
            if not oms.view.position("TEST"):
                break
    assert oms.view.position("TEST") == 0
    assert [type(event_of(row)) for row in log.read("sim/sim/main")].count(ListenerFailed) == 1
    assert verify(log, "sim/sim/main").is_identical


def test_a_strategy_that_raises_while_the_writer_closes_does_not_end_it(place: Path) -> None:
    called, closing = threading.Event(), threading.Event()

    class Late:
        def on_event(self, event: Event, view: Any) -> Iterable[Event]:
            called.set()
            closing.wait(60)
            raise Broken("too late")

    log = MemoryLog()
    with Oms.open(database=log, day=e.DAY, at=e.hours()[0], identity=e.WHO, place=place) as oms:
        oms.define(e.stock(), e.times())
        oms.attach(Late())
        clock = Turning(e.hours()[1])
        oms.start(clock)
        oms.put(e.quote(clock.now()))
        assert called.wait(60)
        threading.Timer(0.2, closing.set).start()
    assert "listener_failed" in alerts(log)


def test_a_callback_that_raises_while_live_is_left(place: Path) -> None:
    log = MemoryLog()
    told: list[Any] = []

    def bad(recorded: Any) -> None:
        told.append(recorded)
        raise Broken("no")

    with running(log, place) as (oms, clock):
        oms.on_decision(bad)
        oms.request(e.entry())
        until(oms, clock, lambda: oms.view.position("TEST") == 100)
        until(oms, clock, lambda: "listener_failed" in alerts(log))
    assert len(told) == 1


def test_what_a_callback_raises_is_raised_when_the_work_is_done() -> None:
    def bad(_recorded: Any) -> None:
        raise Broken("no")

    with Oms.open(database="memory", day=e.DAY, at=e.hours()[0], identity=e.WHO) as oms:
        oms.define(e.stock(), e.times())
        oms.feed(e.quote(e.hours()[1]))
        oms.on_decision(bad)
        with pytest.raises(Broken):
            oms.request(e.entry())
        oms._calls.clear()
        oms.wait(e.hours()[1] + SECOND)
        assert oms.view.position("TEST") == 100
