"""Lean zips: what becomes of good rows, and which are refused."""

import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from oms.errors import InputError
from oms.events.base import Stamped
from oms.events.market import BarClosed, Prices, QuoteReported
from oms.values import CONTEXT
from replay.importers import Options, open_format

D = Decimal


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def utc(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def zipped(path: Path, member: str, *lines: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, "".join(f"{line}\n" for line in lines))
    return path


def refusal(act: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value


def drained(*files: Path, options: Options | None = None) -> list[Stamped]:
    return list(open_format("lean", files, "X", options))


def lean_pair(folder: Path) -> tuple[Path, Path]:
    trades = zipped(
        folder / "20131007_trade.zip", "20131007_spy_minute_trade.csv",
        "34200000,1672700,1673000,1672600,1672800,1200", "34320000,1672800,1672900,1672700,1672750,300",
    )  # fmt: skip
    quotes = zipped(
        folder / "20131007_quote.zip", "20131007_spy_minute_quote.csv",
        "34200000,1672700,1672900,1672500,1672700,10,1672800,1673000,1672600,1672900,20",
        "34260000,,,,,0,1672800,1673000,1672600,1672950,20",
    )  # fmt: skip
    return trades, quotes


def test_lean_equity_rows_are_stamped_with_their_start_and_scaled(tmp_path: Path) -> None:
    records = drained(*lean_pair(tmp_path))
    first = utc("2013-10-07 13:31")
    assert [(type(one.event).__name__, one.logical_time - first) for one in records] == [
        ("BarClosed", 0), ("QuoteReported", 60_000_000), ("BarClosed", 120_000_000),
    ]  # fmt: skip
    assert records[0].event == BarClosed(
        instrument="X", open_at=first - 60_000_000, end_at=first,
        open=D("167.27"), high=D("167.3"), low=D("167.26"), close=D("167.28"), volume=D(1200),
        bid=Prices(open=D("167.27"), high=D("167.29"), low=D("167.25"), close=D("167.27")),
        ask=Prices(open=D("167.28"), high=D("167.3"), low=D("167.26"), close=D("167.29")),
    )  # fmt: skip


def test_lean_quote_without_a_trade_is_the_last_of_its_bar(tmp_path: Path) -> None:
    records = drained(*lean_pair(tmp_path))
    assert records[1].event == QuoteReported(
        instrument="X", bid=None, ask=D("167.295"), received_at=utc("2013-10-07 13:32")
    )


def test_lean_trade_without_a_quote_carries_none(tmp_path: Path) -> None:
    last = drained(*lean_pair(tmp_path))[2].event
    assert isinstance(last, BarClosed)
    assert (last.bid, last.ask) == (None, None)


def test_lean_crypto_rows_are_utc_and_unscaled(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "t.zip", "20221213_btcusd_second_trade_perp.csv", "1000,17204,17207.6,17203.9,17207.6,4242"
    )
    (record,) = drained(path, options=Options(market="crypto"))
    assert isinstance(record.event, BarClosed)
    assert (record.event.open_at, record.event.end_at) == (
        utc("2022-12-13 00:00:01"),
        utc("2022-12-13 00:00:02"),
    )
    assert record.event.close == D("17207.6")


def test_lean_files_may_come_in_any_order(tmp_path: Path) -> None:
    days = [
        zipped(tmp_path / f"{day}.zip", f"201310{day}_spy_minute_trade.csv", "34200000,10,10,10,10,1")
        for day in ("09", "07", "08")
    ]
    times = [one.logical_time for one in drained(*days)]
    assert times == sorted(times)
    assert len(times) == 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("34200000,1672700,1672600,1673000,1672800,1200", "OMS-I004"),
        ("34200000,1672700,1673000,1672600,1672800", "OMS-I004"),
        ("86400000,1672700,1673000,1672600,1672800,1", "OMS-I004"),
        ("-1,1672700,1673000,1672600,1672800,1", "OMS-I004"),
        ("34140000,1672700,1673000,1672600,1672800,1", "OMS-I006"),
        ("34110000,1672700,1673000,1672600,1672800,1", "OMS-I005"),
    ],
)
def test_broken_lean_row_is_refused(line: str, code: str, tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "t.zip",
        "20131007_spy_minute_trade.csv",
        "34140000,1672700,1673000,1672600,1672801,1200",
        line,
    )
    error = refusal(lambda: drained(path))
    assert (error.code, error.where) == (code, f"{path} line 2")


def test_lean_side_that_is_half_empty_is_refused(tmp_path: Path) -> None:
    line = "34200000,1672700,,1672500,1672700,10,1672800,1673000,1672600,1672900,20"
    path = zipped(tmp_path / "q.zip", "20131007_spy_minute_quote.csv", line)
    assert "bid.high is not a number" in (refusal(lambda: drained(path)).why or "")


def test_lean_zip_of_another_symbol_is_refused(tmp_path: Path) -> None:
    trades, _quotes = lean_pair(tmp_path)
    other = zipped(tmp_path / "o.zip", "20131008_ibm_minute_trade.csv", "34200000,10,10,10,10,1")
    assert refusal(lambda: drained(trades, other)).code == "OMS-I008"


def test_same_lean_day_twice_is_refused(tmp_path: Path) -> None:
    one = zipped(tmp_path / "1.zip", "20131007_spy_minute_trade.csv", "34200000,10,10,10,10,1")
    two = zipped(tmp_path / "2.zip", "20131007_spy_minute_trade.csv", "34200000,10,10,10,10,2")
    assert refusal(lambda: drained(one, two)).code == "OMS-I006"


def test_damaged_zip_is_refused(tmp_path: Path) -> None:
    trades, _quotes = lean_pair(tmp_path)
    whole = trades.read_bytes()
    trades.write_bytes(whole[: len(whole) // 2])
    assert refusal(lambda: drained(trades)).code == "OMS-I002"
    broken = bytearray(whole)
    broken[80] ^= 0xFF
    trades.write_bytes(bytes(broken))
    assert refusal(lambda: drained(trades)).code in ("OMS-I002", "OMS-I004")


def test_zip_that_is_no_lean_file_is_refused(tmp_path: Path) -> None:
    assert refusal(lambda: drained(zipped(tmp_path / "a.zip", "notes.txt", "1"))).code == "OMS-I003"
    bad_day = zipped(tmp_path / "b.zip", "20131399_spy_minute_trade.csv", "1")
    assert "is no date" in (refusal(lambda: drained(bad_day)).why or "")
