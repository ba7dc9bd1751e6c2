"""Scale-up: a lot of its own under the same trade, when the position has earned it and nothing stands against it."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus
from oms.events.decisions import (
    CancelRequested,
    CloseRequested,
    EntryAbandoned,
    EntryAccepted,
    IntentRefused,
    OrderPlaced,
    StopMoved,
    TradeClosed,
)
from oms.events.operator import Act
from oms.events.strategy import AddRequested, TrailOnlyRequested
from oms.state.protection import Protection, protection
from oms.values import PositionSide, Role, Side
from tests.answers import ack, cancelled, confirmed, fill, in_position, rejected, triggered
from tests.builders import CLOSE, MINUTE, NAME, STRATEGY, act, add, entry, halt, leave, settings
from tests.given import Input, Story, about, again, bar, given, like, quote, until, wait
from tests.unit.policies.test_exit import targets_gone

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
MIRROR = pytest.mark.parametrize("side", [LONG, SHORT])


def at(side: PositionSide, distance: str) -> str:
    """A price that is so far beyond 100.00 in the trade's own direction."""
    return str(100 + Decimal(distance) * (1 if side is LONG else -1))


def held(side: PositionSide = LONG, quantity: int = 100) -> Input:
    return in_position(entry(quantity, side=side, zone_max=at(side, "0.10"), stop=at(side, "-1")))


def market(side: PositionSide, distance: str) -> Input:
    """The side of the market that the position would meet stands there."""
    near = Decimal(at(side, distance))
    bid, ask = (near, near + Decimal("0.02")) if side is LONG else (near - Decimal("0.02"), near)
    return quote(bid, ask)


def more(side: PositionSide = LONG, **changes: Any) -> AddRequested:
    return add(**{"ideal": at(side, "0.60"), "zone_max": at(side, "0.70"), **changes})


def grown(side: PositionSide = LONG) -> Input:
    """A hundred from 100.00 and fifty more from 100.60, all confirmed."""

    def tell(story: Story) -> None:
        story.given(
            held(side), market(side, "0.60"), more(side), ack(Role.ENTRY), fill(Role.ENTRY), confirmed
        )

    return tell


def both_confirmed(story: Story) -> None:
    story.given(about(1), confirmed, about(2), confirmed, about(None))


def stops(story: Story) -> list[tuple[int, Decimal]]:
    """(level, leaves) of every live stop."""
    live = [one for trade in story.pipeline.open() for one in story.pipeline.live(trade.stops)]
    return [(int(one.trade_no or 0), one.leaves) for one in live]


def code(story: Story) -> str:
    return next((one.code for one in story.told if isinstance(one, IntentRefused)), "")


# --- what is added ----------------------------------------------------------------------------------------------


@MIRROR
@pytest.mark.req("OD-095", "OD-096", "OD-101")
def test_adds_a_lot_of_its_own_under_the_trade(side: PositionSide) -> None:
    story = given(held(side), market(side, "0.60")).when(more(side))
    story.then(
        like(
            EntryAccepted,
            trade_no=2,
            parent_trade_no=1,
            cycle=2,
            quantity=50,
            side=side,
            stop=Decimal(at(side, "-1")),
        ),
        like(
            OrderPlaced,
            trade_no=2,
            role=Role.ENTRY,
            side=Side.BUY if side is LONG else Side.SELL,
            price_limit=at(side, "0.60"),
            reason="ADD_TO_POSITION",
            policy="add_on",
        ),
    )
    assert story.pipeline.cycle == 2
    assert again(story) == []


@MIRROR
@pytest.mark.req("OD-095", "OD-037", "I28")
def test_the_stops_of_the_lots_sum_to_the_position(side: PositionSide) -> None:
    story = given(held(side), market(side, "0.60"), more(side), ack(Role.ENTRY))
    story.when(fill(Role.ENTRY)).then_among(
        like(StopMoved, trade_no=2, level=at(side, "-1")),
        like(OrderPlaced, trade_no=2, role=Role.STOP, quantity=50),
    )
    story.given(confirmed)
    assert stops(story) == [(1, 100), (2, 50)]
    assert abs(story.pipeline.position) == 150
    assert [protection(story.view, one) for one in story.pipeline.open()] == [Protection.BROKER_STOP] * 2


@MIRROR
@pytest.mark.req("OD-097", "OD-098", "OD-095")
def test_each_lot_trails_by_its_own_atr(side: PositionSide) -> None:
    def minute(low: str, high: str, close: str) -> Input:
        ends = sorted((Decimal(at(side, low)), Decimal(at(side, high))))
        return bar(ends[0], ends[1], at(side, close))

    story = given(minute("-0.40", "0.40", "0"), settings=settings(trail__atr_length=1, mfe_lock__pct=0))
    story.given(
        wait(1), held(side), wait(60), minute("0.30", "0.60", "0.60"), market(side, "0.60"), more(side)
    )
    story.given(ack(Role.ENTRY), wait(1), fill(Role.ENTRY), confirmed)
    old, new = story.pipeline.open()
    assert (old.atr, new.atr) == (Decimal("0.80"), Decimal("0.60"))
    assert (old.price_entry, new.price_entry) == (100, Decimal(at(side, "0.60")))
    story.given(wait(120), minute("1.70", "2.60", "2.60"))
    old, new = story.pipeline.open()
    assert (old.level_source, old.level) == ("atr_trail", Decimal(at(side, "1.00")))
    assert (new.level_source, new.level) == ("atr_trail", Decimal(at(side, "1.40")))


