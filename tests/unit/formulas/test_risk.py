"""Risk multiples and tranches."""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.formulas.risk import SizeClass, allocate, r_multiple, r_multiple_price, risk_per_unit, size_class
from oms.formulas.roe import price_for_roe, roe
from oms.values import CONTEXT, PositionSide

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
COMPACT, STANDARD, FULL = (
    tuple(D(pct).scaleb(-2) for pct in pcts)
    for pcts in ((40, 40, 20), (30, 30, 25, 15), (25, 25, 25, 15, 10))
)
FRACTIONS = st.lists(st.integers(0, 100).map(lambda number: D(number).scaleb(-2)), min_size=1, max_size=8)


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def strings(values: tuple[Decimal, ...]) -> list[str]:
    return [str(value) for value in values]


@pytest.mark.req("OD-048")
def test_targets_lie_at_multiples_of_the_risk() -> None:
    assert [r_multiple_price(D(100), D(2), D(k), LONG) for k in (1, 2, 3)] == [102, 104, 106]
    assert [r_multiple_price(D(100), D(2), D(k), SHORT) for k in (1, 2, 3)] == [98, 96, 94]


def test_risk_is_counted_toward_the_stop() -> None:
    assert (risk_per_unit(D(100), D(98), LONG), risk_per_unit(D(100), D(102), SHORT)) == (2, 2)
    assert (risk_per_unit(D(100), D(101), LONG), risk_per_unit(D(100), D(100), SHORT)) == (0, 0)


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6), st.sampled_from(PositionSide), st.integers(-5, 5))
def test_multiple_and_price_are_inverse(entry: int, r: int, side: PositionSide, k: int) -> None:
    assert r_multiple(D(entry), r_multiple_price(D(entry), D(r), D(k), side), D(r), side) == k


def test_multiple_of_no_risk_is_unknown() -> None:
    assert r_multiple(D(100), D(101), D(0), LONG) is None


@pytest.mark.req("OD-043", "OD-044", "OD-045")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", SizeClass.COMPACT),
        ("4999.99", SizeClass.COMPACT),
        ("5000", SizeClass.STANDARD),
        ("5000.01", SizeClass.STANDARD),
        ("15000", SizeClass.STANDARD),
        ("15000.01", SizeClass.FULL),
    ],
)
def test_thresholds_belong_to_the_middle_class(value: str, expected: SizeClass) -> None:
    assert size_class(D(value), D(5000), D(15000)) is expected


@pytest.mark.req("OD-047")
@pytest.mark.parametrize(
    ("quantity", "pcts", "lot", "expected"),
    [
        ("100", COMPACT, "1", ["40", "40", "20"]),
        ("100", STANDARD, "1", ["30", "30", "25", "15"]),
        ("200", FULL, "1", ["50", "50", "50", "30", "20"]),
        # 2.8, 2.8, 1.4: the two spare shares go to the largest remainders.
        ("7", COMPACT, "1", ["3", "3", "1"]),
        # 3.3, 3.3, 2.75, 1.65
        ("11", STANDARD, "1", ["3", "3", "3", "2"]),
        ("3", FULL, "1", ["1", "1", "1", "0", "0"]),
        ("1", COMPACT, "1", ["1", "0", "0"]),
        ("0", COMPACT, "1", ["0", "0", "0"]),
        ("-5", COMPACT, "1", ["0", "0", "0"]),
        # What is smaller than a lot stays with the runner.
        ("100.5", COMPACT, "1", ["40", "40", "20.5"]),
        ("0.4", COMPACT, "1", ["0", "0", "0.4"]),
        ("0.01234", COMPACT, "0.001", ["0.005", "0.005", "0.00234"]),
        ("1000", COMPACT, "100", ["400", "400", "200"]),
        # The runner takes what the others leave, also where the fractions do not add up.
        ("100", (D("0.4"), D("0.2")), "1", ["40", "60"]),
        ("100", (D("0.8"), D("0.8"), D("0.2")), "1", ["80", "20", "0"]),
        ("100", (D("0.2"),), "1", ["100"]),
    ],
)
def test_tranches_by_hand(quantity: str, pcts: tuple[Decimal, ...], lot: str, expected: list[str]) -> None:
    assert strings(allocate(D(quantity), pcts, D(lot))) == expected


def test_no_fractions_no_tranches() -> None:
    assert allocate(D(100), (), D(1)) == ()


@pytest.mark.req("OD-047")
@settings(deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from(["1", "100", "0.001", "0.5"]),
    st.one_of(st.sampled_from([COMPACT, STANDARD, FULL]), FRACTIONS),
)  # fmt: skip
def test_tranches_sum_to_the_position(
    thousandths: int, lot_text: str, pcts: list[Decimal] | tuple[Decimal, ...]
) -> None:
    quantity, lot = D(thousandths).scaleb(-3), D(lot_text)
    tranches = allocate(quantity, pcts, lot)
    assert len(tranches) == len(pcts)
    assert sum(tranches, D(0)) == quantity
    assert all(tranche >= 0 for tranche in tranches)
    assert all(tranche % lot == 0 for tranche in tranches[:-1])


@pytest.mark.req("OD-047")
@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([COMPACT, STANDARD, FULL]))
def test_each_tranche_is_within_a_lot_of_its_share(quantity: int, pcts: tuple[Decimal, ...]) -> None:
    tranches = allocate(D(quantity), pcts, D(1))
    assert all(abs(tranche - quantity * pct) < 1 for tranche, pct in zip(tranches, pcts, strict=True))


@pytest.mark.req("CH-069", "CH-071")
def test_return_on_the_margin() -> None:
    assert roe(D(10), D(100)) == D("0.1")
    assert roe(D(10), D(0)) is None
    assert price_for_roe(D(100), D(5), D("0.1"), LONG) == D(102)
    assert price_for_roe(D(100), D(5), D("0.1"), SHORT) == D(98)
    assert price_for_roe(D(100), D(0), D("0.1"), LONG) is None
