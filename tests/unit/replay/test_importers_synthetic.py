"""Quotes on a stated path through a bar."""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oms.events.market import BarClosed, Prices, QuoteReported
from oms.values import CONTEXT, SECOND
from replay.importers.synthetic import adverse_to, path

D = Decimal
MINUTE = 60 * SECOND


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def bar(span: int = MINUTE) -> BarClosed:
    return BarClosed(
        instrument="X", open_at=600 * SECOND, end_at=600 * SECOND + span,
        open=D(100), high=D(104), low=D(97), close=D(102),
    )  # fmt: skip


def quotes(*args: object, **kwargs: object) -> list[QuoteReported]:
    events = [record.event for record in path(*args, **kwargs)]  # type: ignore[arg-type]
    return [event for event in events if isinstance(event, QuoteReported)]


@pytest.mark.parametrize(("position", "expected"), [("5", "low"), ("0", "low"), ("-5", "high")])
def test_first_extreme_hurts_the_position(position: str, expected: str) -> None:
    assert adverse_to(D(position)) == expected


@pytest.mark.parametrize(
    ("adverse", "expected"), [("low", [100, 97, 104, 102]), ("high", [100, 104, 97, 102])]
)
def test_path_visits_the_four_prices_in_order(adverse: str, expected: list[int]) -> None:
    found = quotes(bar(), adverse, D(0))
    assert [quote.bid for quote in found] == [D(price) for price in expected for _second in range(15)]


def test_quotes_stay_fresh_and_end_before_the_bar() -> None:
    times = [record.logical_time for record in path(bar(), "low", D(0))]
    assert times == list(range(600 * SECOND, 660 * SECOND, SECOND))


def test_quotes_say_that_they_are_made() -> None:
    (first, *_rest) = path(bar(), "low", D("0.02"))
    assert first.source == "synthetic"
    assert first.event == QuoteReported(
        instrument="X", bid=D("99.99"), ask=D("100.01"), received_at=600 * SECOND, synthetic=True
    )


def test_sides_move_out_to_the_tick() -> None:
    (first, *_rest) = quotes(bar(), "low", D("0.01"), tick=D("0.01"))
    assert (first.bid, first.ask) == (D("99.99"), D("100.01"))


QUOTED = replace(
    bar(),
    bid=Prices(open=D(99), high=D(103), low=D(96), close=D(101)),
    ask=Prices(open=D(101), high=D(105), low=D(98), close=D(103)),
)


@pytest.mark.parametrize(("adverse", "expected"), [
    ("low", [(99, 101), (96, 98), (103, 105), (101, 103)]),
    ("high", [(99, 101), (103, 105), (96, 98), (101, 103)]),
])  # fmt: skip
def test_bar_that_carries_its_quotes_is_followed_through_them(
    adverse: str, expected: list[tuple[int, int]]
) -> None:
    found = quotes(QUOTED, adverse, D(50), tick=D(7))
    assert [(quote.bid, quote.ask) for quote in found] == [side for side in expected for _second in range(15)]
    assert all(quote.synthetic for quote in found)


def test_side_that_a_bar_lacks_is_missing_on_its_path() -> None:
    found = quotes(replace(QUOTED, bid=None), "low", D(50))
    assert {quote.bid for quote in found} == {None}
    assert {quote.ask for quote in found} == {D(98), D(101), D(103), D(105)}


def test_side_below_zero_is_missing() -> None:
    assert quotes(bar(), "low", D(500))[0].bid is None


@settings(deadline=None)
@given(
    span=st.integers(4, 10_000_000), step=st.integers(1, 5_000_000), adverse=st.sampled_from(["low", "high"])
)
def test_any_bar_shows_all_four_prices_inside_its_span(span: int, step: int, adverse: str) -> None:
    step = max(step, span // 1000)
    records = list(path(bar(span), adverse, D(0), step_us=step))  # type: ignore[arg-type]
    times = [record.logical_time for record in records]
    assert times == sorted(times)
    assert bar(span).open_at == times[0] <= times[-1] < bar(span).end_at
    prices = [record.event.bid for record in records if isinstance(record.event, QuoteReported)]
    assert set(prices) == {D(97), D(100), D(102), D(104)}
    assert all(later - sooner <= step for sooner, later in pairwise(times))