@MIRROR
@pytest.mark.req("OD-099", "OD-092", "OD-091")
def test_each_lot_has_its_own_result_and_names_its_trade(side: PositionSide) -> None:
    story = given(grown(side), market(side, "0.80"), leave(), both_confirmed, wait(1))
    story.when(about(1), fill(Role.EXIT, at=at(side, "0.80")), about(2), fill(Role.EXIT, at=at(side, "0.80")))
    story.then_among(
        like(TradeClosed, trade_no=1, pnl="80.00", cycle=1, parent_trade_no=None),
        like(TradeClosed, trade_no=2, pnl="10.00", cycle=2, parent_trade_no=1),
    )
    assert story.book.account.realized == {"USD": 90}


@pytest.mark.req("OD-094", "I30")
def test_a_new_trade_waits_until_every_lot_is_out() -> None:
    story = given(
        grown(), about(1), quote("98.98", "99.00"), triggered, targets_gone, fill(Role.STOP, at="98.99")
    )
    story.given(confirmed)
    assert story.pipeline.open_trades == (2,)
    story.when(entry(intent="n")).then(like(IntentRefused, code="not_flat"))


@MIRROR
@pytest.mark.req("OD-052")
def test_trail_only_holds_for_what_is_added_too(side: PositionSide) -> None:
    only = TrailOnlyRequested(instrument=NAME, strategy=STRATEGY, intent_id="t")
    story = given(held(side), only, confirmed, market(side, "0.60"), more(side), ack(Role.ENTRY))
    story.when(fill(Role.ENTRY)).then_none(OrderPlaced, role=Role.TARGET)


# --- how much ---------------------------------------------------------------------------------------------------


@pytest.mark.req("C-21")
@pytest.mark.parametrize(("asked", "quantity", "cap"), [(50, 50, ""), (51, 50, "add_on.size"), (20, 20, "")])
def test_at_most_the_share_of_the_first_lot(asked: int, quantity: int, cap: str) -> None:
    given(held(), quote("100.60", "100.62")).when(more(quantity=asked)).then_among(
        like(EntryAccepted, quantity=quantity, cap=cap)
    )


@pytest.mark.req("C-21", "CH-091")
def test_a_geometric_addition_shrinks_each_time() -> None:
    chosen = settings(add_on__size="geometric", add_on__gamma="0.4", add_on__max_count=2)
    story = given(held(), quote("100.60", "100.62"), settings=chosen)
    story.when(more()).then_among(like(EntryAccepted, quantity=40, cycle=2))
    story.given(ack(Role.ENTRY), fill(Role.ENTRY), confirmed)
    story.when(more(intent="second")).then_among(like(EntryAccepted, quantity=16, cycle=3, parent_trade_no=1))


@pytest.mark.req("OD-119", "C-30")
def test_what_is_held_counts_toward_the_largest_position() -> None:
    story = given(held(quantity=450), quote("100.60", "100.62"))
    story.when(more()).then_among(like(EntryAccepted, quantity=47, cap="risk.max_position_pct"))


@pytest.mark.req("OD-100")
def test_the_risk_of_the_addition_comes_out_of_what_the_day_has_left() -> None:
    chosen = settings(risk__daily_loss_limit=116)
    story = given(held(), quote("100.60", "100.62"), settings=chosen)
    story.when(more()).then_among(like(EntryAccepted, quantity=10, cap="risk.daily_loss_limit"))
    chosen = settings(risk__daily_loss_limit=116, add_on__min_profit_r=0)
    story = given(held(), quote("100.60", "100.62"), fill(Role.TARGET, 16, nth=0), confirmed, settings=chosen)
    story.when(more(stop="99.00")).then_among(like(EntryAccepted, quantity=20, cap="risk.daily_loss_limit"))


# --- when -------------------------------------------------------------------------------------------------------


@MIRROR
@pytest.mark.req("C-21", "BB-020")
def test_half_an_r_of_profit_is_enough_and_a_tick_less_is_not(side: PositionSide) -> None:
    assert code(given(held(side), market(side, "0.50")).when(more(side))) == ""
    assert code(given(held(side), market(side, "0.49")).when(more(side))) == "not_earned"


