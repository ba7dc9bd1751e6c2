"""Fees by schedule."""

from decimal import Decimal

import pytest

from oms.fills.costs import Schedule, amount, fees

D = Decimal


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), "0"),
        (Schedule(per_share=D("0.005")), "0.5"),
        (Schedule(per_value=D("0.001")), "1"),
        (Schedule(per_share=D("0.005"), per_value=D("0.001")), "1.5"),
        (Schedule(per_share=D("0.005"), minimum=D(1)), "1"),
        (Schedule(per_value=D("-0.0001"), minimum=D(-9)), "-0.1"),
        (Schedule(per_share=D("0.00000051")), "0.0001"),
        (Schedule(per_share=D("0.0333"), step=D("0.01")), "3.33"),
    ],
)
def test_cost_of_a_hundred_at_ten(schedule: Schedule, expected: str) -> None:
    assert amount(schedule, D(100), D(10)) == D(expected)


def test_value_counts_the_multiplier() -> None:
    assert amount(Schedule(per_value=D("0.01")), D(2), D(10), D(5)) == 1


def test_reports_nothing_where_nothing_is_charged() -> None:
    assert fees(Schedule(), D(1), D(1), currency="USD") == ()


def test_reports_amount_currency_and_kind() -> None:
    (fee,) = fees(Schedule(per_share=D(1)), D(2), D(1), currency="EUR")
    assert (fee.amount, fee.currency, fee.kind) == (D(2), "EUR", "COMMISSION")
