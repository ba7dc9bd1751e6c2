"""Before the open: the gates, half the size, one attempt."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.base import Event
from oms.events.broker import CapabilitiesDeclared
from oms.events.decisions import (
    CancelRequested,
    CloseRequested,
    EntryAbandoned,
    EntryAccepted,
    IntentRefused,
    OrderPlaced,
    ReplaceRequested,
)
from oms.events.market import BarClosed
from oms.execution.pre_market import volume
from oms.state.market import bar_closed, session_opened
from oms.state.view import View
from oms.values import MILLISECOND, SECOND, Micros, OrderType, PositionSide, Role, TradingPhase
from tests import builders
from tests.answers import ack, cancelled, confirmed, fill, in_position, triggered
from tests.builders import MINUTE, NAME, OPEN, PRE_OPEN, entry, settings
from tests.given import Input, Story, like, quote, silent, until, wait

GATED = {"pre_market__mode": "gated"}
AT: Micros = OPEN - 10 * MINUTE
SHORT = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")


def traded(amount: str, end_at: Micros, minutes: int = 1) -> Event:
    return BarClosed(
        instrument=NAME,
        open_at=end_at - minutes * MINUTE,
        end_at=end_at,
        open=Decimal(100),
        high=Decimal(100),
        low=Decimal(100),
        close=Decimal(100),
        volume=Decimal(amount),
    )


class Early(Story):
    """A story that begins ten minutes before the open, with one bar of some volume."""

    def __init__(
        self, amount: str = "10001", capabilities: CapabilitiesDeclared | None = None, **changes: Any
    ) -> None:
        super().__init__(settings(**{**GATED, **changes}), capabilities, start=AT)
        self.step(traded(amount, AT - MINUTE))


def refused(story: Story, wish: Event | None = None) -> str:
    told = story.when(wish or entry()).told
    return next((one.code for one in told if isinstance(one, IntentRefused)), "")


@pytest.mark.req("OD-102", "OD-103", "OD-104")
def test_a_liquid_market_is_entered_before_the_open() -> None:
    Early().when(entry()).then(like(EntryAccepted, quantity=100), like(OrderPlaced, price_limit="100.00"))


def test_it_is_off_where_the_configuration_says_so() -> None:
    assert refused(Early(pre_market__mode="off")) == "closed"
    assert settings(profile="odin_07").pre_market.mode == "gated"
    assert settings().pre_market.mode == "off"


def test_before_the_first_minute_of_the_pre_market_it_is_closed() -> None:
    story = Early()
    view = View(story.book.account, story.pipeline, PRE_OPEN)
    assert view.market.is_before_open(PRE_OPEN)
    assert not view.market.is_before_open(PRE_OPEN - 1)
    assert view.market.is_before_open(OPEN - 1)
    assert not view.market.is_before_open(OPEN)


@pytest.mark.req("OD-102")
@pytest.mark.parametrize("side", list(PositionSide))
def test_the_position_is_at_most_a_quarter_of_the_day_s_capital(side: PositionSide) -> None:
    zone, stop = ("100.10", "99.00") if side is PositionSide.LONG else ("99.90", "101.00")
    for asked, cap in ((250, ""), (251, "pre_market.max_position_pct")):
        Early().when(entry(asked, side=side, zone_max=zone, stop=stop)).then_among(
            like(EntryAccepted, quantity=250, cap=cap)
        )


@pytest.mark.req("OD-102")
def test_after_the_open_the_standard_size_is_back() -> None:
    story = Early()
    story.given(until(OPEN), quote("99.99", "100.01")).when(entry(600)).then_among(
        like(EntryAccepted, quantity=500, cap="risk.max_position_pct")
    )


@pytest.mark.req("OD-104")
def test_what_was_traded_in_two_bars_counts_once() -> None:
    story = Early("2000").given(traded("6000", AT, minutes=3))
    assert volume(View(story.book.account, story.pipeline, AT)) == 2000
    story.given(traded("6001", AT + MINUTE))
    assert volume(View(story.book.account, story.pipeline, AT + MINUTE)) == 8001


@pytest.mark.req("OD-103")
@pytest.mark.parametrize(
    ("bid", "ask", "code"),
    [
        ("99.75", "100.25", "pre_market_spread"),
        ("99.75", "100.24", ""),
        ("99.76", "100.26", ""),
        ("99.74", "100.24", "pre_market_spread"),
        ("100.02", "100.01", "pre_market_quote"),
    ],
)
def test_the_spread_has_to_be_below_half_a_percent_of_the_middle(bid: str, ask: str, code: str) -> None:
    assert refused(Early().given(quote(bid, ask))) == code


@pytest.mark.req("OD-103")
def test_a_stale_quote_says_nothing_of_the_spread() -> None:
    story = Early().given(silent)
    story.now += 3 * SECOND
    assert refused(story) == ""
    story = Early().given(silent)
    story.now += 3 * SECOND + 1
    assert refused(story) == "pre_market_quote"


@pytest.mark.req("OD-104")
@pytest.mark.parametrize("wish", [entry(), SHORT])
@pytest.mark.parametrize(("amount", "code"), [("10000", "pre_market_volume"), ("10001", "")])
def test_the_volume_has_to_be_above_ten_thousand(wish: Event, amount: str, code: str) -> None:
    assert refused(Early(amount), wish) == code


def seen_at(now: Micros, *bars: Event) -> Decimal:
    """The volume that counts at a time, after these bars of today's session."""
    story = Early("0")
    market = session_opened(story.pipeline.market, builders.session(), 1)  # type: ignore[arg-type]
    for bar in bars:
        market = bar_closed(replace(market, bar=None), bar, 2)  # type: ignore[arg-type]
    return volume(View(story.book.account, replace(story.pipeline, market=market), now))


