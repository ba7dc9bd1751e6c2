"""The displayed book: a help for the price of an entry's last cycle, and nothing else."""

import ast
from decimal import Decimal
from typing import Any

import pytest

from oms.brokers.simulated import Settings as BrokerSettings
from oms.config import Settings
from oms.events.base import Event, Stamped
from oms.events.decisions import ReplaceRequested, StopMoved
from oms.events.market import DepthLevel, DepthReported
from oms.fills import MODELS
from oms.shell.market_filter import MarketFilter
from oms.shell.virtual import _FOR_BROKER
from oms.values import MILLISECOND, SECOND, PositionSide, Role
from tests.answers import ack, confirmed, fill, replaced
from tests.builders import NAME, entry, settings
from tests.checkout import module_of, python_files, tree_of
from tests.given import Input, Story, given, like, silent, until, wait
from tests.given import quote as touch

ON = settings(depth__use="execution")
BIDS = (("100.01", 500), ("100.00", 500))
ASKS = (("100.03", 30), ("100.05", 50), ("100.06", 40), ("100.20", 900))


def levels(rows: Any) -> tuple[DepthLevel, ...]:
    return tuple(DepthLevel(price=Decimal(at), quantity=Decimal(quantity)) for at, quantity in rows)


def book(bids: Any = BIDS, asks: Any = ASKS) -> Input:
    return lambda story: DepthReported(
        instrument=NAME, bids=levels(bids), asks=levels(asks), received_at=story.now
    )


def in_last_cycle(quantity: int, *told: Input, configuration: Settings = ON, **wish: Any) -> Story:
    """An entry whose third price is due now."""
    story = given(touch("100.01", "100.03"), entry(quantity, **wish), ack(Role.ENTRY), settings=configuration)
    for _ in range(2):
        story.given(wait(5))
        if story.order(Role.ENTRY).pending:
            story.given(replaced(Role.ENTRY))
    due = story.now + 5 * SECOND
    story.given(*told)
    return story.when(until(due))


@pytest.mark.req("OD-110")
@pytest.mark.parametrize(
    ("quantity", "limit"), [(30, "100.03"), (31, "100.05"), (80, "100.05"), (81, "100.06"), (120, "100.06")]
)
def test_the_last_cycle_goes_as_deep_as_the_quantity_needs(quantity: int, limit: str) -> None:
    story = in_last_cycle(quantity, wait(4), book())
    story.then(like(ReplaceRequested, price_limit=limit, reason="cycle 3 of 3"))


@pytest.mark.req("OD-110", "OD-057")
def test_the_book_leads_nobody_beyond_the_zone() -> None:
    story = in_last_cycle(500, wait(4), book())
    story.then(like(ReplaceRequested, price_limit="100.10"))


@pytest.mark.req("OD-110")
def test_the_use_of_the_book_is_logged() -> None:
    story = in_last_cycle(80, wait(4), book())
    seq = story.pipeline.market.depth_seq
    assert seq > 0
    story.then(like(ReplaceRequested, evidence=(seq,)))
    in_last_cycle(30, wait(4), book()).then(like(ReplaceRequested, evidence=()))


@pytest.mark.req("OD-110")
def test_a_book_that_goes_no_deeper_than_the_quote_was_not_used() -> None:
    short = {"side": PositionSide.SHORT, "zone_max": "99.90", "stop": "101.00"}
    bids = (("100.01", 30), ("99.98", 500))
    story = in_last_cycle(30, wait(4), book(bids), **short)
    story.then(like(ReplaceRequested, price_limit="100.01", evidence=()))
    story = in_last_cycle(31, wait(4), book(bids), **short)
    story.then(like(ReplaceRequested, price_limit="99.98", evidence=(story.pipeline.market.depth_seq,)))


@pytest.mark.req("OD-110")
def test_the_book_is_optional_and_off_by_default() -> None:
    story = in_last_cycle(80, wait(4), book(), configuration=settings())
    story.then(like(ReplaceRequested, price_limit="100.03", evidence=()))
    assert settings().depth.use == "off"


@pytest.mark.parametrize(
    "bad",
    [book(asks=()), book(bids=()), book(bids=(("100.04", 5),))],
    ids=["no asks", "no bids", "crossed"],
)
def test_a_bad_book_is_not_used(bad: Input) -> None:
    in_last_cycle(80, wait(4), bad).then(like(ReplaceRequested, price_limit="100.03"))


@pytest.mark.parametrize(("age_ms", "limit"), [(3000, "100.05"), (3001, "100.03")])
def test_a_book_is_used_up_to_its_age(age_ms: int, limit: str) -> None:
    story = in_last_cycle(80, wait(0, ms=5000 - age_ms), book())
    story.then(like(ReplaceRequested, price_limit=limit))


