"""Stop candidates, each by itself, and the best of them."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from oms.config import Settings
from oms.events.broker import OrderStatusReported, ReportedStatus
from oms.events.strategy import ExhaustionReported
from oms.state.trade import Trade
from oms.state.view import View
from oms.stops import CANDIDATES, effective_stop
from oms.values import PositionSide, Role, Severity
from tests.answers import ack, confirmed, fees, fill, in_position, replaced
from tests.builders import NAME, STRATEGY, entry, instrument, monitor, settings
from tests.given import Story, bar, given, quote, silent, wait

SHORT: dict[str, Any] = {"side": PositionSide.SHORT, "zone_max": "99.90", "stop": "101.00"}
TICKS = settings(breakeven__offset_mode="ticks", breakeven__offset_ticks=3)
PCT = settings(breakeven__offset_mode="pct", breakeven__offset_pct="0.001")


def of(name: str, story: Story, **changes: Any) -> Decimal | None:
    """What a candidate says of the trade with some of its fields changed."""
    changed: Trade = replace(story.trade, **changes)
    return CANDIDATES[name](story.view, changed)


def test_the_initial_stop_is_rounded_away_from_the_market() -> None:
    assert of("initial", given(in_position()), stop0=Decimal("99.005")) == Decimal("99.00")
    assert of("initial", given(in_position(entry(**SHORT))), stop0=Decimal("100.995")) == Decimal("101.00")


@pytest.mark.req("OD-065", "C-05")
def test_break_even_waits_for_a_target() -> None:
    assert of("breakeven", given(in_position())) is None


@pytest.mark.req("C-04")
@pytest.mark.parametrize(
    ("configuration", "request_", "expected"),
    [
        (settings(), entry(), "100.03"),
        (settings(), entry(**SHORT), "99.97"),
        (TICKS, entry(), "100.03"),
        (PCT, entry(), "100.10"),
        (PCT, entry(**SHORT), "99.90"),
        (settings(breakeven__offset_mode="none"), entry(), "100"),
    ],
)
def test_break_even_pays_for_the_way_in_and_out(
    configuration: Settings, request_: Any, expected: str
) -> None:
    story = given(request_, ack(Role.ENTRY), fill(Role.ENTRY), fees("1.25"), settings=configuration)
    story.given(confirmed, fill(Role.TARGET, 1, nth=0))
    assert of("breakeven", story) == Decimal(expected)


@pytest.mark.req("OD-065", "OD-021")
@pytest.mark.parametrize(
    ("request_", "working", "filled"),
    [
        (entry(key_level="100.02"), "100.01", "100.03"),
        (entry(key_level="100.03"), "100.02", "100.03"),
        (entry(key_level="100.04"), "100.03", "100.03"),
        (entry(**SHORT, key_level="99.97"), "99.98", "99.97"),
        (entry(**SHORT, key_level="99.96"), "99.97", "99.97"),
    ],
)
def test_break_even_stays_short_of_a_target_that_works(request_: Any, working: str, filled: str) -> None:
    story = given(request_, ack(Role.ENTRY), fill(Role.ENTRY), fees("1.25"), confirmed)
    story.given(fill(Role.TARGET, 1, nth=1))
    assert of("breakeven", story) == Decimal(working)
    story.given(fill(Role.TARGET, 29, nth=1))
    assert of("breakeven", story) == Decimal(filled)


@pytest.mark.parametrize(
    ("request_", "taken_at", "expected"),
    [
        (entry(), "100.01", "100"),
        (entry(), "100.00", None),
        (entry(), "99.50", None),
        (entry(**SHORT), "99.99", "100"),
        (entry(**SHORT), "100.00", None),
        (entry(**SHORT), "100.50", None),
    ],
)
def test_break_even_waits_while_an_exhausted_move_sells_for_no_more_than_the_entry(
    request_: Any, taken_at: str, expected: str | None
) -> None:
    story = given(in_position(request_), quote(taken_at, taken_at))
    story.given(ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x"), confirmed)
    assert {order.price_limit for order in story.view.live(story.trade.targets)} == {Decimal(taken_at)}
    story.given(fill(Role.TARGET, 1, nth=0))
    assert of("breakeven", story) == (None if expected is None else Decimal(expected))
    story.given(fill(Role.TARGET, nth=0), fill(Role.TARGET, nth=1))
    assert of("breakeven", story) == Decimal(100)


def test_break_even_stays_short_of_where_a_target_is_about_to_be() -> None:
    """The fill of one comes between the question and the answer of the other's new price."""
    story = given(in_position(), quote("100.00", "100.02"))
    story.given(
        ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x"), replaced(Role.TARGET, 0)
    )
    assert story.order(Role.TARGET, 1).pending
    assert of("breakeven", story.given(fill(Role.TARGET, nth=0))) is None


