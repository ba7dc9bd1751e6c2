"""Raw captures of Binance: what becomes of good lines, and which are refused."""

import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from oms.errors import InputError
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.values import CONTEXT
from replay.importers import Options, open_format

D = Decimal

START = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def captured(path: Path, *messages: tuple[int, Any]) -> Path:
    lines = [
        f"{nanoseconds} {body if isinstance(body, str) else json.dumps(body)}\n"
        for nanoseconds, body in messages
    ]
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def ticker(update: int, bid: str = "100.1", ask: str = "100.2", symbol: str = "BTCUSDT") -> dict[str, Any]:
    data = {"u": update, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "2", "T": 1_700_000_001_270}
    return {"stream": "btcusdt@bookTicker", "data": data}


def trade(number: int, price: str = "100.1", quantity: str = "0.5") -> dict[str, Any]:
    data = {
        "e": "trade",
        "s": "BTCUSDT",
        "t": number,
        "p": price,
        "q": quantity,
        "T": 1_700_000_001_270,
        "m": True,
    }
    return {"stream": "btcusdt@trade", "data": data}


def refusal(act: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        act()
    return caught.value


def drained(*files: Path, options: Options | None = None) -> list[Stamped]:
    return list(open_format("binance-raw", files, "X", options))


def test_binance_record_acts_when_it_was_received(tmp_path: Path) -> None:
    path = captured(tmp_path / "c.gz", (START + 1_999, ticker(1)), (START + 5_000, trade(1)))
    quote, printed = drained(path)
    assert quote == Stamped(
        event=QuoteReported(instrument="X", bid=D("100.1"), ask=D("100.2"), received_at=START // 1000 + 1),
        logical_time=START // 1000 + 1, received_at=START // 1000 + 1,
        event_time=1_700_000_001_270_000, source="binance-raw",
    )  # fmt: skip
    assert printed.event == TradePrinted(instrument="X", price=D("100.1"), received_at=START // 1000 + 5)


def test_binance_side_without_orders_is_missing(tmp_path: Path) -> None:
    (record,) = drained(captured(tmp_path / "c.gz", (START, ticker(1, bid="0.00000000"))))
    assert isinstance(record.event, QuoteReported)
    assert record.event.bid is None


def test_binance_other_messages_are_counted(tmp_path: Path) -> None:
    depth = {"stream": "btcusdt@depth@0ms", "data": {"e": "depthUpdate", "b": [["1", "2"]]}}
    snapshot = {"lastUpdateId": 1, "bids": []}
    path = captured(tmp_path / "c.gz", (START, depth), (START + 1, snapshot), (START + 2, ticker(1)))
    reading = open_format("binance-raw", [path], "X")
    assert len(list(reading)) == 1
    assert (reading.tally.rows, reading.tally.ignored) == (3, 2)


def test_binance_bars_are_built_from_prints(tmp_path: Path) -> None:
    second = 1_000_000_000
    path = captured(
        tmp_path / "c.gz",
        (START + 1 * second, trade(1, "90")),  # In the window that was already running.
        (START + 10 * second, trade(2, "100", "1")),
        (START + 12 * second, trade(3, "103", "2")),
        (START + 13 * second, trade(4, "99", "0.5")),
        (START + 19 * second, ticker(1)),
        (START + 41 * second, trade(5, "101")),
        (START + 50 * second, ticker(2)),
        (START + 51 * second, trade(6, "102")),
    )
    bars = [one for one in drained(path) if isinstance(one.event, BarClosed)]
    start = START // 1000
    assert [one.event for one in bars] == [
        BarClosed(
            instrument="X", open_at=start + 10_000_000, end_at=start + 20_000_000,
            open=D(100), high=D(103), low=D(99), close=D(99), volume=D("3.5"),
        ),
        BarClosed(
            instrument="X", open_at=start + 40_000_000, end_at=start + 50_000_000,
            open=D(101), high=D(101), low=D(101), close=D(101), volume=D("0.5"),
        ),
    ]  # fmt: skip
    times = [one.logical_time for one in drained(path)]
    assert times == sorted(times)


def test_binance_bar_length_is_an_option(tmp_path: Path) -> None:
    messages = [(START + number * 500_000_000, trade(number)) for number in range(1, 8)]
    records = drained(captured(tmp_path / "c.gz", *messages), options=Options(interval_us=1_000_000))
    spans = [one.event.open_at - START // 1000 for one in records if isinstance(one.event, BarClosed)]
    assert spans == [1_000_000, 2_000_000]


def test_binance_repeated_message_is_dropped(tmp_path: Path) -> None:
    path = captured(tmp_path / "c.gz", (START, trade(1)), (START + 1, trade(1)), (START + 2, trade(2)))
    reading = open_format("binance-raw", [path], "X")
    assert len(list(reading)) == 2
    assert reading.tally.duplicates == 1


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([(START, trade(1)), (START, trade(1, "7"))], "OMS-I006"),
        ([(START, trade(2)), (START, trade(1))], "OMS-I005"),
        ([(START, ticker(1)), (START - 1, ticker(2))], "OMS-I005"),
        ([(START, ticker(1)), (START, ticker(2, symbol="ETHUSDT"))], "OMS-I008"),
        ([(START, ticker(1)), (START, trade(1, "NaN"))], "OMS-I004"),
        ([(START, ticker(1)), (START, trade(1, "-1"))], "OMS-I004"),
        ([(START, ticker(1)), (START, '{"stream":"btcusdt@trade","data":{"p":1.5}}')], "OMS-I004"),
        ([(START, ticker(1)), (START, '{"stream":"x@trade","data":{"s":"B","s":"B"}}')], "OMS-I004"),
        ([(START, ticker(1)), (START, '{"stream":"x@trade","data":[1]}')], "OMS-I004"),
        ([(START, ticker(1)), (START, '{"stream":"x@trade","da')], "OMS-I004"),
        ([(START, ticker(1)), (17, ticker(2))], "OMS-I004"),
    ],
)
def test_broken_binance_line_is_refused(messages: list[tuple[int, Any]], code: str, tmp_path: Path) -> None:
    path = captured(tmp_path / "c.gz", *messages)
    error = refusal(lambda: drained(path))
    assert (error.code, error.where) == (code, f"{path} line 2")


def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = captured(tmp_path / "c.gz", *((START + number, trade(number)) for number in range(1, 500)))
    path.write_bytes(path.read_bytes()[:-20])
    assert refusal(lambda: drained(path)).code == "OMS-I002"


def test_two_captures_continue_each_other(tmp_path: Path) -> None:
    first = captured(tmp_path / "1.gz", (START, trade(1)))
    second = captured(tmp_path / "2.gz", (START + 1_000, trade(2)))
    assert len(drained(first, second)) == 2
    assert refusal(lambda: drained(second, first)).code == "OMS-I005"
