"""A log as a file: everything of it, its chain included, and clear words where it was damaged."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventlog.errors import UnknownAccount
from eventlog.verify import verify_chain
from oms.errors import InputError
from replay.accounts import choose
from replay.export import export
from replay.logfile import LogFile
from replay.readonly import ReadOnly
from replay.verify import verify
from tests.unit.replay.days import ACCOUNT, TradingDay, ladder_day

Open = Callable[[Path], LogFile]


@pytest.fixture(scope="module")
def day() -> TradingDay:
    return ladder_day()


@pytest.fixture
def file(day: TradingDay, tmp_path: Path) -> Path:
    path = tmp_path / "day.jsonl"
    assert export(day.log, ACCOUNT, path) == day.runner.head.seq
    return path


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open files that are closed at the end of the test."""
    logs: list[LogFile] = []

    def open_file(path: Path) -> LogFile:
        logs.append(LogFile(path))
        return logs[-1]

    yield open_file
    for log in logs:
        log.close()


def test_reads_back_row_by_row(day: TradingDay, file: Path, opened: Open) -> None:
    log = opened(file)
    assert list(log.read_stored(ACCOUNT)) == list(day.log.read_stored(ACCOUNT))
    assert list(log.read(ACCOUNT, 5, 9)) == list(day.log.read(ACCOUNT, 5, 9))
    assert log.head(ACCOUNT) == day.log.head(ACCOUNT)
    assert log.last_seq(ACCOUNT) == day.log.last_seq(ACCOUNT)
    assert list(file.parent.iterdir()) == [file]


def test_verifies_like_the_log_it_came_from(day: TradingDay, file: Path, opened: Open) -> None:
    log = opened(file)
    assert verify_chain(log, ACCOUNT).intact
    assert verify(log, ACCOUNT).digest == verify(day.log, ACCOUNT).digest
    assert choose(log, None).head.account == ACCOUNT


def test_a_first_part_is_a_log_as_well(day: TradingDay, tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "part.jsonl"
    assert export(day.log, ACCOUNT, path, until=12) == 12
    log = opened(path)
    assert verify_chain(log, ACCOUNT).intact
    assert verify(log, ACCOUNT, 11).is_identical


def test_two_readers_do_not_disturb_each_other(file: Path, opened: Open) -> None:
    log = opened(file)
    pairs = zip(log.read(ACCOUNT), log.read(ACCOUNT, 3), strict=False)
    assert all(second.seq == first.seq + 3 for first, second in pairs)


def test_a_changed_row_breaks_the_chain_at_its_place(file: Path, opened: Open) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    at = next(index for index, line in enumerate(lines) if '"OrderFilled"' in line)
    row = json.loads(lines[at])
    row["body"] = row["body"].replace('"BUY"', '"SELL"')
    lines[at] = json.dumps(row)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = verify_chain(opened(file), ACCOUNT)
    assert (report.intact, report.first_bad_seq, report.what) == (False, row["seq"], "link")


@pytest.mark.parametrize(
    ("damage", "line", "why"),
    [
        (lambda lines: lines[:-3], None, "rows"),
        (lambda lines: [*lines[:6], "{", *lines[7:]], 7, "JSON"),
        (lambda lines: [*lines[:6], "[1]", *lines[7:]], 7, "JSON object"),
        (lambda lines: [*lines[:6], '{"seq": 5}', *lines[7:]], 7, "chain"),
        (lambda lines: [*lines[:6], lines[6].replace('"seq":', '"sequence":'), *lines[7:]], 7, "row"),
        (lambda lines: lines[1:], 1, "oms-log-1"),
        (lambda lines: [], 1, "JSON"),
    ],
)
def test_a_damaged_file_names_the_line(file: Path, damage: object, line: int | None, why: str) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    damaged = damage(lines)  # type: ignore[operator]
    file.write_text("".join(f"{one}\n" for one in damaged), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        LogFile(file)
    assert f"line {line or len(damaged)}" in (caught.value.where or "")
    assert why in (caught.value.why or "")


def test_a_row_left_out_is_a_hole(file: Path, opened: Open) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    del lines[8]
    head = json.loads(lines[0])
    lines[0] = json.dumps({**head, "rows": head["rows"] - 1})
    file.write_text("".join(f"{one}\n" for one in lines), encoding="utf-8")
    log = opened(file)
    assert verify(log, ACCOUNT).result == "incomplete"
    assert verify_chain(log, ACCOUNT).what == "row"


def test_a_file_is_never_written(file: Path, opened: Open) -> None:
    log = opened(file)
    with pytest.raises(ReadOnly):
        log.acquire(ACCOUNT, "somebody")
    with pytest.raises(ReadOnly):
        log.outbox(ACCOUNT)


def test_an_account_that_is_not_there(day: TradingDay, tmp_path: Path) -> None:
    with pytest.raises(UnknownAccount):
        export(day.log, "sim/test/nobody", tmp_path / "none.jsonl")
    assert not list(tmp_path.iterdir())
