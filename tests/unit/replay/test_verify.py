"""Verification: what was decided is decided again, byte for byte, and what was not is found at its place."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import oms.policies
import replay.verify
from eventlog.envelope import Envelope, Head
from eventlog.memory import MemoryLog
from eventlog.verify import verify_chain
from oms.book import Book
from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import Delay, Disconnect, Drop, Reject, RejectReplace, Repeat
from oms.events.base import Stamped
from oms.policies import POLICIES
from oms.shell.record import stamped_of
from oms.step import StepResult
from oms.values import Role
from replay.verify import LazyBook, Verification, verify
from tests.unit.replay.days import ACCOUNT, TradingDay, busy_day, ladder_day
from tests.unit.replay.tampering import forged, with_body

UNRULY = (
    Misbehave(what=Repeat()),
    Misbehave(when=When(role=Role.STOP, nth=1), what=Reject()),
    Misbehave(when=When(role=Role.STOP, nth=3), what=Drop()),
    Misbehave(when=When(role=Role.STOP, nth=4), what=RejectReplace()),
    Misbehave(when=When(role=Role.ENTRY, nth=3), what=Delay(ms=2500)),
    Misbehave(what=Disconnect(after_messages=40, for_ms=9000)),
)


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return ladder_day()


def rows_of(log: Any) -> list[Envelope]:
    return list(log.read(ACCOUNT))


def first_of(log: Any, type_name: str) -> Envelope:
    return next(row for row in log.read(ACCOUNT) if row.type == type_name)


def check(log: Any, result: str) -> Verification:
    found = verify(log, ACCOUNT)
    assert found.result == result, found.why
    assert verify_chain(log, ACCOUNT).intact
    return found


@pytest.mark.req("OM-063", "I09")
def test_a_day_is_decided_again_identically(day: TradingDay) -> None:
    found = check(day.log, "identical")
    rows = rows_of(day.log)
    assert (found.events, found.until) == (len(rows), len(rows))
    assert found.decisions == sum(row.kind == "D" for row in rows) > 20
    assert found.digest == day.digests[len(rows)]
    assert found.first_divergence is None
    assert found.codes == ("code0",)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_unruly_days_with_restarts_are_identical(seed: int) -> None:
    day = busy_day(seed, UNRULY)
    found = check(day.log, "identical")
    assert found.digest == day.digests[found.events]
    assert found.codes == ("code0", "code1", "code2")
    assert day.runner.counts["duplicates"] > 0


def test_verifies_up_to_the_end_of_a_step(day: TradingDay) -> None:
    placed = first_of(day.log, "OrderPlaced")
    found = verify(day.log, ACCOUNT, placed.cause_seq)
    assert found.is_identical
    assert found.until >= placed.seq
    assert found.digest == day.digests[found.until]


def test_reports_progress_in_whole(day: TradingDay) -> None:
    counts: list[int] = []
    found = verify(day.log, ACCOUNT, progress=counts.append)
    assert sum(counts) == found.events


FORGERIES = {
    "a body": (lambda row: with_body(row, quantity="101"), "body.quantity"),
    "a column": (lambda row: replace(row, reason="KILL_SWITCH"), "reason"),
    "an order id": (lambda row: replace(row, client_order_id="SAAAAAAAAAAAAAAAA"), "client_order_id"),
    "a type": (lambda row: replace(row, type="CancelRequested"), "type"),
    "a version": (lambda row: replace(row, version=2), "version"),
    "a pipeline": (lambda row: replace(row, pipeline="MSFT"), "pipeline"),
    "a trade": (lambda row: replace(row, trade_no=7), "trade_no"),
    "a cause": (lambda row: replace(row, cause_seq=row.cause_seq - 1), "cause_seq"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_finds_a_forged_decision_behind_a_good_chain(day: TradingDay, name: str) -> None:
    change, field = FORGERIES[name]
    seq = first_of(day.log, "OrderPlaced").seq
    log = forged(day.log, ACCOUNT, lambda row: change(row) if row.seq == seq else row)
    found = check(log, "divergent")
    divergence = found.first_divergence
    assert divergence is not None
    assert divergence.seq == found.at_seq == seq
    assert field in [one.field for one in divergence.differences]
    assert divergence.input_type == "EntryRequested"
    assert divergence.logged is not None
    assert divergence.regenerated is not None
    assert field in str(divergence)


def test_finds_swapped_decisions(day: TradingDay) -> None:
    first = first_of(day.log, "EntryAccepted")
    second = next(row for row in day.log.read(ACCOUNT) if row.seq == first.seq + 1)

    def swap(row: Envelope) -> Envelope:
        if row.seq == first.seq:
            return replace(second, seq=first.seq)
        return replace(first, seq=second.seq) if row.seq == second.seq else row

    found = check(forged(day.log, ACCOUNT, swap), "divergent")
    assert found.at_seq == first.seq


def test_finds_a_decision_too_few_at_the_end(day: TradingDay) -> None:
    last = next(row for row in reversed(rows_of(day.log)) if row.kind == "D")
    log = forged(day.log, ACCOUNT, lambda row: row if row.seq < last.seq else None)
    found = check(log, "divergent")
    assert found.at_seq == last.seq
    assert found.first_divergence is not None
    assert found.first_divergence.logged is None


def test_finds_another_input_by_what_it_would_have_caused(day: TradingDay) -> None:
    seq = first_of(day.log, "OrderFilled").seq
    log = forged(day.log, ACCOUNT, lambda row: with_body(row, quantity="40") if row.seq == seq else row)
    found = check(log, "divergent")
    assert found.at_seq is not None
    assert found.at_seq > seq


def test_an_input_that_cannot_be_stepped_is_a_divergence(
    day: TradingDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    seq = first_of(day.log, "OrderFilled").seq

    class Failing(LazyBook):
        def decide(self, stamped: Stamped) -> StepResult:
            assert self.account.seq + 1 < seq, "an order nobody placed"
            return super().decide(stamped)

    monkeypatch.setattr(replay.verify, "LazyBook", Failing)
    found = check(day.log, "divergent")
    assert found.at_seq == seq
    assert "an order nobody placed" in found.why


def test_a_configuration_of_another_program_is_other_code(day: TradingDay) -> None:
    seq = first_of(day.log, "ConfigActivated").seq
    settings = {"policies": {"enabled": {}}, "moon": {"phase": 3}}
    log = forged(day.log, ACCOUNT, lambda row: with_body(row, settings=settings) if row.seq == seq else row)
    found = verify(log, ACCOUNT)
    assert found.result == "other_code"
    assert found.at_seq == seq


def test_a_policy_of_another_version_is_other_code(day: TradingDay, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tuple(replace(one, version=99) if one.name == "entry" else one for one in POLICIES)
    monkeypatch.setattr(oms.policies, "POLICIES", newer)
    found = check(day.log, "other_code")
    assert found.at_seq == first_of(day.log, "ConfigActivated").seq
    assert "entry@2" in found.why
    assert "entry@99" in found.why


def test_a_policy_that_is_gone_is_other_code(day: TradingDay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oms.policies, "POLICIES", tuple(one for one in POLICIES if one.name != "bracket"))
    assert "bracket@2" in check(day.log, "other_code").why


def test_a_missing_configuration_is_other_code(day: TradingDay) -> None:
    log = forged(day.log, ACCOUNT, lambda row: row)
    log._configs.clear()
    found = verify(log, ACCOUNT)
    assert found.result == "other_code"
    assert verify_chain(log, ACCOUNT).what == "configuration"


@pytest.mark.parametrize("change", [{"type": "OrderFilledAgain"}, {"version": 9}])
def test_an_unknown_input_stops_with_its_seq(day: TradingDay, change: dict[str, Any]) -> None:
    seq = first_of(day.log, "OrderFilled").seq
    log = forged(day.log, ACCOUNT, lambda row: replace(row, **change) if row.seq == seq else row)
    found = check(log, "unsupported_version")
    assert found.at_seq == seq
    assert found.events == seq - 1


def test_a_hole_is_incomplete(day: TradingDay) -> None:
    log = forged(day.log, ACCOUNT, lambda row: None if row.seq == 9 else row)
    found = verify(log, ACCOUNT)
    assert found.result == "incomplete"
    assert found.at_seq == 9


def test_deadlines_computed_late_are_those_of_a_writer() -> None:
    log = busy_day(4, UNRULY, seconds=90).log
    live, late = Book(), LazyBook()
    for row in rows_of(log):
        if row.kind == "I":
            if row.type == "WriterStarted":
                live.reschedule()
            live.decide(stamped_of(row))
            late.decide(stamped_of(row))
            if row.seq % 3 == 0:
                late.settle()
                assert late.next_due() == live.next_due()
                assert late.deadlines.due(1 << 60) == live.deadlines.due(1 << 60)


class Endless:
    """A log that makes its rows while they are read: a day's beginning, then quotes."""

    def __init__(self, log: MemoryLog, count: int) -> None:
        rows = [row for row in log.read(ACCOUNT) if row.seq < 8]
        self._rows = rows[: next(i for i, row in enumerate(rows) if row.type == "InstrumentDefined") + 1]
        self._count = count
        self.config = log.config

    def head(self, account: str) -> Head:
        return Head(account, self._count, b"", 1)

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        yield from self._rows
        last = self._rows[-1]
        for seq in range(last.seq + 1, self._count + 1):
            at = last.logical_time + seq
            body = f'{{"ask": "100.01", "bid": "99.99", "instrument": "AAPL", "received_at": {at}}}'
            yield replace(
                last,
                seq=seq,
                cause_seq=seq,
                type="QuoteReported",
                body=body,
                logical_time=at,
                dedupe_key=str(seq),
            )


def peak(log: Any) -> int:
    tracemalloc.start()
    try:
        assert verify(log, ACCOUNT).is_identical
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_log(day: TradingDay) -> None:
    peak(Endless(day.log, 50))
    short, long = peak(Endless(day.log, 300)), peak(Endless(day.log, 6000))
    assert long < short + 50_000


def test_a_verification_is_plain_data(day: TradingDay) -> None:
    text = msgspec.json.encode(verify(day.log, ACCOUNT))
    assert msgspec.json.decode(text)["result"] == "identical"
