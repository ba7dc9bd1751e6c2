"""What a round trip costs and where a trade is even."""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.formulas.cost import BreakEvenMode, Fees, break_even_price, round_trip_cost
from oms.values import CONTEXT, SIGN_OF, PositionSide

D = Decimal
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
CENT = D("0.01")
SIDES = st.sampled_from(PositionSide)
PRICES = st.integers(1_000, 10_000_000).map(lambda cents: D(cents).scaleb(-2))


@pytest.fixture(autouse=True, scope="module")
def arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


@pytest.mark.req("BB-009", "OD-065")
@pytest.mark.parametrize(
    ("side", "mode", "amount", "expected"),
    [
        (LONG, BreakEvenMode.NONE, "7", "123.46"),
        (SHORT, BreakEvenMode.NONE, "7", "123.45"),
        (LONG, BreakEvenMode.PCT, "0.001", "123.59"),
        (SHORT, BreakEvenMode.PCT, "0.001", "123.33"),
        (LONG, BreakEvenMode.TICKS, "2", "123.48"),
        (SHORT, BreakEvenMode.TICKS, "2", "123.43"),
        (LONG, BreakEvenMode.ROUND_TRIP_COST, "0.012", "123.47"),
        (SHORT, BreakEvenMode.ROUND_TRIP_COST, "0.012", "123.44"),
    ],
)
def test_break_even_price_moves_in_the_trades_favour(
    side: PositionSide, mode: BreakEvenMode, amount: str, expected: str
) -> None:
    # The entry is an average price between two ticks.
    assert break_even_price(D("123.4567"), side, mode, D(amount), CENT) == D(expected)


def test_price_on_the_tick_stays() -> None:
    assert break_even_price(D("10"), LONG, BreakEvenMode.NONE, D(0), CENT) == D("10")


def test_round_trip_cost_by_hand() -> None:
    # Buy 100 at 50, 0.005 a share and 1 an order: 2 * (0.005 + 0.01) = 0.03.
    assert round_trip_cost(D(50), D(100), LONG, Fees(per_unit=D("0.005"), per_order=D(1))) == D("0.03")
    # A fraction of the value on both prices: (50 + 0.05) / 0.999 - 50.
    cost = round_trip_cost(D(50), D(1), LONG, Fees(pct=D("0.001")))
    assert cost.quantize(D("1e-6")) == D("0.100100")


@pytest.mark.parametrize(
    ("price", "quantity", "pct"), [("0", "1", "0"), ("5", "0", "0"), ("5", "-1", "0"), ("5", "1", "1")]
)
def test_nothing_to_pay_for_is_no_cost(price: str, quantity: str, pct: str) -> None:
    assert round_trip_cost(D(price), D(quantity), LONG, Fees(pct=D(pct))) == 0


@settings(deadline=None)
@given(
    PRICES, st.integers(1, 10_000), SIDES,
    st.integers(0, 100), st.integers(0, 50), st.integers(0, 500),
)  # fmt: skip
def test_trade_closed_at_break_even_does_not_lose(
    entry: Decimal, quantity: int, side: PositionSide, per_unit: int, pct: int, per_order: int
) -> None:
    fees = Fees(per_unit=D(per_unit).scaleb(-4), pct=D(pct).scaleb(-4), per_order=D(per_order).scaleb(-2))
    cost = round_trip_cost(entry, D(quantity), side, fees)
    price = break_even_price(entry, side, BreakEvenMode.ROUND_TRIP_COST, cost, CENT)

    def net(price_exit: Decimal) -> Decimal:
        paid = (entry + price_exit) * fees.pct * quantity + 2 * (fees.per_unit * quantity + fees.per_order)
        return SIGN_OF[side] * (price_exit - entry) * quantity - paid

    assert cost >= 0
    assert net(price) >= -D("1e-40")
    assert net(price - SIGN_OF[side] * CENT) < 0


@settings(deadline=None)
@given(PRICES, SIDES, st.sampled_from(BreakEvenMode), st.integers(0, 100))
def test_break_even_price_is_on_the_tick_and_never_worse(
    entry: Decimal, side: PositionSide, mode: BreakEvenMode, amount: int
) -> None:
    tick = D("0.05")
    price = break_even_price(entry, side, mode, D(amount).scaleb(-4), tick)
    assert price % tick == 0
    assert SIGN_OF[side] * (price - entry) >= 0
