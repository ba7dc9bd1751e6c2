"""The example day and the example strategy, from file to request."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, localcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from examples.opening_range_breakout import MINUTE, SETTINGS, OpeningRangeBreakout, Settings
from examples.sample import write
from oms.calendar import session, session_date
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.events.strategy import EntryRequested, ExitRequested
from oms.values import CONTEXT, ZERO, Micros, PositionSide
from replay.importers import Options, open_format
from tests.checkout import shared

D = Decimal
OPEN = 1_772_461_800_000_000
Request = EntryRequested | ExitRequested


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


class Desk:
    """A view whose orders fill at once, so that the strategy can be watched alone."""

    def __init__(self, calendar: str | None, tick: str = "0.01", lot: str = "1") -> None:
        self.calendar = calendar
        self.held = ZERO
        self.now: Micros = 0
        self.terms = SimpleNamespace(tick=D(tick), lot=D(lot))

    def position(self, instrument: str) -> Decimal:
        return self.held

    def open_trades(self, instrument: str) -> tuple[str, ...]:
        return ("trade",) if self.held else ()

    def session(self, instrument: str) -> object:
        day = session_date(self.calendar, self.now) if self.calendar else None
        return session(self.calendar, day) if self.calendar and day else None

    def instrument(self, instrument: str) -> SimpleNamespace:
        return self.terms

    def apply(self, request: Request) -> None:
        if isinstance(request, ExitRequested):
            self.held = ZERO
        else:
            self.held = request.quantity if request.side is PositionSide.LONG else -request.quantity


def run(records: list[Stamped], settings: Settings, desk: Desk) -> list[Request]:
    strategy, found = OpeningRangeBreakout(settings), []
    for record in records:
        desk.now = record.logical_time
        for request in strategy.on_event(record.event, desk):
            desk.apply(request)
            found.append(request)
    return found


def bars(*closes: str, start: Micros = OPEN, span: Micros = MINUTE) -> list[Stamped]:
    """Bars with a cent above and below their close."""
    found = []
    for number, close in enumerate(closes):
        at, price = start + number * span, D(close)
        bar = BarClosed(
            instrument="X", open_at=at, end_at=at + span,
            open=price, high=price + D("0.01"), low=price - D("0.01"), close=price,
        )  # fmt: skip
        found.append(Stamped(event=bar, logical_time=at + span))
    return found


def test_sample_day_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (write(tmp_path / name, date(2026, 3, 2), 1) for name in ("a", "b"))
    other = write(tmp_path / "c", date(2026, 3, 2), 2)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[1].read_bytes() != other[1].read_bytes()
    assert first[0].read_text().splitlines()[1] == (
        "2026-03-02T14:30:00Z,2026-03-02T14:31:00Z,100.01,100.08,99.97,100.08,9740"
    )


def test_sample_bars_are_made_of_its_quotes(tmp_path: Path) -> None:
    paths = write(tmp_path, date(2026, 3, 2), 1)
    low: Decimal | None = None
    high: Decimal | None = None
    count = 0
    for record in open_format("csv", paths, "X"):
        if isinstance(record.event, QuoteReported) and record.event.bid and record.event.ask:
            # A quote on the boundary belongs to the bar that it opens, and comes before the bar that ended.
            if record.logical_time % MINUTE == 0:
                pending = (record.event.bid + record.event.ask) / 2
                continue
            middle = (record.event.bid + record.event.ask) / 2
            low = min(pending if low is None else low, middle)
            high = max(pending if high is None else high, middle)
        elif isinstance(record.event, BarClosed):
            count += 1
            assert (record.event.low, record.event.high) == (low, high)
            low = high = None
    assert count == 390


def test_sample_day_breaks_out_on_both_sides(tmp_path: Path) -> None:
    paths = write(tmp_path, date(2026, 3, 2), 1)
    records = list(open_format("csv", paths, "DEMO"))
    found = run(records, SETTINGS["csv"], Desk("XNYS"))
    assert [(type(one).__name__, getattr(one, "side", None), one.intent_id) for one in found] == [
        ("EntryRequested", PositionSide.LONG, "DEMO:2026-03-02:1"),
        ("ExitRequested", None, "DEMO:2026-03-02:1:exit"),
        ("EntryRequested", PositionSide.SHORT, "DEMO:2026-03-02:2"),
    ]
    assert run(records, SETTINGS["csv"], Desk("XNYS")) == found


SETTING = Settings(range_us=2 * MINUTE, trades_per_session=2, quiet_before_close_us=5 * MINUTE)


def test_close_above_the_range_asks_for_a_long() -> None:
    found = run(bars("100", "100.10", "100.11", "100.12"), SETTING, Desk("XNYS"))
    # The range is 99.99 to 100.11; a close at its high is not beyond it.
    assert found == [
        EntryRequested(
            instrument="X", strategy="opening_range_breakout", intent_id="X:2026-03-02:1",
            side=PositionSide.LONG, quantity=D(99), ideal=D("100.12"), zone_max=D("100.17"), stop=D("99.98"),
        )
    ]  # fmt: skip


def test_close_below_the_range_asks_for_a_short() -> None:
    found = run(bars("100", "100.10", "99.98"), SETTING, Desk("XNYS"))
    assert found == [
        EntryRequested(
            instrument="X", strategy="opening_range_breakout", intent_id="X:2026-03-02:1",
            side=PositionSide.SHORT, quantity=D(100), ideal=D("99.98"), zone_max=D("99.93"), stop=D("100.12"),
        )
    ]  # fmt: skip


def test_stop_may_follow_the_average_true_range() -> None:
    setting = Settings(range_us=2 * MINUTE, stop="atr", atr_length=3)
    (found,) = run(bars("100", "100.10", "100.20"), setting, Desk("XNYS"))
    # True ranges 0.02, 0.11, 0.11 average 0.08; twice that is 0.16.
    assert isinstance(found, EntryRequested)
    assert (found.ideal, found.stop) == (D("100.2"), D("100.04"))


def test_nothing_is_asked_while_the_average_is_unknown() -> None:
    assert run(bars("100", "100.10", "100.20"), Settings(range_us=2 * MINUTE, stop="atr"), Desk("XNYS")) == []


def test_every_breakout_needs_a_fresh_crossing() -> None:
    desk, strategy = Desk("XNYS"), OpeningRangeBreakout(SETTING)
    desk.now = OPEN
    # Nothing fills, so the desk stays flat. 102 is above the range, but so was the bar before it; after the
    # second request the session has had its two.
    closes = ("100", "100", "101", "102", "100", "103", "100", "104")
    asked = [len(list(strategy.on_event(one.event, desk))) for one in bars(*closes)]
    assert asked == [0, 0, 1, 0, 0, 1, 0, 0]


def test_exit_is_asked_for_once() -> None:
    class Stuck(Desk):
        def apply(self, request: Request) -> None:
            if isinstance(request, EntryRequested):
                super().apply(request)

    found = run(bars("100", "100", "101", "99.98", "99.97", "99.96"), SETTING, Stuck("XNYS"))
    assert [type(one).__name__ for one in found] == ["EntryRequested", "ExitRequested"]


def test_bars_outside_the_session_do_not_count() -> None:
    early = bars("50", "150", start=OPEN - 10 * MINUTE)
    found = run([*early, *bars("100", "100", "101")], SETTING, Desk("XNYS"))
    assert [getattr(one, "stop", None) for one in found] == [D("99.98")]


def test_no_entry_shortly_before_the_close() -> None:
    close = OPEN + 390 * MINUTE
    late = bars("101", start=close - 5 * MINUTE)
    assert run([*bars("100", "100"), *late], SETTING, Desk("XNYS")) == []
    assert len(run([*bars("100", "100"), *bars("101", start=close - 6 * MINUTE)], SETTING, Desk("XNYS"))) == 1


def test_position_too_small_for_a_lot_is_not_asked_for() -> None:
    assert run(bars("100", "100", "101"), SETTING, Desk("XNYS", lot="1000")) == []


def test_without_sessions_each_utc_day_has_its_range() -> None:
    first = bars("100", "100", "101", start=OPEN)
    second = bars("200", "200", "201", start=OPEN + 1440 * MINUTE)
    desk = Desk(None)
    found = run(first, SETTING, desk)
    desk.held = ZERO
    strategy = OpeningRangeBreakout(SETTING)
    asked = []
    for record in [*first, *second]:
        asked += strategy.on_event(record.event, desk)
    assert len(found) == 1
    assert [one.intent_id for one in asked] == ["X:2026-03-02:1", "X:2026-03-03:1"]


@pytest.mark.parametrize(
    ("name", "settings", "files", "options", "desk"),
    [
        (
            "index-minute", "index-minute", ["us_index_mplfinance/SP500_NOV2019_IDay.csv"],
            Options(), ("XNYS", "0.01", "1"),
        ),
        (
            "lean", "lean-crypto",
            [f"crypto/lean/binance/minute/btcusd/20221213_{kind}.zip" for kind in ("trade", "quote")],
            Options(market="crypto"), (None, "0.1", "0.001"),
        ),
        (
            "binance-raw", "binance-raw",
            ["crypto/hftbacktest/cm/btcusd_perp_20240808.gz"],
            Options(), (None, "0.1", "0.001"),
        ),
    ],
)  # fmt: skip
def test_strategy_trades_recorded_data(
    name: str, settings: str, files: list[str], options: Options, desk: tuple[str | None, str, str]
) -> None:
    records = list(open_format(name, shared(*(f"data/{file}" for file in files)), "X", options))
    found = run(records, SETTINGS[settings], Desk(*desk))
    entries = [one for one in found if isinstance(one, EntryRequested)]
    assert entries
    assert all(one.quantity > 0 for one in entries)
    for one in entries:
        ordered = [one.stop, one.ideal, one.zone_max]
        assert ordered == sorted(ordered, reverse=one.side is PositionSide.SHORT)
    assert len({one.intent_id for one in found}) == len(found)
