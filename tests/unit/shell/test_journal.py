"""The file of the emergency journal: private, whole records only, told where it was torn."""

import os
from collections.abc import Iterator
from decimal import localcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.chain import genesis
from eventlog.envelope import Head, StepRecord
from eventlog.memory import MemoryLog
from oms.shell import journal as module
from oms.shell.journal import Contents, Journal, JournalFull, Record, _line, parse, records_of
from oms.shell.record import event_of
from oms.values import CONTEXT
from tests.unit.shell.away import ACCOUNT
from tests.unit.shell.test_runner import opened


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def some_records(count: int = 3) -> list[Record]:
    log = MemoryLog()
    opened(log)
    rows = list(log.read(ACCOUNT))
    head = Head(ACCOUNT, 0, genesis(ACCOUNT), 1)
    return records_of(head, [StepRecord(events=(row,)) for row in rows[:count]])


def test_the_file_is_private_and_gives_back_what_it_took(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a" / "j")
    records = some_records()
    journal.write(records[:1])
    journal.write(records[1:])
    assert journal.read() == Contents(tuple(records), 0)
    assert (tmp_path / "a" / "j").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert event_of(records[0].step.events[0])
    journal.clear()
    assert journal.read() == Contents((), 0)


def test_what_comes_back_from_a_file_is_checked_whoever_wrote_it() -> None:
    first = some_records(1)[0].step
    [record] = records_of(Head(ACCOUNT, 0, genesis(ACCOUNT), 1), [StepRecord(first.events, is_own=True)])
    assert record.step == first


@pytest.mark.req("I60")
@given(cut=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_is_told_wherever_it_is_torn(cut: int) -> None:
    with localcontext(CONTEXT):
        records = some_records()
    lines = [_line(record) for record in records]
    data = b"".join(lines)
    kept = cut % (len(data) + 1)
    found = parse(data[:kept])
    whole = [sum(map(len, lines[: n + 1])) for n in range(len(lines))]
    assert len(found.records) == sum(end <= kept for end in whole)
    assert found.unread == kept - sum(map(len, lines[: len(found.records)]))


@pytest.mark.parametrize("place", [0, 9, 80, 200, -1])
def test_a_changed_byte_ends_the_reading(place: int) -> None:
    first, second = map(_line, some_records(2))
    spoiled = bytearray(second)
    spoiled[place] ^= 1
    found = parse(first + bytes(spoiled))
    assert (len(found.records), found.unread) == (1, len(second))


def test_a_record_that_does_not_follow_ends_the_reading() -> None:
    first, _, third = map(_line, some_records(3))
    assert len(parse(first + third).records) == 1


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j")
    records = some_records()
    journal.write(records[:1])
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        write(descriptor, data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.write(records[1:2])
    monkeypatch.undo()
    assert len(journal.read().records) == 1, "what was whole stays readable"
    journal.write(records[2:])
    assert journal.read() == Contents(tuple(records), 0)


def test_a_journal_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = some_records(1)
    size = len(module._line(records[0]))
    for limit, fits in ((size, True), (size - 1, False)):
        monkeypatch.setattr(module, "LIMIT_BYTES", limit)
        journal = Journal(tmp_path / str(limit))
        if fits:
            journal.write(records)
        else:
            with pytest.raises(JournalFull):
                journal.write(records)
