"""Plain CSV and index files: what becomes of good rows, and which are refused; and what all formats share."""

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from oms.errors import InputError
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.values import CONTEXT
from replay.importers import FORMATS, Options, open_format

D = Decimal
BARS = "open_at,end_at,open,high,low,close,volume"


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def utc(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def bar_line(minute: int, prices: str = "10,11,9,10", volume: str = "5") -> str:
    return f"2026-03-02T14:{minute:02}:00Z,2026-03-02T14:{minute + 1:02}:00Z,{prices},{volume}"


def refusal(act: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value


def drained(name: str, *files: Path, options: Options | None = None) -> list[Stamped]:
    return list(open_format(name, files, "X", options))


def test_every_format_is_listed_under_its_own_name() -> None:
    assert {name: module.NAME for name, module in FORMATS.items()} == {name: name for name in FORMATS}


def test_unknown_format_is_refused() -> None:
    error = refusal(lambda: open_format("parquet", ["x"], "X"))
    assert (error.code, error.why) == ("OMS-I007", "the formats are csv, index-minute, lean, binance-raw")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    assert refusal(lambda: drained(name, tmp_path / "none.gz")).code == "OMS-I001"


def test_no_file_at_all_is_refused() -> None:
    assert refusal(lambda: open_format("csv", [], "X")).code == "OMS-I001"


def test_csv_bar_acts_at_its_end(tmp_path: Path) -> None:
    (record,) = drained("csv", write(tmp_path / "a.csv", BARS, bar_line(30, "10.50,11,9.00,10")))
    end = utc("2026-03-02 14:31")
    assert record == Stamped(
        event=BarClosed(
            instrument="X", open_at=utc("2026-03-02 14:30"), end_at=end,
            open=D("10.5"), high=D(11), low=D(9), close=D(10), volume=D(5),
        ),
        logical_time=end, event_time=end, received_at=end, source="csv",
    )  # fmt: skip
    assert isinstance(record.event, BarClosed)
    assert str(record.event.low) == "9"


@pytest.mark.parametrize("column", ["open_at", "end_at"])
def test_csv_bar_with_one_time_needs_the_interval(column: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"close,open,high,low,{column}", "10,10,11,9,2026-03-02T14:30:00+00:00")
    assert refusal(lambda: drained("csv", path)).code == "OMS-I003"
    (record,) = drained("csv", path, options=Options(interval_us=60_000_000))
    event = record.event
    assert isinstance(event, BarClosed)
    assert event.end_at - event.open_at == 60_000_000
    assert getattr(event, column) == utc("2026-03-02 14:30")


def test_csv_kinds_are_merged_in_time_order(tmp_path: Path) -> None:
    bars = write(tmp_path / "b.csv", BARS, bar_line(30), bar_line(31))
    quotes = write(
        tmp_path / "q.csv", "received_at,bid,ask",
        "2026-03-02T14:30:59.9999999Z,10,", "2026-03-02T15:31:00+01:00,10,10.1", "2026-03-02T14:31:00.000001Z,,10.1",
    )  # fmt: skip
    prints = write(tmp_path / "p.csv", "price,received_at", "10.05,2026-03-02T14:31:00Z")
    records = drained("csv", bars, prints, quotes)
    assert [type(one.event).__name__ for one in records] == [
        "QuoteReported", "QuoteReported", "TradePrinted", "BarClosed", "QuoteReported", "BarClosed",
    ]  # fmt: skip
    assert [one.logical_time - utc("2026-03-02 14:31") for one in records] == [-1, 0, 0, 0, 1, 60_000_000]
    assert records[0].event == QuoteReported(
        instrument="X", bid=D(10), ask=None, received_at=utc("2026-03-02 14:31") - 1
    )


def test_ticks_of_one_instant_keep_their_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv", "received_at,price", *(f"2026-03-02T14:31:00Z,{price}" for price in (3, 1, 2))
    )
    events = [one.event for one in drained("csv", path)]
    assert [event.price for event in events if isinstance(event, TradePrinted)] == [3, 1, 2]


def test_exact_repetition_is_dropped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", BARS, bar_line(30), bar_line(30), bar_line(31))
    reading = open_format("csv", [path], "X")
    assert len(list(reading)) == 2
    assert (reading.tally.rows, reading.tally.duplicates) == (4, 1)


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        (bar_line(31, "10,8,9,10"), "OMS-I004", "high 8 is below low 9"),
        (bar_line(31, "12,11,9,10"), "OMS-I004", "open or close lies outside low and high"),
        (bar_line(31, "10,11,9,8.9"), "OMS-I004", "open or close lies outside low and high"),
        (bar_line(31, "10,NaN,9,10"), "OMS-I004", "high is not a number (found 'NaN')"),
        (bar_line(31, "10,Infinity,9,10"), "OMS-I004", "high is not a number"),
        (bar_line(31, "10,1_1,9,10"), "OMS-I004", "high is not a number"),
        (bar_line(31, "10,\uff11\uff11,9,10"), "OMS-I004", "high is not a number"),
        (bar_line(31, "10,,9,10"), "OMS-I004", "high is not a number (found '')"),
        (bar_line(31, "10, 11,9,10"), "OMS-I004", "high is not a number"),
        (bar_line(31, f"10,{'9' * 41},9,10"), "OMS-I004", "high is not a number"),
        (bar_line(31, "10,11,-9,10"), "OMS-I004", "low is negative (found '-9')"),
        (bar_line(31, "10,11,0,10"), "OMS-I004", "low is not above zero"),
        (bar_line(31, volume="-1"), "OMS-I004", "volume is negative"),
        (bar_line(31).replace("Z", ""), "OMS-I004", "has no offset"),
        (bar_line(31).replace("2026", "20x6"), "OMS-I004", "is not a time"),
        (bar_line(31).replace("14:32", "14:30"), "OMS-I004", "the bar ends before it begins"),
        (bar_line(31) + ",7", "OMS-I004", "8 values under 7 columns"),
        ("", "OMS-I004", "0 values under 7 columns"),
        (bar_line(31, volume='"5'), "OMS-I004", "unexpected end of data"),
        (bar_line(30, "10,11,9,10.5"), "OMS-I006", "the row before differs"),
        (bar_line(29), "OMS-I005", "lies before the end of the row before it"),
        (bar_line(30).replace("14:31", "14:33"), "OMS-I005", "lies before the end of the row before it"),
    ],
)  # fmt: skip
def test_broken_bar_is_refused_with_its_line(line: str, code: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", BARS, bar_line(30), line)
    error = refusal(lambda: drained("csv", path))
    assert (error.code, error.where) == (code, f"{path} line 3")
    assert why in (error.why or "")


def test_records_before_the_broken_one_are_yielded_first(tmp_path: Path) -> None:
    reading = iter(open_format("csv", [write(tmp_path / "a.csv", BARS, bar_line(30), "x")], "X"))
    assert isinstance(next(reading).event, BarClosed)
    assert refusal(lambda: next(reading)).code == "OMS-I004"


@pytest.mark.parametrize(
    "line", ["2026-03-02T14:30:00Z,10", "2026-03-02T14:30:00Z,10,x", "2026-03-02T14:30:00Z,-1,2"]
)
def test_broken_quote_is_refused(line: str, tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", "received_at,bid,ask", line)
    assert refusal(lambda: drained("csv", path)).where == f"{path} line 2"


def test_quote_that_goes_back_in_time_is_refused(tmp_path: Path) -> None:
    early, late = "2026-03-02T14:30:00Z,10,11", "2026-03-02T14:30:00.000001Z,10,11"
    path = write(tmp_path / "q.csv", "received_at,bid,ask", late, early)
    assert refusal(lambda: drained("csv", path)).code == "OMS-I005"


def test_crossed_quote_is_a_fact_that_the_core_judges(tmp_path: Path) -> None:
    path = write(tmp_path / "q.csv", "received_at,bid,ask", "2026-03-02T14:30:00Z,11,10")
    (record,) = drained("csv", path)
    assert isinstance(record.event, QuoteReported)
    assert (record.event.bid, record.event.ask) == (11, 10)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "open_at,end_at,open,high,low",
        BARS + ",colour",
        "open,high,low,close",
        "received_at,bid",
        BARS + ",open",
    ],
)
def test_unknown_columns_are_refused(header: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", header, bar_line(30))
    error = refusal(lambda: drained("csv", path))
    assert (error.code, error.where) == ("OMS-I003", f"{path} line 1")


def test_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(lambda: drained("csv", write(tmp_path / "a.csv"))).code == "OMS-I003"


def test_files_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", BARS, bar_line(30))
    second = write(tmp_path / "2.csv", BARS, bar_line(31))
    assert len(drained("csv", first, second)) == 2
    error = refusal(lambda: drained("csv", second, first))
    assert (error.code, error.where) == ("OMS-I005", f"{first} line 2")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(BARS.encode() + b"\n\xff\xfe\n")
    error = refusal(lambda: drained("csv", path))
    assert (error.code, error.where) == ("OMS-I002", f"{path} line 2")


def test_endless_line_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", BARS, "1" * 1_000_001)
    assert "longer than" in (refusal(lambda: drained("csv", path)).why or "")


def test_csv_may_be_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    packed = gzip.compress(f"\ufeff{BARS}\n{bar_line(30)}\n".encode())
    path.write_bytes(packed)
    assert len(drained("csv", path)) == 1
    path.write_bytes(packed[:-9])
    assert refusal(lambda: drained("csv", path)).code == "OMS-I002"


INDEX = "Date,Open,Close,High,Low,Volume"


def test_index_minute_finds_close_before_high(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", INDEX, "11/5/2019 9:30,3080.8,3080.49,3081.47,3080.3,0")
    (record,) = drained("index-minute", path)
    assert record.event == BarClosed(
        instrument="X", open_at=utc("2019-11-05 14:30"), end_at=utc("2019-11-05 14:31"),
        open=D("3080.8"), high=D("3081.47"), low=D("3080.3"), close=D("3080.49"),
    )  # fmt: skip


def test_index_minute_follows_the_clock_change(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", INDEX, "11/1/2019 15:59,10,10,10,10,0", "11/4/2019 9:30,10,10,10,10,0")
    assert [one.logical_time for one in drained("index-minute", path)] == [
        utc("2019-11-01 20:00"), utc("2019-11-04 14:31"),
    ]  # fmt: skip


def test_index_minute_may_be_stamped_with_the_end(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", INDEX, "11/5/2019 9:31,10,10,10,10,0")
    (record,) = drained("index-minute", path, options=Options(stamp="end"))
    assert record.logical_time == utc("2019-11-05 14:31")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("11/3/2019 1:30,10,10,10,10,0", "skipped or repeated by a clock change"),
        ("3/10/2019 2:30,10,10,10,10,0", "skipped or repeated by a clock change"),
        ("11/31/2019 9:30,10,10,10,10,0", "day is out of range"),
        ("2019-11-05 9:30,10,10,10,10,0", "is not a time of the form"),
        ("11/5/2019 9:30,10,10,9,10,0", "high 9 is below low 10"),
        ("11/5/2019 9:30,10,10,10,10", "5 values under 6 columns"),
    ],
)
def test_broken_index_row_is_refused(line: str, why: str, tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", INDEX, line)
    error = refusal(lambda: drained("index-minute", path))
    assert error.where == f"{path} line 2"
    assert why in (error.why or "")


def test_index_without_a_column_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", "Date,Open,High,Low,Volume", "11/5/2019 9:30,10,10,10,0")
    assert "missing ['Close']" in (refusal(lambda: drained("index-minute", path)).why or "")
