"""Indicators against worked examples and against plain recomputation."""

from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.events.market import BarClosed
from oms.formulas.indicators import DIGITS, Atr, Ema, Swings, true_range
from oms.values import CONTEXT

D = Decimal
PRICES = st.integers(1, 10_000_000).map(lambda cents: D(cents).scaleb(-2))


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def bar(high: str | Decimal, low: str | Decimal, close: str | Decimal | None = None) -> BarClosed:
    last = D(close) if close is not None else D(low)
    return BarClosed(instrument="X", open_at=0, end_at=1, open=last, high=D(high), low=D(low), close=last)


def bars() -> st.SearchStrategy[BarClosed]:
    return st.tuples(PRICES, PRICES, PRICES).map(lambda three: bar(max(three), min(three), three[2]))


def after(indicator: Atr | Ema | Swings, many: Sequence[BarClosed]) -> Atr | Ema | Swings:
    for one in many:
        indicator = indicator.update(one)
    return indicator


@pytest.mark.parametrize(
    ("previous", "expected"), [(None, "2"), ("11", "2"), ("14", "4"), ("8", "4"), ("12", "2"), ("10", "2")]
)
def test_true_range_counts_the_gap(previous: str | None, expected: str) -> None:
    assert true_range(bar("12", "10"), D(previous) if previous else None) == D(expected)


@pytest.mark.req("OD-081")
def test_atr_is_wilders() -> None:
    # True ranges 2, 3, 4 give 3; then (3 * 2 + 6) / 3 = 4; then (4 * 2 + 3) / 3 = 3.6666666667.
    day = [
        bar("12", "10", "11"),
        bar("13", "10", "12"),
        bar("14", "10", "13"),
        bar("16", "10", "12"),
        bar("13", "10", "11"),
    ]
    values = [after(Atr(length=3), day[: count + 1]).value for count in range(len(day))]
    assert values == [None, None, D(3), D(4), D("3.6666666667")]


@pytest.mark.req("OD-083")
def test_ema_starts_with_the_mean() -> None:
    # Closes 1, 2, 3 give 2; weight 1/2: 2 + (4 - 2) / 2 = 3; then 3 + (3 - 3) / 2 = 3; then 2.
    day = [bar(close, close, close) for close in ("1", "2", "3", "4", "3", "1")]
    values = [after(Ema(length=3), day[: count + 1]).value for count in range(len(day))]
    assert values == [None, None, D(2), D(3), D(3), D(2)]


@settings(deadline=None)
@given(st.lists(bars(), min_size=1, max_size=60), st.integers(1, 20))
def test_averages_stay_inside_what_they_average(many: list[BarClosed], length: int) -> None:
    atr, ema = Atr(length=length), Ema(length=length)
    ranges, previous = [], None
    for one in many:
        ranges.append(true_range(one, previous))
        previous = one.close
        atr, ema = atr.update(one), ema.update(one)
    closes = [one.close for one in many]
    slack = D(len(many)).scaleb(-DIGITS)
    assert (atr.value is None) == (ema.value is None) == (len(many) < length)
    if atr.value is not None and ema.value is not None:
        assert min(ranges) - slack <= atr.value <= max(ranges) + slack
        assert min(closes) - slack <= ema.value <= max(closes) + slack


@settings(deadline=None)
@given(st.lists(bars(), min_size=1, max_size=60))
def test_carried_values_do_not_grow_digits(many: list[BarClosed]) -> None:
    for value in (after(Atr(length=3), many).value, after(Ema(length=3), many).value):
        assert value is None or -int(value.as_tuple().exponent) == DIGITS


@settings(deadline=None)
@given(st.lists(bars(), max_size=30), bars())
def test_update_changes_nothing_in_place(many: list[BarClosed], one: BarClosed) -> None:
    before = after(Swings(width=1), many)
    copy = Swings(**{name: getattr(before, name) for name in before.__struct_fields__})
    before.update(one)
    assert before == copy


@pytest.mark.req("OD-083")
def test_higher_low_is_a_swing_low_above_the_one_before() -> None:
    lows = ["10", "8", "9", "11", "9.5", "12", "13"]
    tracker, seen = Swings(width=1), []
    for low in lows:
        tracker = tracker.update(bar("20", low))
        seen.append((tracker.swing_low, tracker.higher_low))
    # 8 is known one bar later, 9.5 likewise; only the second is a higher low.
    assert seen[1:] == [
        (None, None),
        (D(8), None),
        (D(8), None),
        (D(8), None),
        (D("9.5"), D("9.5")),
        (D("9.5"), D("9.5")),
    ]


def test_lower_swing_low_leaves_the_higher_low_alone() -> None:
    tracker = after(Swings(width=1), [bar("20", low) for low in ("10", "8", "12", "9", "12", "7", "12")])
    assert isinstance(tracker, Swings)
    assert (tracker.swing_low, tracker.higher_low) == (D(7), D(9))


def test_first_of_equal_lows_is_the_swing() -> None:
    tracker = after(Swings(width=1), [bar("20", low) for low in ("10", "8", "8", "10")])
    assert isinstance(tracker, Swings)
    assert (tracker.swing_low, tracker.higher_low) == (D(8), None)


@settings(deadline=None)
@given(st.lists(st.tuples(PRICES, PRICES), max_size=60), st.integers(1, 3))
def test_highs_mirror_lows(pairs: list[tuple[Decimal, Decimal]], width: int) -> None:
    ceiling = D(1_000_000)
    many = [bar(max(pair), min(pair)) for pair in pairs]
    mirrored = [bar(ceiling - one.low, ceiling - one.high) for one in many]
    plain, mirror = after(Swings(width=width), many), after(Swings(width=width), mirrored)
    assert isinstance(plain, Swings)
    assert isinstance(mirror, Swings)
    expected = [
        None if value is None else ceiling - value for value in (mirror.swing_high, mirror.lower_high)
    ]
    assert [plain.swing_low, plain.higher_low] == expected


@settings(deadline=None)
@given(st.lists(bars(), max_size=60), st.integers(1, 3))
def test_swing_low_is_the_last_one_of_the_whole_history(many: list[BarClosed], width: int) -> None:
    lows = [one.low for one in many]
    found = [
        lows[index]
        for index in range(width, len(lows) - width)
        if all(lows[index] < lows[index - step] for step in range(1, width + 1))
        and all(lows[index] <= lows[index + step] for step in range(1, width + 1))
    ]
    tracker = after(Swings(width=width), many)
    assert isinstance(tracker, Swings)
    assert tracker.swing_low == (found[-1] if found else None)
    assert len(tracker.lows) <= 2 * width + 1
