"""Stop candidates exactly at their limits, and mirrored."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.decisions import ReplaceRequested, StopMoved
from oms.formulas.indicators import Swings
from oms.state.trade import Trade
from oms.state.view import View
from oms.stops import CANDIDATES, effective_stop
from oms.stops.base import excursion_r, is_better
from oms.values import PositionSide, Role
from tests.answers import ack, cancelled, confirmed, fill, in_position
from tests.builders import entry, opening, settings
from tests.given import Input, Story, bar, given, like, quote, wait
from tests.unit.policies.test_add_on import MIRROR, at, market
from tests.unit.stops.test_candidates import SHORT


def with_atr(story: Story, mfe: str, atr: str = "0.40") -> Trade:
    lot = replace(story.trade.lots[0], atr=Decimal(atr))
    return replace(story.trade, lots=(lot,), mfe=Decimal(mfe))


@pytest.mark.req("OD-081")
@pytest.mark.parametrize(("mfe", "expected"), [("100.99", None), ("101.00", "100.20"), ("101.01", "100.21")])
def test_the_trail_begins_at_exactly_one_r(mfe: str, expected: str | None) -> None:
    story = given(in_position())
    found = CANDIDATES["atr_trail"](story.view, with_atr(story, mfe))
    assert found == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize(("atr", "expected"), [("0", None), ("0.01", "100.98")])
def test_an_atr_of_zero_makes_no_trail(atr: str, expected: str | None) -> None:
    story = given(in_position())
    found = CANDIDATES["atr_trail"](story.view, with_atr(story, "101.00", atr))
    assert found == (None if expected is None else Decimal(expected))


def runner_only(*start: Any) -> Story:
    """Everything but the runner has been sold."""
    story = given(in_position(*start))
    near = quote("102.00", "102.02") if story.trade.side is PositionSide.LONG else quote("97.98", "98.00")
    story.given(near, fill(Role.TARGET, nth=0), confirmed)
    for nth in range(1, len(story.trade.targets)):
        story.given(cancelled(Role.TARGET, nth))
    return story


def told(story: Story, ema: str, swings: Swings) -> Decimal | None:
    average = replace(story.pipeline.market.ema, value=Decimal(ema))
    market = replace(story.pipeline.market, ema=average, swings=swings)
    view = View(story.book.account, replace(story.pipeline, market=market), story.now)
    return CANDIDATES["runner"](view, story.trade)


@pytest.mark.req("OD-083")
@pytest.mark.parametrize(("low", "expected"), [(None, "101.49"), ("101.60", "101.49"), ("101.40", "101.39")])
def test_the_runner_of_a_long_takes_the_lower_one(low: str | None, expected: str) -> None:
    swings = Swings(higher_low=None if low is None else Decimal(low))
    assert told(runner_only(), "101.50", swings) == Decimal(expected)


@pytest.mark.req("OD-083")
@pytest.mark.parametrize(("high", "expected"), [(None, "98.51"), ("98.40", "98.51"), ("98.60", "98.61")])
def test_the_runner_of_a_short_takes_the_higher_one(high: str | None, expected: str) -> None:
    swings = Swings(lower_high=None if high is None else Decimal(high))
    assert told(runner_only(entry(**SHORT)), "98.50", swings) == Decimal(expected)


@pytest.mark.req("OD-084", "OD-086")
@pytest.mark.parametrize(("level", "better"), [("99.01", True), ("99.00", False), ("98.99", False)])
def test_an_equal_stop_is_no_better_one(level: str, better: bool) -> None:
    long = given(in_position()).trade
    assert is_better(long, Decimal(level), Decimal("99.00")) is better
    short = given(in_position(entry(**SHORT))).trade
    mirrored = 200 - Decimal(level)
    assert is_better(short, mirrored, Decimal("101.00")) is better


@pytest.mark.req("OD-084")
@pytest.mark.parametrize(
    ("price", "expected"),
    [("0", "99.00"), ("0.01", "99.00"), ("NaN", "99.00"), ("Infinity", "99.00"), ("99.01", "99.01")],
)
def test_only_finite_positive_candidates_count(
    price: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = given(in_position())
    monkeypatch.setitem(CANDIDATES, "runner", lambda _view, _trade: Decimal(price))
    assert effective_stop(story.view, story.trade)[0] == Decimal(expected)


@pytest.mark.parametrize(("price", "level"), [("0", None), ("1", "1"), ("0.5", "0.5"), ("-1", None)])
def test_a_first_level_is_positive(price: str, level: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    story = given(in_position())
    bare = replace(story.trade, level=None, level_source="")
    for name in CANDIDATES:
        monkeypatch.setitem(CANDIDATES, name, lambda _view, _trade: Decimal(price))
    found = effective_stop(story.view, bare)[0]
    assert found == (None if level is None else Decimal(level))


def test_without_risk_there_is_no_excursion() -> None:
    trade = given(in_position()).trade
    assert excursion_r(replace(trade, stop0=trade.ideal)) is None
    assert excursion_r(replace(trade, mfe=Decimal("101.5"))) == Decimal("1.5")


@MIRROR
@pytest.mark.req("OD-082")
@pytest.mark.parametrize(
    ("pct", "best", "expected"),
    [
        ("0.5", "0.99", None),
        ("0.5", "1.00", "0.50"),
        ("0.5", "1.01", "0.50"),
        ("0.5", "1.02", "0.51"),
        ("0.25", "1.00", "0.25"),
        ("0.25", "2.00", "0.50"),
        ("0", "1.00", "0"),
        ("1", "1.00", "1.00"),
    ],
)
def test_the_lock_keeps_its_share_of_the_best_excursion(
    side: PositionSide, pct: str, best: str, expected: str | None
) -> None:
    """From one R on; what is no whole tick goes away from the market."""
    wish = entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1"))
    story = given(in_position(wish), settings=settings(mfe_lock__pct=pct))
    trade = replace(story.trade, mfe=Decimal(at(side, best)))
    found = CANDIDATES["mfe_lock"](story.view, trade)
    assert found == (None if expected is None else Decimal(at(side, expected)))


@MIRROR
@pytest.mark.req("OD-082", "OD-084")
def test_the_lock_counts_from_the_average_entry_and_never_from_less_than_the_best(side: PositionSide) -> None:
    """In at 0.03 on average: the planned dollar of risk is earned at 1.03, and a cent before it is not."""
    story = given(
        entry(side=side, zone_max=at(side, "0.10"), stop=at(side, "-1")),
        ack(Role.ENTRY),
        fill(Role.ENTRY, 40, at=at(side, "0")),
        fill(Role.ENTRY, 60, at=at(side, "0.05")),
        confirmed,
    )

    def minute(worst: str, best: str) -> Input:
        low, high = sorted((Decimal(at(side, worst)), Decimal(at(side, best))))
        return bar(low, high, at(side, worst))

    story.given(wait(120), market(side, "0.90")).when(minute("0.80", "1.02")).then()
    story.given(wait(60)).when(minute("0.80", "1.03")).then(
        like(StopMoved, level=at(side, "0.53"), candidate="mfe_lock"),
        like(ReplaceRequested, policy="protective_stop", price_stop=at(side, "0.53")),
    )
    story.given(confirmed, wait(60)).when(minute("0.70", "0.90")).then()
    assert CANDIDATES["mfe_lock"](story.view, story.trade) == Decimal(at(side, "0.53"))


@pytest.mark.req("OD-082")
def test_the_lock_keeps_the_share_that_was_set_when_the_trade_began() -> None:
    (activation,) = opening(settings(mfe_lock__pct="0.25"))[2:]
    story = given(in_position(), activation)
    trade = replace(story.trade, mfe=Decimal("101.00"))
    assert CANDIDATES["mfe_lock"](story.view, trade) == Decimal("100.50")
