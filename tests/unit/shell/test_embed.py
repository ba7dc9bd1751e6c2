"""Embedding: the example runs, refusals are values, a live run reads from another thread, requests are bounded."""

import subprocess
import sys
from datetime import date
from decimal import Decimal

import pytest

from eventlog.memory import MemoryLog
from oms import EntryRequested, InstrumentDefined, Oms, PositionSide, QuoteReported, SessionOpened, Stamped
from oms.calendar import session
from oms.errors import InputError
from oms.events.decisions import Alerted
from oms.shell.opening import Identity
from oms.values import SECOND, Micros
from tests.checkout import ROOT

DAY = date(2026, 3, 2)
WHO = Identity(log_id="log", code="code", dependencies="none")


def hours() -> tuple[Micros, Micros, Micros]:
    found = session("XNYS", DAY)
    assert found is not None
    return found.pre_open_at, found.open_at, found.close_at


def stock(name: str = "TEST") -> InstrumentDefined:
    return InstrumentDefined(
        instrument=name, symbol=name, currency="USD", tick=Decimal("0.01"), lot=Decimal(1)
    )


def times(name: str = "TEST") -> SessionOpened:
    _, opened, close = hours()
    return SessionOpened(instrument=name, calendar="XNYS", session_date=DAY, open_at=opened, close_at=close)


def quote(at: Micros, price: str = "100.00") -> Stamped:
    middle = Decimal(price)
    event = QuoteReported(
        instrument="TEST", bid=middle - Decimal("0.01"), ask=middle + Decimal("0.01"), received_at=at
    )
    return Stamped(event=event, logical_time=at, received_at=at)


def entry(intent_id: str = "1", quantity: int = 100, instrument: str = "TEST") -> EntryRequested:
    return EntryRequested(
        instrument=instrument,
        strategy="test",
        intent_id=intent_id,
        side=PositionSide.LONG,
        quantity=Decimal(quantity),
        ideal=Decimal("100.01"),
        zone_max=Decimal("100.05"),
        stop=Decimal("99.00"),
    )


def test_example_prints_a_day() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.embed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "open {}" in done.stdout


def test_refused_request_is_a_value_with_a_code() -> None:
    with Oms.open(database="memory", day=DAY, at=hours()[0], identity=WHO) as oms:
        oms.define(stock(), times())
        oms.feed(quote(hours()[1]))
        codes = [refused.code for refused in oms.request(entry(quantity=-1)).rejections]
        assert codes == ["bad_quantity"]
        assert [one.code for one in oms.request(entry("2", instrument="NONE")).rejections] == [
            "unknown_instrument"
        ]


@pytest.mark.req("CH-111", "C-25")
def test_same_intent_twice_trades_once() -> None:
    with Oms.open(database="memory", day=DAY, at=hours()[0], identity=WHO) as oms:
        oms.define(stock(), times())
        oms.feed(quote(hours()[1]))
        oms.request(entry("1"))
        assert not oms.request(entry("1")).events
        for second in range(1, 5):
            oms.feed(quote(hours()[1] + second * SECOND))
        assert oms.view.position("TEST") == 100
        assert len(oms.view.open_trades("TEST")) == 1


def test_strategy_may_only_make_requests() -> None:
    class Wrong:
        def on_event(self, event, view):  # type: ignore[no-untyped-def]
            yield stock()

    with Oms.open(database="memory", day=DAY, at=hours()[0], identity=WHO) as oms:
        oms.define(stock(), times())
        oms.attach(Wrong())
        with pytest.raises(InputError, match="OMS-P001"):
            oms.feed(quote(hours()[1]))


def test_second_writer_is_refused_and_the_first_goes_on() -> None:
    from eventlog.errors import LeaseHeld

    log = MemoryLog()
    with Oms.open(database=log, day=DAY, at=hours()[0], identity=WHO) as oms:
        with pytest.raises(LeaseHeld):
            log.acquire("sim/sim/main", "somebody/else")
        oms.define(stock(), times())
        assert oms.view.instrument("TEST") is not None


def test_reopened_account_goes_on_where_it_was() -> None:
    log = MemoryLog()
    with Oms.open(database=log, day=DAY, at=hours()[0], identity=WHO) as oms:
        oms.define(stock(), times())
        before = oms.day()
    with Oms.open(database=log, day=DAY, at=hours()[1], identity=WHO) as oms:
        assert oms.view.instrument("TEST") is not None
        assert oms.day().seq > before.seq
        assert oms.published.account.epoch == 2


class Hand:
    """A clock that the test turns."""

    def __init__(self, at: Micros) -> None:
        self.at = at

    def now(self) -> Micros:
        self.at += SECOND // 10
        return self.at


@pytest.mark.req("OD-004")
def test_live_thread_takes_data_and_answers_requests() -> None:
    alerts: list[Alerted] = []
    with Oms.open(database="memory", day=DAY, at=hours()[0], identity=WHO) as oms:
        oms.define(stock(), times())
        oms.on_alert(alerts.append)
        clock = Hand(hours()[1])
        oms.start(clock)
        oms.put(quote(clock.now()))
        oms.request(entry())
        for _ in range(200):
            oms.put(quote(clock.now()))
            if oms.published.pipelines["TEST"].position:
                break
            # The thread needs the processor; the quotes themselves move the clock.
            subprocess.run(["true"], check=True)
        with pytest.raises(InputError, match="OMS-P002"):
            oms.feed(quote(clock.now()))
    assert oms.published.pipelines["TEST"].position == 100
