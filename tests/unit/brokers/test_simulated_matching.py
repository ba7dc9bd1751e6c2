"""When orders trigger and execute: prints, quotes, bars, gaps."""

from decimal import Decimal

import pytest

from oms.brokers.simulated import Settings, SimulatedBroker
from oms.events.broker import OrderTriggered
from oms.values import SECOND, Role, Side
from tests.unit.brokers.simulated_desk import T0, Desk

BUY, SELL = Side.BUY, Side.SELL
MODELS = ("perfect", "realistic", "worst_case")


def desk_of(model: str) -> Desk:
    return Desk(SimulatedBroker(Settings(fill_model=model))).define()


@pytest.fixture(params=MODELS)
def desk(request: pytest.FixtureRequest) -> Desk:
    return desk_of(request.param)


def test_waits_for_a_market(desk: Desk) -> None:
    desk.place("a", BUY, 1).settle()
    assert desk.fills() == []
    desk.quote(None, "100.01").settle()
    assert len(desk.fills()) == 1


def test_waits_while_its_side_of_the_quote_is_missing(desk: Desk) -> None:
    desk.quote("99.99", None).place("a", BUY, 1).settle()
    assert desk.fills() == []


def test_crossed_quotes_do_not_count(desk: Desk) -> None:
    desk.quote("100.02", "100.01").place("a", BUY, 1).place("s", SELL, 1, stop="100.05").settle()
    assert desk.fills() == []


@pytest.mark.parametrize(("side", "beyond", "short"), [(SELL, "95.00", "95.01"), (BUY, "105.00", "104.99")])
def test_prints_trigger_and_quotes_do_not(desk: Desk, side: Side, beyond: str, short: str) -> None:
    desk.quote("99.99", "100.01").trade("100.00")
    desk.place("s", side, 1, stop="95.00" if side is SELL else "105.00").settle()
    desk.quote("94.00", "94.01").quote("106.00", "106.01").quote("99.99", "100.01").trade(short).settle()
    assert desk.of(OrderTriggered) == []
    desk.trade(beyond).settle()
    assert len(desk.of(OrderTriggered)) == 1
    assert len(desk.fills()) == 1


def test_quotes_trigger_where_there_are_no_prints(desk: Desk) -> None:
    desk.quote("99.99", "100.01").place("s", SELL, 1, stop="95.00").settle()
    desk.quote("95.01", "95.02").settle()
    assert desk.fills() == []
    desk.quote("95.00", "95.02").settle()
    assert len(desk.fills()) == 1


@pytest.mark.parametrize(
    ("model", "expected"), [("perfect", "90.00"), ("realistic", "89.99"), ("worst_case", "89.97")]
)
def test_gap_fills_a_stop_at_the_gap_price(model: str, expected: str) -> None:
    desk = desk_of(model).quote("99.99", "100.01").place("s", SELL, 1, stop="95.00")
    desk.settle()
    desk.quote("90.00", "90.02").settle()
    assert desk.fills() == [("1", expected)]


def test_stop_limit_does_not_fill_below_its_limit(desk: Desk) -> None:
    desk.quote("99.99", "100.01").place("s", SELL, 1, stop="95.00", limit="94.50").settle()
    desk.quote("90.00", "90.02").settle()
    assert len(desk.of(OrderTriggered)) == 1
    assert desk.fills() == []
    desk.quote("94.60", "94.62").settle()
    assert desk.fills() == [("1", "94.60" if desk.broker.settings.fill_model == "perfect" else "94.50")]


def test_orders_sent_before_a_bar_see_all_of_it(desk: Desk) -> None:
    desk.bar("100", "100", "100", "100")
    desk.place("l", BUY, 1, limit="99.00")
    desk.bar("100", "101", "98.50", "100").settle()
    assert desk.fills() == [("1", "99.00")]


def test_orders_sent_during_a_bar_see_its_close_only(desk: Desk) -> None:
    desk.bar("100", "100", "100", "100")
    opened = desk.now
    desk.now = opened + 30 * SECOND
    desk.place("l", BUY, 1, limit="99.00")
    desk.now = opened
    desk.bar("100", "101", "98.50", "100").settle()
    assert desk.fills() == []


def test_stop_comes_before_target_inside_a_bar(desk: Desk) -> None:
    desk.bar("100", "100", "100", "100")
    desk.place("t", SELL, 1, limit="101.00", role=Role.TARGET).place(
        "s", SELL, 1, stop="99.00", role=Role.STOP
    )
    desk.bar("100", "102", "98", "100").settle()
    assert desk.fills("t") == []
    assert len(desk.fills("s")) == 1


def test_target_is_reached_where_the_bar_opens_at_it(desk: Desk) -> None:
    desk.bar("100", "100", "100", "100")
    desk.place("t", SELL, 1, limit="101.00", role=Role.TARGET).place(
        "s", SELL, 1, stop="99.00", role=Role.STOP
    )
    desk.bar("101.50", "102", "98", "100").settle()
    assert len(desk.fills("t")) == 1
    assert len(desk.fills("s")) == 1


@pytest.mark.parametrize(
    ("opened", "expected"),
    [("100", {"perfect": "99.00", "realistic": "98.99", "worst_case": "98.97"}),
     ("98.50", {"perfect": "98.50", "realistic": "98.49", "worst_case": "98.47"})],
)  # fmt: skip
def test_stop_in_a_bar_pays_its_level_or_the_gap(desk: Desk, opened: str, expected: dict[str, str]) -> None:
    desk.bar("100", "100", "100", "100").place("s", SELL, 1, stop="99.00")
    desk.bar(opened, "100", "98", "98.50").settle()
    assert desk.fills() == [("1", expected[desk.broker.settings.fill_model])]


def test_bars_add_nothing_where_there_are_ticks(desk: Desk) -> None:
    desk.quote("99.99", "100.01").place("l", BUY, 1, limit="99.00").settle()
    desk.bar("100", "101", "90", "100").settle()
    assert desk.fills() == []


def test_last_bar_of_a_session_executes_before_day_orders_expire(desk: Desk) -> None:
    desk.session(14, T0, T0 + 120 * SECOND).bar("100", "100", "100", "100")
    desk.place("l", BUY, 1, limit="99.00")
    desk.bar("100", "101", "98", "100").settle()
    assert len(desk.fills()) == 1


def test_fills_whole_lots_only() -> None:
    desk = Desk(SimulatedBroker(Settings(fill_model="realistic"))).define(lot="0.5")
    desk.quote("99.98", "100.02").place("a", BUY, "2.5", limit="100.00").settle()
    for _ in range(30):
        desk.quote("99.98", "100.00").settle()
    quantities = [Decimal(quantity) for quantity, _ in desk.fills()]
    assert sum(quantities) == Decimal("2.5")
    assert all(quantity % Decimal("0.5") == 0 for quantity in quantities)
