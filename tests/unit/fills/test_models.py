"""How much executes at what price, model by model."""

from decimal import Decimal

import pytest

from oms.fills import MODELS
from oms.fills.base import Fill, Market, Working, draw, is_triggered, part_of
from oms.values import OrderType, Side

BUY, SELL = Side.BUY, Side.SELL
D = Decimal
TICK = D("0.01")
QUOTED = {"bid": D("99.99"), "ask": D("100.01")}


def market(**prices: Decimal) -> Market:
    return Market(tick=TICK, **prices)


def traded(price: str, **prices: Decimal) -> Market:
    found = D(price)
    return market(last=found, first=found, low=found, high=found, **prices)


def limit(side: Side, price: str, *, resting: bool = False) -> Working:
    return Working(side=side, order_type=OrderType.LIMIT, leaves=D(8), price_limit=D(price), resting=resting)


def take(side: Side) -> Working:
    return Working(side=side, order_type=OrderType.MARKET, leaves=D(8))


def stop(side: Side, price: str) -> Working:
    return Working(side=side, order_type=OrderType.STOP, leaves=D(8), price_stop=D(price))


def prices(order: Working, seen: Market) -> tuple[str | None, ...]:
    """Fill price by model: perfect, realistic, worst case."""
    found = [MODELS[name](order, seen, 3) for name in ("perfect", "realistic", "worst_case")]
    return tuple(None if fill is None else str(fill.price) for fill in found)


@pytest.mark.req("BT-010", "BT-012")
@pytest.mark.parametrize(
    ("order", "seen", "expected"),
    [
        pytest.param(take(BUY), market(**QUOTED), ("100.01", "100.02", "100.04"), id="market buy"),
        pytest.param(take(SELL), market(**QUOTED), ("99.99", "99.98", "99.96"), id="market sell"),
        pytest.param(take(BUY), market(ask=D(100)), ("100", "100.01", "100.03"), id="one side is enough"),
        pytest.param(take(BUY), market(bid=D(100)), (None, None, None), id="nothing to take"),
        pytest.param(take(BUY), market(close=D(100)), ("100", "100.01", "100.03"), id="bars only"),
        pytest.param(
            take(BUY), traded("100.05", **QUOTED), ("100.01", "100.02", "100.08"), id="worst pays the print"
        ),
        pytest.param(limit(BUY, "100.05"), market(**QUOTED), ("100.01", "100.02", "100.04"), id="marketable"),
        pytest.param(limit(BUY, "100.02"), market(**QUOTED), ("100.01", "100.02", "100.02"), id="capped"),
        pytest.param(limit(BUY, "100.00"), market(**QUOTED), (None, None, None), id="not marketable"),
        pytest.param(
            limit(BUY, "100.01", resting=True), market(**QUOTED), ("100.01", "100.01", None), id="touched"
        ),
        pytest.param(
            limit(BUY, "100.02", resting=True), market(**QUOTED), ("100.01", "100.02", "100.02"), id="through"
        ),
        pytest.param(
            limit(BUY, "99.99", resting=True),
            traded("99.99", **QUOTED),
            ("99.99", None, None),
            id="printed at",
        ),
        pytest.param(
            limit(BUY, "99.99", resting=True),
            traded("99.98", **QUOTED),
            ("99.99", "99.99", "99.99"),
            id="printed through",
        ),
        pytest.param(
            limit(SELL, "100.01", resting=True),
            traded("100.02", **QUOTED),
            ("100.01", "100.01", "100.01"),
            id="sell printed through",
        ),
        pytest.param(stop(SELL, "99.50"), market(bid=D(99)), ("99", "98.99", "98.97"), id="stop by quote"),
        pytest.param(stop(SELL, "99.50"), traded("99"), ("99", "98.99", "98.97"), id="gap by print"),
        pytest.param(stop(BUY, "100.50"), traded("101"), ("101", "101.01", "101.03"), id="buy gap"),
    ],
)
def test_price_by_model(order: Working, seen: Market, expected: tuple[str | None, ...]) -> None:
    assert prices(order, seen) == expected


@pytest.mark.parametrize(
    ("order", "seen", "expected"),
    [
        (stop(SELL, "95"), traded("95"), True),
        (stop(SELL, "95"), traded("95.01"), False),
        (stop(SELL, "95"), market(last=D(96), bid=D(90), ask=D(91)), False),
        (stop(SELL, "95"), market(bid=D(95), ask=D(96)), True),
        (stop(SELL, "95"), market(bid=D("95.01"), ask=D("95.02")), False),
        (stop(SELL, "95"), market(bid=D(95), ask=D(94)), False),
        (stop(SELL, "95"), market(close=D(95)), True),
        (stop(SELL, "95"), market(), False),
        (stop(BUY, "105"), traded("105"), True),
        (stop(BUY, "105"), market(bid=D(104), ask=D(105)), True),
        (stop(BUY, "105"), market(bid=D(106), ask=None), False),
    ],
)
def test_triggers_by_print_else_by_quote(order: Working, seen: Market, expected: bool) -> None:
    assert is_triggered(order, seen) is expected


def test_realistic_fills_in_parts_when_only_touched() -> None:
    order = limit(BUY, "100.01", resting=True)
    found = {draw_: MODELS["realistic"](order, market(**QUOTED), draw_) for draw_ in range(4)}
    assert [fill.quantity for fill in found.values() if fill] == [2, 4, 6, 8]


def test_perfect_and_worst_fill_completely() -> None:
    through = traded("99.00", **QUOTED)
    for name in ("perfect", "worst_case"):
        assert MODELS[name](limit(BUY, "99.50", resting=True), through, 0) == Fill(D(8), D("99.50"))


def test_a_part_is_at_least_one_lot() -> None:
    assert part_of(D(1), D(1), 0, 4) == 1
    assert part_of(D("0.75"), D("0.25"), 0, 4) == D("0.25")


def test_draw_depends_on_seed_order_and_count_only() -> None:
    assert draw(1, "a", 0) == draw(1, "a", 0)
    assert len({draw(1, "a", 0), draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1)}) == 4


def test_slippage_leaves_a_positive_price() -> None:
    assert prices(take(SELL), market(bid=D("0.02"), ask=D("0.03"))) == ("0.02", "0.01", "0.01")
