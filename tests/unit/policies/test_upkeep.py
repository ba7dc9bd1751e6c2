"""Trailing and scaling out are upkeep: what holds back requests to trade does not hold them back, nor do they count."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.decisions import (
    EntryAccepted,
    IntentRefused,
    OrderPlaced,
    ReplaceRequested,
    StopMoved,
    TradeClosed,
)
from oms.events.operator import Act
from oms.values import PositionSide, Role, Side
from tests.answers import ack, confirmed, fill, triggered
from tests.builders import act, entry
from tests.given import Input, Story, again, bar, given, like, wait
from tests.unit.policies.sending import FILLS, RATE, RATIO, abandoned, asked, only
from tests.unit.policies.test_add_on import LONG, MIRROR, at, market


def wish(side: PositionSide, intent: str = "upkeep") -> Any:
    return entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"), intent=intent)


def minute(side: PositionSide, worst: str, best: str) -> Input:
    low, high = sorted((Decimal(at(side, worst)), Decimal(at(side, best))))
    return bar(low, high, at(side, best))


class Held(Story):
    """A working entry, of 100 or half of that, while something holds back requests to trade."""

    def __init__(self, side: PositionSide, name: str) -> None:
        chosen, before, after = HINDRANCES[name]
        super().__init__(only(**chosen))
        self.given(*before, market(side, "0"), wish(side), ack(Role.ENTRY), *after)
        assert (name in (RATE, RATIO, FILLS)) == bool(self.pipeline.traffic.degraded)
        self.size = self.order(Role.ENTRY).quantity

    def share(self, pct: int) -> Decimal:
        return self.size * pct / 100


LASTING = {"cancel_replace_rate_recover": "0.01", "order_trade_ratio_recover": "0.01"}
HINDRANCES: dict[str, tuple[dict[str, Any], list[Input], list[Event]]] = {
    "paused": ({}, [], [act(Act.PAUSE)]),
    "killed": ({}, [], [act(Act.KILL, level=1)]),
    RATE: ({"min_requests": 6, **LASTING}, [asked(4), asked(4)], []),
    RATIO: ({"min_orders": 11, **LASTING}, [abandoned] * 10, []),
    FILLS: ({"fill_rate_attempts": 5}, [abandoned] * 5, []),
}
HELD_BACK = pytest.mark.parametrize("name", list(HINDRANCES))


@MIRROR
@HELD_BACK
@pytest.mark.req("OD-005")
def test_a_fill_is_given_its_stop_and_its_targets(side: PositionSide, name: str) -> None:
    story = Held(side, name)
    out = Side.SELL if side is LONG else Side.BUY
    story.when(fill(Role.ENTRY)).then_among(
        like(StopMoved, level=at(side, "-1")),
        like(OrderPlaced, role=Role.STOP, side=out, quantity=story.size, price_stop=at(side, "-1")),
        like(OrderPlaced, role=Role.TARGET, side=out, quantity=story.share(30), price_limit=at(side, "1")),
        like(OrderPlaced, role=Role.TARGET, side=out, price_limit=at(side, "2")),
    )
    assert again(story) == []


@MIRROR
@HELD_BACK
@pytest.mark.req("OD-005", "OD-085")
def test_the_stop_trails(side: PositionSide, name: str) -> None:
    story = Held(side, name).given(fill(Role.ENTRY), confirmed, wait(120), market(side, "1.20"))
    story.when(minute(side, "0.90", "1.20")).then(
        like(StopMoved, level=at(side, "0.60"), candidate="mfe_lock"),
        like(ReplaceRequested, policy="protective_stop", price_stop=at(side, "0.60")),
    )


@MIRROR
@HELD_BACK
@pytest.mark.req("OD-005")
def test_a_tranche_that_is_sold_shrinks_the_stop(side: PositionSide, name: str) -> None:
    story = Held(side, name)
    story.given(fill(Role.ENTRY), confirmed, market(side, "1")).when(fill(Role.TARGET, nth=0))
    story.then_among(like(ReplaceRequested, policy="protective_stop", quantity=story.share(70)))


@MIRROR
@pytest.mark.req("OD-005", "OD-091")
def test_tranches_and_moves_of_the_stop_begin_no_cycle(side: PositionSide) -> None:
    story = given(wish(side), ack(Role.ENTRY), fill(Role.ENTRY), confirmed, wait(120), market(side, "2"))
    story.when(
        minute(side, "1.00", "1.80"), fill(Role.TARGET, nth=0), confirmed, fill(Role.TARGET, nth=1), confirmed
    )
    story.then_none(EntryAccepted).then_none(IntentRefused)
    assert (story.pipeline.cycle, story.trade.cycle) == (1, 1)
    level = story.trade.level
    assert level is not None
    story.given(market(side, "0.90"), triggered).when(fill(Role.STOP, at=level))
    story.then_among(like(TradeClosed, cycle=1, trade_no=1))
    story.given(market(side, "0")).when(wish(side, "next")).then_among(
        like(EntryAccepted, cycle=2, trade_no=2)
    )