def test_break_even_beside_a_target_lies_on_the_tick_of_today() -> None:
    story = given(entry(key_level="100.02"), ack(Role.ENTRY), fill(Role.ENTRY), fees("1.25"), confirmed)
    story.given(fill(Role.TARGET, 1, nth=1), instrument(tick="0.05"))
    assert of("breakeven", story) == Decimal("99.95")


@pytest.mark.req("OD-082")
@pytest.mark.parametrize(("mfe", "expected"), [("100.99", None), ("101", "100.50"), ("102.01", "101.00")])
def test_the_lock_begins_at_one_r(mfe: str, expected: str | None) -> None:
    found = of("mfe_lock", given(in_position()), mfe=Decimal(mfe))
    assert found == (None if expected is None else Decimal(expected))


def with_atr(story: Story) -> Trade:
    lot = replace(story.trade.lots[0], atr=Decimal("0.40"))
    return replace(story.trade, lots=(lot,), mfe=Decimal("101.50"))


@pytest.mark.req("OD-079")
@pytest.mark.parametrize(
    ("request_", "near", "mfe", "expected"),
    [
        (entry(), ("102.00", "102.02"), "101.50", "101.60"),
        (entry(), ("101.20", "101.22"), "101.50", "101.10"),
        (entry(**SHORT), ("97.98", "98.00"), "98.50", "98.40"),
        (entry(**SHORT), ("98.78", "98.80"), "98.50", "98.90"),
    ],
)
def test_a_critical_report_trails_the_best_price_seen(
    request_: Any, near: tuple[str, str], mfe: str, expected: str
) -> None:
    story = given(in_position(request_), quote(*near), monitor(Severity.CRITICAL))
    trade = replace(with_atr(story), mfe=Decimal(mfe))
    assert CANDIDATES["monitor"](story.view, trade) == Decimal(expected)


@pytest.mark.req("OD-079")
def test_without_an_atr_a_critical_report_takes_the_planned_risk() -> None:
    story = given(in_position(), monitor(Severity.CRITICAL))
    assert of("monitor", story, mfe=Decimal("101.50")) == Decimal("100.50")


def test_an_atr_of_nothing_is_none() -> None:
    story = given(in_position(), monitor(Severity.CRITICAL))
    lots = (replace(story.trade.lots[0], atr=Decimal(0)),)
    assert of("monitor", story, mfe=Decimal("101.50"), lots=lots) == Decimal("100.50")


def test_a_quote_of_just_the_age_that_counts_is_part_of_the_mark() -> None:
    for ms, expected in ((0, "101.60"), (1, "101.10")):
        story = given(
            in_position(), quote("102", "102.02"), silent, wait(3, ms=ms), monitor(Severity.CRITICAL)
        )
        trade = replace(with_atr(story), mfe=Decimal("101.50"))
        assert CANDIDATES["monitor"](story.view, trade) == Decimal(expected)


@pytest.mark.req("OD-079")
def test_a_stale_or_crossed_quote_is_no_part_of_the_mark() -> None:
    for unusable in (silent, quote("103", "102")):
        story = given(in_position(), quote("102", "102.02"), unusable, wait(4), monitor(Severity.CRITICAL))
        trade = replace(with_atr(story), mfe=Decimal("101.50"))
        assert CANDIDATES["monitor"](story.view, trade) == Decimal("101.10")


@pytest.mark.req("OD-079")
def test_only_a_critical_report_on_what_is_held_counts() -> None:
    assert of("monitor", given(in_position(), monitor(Severity.WARNING))) is None
    assert of("monitor", given(in_position(), monitor(Severity.EMERGENCY))) is not None
    assert of("monitor", given(in_position(), monitor(Severity.CRITICAL, strategy="other"))) is None
    before = given(entry(), ack(Role.ENTRY), monitor(Severity.CRITICAL), fill(Role.ENTRY))
    assert of("monitor", before) is None
    unmoved = settings(monitor__on_critical="off")
    assert of("monitor", given(in_position(), monitor(Severity.CRITICAL), settings=unmoved)) is None