@pytest.mark.req("OD-104")
def test_a_bar_counts_that_lies_wholly_in_the_last_thirty_minutes() -> None:
    bars = (traded("10000", AT - 29 * MINUTE), traded("1", AT))
    assert seen_at(AT, *bars) == 10001
    assert seen_at(AT + 1, *bars) == 1
    assert seen_at(AT + 29 * MINUTE, *bars) == 1


@pytest.mark.req("OD-104")
def test_a_bar_that_ends_after_the_open_does_not_count() -> None:
    assert seen_at(OPEN, traded("7", OPEN)) == 7
    assert seen_at(OPEN, traded("7", OPEN), traded("5", OPEN + SECOND)) == 7
    assert seen_at(OPEN, traded("7", OPEN), traded("5", OPEN + MINUTE)) == 0


def test_at_the_open_the_volume_of_the_pre_market_has_served() -> None:
    story = Early()
    assert volume(story.view) == 10001
    story.given(until(OPEN + MINUTE))
    story.step(traded("5", OPEN + MINUTE))
    assert story.pipeline.market.volumes == ()


@pytest.mark.req("OD-105")
def test_one_attempt_is_not_repriced_and_given_up_after_its_time() -> None:
    story = Early().given(entry(), ack(Role.ENTRY), quote("100.02", "100.04"))
    story.when(wait(19, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested, reason="one attempt before the open"))
    story.when(cancelled(Role.ENTRY)).then(like(EntryAbandoned, pipeline_state="SEEKING_ENTRY"))


@pytest.mark.req("OD-105")
def test_an_attempt_from_before_the_open_is_not_repriced_after_it() -> None:
    story = Early().given(until(OPEN - 2 * SECOND), quote("99.99", "100.01"))
    story.step(traded("20000", OPEN - 2 * SECOND))
    story.given(entry(), ack(Role.ENTRY), quote("100.02", "100.04"))
    story.when(wait(19, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested, reason="one attempt before the open"))
    story.given(cancelled(Role.ENTRY), entry(intent="2"), ack(Role.ENTRY))
    story.when(wait(5)).then_none(CancelRequested)


def test_a_filled_attempt_is_protected_like_any_other() -> None:
    story = Early().given(entry(), ack(Role.ENTRY)).when(fill(Role.ENTRY))
    story.then_among(like(OrderPlaced, role=Role.STOP, quantity=100))
    story.given(confirmed)
    assert story.protection.value == "BROKER_STOP"


SHORT = entry(side=PositionSide.SHORT, zone_max="99.90", stop="101.00")
SLEEPS = CapabilitiesDeclared(stop_active_phases=(TradingPhase.REGULAR,))
GAPS = [
    (entry(), quote("99.00", "99.02"), quote("99.01", "99.03")),
    (SHORT, quote("100.98", "101.00"), quote("100.97", "100.99")),
]
"""A position, a quote at its stop, and one that is a tick better."""


def at_market(story: Story) -> list[Event]:
    return [
        one
        for one in story.told
        if isinstance(one, OrderPlaced | ReplaceRequested) and one.order_type is OrderType.MARKET
    ]


@pytest.mark.req("OD-031", "C-20")
@pytest.mark.parametrize(("wish", "gap", "near"), GAPS, ids=["long", "short"])
def test_a_gap_to_the_stop_before_the_open_is_a_market_order_at_the_open(
    wish: Event, gap: Input, near: Input
) -> None:
    """The broker's stop sleeps until then, and nothing is taken at market; a limit with a collar tries meanwhile."""
    story = Early(capabilities=SLEEPS).given(in_position(wish), until(OPEN - 6 * SECOND - 300 * MILLISECOND))
    story.when(gap, wait(1), gap).then_among(like(CloseRequested, market=True))
    story.when(confirmed, until(OPEN - 1)).then_among(
        like(ReplaceRequested, policy="exit", order_type=OrderType.LIMIT, quantity=100)
    )
    assert not at_market(story)
    story.given(confirmed).when(until(OPEN)).then_among(
        like(ReplaceRequested, policy="exit", order_type=OrderType.MARKET, quantity=100)
    )


@pytest.mark.req("OD-031")
@pytest.mark.parametrize(("wish", "gap", "near"), GAPS, ids=["long", "short"])
def test_an_opening_a_tick_before_the_stop_is_none(wish: Event, gap: Input, near: Input) -> None:
    story = Early(capabilities=SLEEPS).given(in_position(wish), until(OPEN - 6 * SECOND))
    story.when(near, wait(1), near, until(OPEN), near, wait(60)).then_none(CloseRequested)
    assert story.protection.value == "BROKER_STOP"


@pytest.mark.req("OD-031", "OD-030")
@pytest.mark.parametrize("wish", [entry(), SHORT], ids=["long", "short"])
def test_a_stop_elected_before_the_open_in_vain_is_a_market_order_at_the_open(wish: Event) -> None:
    """Not when the price of what stood in for it would have been looked at next."""
    story = Early().given(
        in_position(wish), until(OPEN - 7 * SECOND - 300 * MILLISECOND), triggered, confirmed
    )
    story.when(wait(5)).then_among(like(CloseRequested, reason="STOP_FALLBACK", market=True))
    assert not at_market(story)
    story.given(confirmed).when(until(OPEN - 1))
    assert not at_market(story)
    story.when(until(OPEN)).then_among(
        like(ReplaceRequested, policy="exit", order_type=OrderType.MARKET, quantity=100)
    )