@pytest.mark.req("C-21", "BB-023")
def test_one_addition_is_all_whatever_came_of_it() -> None:
    assert code(given(grown()).when(more(intent="again"))) == "add_limit"
    story = given(held(), quote("100.60", "100.62"), more(), ack(Role.ENTRY), wait(20), cancelled(Role.ENTRY))
    assert story.pipeline.open_trades == (1,)
    assert code(story.when(more(intent="again"))) == "add_limit"


@pytest.mark.req("OD-017")
def test_an_addition_that_nobody_fills_is_given_up_like_an_entry() -> None:
    story = given(
        held(), quote("100.60", "100.62"), more(zone_max="100.60"), ack(Role.ENTRY), wait(19, ms=999)
    )
    story.when(wait(0, ms=1)).then(like(CancelRequested, trade_no=2, policy="entry"))
    story.when(cancelled(Role.ENTRY)).then(like(EntryAbandoned, trade_no=2, cycle=2, intent_id="add"))


def killed(story: Story) -> None:
    story.given(act(Act.KILL, level=1))


def paused(story: Story) -> None:
    story.given(act(Act.PAUSE))


def halted(story: Story) -> None:
    story.given(halt())


def away(story: Story) -> None:
    story.given(BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED))


def late(story: Story) -> None:
    story.given(until(CLOSE - 15 * MINUTE))


def closing(story: Story) -> None:
    story.given(leave())


def blind(story: Story) -> None:
    story.given(quote("100.60", None))


@pytest.mark.req("OD-087", "I30", "I51")
@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        (killed, "killed"),
        (paused, "paused"),
        (halted, "halted"),
        (away, "not_reconciled"),
        (late, "forced_close"),
        (closing, "closing"),
        (blind, "no_quote"),
    ],
)
def test_nothing_is_added_when_something_stands_against_it(what: Input, refusal: str) -> None:
    story = given(held(), quote("100.60", "100.62"), what).when(more())
    assert code(story) == refusal
    story.then_none(EntryAccepted)


@pytest.mark.req("OD-087")
def test_a_moment_before_the_forced_close_is_not_too_late() -> None:
    story = given(held(), quote("100.60", "100.62"), until(CLOSE - 15 * MINUTE - 1)).when(more())
    assert code(story) == ""


@pytest.mark.req("OD-042", "I30")
def test_nothing_is_added_to_what_is_not_protected_or_still_entered() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), quote("100.60", "100.62")).when(more())
    assert code(story) == "not_protected"
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 60), confirmed, quote("100.60", "100.62"))
    assert code(story.when(more())) == "entry_working"
    story = given(
        held(), quote("100.60", "100.62"), more(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.STOP)
    )
    story.given(settings_of_two)
    assert stops(story) == [(1, 100), (2, 50)]


def settings_of_two(story: Story) -> None:
    story.given(confirmed)


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (add(trade_no=7), "nothing_to_add_to"),
        (add(ideal="100.605"), "bad_price"),
        (add(zone_max="100.50"), "bad_zone"),
        (add(stop="100.60"), "bad_stop"),
        (add(quantity="0"), "bad_quantity"),
    ],
)
def test_a_malformed_request_is_refused(request_: Event, refusal: str) -> None:
    assert code(given(held(), quote("100.60", "100.62")).when(request_)) == refusal


def test_without_a_position_or_with_adds_off_it_is_refused() -> None:
    assert code(given().when(more())) == "nothing_to_add_to"
    chosen = settings(add_on__condition="off")
    assert code(given(held(), quote("100.60", "100.62"), settings=chosen).when(more())) == "no_adds"


def test_a_share_of_less_than_a_lot_is_no_addition() -> None:
    story = given(held(quantity=1), quote("100.60", "100.62")).when(more())
    story.then(like(IntentRefused, code="no_size", text="add_on.size leaves less than one lot"))


# --- with its trade ---------------------------------------------------------------------------------------------


@pytest.mark.req("OD-067", "I30")
def test_the_entry_of_an_addition_ends_when_its_trade_closes() -> None:
    story = given(held(), quote("100.60", "100.62"), more(), ack(Role.ENTRY)).when(leave(1))
    story.then_among(like(CloseRequested, trade_no=1), like(CancelRequested, trade_no=2, policy="entry"))


@pytest.mark.req("OD-096")
def test_a_request_to_leave_the_trade_is_about_all_its_lots() -> None:
    given(grown()).when(leave(1)).then_among(
        like(CloseRequested, trade_no=1), like(CloseRequested, trade_no=2)
    )
    given(grown()).when(leave(2)).then_none(CloseRequested, trade_no=1)
    closed = act(Act.CLOSE, instrument=NAME, trade_no=1)
    given(grown()).when(closed).then_among(like(CloseRequested, trade_no=1), like(CloseRequested, trade_no=2))


def test_a_rejected_addition_leaves_the_trade_as_it_is() -> None:
    story = given(held(), quote("100.60", "100.62"), more()).when(rejected(Role.ENTRY))
    story.then_among(like(EntryAbandoned, trade_no=2))
    assert stops(story) == [(1, 100)]
