"""Caps on the size of an entry, exactly at their limits."""

from decimal import Decimal

import pytest

from oms.sizing import capped, halved
from tests.builders import settings

ONE = Decimal(1)


@pytest.mark.req("OD-119")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(499, (499, "")), (500, (500, "")), (501, (500, "risk.max_position_pct"))],
)
def test_half_of_the_capital_is_the_most(wanted: int, expected: tuple[int, str]) -> None:
    assert capped(Decimal(wanted), Decimal(100), ONE, ONE, settings()) == expected


@pytest.mark.parametrize(
    ("name", "limit"), [("gate__max_order_value", 40_000), ("gate__max_order_quantity", 400)]
)
def test_the_gate_s_own_limits_bound_a_size_before_it_is_sent(name: str, limit: int) -> None:
    changed = settings(**{name: limit})
    cap = name.replace("__", ".")
    assert capped(Decimal(400), Decimal(100), ONE, ONE, changed) == (400, "")
    assert capped(Decimal(401), Decimal(100), ONE, ONE, changed) == (400, cap)


@pytest.mark.parametrize(("lot", "expected"), [("1", "3"), ("2", "2"), ("0.5", "3.5")])
def test_half_a_size_is_whole_lots(lot: str, expected: str) -> None:
    assert halved(Decimal(7), Decimal(lot)) == Decimal(expected)


def test_multiplier_and_lot_count() -> None:
    assert capped(Decimal(9), Decimal(3000), Decimal(2), Decimal(3), settings()) == (
        6,
        "risk.max_position_pct",
    )
