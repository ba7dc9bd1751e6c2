"""The ladder of the largest size class: where it begins, and every tranche with its quantity and its price."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.decisions import EntryAccepted, OrderPlaced
from oms.values import OrderType, PositionSide, Role, Side
from tests.answers import ack, fill
from tests.builders import entry
from tests.given import given, like
from tests.unit.policies.test_add_on import LONG, MIRROR, SHORT

STANDARD = [("1R", "0.30"), ("KEY_LEVEL", "0.30"), ("2R", "0.25"), ("RUNNER", "0.15")]
FULL = [("1R", "0.25"), ("KEY_LEVEL", "0.25"), ("2R", "0.25"), ("3R", "0.15"), ("RUNNER", "0.10")]


def wish(side: PositionSide, quantity: int, ideal: str = "100.00") -> Any:
    """One dollar of risk and a key level at one and a half R."""
    sign = 1 if side is LONG else -1
    at = [Decimal(ideal) + sign * Decimal(far) for far in ("0.10", "-1", "1.50")]
    return entry(quantity, side=side, ideal=ideal, zone_max=at[0], stop=at[1], key_level=at[2])


@MIRROR
@pytest.mark.req("OD-045")
@pytest.mark.parametrize(("ideal", "ladder"), [("300.00", STANDARD), ("300.01", FULL)])
def test_begins_above_15000_and_not_at_15000(
    side: PositionSide, ideal: str, ladder: list[tuple[str, str]]
) -> None:
    story = given().when(wish(side, 50, ideal))
    (accepted,) = (one for one in story.told if isinstance(one, EntryAccepted))
    assert [(rung.trigger, rung.pct) for rung in accepted.rungs] == [
        (trigger, Decimal(pct)) for trigger, pct in ladder
    ]


@pytest.mark.req("OD-045")
@pytest.mark.parametrize(
    ("side", "prices"),
    [(LONG, ["101", "101.50", "102", "103"]), (SHORT, ["99", "98.50", "98", "97"])],
)
def test_sells_at_one_r_the_key_level_two_r_and_three_r(side: PositionSide, prices: list[str]) -> None:
    """Of 160 a quarter three times and 15 % are out; the runner, a tenth, has no order."""
    story = given(wish(side, 160), ack(Role.ENTRY)).when(fill(Role.ENTRY))
    targets = [one for one in story.told if isinstance(one, OrderPlaced) and one.role is Role.TARGET]
    assert [(one.rung, one.quantity, one.price_limit) for one in targets] == [
        (rung, quantity, Decimal(price))
        for rung, (quantity, price) in enumerate(zip((40, 40, 40, 24), prices, strict=True))
    ]
    assert {(one.order_type, one.side) for one in targets} == {
        (OrderType.LIMIT, Side.SELL if side is LONG else Side.BUY)
    }
    story.then_among(like(OrderPlaced, role=Role.STOP, quantity=160))
