"""A start from a snapshot is the start from the whole log, or the snapshot is not used."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, localcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from eventlog.envelope import Envelope, Head, Snapshot
from eventlog.errors import DatabaseAway
from eventlog.memory import MemoryLog
from oms import Oms
from oms.book import Book
from oms.shell import snapshots
from oms.shell.recovery import recover
from oms.shell.runner import Published, Runner
from oms.shell.snapshots import Keeper, opened, packed, resume, taken
from oms.state.digest import FOLD_VERSION, digest
from oms.values import CONTEXT, plain
from tests.golden.test_golden import FILES, begun, play, read
from tests.unit.replay.days import ACCOUNT, TradingDay, busy_day, trading_day
from tests.unit.replay.stories import log_of
from tests.unit.shell import test_embed as e
from tests.unit.shell.test_live import Turning


class Counted(MemoryLog):
    """Counts the rows that were read, and can be unable to take a snapshot."""

    rows_read = 0
    refuses = False

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        for row in super().read(account, after, until):
            self.rows_read += 1
            yield row

    def save_snapshot(self, snapshot: Snapshot) -> None:
        if self.refuses:
            raise DatabaseAway
        super().save_snapshot(snapshot)


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def shape_of(book: Book) -> str:
    """Tells apart even equal states whose dicts have another order. A writer may hold 1.50 where the log says 1.5."""
    return repr(_plain(msgspec.msgpack.decode(packed(Published(book.account, book.pipelines)), strict=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _plain(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    with suppress(ArithmeticError):
        return str(plain(Decimal(value))) if isinstance(value, str) else value
    return value


def snapshot_at(log: MemoryLog, account: str, seq: int) -> Snapshot:
    book = recover(log, account, seq)
    stored = next(iter(log.read_stored(account, seq - 1, seq)))
    head = Head(account, seq, stored.chain, 1)
    return taken(head, Published(book.account, book.pipelines))


def assert_same_start(log: MemoryLog, account: str, expected_seq: int) -> None:
    whole, found = recover(log, account), resume(log, account)
    assert found.snapshot_seq == expected_seq
    assert digest(found.book.account, found.book.pipelines) == digest(whole.account, whole.pipelines)
    assert shape_of(found.book) == shape_of(whole)
    assert found.book.next_due() == whole.next_due()


@pytest.fixture(scope="module")
def day() -> TradingDay:
    with localcontext(CONTEXT):
        return busy_day(log=Counted())


def fresh(day: TradingDay) -> Counted:
    """The same log without any snapshot."""
    log = day.log
    assert isinstance(log, Counted)
    log._accounts[ACCOUNT].snapshots.clear()
    log.rows_read = 0
    return log


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_moment_of_a_golden_session_can_be_a_snapshot(path: Path) -> None:
    story = begun(path)
    for number, text, expected in read(path):
        play(story, number, text, expected)
    log = log_of(story)
    assert isinstance(log, MemoryLog)
    account = story.book.account.account
    for result in story.results:
        log.save_snapshot(snapshot_at(log, account, result.events[-1].seq))
        assert_same_start(log, account, result.events[-1].seq)


@pytest.mark.req("OD-034")
@given(share=st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_whole_fold_and_snapshot_with_tail_are_one(day: TradingDay, share: float) -> None:
    log = fresh(day)
    ends = sorted(day.digests)
    seq = ends[round(share * (len(ends) - 1))]
    log.save_snapshot(snapshot_at(log, ACCOUNT, seq))
    assert_same_start(log, ACCOUNT, seq)
    log.rows_read = 0
    resume(log, ACCOUNT)
    assert log.rows_read == log.last_seq(ACCOUNT) - seq


@pytest.mark.parametrize("seed", range(4))
def test_a_day_with_snapshots_is_the_day_without(seed: int) -> None:
    def played(*, cached: bool) -> tuple[str, list[Envelope]]:
        log = MemoryLog()
        with trading_day(names=("AAPL", "MSFT"), seed=seed, log=log) as day:
            for _ in range(4):
                day.walk(70)
                day.clock.flush()
                if cached:
                    log.save_snapshot(taken(day.runner.head, day.runner.published))
                day.restart()
                assert bool(day.runner.snapshot_seq) == cached
            day.walk(30)
        head = log.head(ACCOUNT)
        assert head is not None
        return head.chain.hex(), list(log.read(ACCOUNT))

    assert played(cached=True) == played(cached=False)


def damaged(good: Snapshot) -> Iterator[Snapshot]:
    body = good.body
    for place in (0, 31, 32, 40, len(body) // 2, len(body) - 1):
        yield replace(good, body=body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
    for cut in (0, 16, 32, 33, len(body) - 1):
        yield replace(good, body=body[:cut])
    yield replace(good, body=body + b"\0")
    yield replace(good, digest=bytes(32))
    for wrong in (
        b"",
        b"\x90",
        b"\x93\x01\x02\x03",
        msgspec.msgpack.encode([snapshots.code_version(), 1, 2]),
    ):
        yield replace(good, body=sha256(wrong).digest() + wrong)


def test_a_damaged_snapshot_is_passed_over(day: TradingDay) -> None:
    end = sorted(day.digests)[-20]
    good = snapshot_at(fresh(day), ACCOUNT, end)
    assert opened(good) is not None
    for bad in damaged(good):
        log = fresh(day)
        log.save_snapshot(bad)
        assert_same_start(log, ACCOUNT, 0)


def test_an_older_snapshot_serves_where_the_newest_is_damaged(day: TradingDay) -> None:
    log = fresh(day)
    ends = sorted(day.digests)
    log.save_snapshot(snapshot_at(log, ACCOUNT, ends[40]))
    for end in ends[-snapshots.ATTEMPTS + 1 :]:
        log.save_snapshot(replace(snapshot_at(log, ACCOUNT, end), digest=bytes(32)))
    assert_same_start(log, ACCOUNT, ends[40])


def test_a_state_of_another_place_is_passed_over(day: TradingDay) -> None:
    log = fresh(day)
    ends = sorted(day.digests)
    early, late = snapshot_at(log, ACCOUNT, ends[40]), snapshot_at(log, ACCOUNT, ends[50])
    log.save_snapshot(replace(early, seq=late.seq, chain=late.chain))
    assert_same_start(log, ACCOUNT, 0)


def test_another_fold_version_is_passed_over(day: TradingDay) -> None:
    log = fresh(day)
    good = snapshot_at(log, ACCOUNT, sorted(day.digests)[40])
    log.save_snapshot(replace(good, fold_version=FOLD_VERSION - 1))
    log.save_snapshot(replace(good, fold_version=FOLD_VERSION + 1))
    assert_same_start(log, ACCOUNT, 0)


def test_another_program_is_passed_over(day: TradingDay, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fresh(day)
    monkeypatch.setattr(snapshots, "code_version", lambda: "another")
    log.save_snapshot(snapshot_at(log, ACCOUNT, sorted(day.digests)[40]))
    monkeypatch.undo()
    assert_same_start(log, ACCOUNT, 0)


def saved(log: MemoryLog, account: str = ACCOUNT) -> list[int]:
    return sorted(seq for _, seq in log._accounts[account].snapshots)


def kept(seed: int = 3) -> tuple[Counted, Runner, TradingDay]:
    log = Counted()
    with trading_day(log=log, seed=seed) as day:
        day.walk(125)
        day.clock.flush()
    return log, day.runner, day


def test_a_writer_saves_when_enough_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner, day = kept()
    keeper = Keeper(log, runner)
    monkeypatch.setattr(snapshots, "EVENTS_APART", runner.head.seq + 1)
    keeper.save_if_due()
    assert saved(log) == []
    monkeypatch.setattr(snapshots, "EVENTS_APART", runner.head.seq)
    keeper.save_if_due()
    first = runner.head.seq
    keeper.save_if_due()
    assert saved(log) == [first]
    day.walk(45)
    day.clock.flush()
    assert 0 < runner.head.seq - first < first
    keeper.save_if_due()
    assert saved(log) == [first]
    keeper.save_last()
    keeper.save_last()
    assert saved(log) == [first, runner.head.seq]
    assert_same_start(log, ACCOUNT, runner.head.seq)


def test_failing_to_save_stops_nothing_and_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner, _ = kept()
    monkeypatch.setattr(snapshots, "EVENTS_APART", 1)
    keeper = Keeper(log, runner)
    log.refuses = True
    keeper.save_if_due()
    log.refuses = False
    keeper.save_if_due()
    assert saved(log) == []


def test_a_large_state_is_saved_at_the_close_only(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner, _ = kept()
    monkeypatch.setattr(snapshots, "EVENTS_APART", 1)
    monkeypatch.setattr(snapshots, "RUNNING_BYTES", 100)
    Keeper(log, runner).save_if_due()
    assert saved(log) == []
    monkeypatch.setattr(snapshots, "CLOSING_BYTES", 100)
    Keeper(log, runner).save_last()
    assert saved(log) == []
    monkeypatch.undo()
    Keeper(log, runner).save_last()
    assert saved(log) == [runner.head.seq]


def test_nothing_is_saved_while_the_log_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner, _ = kept()
    monkeypatch.setattr(Runner, "is_away", property(lambda _: True))
    Keeper(log, runner).save_last()
    assert saved(log) == []


def test_a_live_writer_leaves_a_snapshot_that_the_next_one_begins_with() -> None:
    log, account = Counted(), "sim/sim/main"
    with tempfile.TemporaryDirectory(prefix="o") as folder:
        options = {"database": log, "day": e.DAY, "identity": e.WHO, "place": Path(folder) / "w"}
        with Oms.open(at=e.hours()[0], **options) as oms:
            oms.define(e.stock(), e.times())
            clock = Turning(e.hours()[1])
            oms.start(clock)
            oms.put(e.quote(clock.now()))
            while oms._live is not None and oms._live._inbox.qsize():
                os.sched_yield()
        end = log.last_seq(account)
        assert saved(log, account) == [end]
        log.rows_read = 0
        with Oms.open(at=e.hours()[1], **options) as oms:
            assert oms._runner.snapshot_seq == end
            assert log.rows_read == 0
            assert digest(oms.published.account, oms.published.pipelines) == _digest_of(log, account)


def _digest_of(log: MemoryLog, account: str) -> str:
    whole = recover(log, account)
    return digest(whole.account, whole.pipelines)
