"""The importers on files that other people recorded. They are kept beside the checkout, never inside it."""

from collections import Counter
from collections.abc import Iterator
from decimal import localcontext

import pytest

from oms.calendar import session, session_date
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported
from oms.values import CONTEXT, SECOND
from replay.importers import Options, open_format
from tests.checkout import shared


@pytest.fixture(autouse=True)
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def in_order(records: list[Stamped]) -> bool:
    times = [record.logical_time for record in records]
    return times == sorted(times)


def kinds(records: list[Stamped]) -> dict[str, int]:
    return dict(Counter(type(record.event).__name__ for record in records))


def test_index_days_start_with_the_session() -> None:
    (path,) = shared("data/us_index_mplfinance/SP500_NOV2019_IDay.csv")
    records = list(open_format("index-minute", [path], "SPX"))
    bars = [record.event for record in records if isinstance(record.event, BarClosed)]
    opens = {}
    for bar in bars:
        opens.setdefault(session_date("XNYS", bar.open_at), bar.open_at)
    assert len(bars) == 1563
    assert in_order(records)
    for day, open_at in opens.items():
        assert day is not None
        found = session("XNYS", day)
        assert found is not None
        assert found.open_at == open_at


@pytest.mark.parametrize(
    ("venue", "symbol", "quotes", "bars"), [("binance", "btcusd", 1104, 1439), ("bybit", "btcusdt", 460, 721)]
)
def test_lean_crypto_day(venue: str, symbol: str, quotes: int, bars: int) -> None:
    folder = f"data/crypto/lean/{venue}/minute/{symbol}"
    files = shared(f"{folder}/20221213_trade.zip", f"{folder}/20221213_quote.zip")
    records = list(open_format("lean", files, "X", Options(market="crypto")))
    # Each minute with a quote also has a trade: the bars carry all quotes.
    assert kinds(records) == {"BarClosed": bars}
    carrying = [
        one.event for one in records if isinstance(one.event, BarClosed) and one.event.bid is not None
    ]
    assert len(carrying) == quotes
    assert in_order(records)


def test_capture_continues_across_midnight() -> None:
    files = shared(
        "data/crypto/hftbacktest/cm/btcusd_perp_20240808.gz",
        "data/crypto/hftbacktest/cm/btcusd_perp_20240809.gz",
    )
    reading = open_format("binance-raw", files, "X", Options(interval_us=10 * SECOND))
    records = list(reading)
    assert kinds(records) == {"QuoteReported": 48355, "TradePrinted": 5235, "BarClosed": 64}
    assert (reading.tally.rows, reading.tally.ignored, reading.tally.duplicates) == (98386, 44796, 0)
    assert in_order(records)
    quotes = [(one.event, one.event_time) for one in records if isinstance(one.event, QuoteReported)]
    assert all(
        quote.bid is not None and quote.ask is not None and quote.bid < quote.ask for quote, _at in quotes
    )
    # The exchange's clock runs ahead of ours: it shows in event_time and nowhere else.
    assert min(at - quote.received_at for quote, at in quotes if at is not None) > SECOND
