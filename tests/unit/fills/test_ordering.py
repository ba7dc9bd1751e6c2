"""On one list of orders and one tape, worst case is never better than realistic, realistic never than perfect."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.brokers.simulated import Settings, SimulatedBroker
from oms.events.broker import OrderFilled
from oms.values import Side
from tests.unit.brokers.simulated_desk import Desk

MODELS = ("worst_case", "realistic", "perfect")
TICK = Decimal("0.01")

cents = st.integers(min_value=9_900, max_value=10_100)
spread = st.integers(min_value=0, max_value=6)
quotes = st.tuples(st.just("quote"), cents, spread)
crossed = st.tuples(st.just("quote"), cents, st.just(-2))
one_sided = st.tuples(st.just("bid"), cents, st.just(0))
prints = st.tuples(st.just("print"), cents, st.just(0))
sides = st.sampled_from(list(Side))
orders = st.tuples(
    st.just("order"), sides, st.integers(1, 50), st.one_of(st.none(), cents), st.one_of(st.none(), cents)
)
ticks = st.lists(st.one_of(quotes, quotes, prints, one_sided, crossed, orders, orders), max_size=40)
bars = st.tuples(st.just("bar"), st.tuples(cents, cents, cents, cents), st.just(0))
bar_tapes = st.lists(st.one_of(bars, bars, orders), max_size=30)


def text(cents_: int) -> str:
    return str(cents_ * TICK)


def run(model: str, tape: list[tuple[object, ...]], seed: int) -> Desk:
    desk = Desk(SimulatedBroker(Settings(fill_model=model, seed=seed))).define()
    for number, step in enumerate(tape):
        match step:
            case ("quote", int(bid), int(wide)):
                desk.quote(text(bid), text(bid + wide))
            case ("bid", int(bid), _):
                desk.quote(text(bid), None)
            case ("print", int(at), _):
                desk.trade(text(at))
            case ("bar", (int(o), int(a), int(b), int(c)), _):
                desk.bar(text(o), text(max(o, a, b, c)), text(min(o, a, b, c)), text(c))
            case ("order", Side() as side, int(quantity), limit, stop):
                prices = [text(p) if isinstance(p, int) else None for p in (limit, stop)]
                desk.place(f"o{number}", side, quantity, limit=prices[0], stop=prices[1])
        desk.now += 2_000
    desk.settle()
    return desk


def fills_by_order(desk: Desk) -> dict[str, list[OrderFilled]]:
    found: dict[str, list[OrderFilled]] = {}
    for fill in desk.of(OrderFilled):
        found.setdefault(fill.client_order_id or "", []).append(fill)
    return found


def check(tape: list[tuple[object, ...]], seed: int) -> None:
    worst, realistic, perfect = (fills_by_order(run(model, tape, seed)) for model in MODELS)
    assert worst.keys() <= realistic.keys() <= perfect.keys()
    for name in worst:
        sign = 1 if worst[name][0].side is Side.BUY else -1
        costs = [[sign * fill.price for fill in found[name]] for found in (worst, realistic, perfect)]
        assert min(costs[0]) >= max(costs[1]), name
        assert min(costs[1]) >= max(costs[2]), name


@pytest.mark.req("BT-010")
@settings(max_examples=150, deadline=None)
@given(tape=ticks, seed=st.integers(0, 3))
def test_models_are_ordered_on_ticks(tape: list[tuple[object, ...]], seed: int) -> None:
    check(tape, seed)


@settings(max_examples=100, deadline=None)
@given(tape=bar_tapes, seed=st.integers(0, 3))
def test_models_are_ordered_on_bars(tape: list[tuple[object, ...]], seed: int) -> None:
    check(tape, seed)


def test_all_three_fill_on_an_ordinary_tape() -> None:
    """The property is not empty: here every model fills, at three different prices."""
    tape: list[tuple[object, ...]] = [("quote", 10_000, 2), ("order", Side.BUY, 10, None, None)] * 3
    prices = [run(model, tape, 1).fills() for model in MODELS]
    assert prices == [[("10", "100.05")] * 3, [("10", "100.03")] * 3, [("10", "100.02")] * 3]
