"""When the prices of entries and planned exits are moved, and to where: for both sides of the market."""

import pytest

from oms.events.broker import CapabilitiesDeclared
from oms.events.decisions import CancelRequested, OrderPlaced, ReplaceRequested, RepriceSkipped
from oms.events.strategy import EntryRequested
from oms.values import OrderType, PositionSide, Role, Side
from tests.answers import ack, cancelled, in_position, replaced
from tests.builders import entry, leave
from tests.given import Input, given, like, quote, wait
from tests.unit.policies.test_exit import targets_gone

SHORT = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
SIDES = [
    (entry(), quote("100.01", "100.07"), ["100.01", "100.04", "100.07"]),
    (SHORT, quote("99.93", "99.99"), ["99.99", "99.96", "99.93"]),
]


@pytest.mark.req("OD-015", "C-20")
@pytest.mark.parametrize(("wish", "market", "prices"), SIDES)
def test_an_entry_gets_three_prices_and_no_fourth(
    wish: EntryRequested, market: Input, prices: list[str]
) -> None:
    story = given(market, wish, ack(Role.ENTRY))
    for price in prices:
        story.when(wait(4, ms=999)).then()
        story.when(wait(0, ms=1)).then(like(ReplaceRequested, policy="entry", price_limit=price))
        story.when(replaced(Role.ENTRY)).then()
    story.given(quote("100.05", "100.06") if wish is SHORT else quote("99.94", "99.95"))
    story.when(wait(60)).then_none(ReplaceRequested).then_among(like(CancelRequested, policy="entry"))


@pytest.mark.req("OD-015")
def test_a_cycle_that_moves_nothing_is_one_of_the_three() -> None:
    story = given(quote("99.90", "100.00"), entry(), ack(Role.ENTRY))
    for _ in range(3):
        story.when(wait(5)).then(like(RepriceSkipped, reason="price unchanged"))
    story.when(quote("100.01", "100.07"), wait(5)).then(like(CancelRequested, policy="entry"))


@pytest.mark.req("OD-018", "C-20")
@pytest.mark.parametrize(
    ("wish", "moves"),
    [
        (entry(), [("99.99", "100.01"), ("99.90", "100.05"), ("99.95", "100.00"), ("99.80", "99.99")]),
        (SHORT, [("99.99", "100.01"), ("99.95", "100.10"), ("100.00", "100.05"), ("100.01", "100.20")]),
    ],
)
def test_a_planned_exit_stands_at_the_near_side_every_5_seconds(
    wish: EntryRequested, moves: list[tuple[str, str]]
) -> None:
    """The bid for what is sold, the ask for what is bought back."""
    near = 1 if wish is SHORT else 0
    story = given(in_position(wish), leave())
    first = like(ReplaceRequested, policy="exit", order_type=OrderType.LIMIT, price_limit=moves[0][near])
    story.when(targets_gone).then(first)
    story.given(replaced(Role.STOP))
    for bid, ask in moves[1:]:
        story.when(quote(bid, ask), wait(4, ms=999)).then()
        story.when(wait(0, ms=1)).then(
            like(ReplaceRequested, order_type=OrderType.LIMIT, price_limit=(bid, ask)[near])
        )
        story.when(replaced(Role.EXIT)).then()


@pytest.mark.req("OD-018")
@pytest.mark.parametrize(("wish", "side", "price"), [(entry(), "SELL", "99.99"), (SHORT, "BUY", "100.01")])
def test_a_planned_exit_that_takes_over_no_stop_is_a_limit_as_well(
    wish: EntryRequested, side: str, price: str
) -> None:
    story = given(
        in_position(wish), leave(), targets_gone, capabilities=CapabilitiesDeclared(modify_stop=False)
    )
    story.when(cancelled(Role.STOP)).then_among(
        like(
            OrderPlaced,
            role=Role.EXIT,
            side=Side(side),
            quantity=100,
            order_type=OrderType.LIMIT,
            price_limit=price,
        )
    )
