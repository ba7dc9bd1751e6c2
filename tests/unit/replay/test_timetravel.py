"""Time travel: the state at a place is exactly the one that was published there."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from eventlog.errors import UnknownAccount
from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import Reject
from oms.errors import DomainProblem, UsageProblem
from oms.shell.record import steps_of
from oms.state.digest import digest
from oms.values import SECOND, Role
from replay.moments import day_of, parse_place, shown_clock, shown_time
from replay.rebuild import rebuild
from replay.situation import Situation, TradeLine, situation
from replay.timetravel import days, place, row_at, state_at
from tests.unit.replay.days import ACCOUNT, DAY, NEXT_DAY, TradingDay, busy_day, ladder_day, trading_day


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return ladder_day()


@pytest.mark.req("OM-063")
def test_state_at_every_step_is_what_was_published() -> None:
    day = busy_day(5, seconds=120)
    steps = list(steps_of(day.log.read(ACCOUNT)))
    assert len(steps) > 50
    for step in steps:
        last = step[-1].seq
        book = state_at(day.log, ACCOUNT, seq=last)
        assert book.account.seq == last
        if last in day.digests:
            assert digest(book.account, book.pipelines) == day.digests[last]
    assert set(day.digests) >= {step[-1].seq for step in steps if step[0].seq > 8} - _openings(steps)


def _openings(steps: list[list[object]]) -> set[int]:
    """The first inputs of a writer are appended before anybody can observe it."""
    return {step[-1].seq for step in steps if step[0].type in ("WriterStarted", "DayRolled")}  # type: ignore[attr-defined]


def test_inside_a_step_only_what_was_decided_so_far(day: TradingDay) -> None:
    accepted = next(row for row in day.log.read(ACCOUNT) if row.type == "EntryAccepted")
    before = state_at(day.log, ACCOUNT, seq=accepted.seq - 1)
    after = state_at(day.log, ACCOUNT, seq=accepted.seq)
    assert not before.pipelines["AAPL"].trades
    assert list(after.pipelines["AAPL"].trades) == [1]
    assert not after.pipelines["AAPL"].orders


def test_a_time_is_all_that_was_known_by_then(day: TradingDay) -> None:
    rows = list(day.log.read(ACCOUNT))
    for row in rows[::9]:
        known = max(one.seq for one in rows if one.logical_time <= row.logical_time)
        assert place(day.log, ACCOUNT, time=row.logical_time) == known
        if row.logical_time < rows[-1].logical_time:
            assert place(day.log, ACCOUNT, time=row.logical_time, seq=row.seq) == row.seq


def test_days_are_found_by_their_own_day() -> None:
    with trading_day() as day:
        day.walk(20)
        day.restart(NEXT_DAY)
        day.walk(5)
    found = list(days(day.log, ACCOUNT))
    assert [one for one, _, _ in found] == [DAY, NEXT_DAY]
    assert found[0][2] + 1 == found[1][1]
    assert row_at(day.log, ACCOUNT, found[1][1]).type == "DayRolled"
    assert state_at(day.log, ACCOUNT, day=DAY).account.trading_day == DAY
    assert place(day.log, ACCOUNT, day=NEXT_DAY) == found[1][2]
    with pytest.raises(DomainProblem, match="no events of 2026-03-12") as caught:
        place(day.log, ACCOUNT, day=date(2026, 3, 12))
    assert "2026-03-09, 2026-03-10" in (caught.value.why or "")


@pytest.mark.parametrize("seq", [0, -1, 10_000])
def test_an_event_that_is_not_there(day: TradingDay, seq: int) -> None:
    with pytest.raises(DomainProblem, match="no event"):
        state_at(day.log, ACCOUNT, seq=seq)


def test_a_time_outside_the_log(day: TradingDay) -> None:
    first, last = row_at(day.log, ACCOUNT, 1), list(day.log.read(ACCOUNT))[-1]
    with pytest.raises(DomainProblem, match="before the first"):
        place(day.log, ACCOUNT, time=first.logical_time - 1)
    with pytest.raises(DomainProblem, match="beyond the last"):
        place(day.log, ACCOUNT, time=last.logical_time + 1)


def test_an_account_that_is_not_there(day: TradingDay) -> None:
    with pytest.raises(UnknownAccount):
        place(day.log, "sim/test/nobody")


def test_an_account_without_events(day: TradingDay) -> None:
    day.log.acquire("sim/test/new", "somebody:1")
    with pytest.raises(DomainProblem, match="no events yet"):
        place(day.log, "sim/test/new")


def test_times_are_written_and_read_in_utc() -> None:
    at = 1_773_063_005_250_000
    assert shown_time(at) == "2026-03-09 13:30:05.250 UTC"
    assert shown_clock(at + 1) == "13:30:05.250001"
    assert parse_place("13:30:05.25", DAY) == (None, at)
    assert parse_place("2026-03-09T09:30:05.250-04:00", None) == (None, at)
    assert parse_place("13:30", DAY) == (None, at - 5_250_000)
    assert parse_place("1200", DAY) == (1200, None)
    assert day_of("2026-03-09") == DAY
    assert day_of("day.jsonl") is None
    for wrong in ("noon", "25:00", "2026-13-01T00:00:00"):
        with pytest.raises(UsageProblem):
            parse_place(wrong, DAY)
    with pytest.raises(UsageProblem):
        parse_place("13:30", None)


def situations(day: TradingDay) -> Iterator[tuple[int, Situation]]:
    for step in steps_of(day.log.read(ACCOUNT)):
        book = rebuild(day.log, ACCOUNT, step[-1].seq)
        yield step[-1].seq, situation(book.account, book.pipelines)


def trade_of(found: Situation) -> TradeLine | None:
    trades = [trade for line in found.pipelines for trade in line.trades]
    return trades[0] if trades else None


def test_says_who_holds_the_stop_all_along(day: TradingDay) -> None:
    seen: list[str] = []
    for _, found in situations(day):
        trade = trade_of(found)
        if trade is not None and (not seen or seen[-1] != trade.holder):
            seen.append(trade.holder)
        if trade is not None and trade.holder == "broker stop":
            assert trade.covered >= trade.held > 0
    assert seen[:3] == ["flat", "internal guard", "broker stop"]
    assert seen[-1] == "flat"


def test_says_naked_while_nobody_does() -> None:
    day = ladder_day((Misbehave(when=When(role=Role.STOP), what=Reject()),))
    trades = [trade for _, found in situations(day) if (trade := trade_of(found)) is not None]
    naked = [trade for trade in trades if trade.holder == "nobody"]
    assert naked
    assert {trade.protection for trade in naked} == {"NAKED"}
    assert trades[-1].naked_seconds > 0


def test_money_and_deadlines_of_an_instant(day: TradingDay) -> None:
    last = None
    for _, found in situations(day):
        line = found.pipelines[0] if found.pipelines else None
        trade = trade_of(found)
        if line is not None and line.next_due is not None:
            assert line.next_due > found.at
            assert line.next_policy
        if trade is not None and trade.pnl_realized != 0:
            last = trade
    assert last is not None
    closed = [row for row in day.log.read(ACCOUNT) if row.type == "TradeClosed"]
    body = msgspec.json.decode(closed[-1].body)
    assert last.pnl_realized == Decimal(body["pnl"])
    assert last.r is not None
    assert abs(last.r - Decimal(body["r"])) < Decimal("0.0001")
    assert last.unconfirmed_seconds > 0
    assert last.naked_seconds * SECOND % 1 == 0
