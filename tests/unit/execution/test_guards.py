"""What the guarded level is measured by, exactly at its limits."""

from decimal import Decimal

import pytest

from oms.execution.guards import is_narrow, is_through
from oms.values import PositionSide
from tests.answers import in_position
from tests.builders import entry
from tests.given import given, quote

LEVEL = Decimal(99)


@pytest.mark.parametrize(
    ("side", "price", "through"),
    [
        (PositionSide.LONG, "98.99", True),
        (PositionSide.LONG, "99", True),
        (PositionSide.LONG, "99.01", False),
        (PositionSide.LONG, None, False),
        (PositionSide.SHORT, "98.99", False),
        (PositionSide.SHORT, "99", True),
        (PositionSide.SHORT, "99.01", True),
    ],
)
def test_equal_is_through(side: PositionSide, price: str | None, through: bool) -> None:
    stop = "99.00" if side is PositionSide.LONG else "101.00"
    zone_max = "100.10" if side is PositionSide.LONG else "99.90"
    trade = given(in_position(entry(side=side, stop=stop, zone_max=zone_max))).trade
    assert is_through(trade, None if price is None else Decimal(price), LEVEL) is through


@pytest.mark.parametrize(
    ("bid", "ask", "narrow"),
    [
        ("100.00", "101.00", True),
        ("100.00", "101.01", False),
        ("100.00", None, False),
        (None, "100.00", False),
        ("0", "0.01", False),
    ],
)
def test_one_percent_is_narrow_and_more_is_not(bid: str | None, ask: str | None, narrow: bool) -> None:
    story = given(in_position(), quote(bid, ask))
    assert is_narrow(story.view, story.trade) is narrow