@pytest.mark.req("OD-081")
def test_the_trail_hangs_below_the_high_water_mark() -> None:
    story = given(in_position())
    trade = with_atr(story)
    assert CANDIDATES["atr_trail"](story.view, trade) == Decimal("100.70")
    early = replace(trade, mfe=Decimal("100.99"))
    assert CANDIDATES["atr_trail"](story.view, early) is None
    assert of("atr_trail", story, mfe=Decimal("101.50")) is None, "without an ATR there is no trail"


def test_the_trail_begins_with_the_first_target_too() -> None:
    story = given(in_position(), fill(Role.TARGET, 1, nth=0))
    trade = replace(with_atr(story), mfe=Decimal("100.90"))
    assert CANDIDATES["atr_trail"](story.view, trade) == Decimal("100.10")


@pytest.mark.req("OD-083")
def test_the_runner_hangs_below_the_average_when_only_it_is_left() -> None:
    story = given(in_position())
    assert of("runner", story) is None
    story.given(quote("103", "103.02"), fill(Role.TARGET, nth=0), fill(Role.TARGET, nth=1), confirmed)
    for _ in range(9):
        story.given(wait(60), bar("102.90", "103.10", "103"))
    market = story.pipeline.market
    assert market.ema.value == 103
    assert of("runner", story) == Decimal("102.99")
    lower = replace(market, swings=replace(market.swings, higher_low=Decimal("102.50")))
    view = View(story.book.account, replace(story.pipeline, market=lower), story.now)
    assert CANDIDATES["runner"](view, story.trade) == Decimal("102.49")


@pytest.mark.req("OD-084", "OD-086", "I37")
def test_the_best_wins_and_never_falls_behind_the_one_before() -> None:
    story = given(in_position())
    trade = replace(story.trade, mfe=Decimal(102))
    assert effective_stop(story.view, trade) == (Decimal("101.00"), "mfe_lock")
    kept = replace(trade, level=Decimal("101.50"), level_source="runner")
    assert effective_stop(story.view, kept) == (Decimal("101.50"), "runner")


@pytest.mark.parametrize(
    ("request_", "market", "mfe", "expected"),
    [(entry(), "101.00", "102", "100.99"), (entry(**SHORT), "99.00", "98", "99.01")],
)
def test_the_stop_ends_short_of_the_targets_of_an_exhausted_move(
    request_: Any, market: str, mfe: str, expected: str
) -> None:
    """Whichever candidate moves it: at one price stop and targets would both execute."""
    story = given(in_position(request_), quote(market, market))
    story.given(ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x"), confirmed)
    trade = replace(story.trade, mfe=Decimal(mfe))
    assert effective_stop(story.view, trade) == (Decimal(expected), "mfe_lock")


def test_a_target_that_the_broker_counts_as_filled_holds_no_stop_back() -> None:
    story = given(in_position(), quote("101.00", "101.02"))
    story.given(ExhaustionReported(instrument=NAME, strategy=STRATEGY, intent_id="x"), confirmed)
    for target in story.view.live(story.trade.targets):
        story.given(
            OrderStatusReported(
                instrument=NAME,
                client_order_id=target.wire_id,
                status=ReportedStatus.FILLED,
                cumulative=target.quantity,
                leaves=Decimal(0),
            )
        )
    trade = replace(story.trade, mfe=Decimal(105))
    assert effective_stop(story.view, trade) == (Decimal("102.50"), "mfe_lock")


def test_a_fill_of_ours_raises_the_high_water_mark() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, 1, nth=0))
    assert story.trade.mfe == 101
    story.given(wait(60), bar("98", "100", "99.9"))
    assert story.trade.mfe == 101


def test_a_bar_that_began_before_the_fill_counts_by_its_close_only() -> None:
    story = given(wait(30), entry(), ack(Role.ENTRY), fill(Role.ENTRY), wait(30), bar("99", "105", "100.20"))
    assert story.trade.mfe == Decimal("100.20")
