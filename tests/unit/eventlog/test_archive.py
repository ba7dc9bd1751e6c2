"""The files of an archive: what is written is read, in little room, and what is missing or damaged is said."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from eventlog.archive import GROUP_ROWS, Archive, Kept, Part, part_path, sum_path, write_part
from eventlog.chain import genesis
from eventlog.errors import ArchiveBroken
from eventlog.memory import MemoryLog
from tests.unit.replay.days import ACCOUNT, busy_day

MONTH = date(2026, 3, 1)
MOST_BYTES = 120


def kept(log: MemoryLog, account: str = ACCOUNT) -> list[Kept]:
    return [
        Kept(one.envelope, one.chain, one.raw, one.envelope.logical_time + 7)
        for one in log.read_stored(account)
    ]


def part_of(rows: list[Kept], account: str = ACCOUNT, month: date = MONTH, before: str | None = None) -> Part:
    first, last = rows[0], rows[-1]
    return Part(
        account=account, month=f"{month:%Y-%m}", first_seq=first.envelope.seq, last_seq=last.envelope.seq,
        before=before or genesis(account).hex(), first_chain=first.chain.hex(), chain=last.chain.hex(),
        logical_time=last.envelope.logical_time, trading_day=str(last.envelope.trading_day),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[Kept]:
    log = MemoryLog()
    busy_day(log=log, seconds=900)
    return kept(log)


def write(folder: Path, rows: list[Kept], month: date = MONTH) -> Path:
    path = part_path(folder, ACCOUNT, month)
    write_part(path, part_of(rows, month=month), rows)
    return path


def test_rows_come_back_as_they_were_in_little_room(rows: list[Kept], tmp_path: Path) -> None:
    path = write(tmp_path, rows)
    found = Archive(tmp_path)
    assert list(found.read(ACCOUNT)) == rows
    assert list(found.read(ACCOUNT, 10, 20)) == rows[10:20]
    assert found.accounts() == [ACCOUNT]
    assert path.stat().st_size <= MOST_BYTES * len(rows)


def test_values_at_the_edges_come_back(rows: list[Kept], tmp_path: Path) -> None:
    first = rows[0].envelope
    odd = [
        Kept(replace(first, seq=1, logical_time=-62_135_596_800_000_000, event_time=253_402_300_799_999_999,
                     trade_no=2**31 - 1, version=32767, body='{"a": "é😀"}', reason=""),
             b"\x00" * 32, b"\x00\xff", 0),
        Kept(replace(first, seq=2, trading_day=date(9999, 12, 31), dedupe_key="x" * 1000), b"\xff" * 32, b"", -1),
    ]  # fmt: skip
    write(tmp_path, odd)
    assert list(Archive(tmp_path).read(ACCOUNT)) == odd


def test_many_rows_are_read_from_any_place(rows: list[Kept], tmp_path: Path) -> None:
    one = rows[0]
    many = [replace(one, envelope=replace(one.envelope, seq=seq)) for seq in range(1, GROUP_ROWS * 2 + 10)]
    write(tmp_path, many)
    found = Archive(tmp_path)
    for after, until in ((0, None), (GROUP_ROWS - 1, GROUP_ROWS + 1), (GROUP_ROWS * 2, None), (3, 3)):
        assert list(found.read(ACCOUNT, after, until)) == many[after:until]


def pieces(rows: list[Kept]) -> Iterator[tuple[date, list[Kept]]]:
    for month, (first, last) in enumerate(((0, 50), (50, 90), (90, len(rows))), start=3):
        yield date(2026, month, 1), rows[first:last]


def test_months_are_read_as_one(rows: list[Kept], tmp_path: Path) -> None:
    paths = [write(tmp_path, some, month) for month, some in pieces(rows)]
    assert list(Archive(tmp_path).read(ACCOUNT)) == rows
    paths[1].unlink()
    with pytest.raises(ArchiveBroken, match="does not hold event 51"):
        list(Archive(tmp_path).read(ACCOUNT))
    assert list(Archive(tmp_path).read(ACCOUNT, 90)) == rows[90:]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nothing of the kind", b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_file_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    path = part_path(tmp_path, ACCOUNT, MONTH)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ArchiveBroken) as caught:
        Archive(tmp_path)
    assert caught.value.details["file"] == str(path)


def test_an_empty_folder_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveBroken, match="there is no archive"):
        Archive(tmp_path)


def test_a_file_without_its_checksum_was_not_finished(rows: list[Kept], tmp_path: Path) -> None:
    sum_path(write(tmp_path, rows)).unlink()
    with pytest.raises(ArchiveBroken):
        list(Archive(tmp_path).read(ACCOUNT))


def test_fewer_rows_than_said_leave_nothing(rows: list[Kept], tmp_path: Path) -> None:
    path = part_path(tmp_path, ACCOUNT, MONTH)
    with pytest.raises(ArchiveBroken, match="rows were read"):
        write_part(path, part_of(rows), rows[:-1])
    assert list(path.parent.iterdir()) == []


def test_two_exports_do_not_write_into_one_another(rows: list[Kept], tmp_path: Path) -> None:
    path = part_path(tmp_path, ACCOUNT, MONTH)

    def while_another_writes() -> Iterator[Kept]:
        with pytest.raises(ArchiveBroken, match="another export"):
            write_part(path, part_of(rows), rows)
        yield from rows

    write_part(path, part_of(rows), while_another_writes())
    assert list(Archive(tmp_path).read(ACCOUNT)) == rows


def test_names_of_files_differ_where_accounts_do() -> None:
    names = ["a/b/c", "a_b_c", "A/b/c", "../x", "ü" * 200]
    paths = [part_path(Path("to"), name, MONTH) for name in names]
    assert len({str(path).lower() for path in paths}) == len(names)
    assert all(path.parent == Path("to/2026-03") and len(path.name) < 100 for path in paths)