def test_a_locked_book_is_used() -> None:
    locked = book(bids=(("100.03", 5),))
    in_last_cycle(80, wait(4), locked).then(like(ReplaceRequested, price_limit="100.05"))


def test_a_book_that_displays_less_is_taken_to_its_end() -> None:
    short = book(asks=(("100.03", 30), ("100.04", 10), ("100.05", 10)))
    in_last_cycle(80, wait(4), short).then(like(ReplaceRequested, price_limit="100.05"))


def test_a_late_older_book_changes_nothing() -> None:
    story = given(wait(5), book())
    newest = story.pipeline.market.depth
    story.given(
        DepthReported(instrument=NAME, bids=levels(BIDS), asks=levels(BIDS), received_at=story.now - 1)
    )
    assert story.pipeline.market.depth is newest


@pytest.mark.req("OD-110")
def test_a_short_uses_the_bids() -> None:
    bids = (("100.01", 50), ("99.97", 50))
    story = in_last_cycle(100, wait(4), book(bids), side=PositionSide.SHORT, stop="101", zone_max="99.90")
    story.then(like(ReplaceRequested, price_limit="99.97"))


# --- never a signal ----------------------------------------------------------------------------------------------


def told(*books: Input) -> list[Event]:
    """Everything decided on a whole trade, beside the price of the last cycle."""
    story = given(*books, entry(), ack(Role.ENTRY), *books, fill(Role.ENTRY), confirmed, *books, settings=ON)
    story.given(touch("101.00", "101.02"), *books, fill(Role.TARGET, nth=0), confirmed, *books, wait(30))
    decided = [one.event for result in story.results for one in result.events if one.event.KIND == "D"]
    assert any(isinstance(one, StopMoved) for one in decided)
    return [_without_places(one) for one in decided]


def _without_places(event: Event) -> Any:
    """Ids and evidence are made of log positions, which move with every event."""
    moving = ("client_order_id", "wire_id", "orig_wire_id", "broker_order_id", "evidence")
    fields = {name: getattr(event, name) for name in type(event).__struct_fields__ if name not in moving}
    return type(event).__name__, fields


@pytest.mark.req("OD-110", "OD-111")
def test_the_book_makes_no_entry_size_stop_or_target() -> None:
    assert told(book()) == told()


@pytest.mark.req("OD-111", "OD-110")
def test_nothing_but_the_price_of_an_entry_reads_the_book() -> None:
    readers = {
        module_of(path)
        for path in python_files("oms")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("depth", "depth_seq")
    }
    assert readers == {
        "oms.execution.liquidity",
        "oms.policies.entry",
        "oms.shell.market_filter",
        "oms.state.market",
    }


@pytest.mark.req("OD-111")
def test_indicators_come_from_bars_alone() -> None:
    story = given()
    before = story.pipeline.market
    story.given(book(), touch("98", "102"), wait(1), touch("90", "91"), silent)
    after = story.pipeline.market
    assert (after.atr, after.ema, after.swings) == (before.atr, before.ema, before.swings)


# --- live only ---------------------------------------------------------------------------------------------------


@pytest.mark.req("OD-112")
def test_the_simulated_broker_never_sees_a_book_and_fills_carefully() -> None:
    assert DepthReported not in _FOR_BROKER
    assert BrokerSettings().fill_model == "realistic"
    assert set(MODELS) == {"perfect", "realistic", "worst_case"}


@pytest.mark.parametrize(("age_ms", "wanted"), [(1499, False), (1500, True)])
def test_a_book_enters_the_log_while_an_entry_works_and_the_logged_one_is_old(
    age_ms: int, wanted: bool
) -> None:
    story = given(entry(), ack(Role.ENTRY), book(), settings=ON)
    assert admitted(story, age_ms) is wanted


def test_a_book_stays_out_of_the_log_where_nothing_can_use_it() -> None:
    assert not admitted(given(entry(), ack(Role.ENTRY)), 5000)
    assert not admitted(given(settings=ON), 5000)
    assert not admitted(given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), confirmed, settings=ON), 5000)
    assert admitted(given(entry(), ack(Role.ENTRY), settings=ON), 0)


def admitted(story: Story, age_ms: int) -> bool:
    at = story.now + age_ms * MILLISECOND
    newest = DepthReported(instrument=NAME, bids=levels(BIDS), asks=levels(ASKS), received_at=at)
    return MarketFilter().admit(Stamped(event=newest, logical_time=at), story.book.account, story.pipeline)
