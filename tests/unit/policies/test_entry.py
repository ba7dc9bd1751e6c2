"""The entry: timeline, zone, partial rest, refusals."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.broker import ReportedStatus
from oms.events.decisions import (
    CancelRequested,
    EntryAbandoned,
    EntryAccepted,
    IntentRefused,
    OrderPlaced,
    ReplaceRequested,
    RepriceSkipped,
)
from oms.events.operator import Act
from oms.values import OrderStatus, OrderType, PositionSide, Role, Side, TimeInForce
from tests.answers import (
    ack,
    bust,
    cancelled,
    confirmed,
    fill,
    in_position,
    received,
    refused,
    rejected,
    replaced,
    unknown,
)
from tests.builders import CLOSE, MINUTE, act, entry, halt, leave, price, settings
from tests.given import Input, Story, again, given, like, quote, silent, until, wait


@pytest.mark.req("OD-014", "OD-006")
def test_begins_with_a_limit_at_ideal() -> None:
    given().when(entry()).then(
        like(EntryAccepted, trade_no=1, cycle=1, quantity=100),
        like(
            OrderPlaced,
            role=Role.ENTRY,
            side=Side.BUY,
            quantity=100,
            order_type=OrderType.LIMIT,
            price_limit="100.00",
            time_in_force=TimeInForce.DAY,
            policy="entry",
        ),
    )


def test_second_run_yields_nothing() -> None:
    assert again(given(entry(), ack(Role.ENTRY))) == []


def test_stays_quiet_without_a_request() -> None:
    given().when(wait(60)).then()


SHORT = entry(zone_max="99.90", stop="101", side=PositionSide.SHORT)


@pytest.mark.req("OD-015", "OD-055", "OD-016")
@pytest.mark.parametrize(
    ("wish", "market", "limits"),
    [
        (entry(), ("100.01", "100.07"), ["100.01", "100.04", "100.07"]),
        (SHORT, ("99.93", "99.99"), ["99.99", "99.96", "99.93"]),
    ],
)
def test_moves_at_5_10_and_15_seconds_and_not_a_millisecond_sooner(
    wish: Event, market: tuple[str, str], limits: list[str]
) -> None:
    story = given(quote(*market), wish, ack(Role.ENTRY))
    for number, limit in enumerate(limits, start=1):
        story.when(wait(4, ms=999)).then()
        story.when(wait(0, ms=1)).then(
            like(ReplaceRequested, price_limit=limit, quantity=100, reason=f"cycle {number} of 3")
        )
        story.given(replaced(Role.ENTRY))


@pytest.mark.req("OD-016", "C-16")
@pytest.mark.parametrize(
    ("wish", "market", "limit"),
    [
        (entry(), ("100.01", "100.09"), "100.09"),
        (entry(), ("100.02", "100.10"), "100.10"),
        (entry(), ("100.03", "100.11"), "100.10"),
        (SHORT, ("99.91", "99.99"), "99.91"),
        (SHORT, ("99.90", "99.98"), "99.90"),
        (SHORT, ("99.89", "99.97"), "99.90"),
    ],
)
def test_pays_the_far_side_inside_the_zone_at_15_seconds(
    wish: Event, market: tuple[str, str], limit: str
) -> None:
    story = given(quote("99.97", "100.03"), wish, ack(Role.ENTRY), wait(5), confirmed, wait(5), confirmed)
    story.given(quote(*market)).when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, price_limit=limit, reason="cycle 3 of 3"))
    story.given(replaced(Role.ENTRY), quote("99.80", "100.20")).when(wait(5)).then(like(CancelRequested))
    story.when(wait(0, ms=100), cancelled(Role.ENTRY), wait(60)).then(like(EntryAbandoned))


@pytest.mark.req("OD-016", "OD-072")
@pytest.mark.parametrize("wish", [entry(), SHORT])
@pytest.mark.parametrize("cycles", [0, 1, 2])
def test_nothing_is_repriced_after_a_partial_fill(wish: Event, cycles: int) -> None:
    story = given(quote("99.97", "100.03"), wish, ack(Role.ENTRY))
    for _ in range(cycles):
        story.given(wait(5), confirmed)
    price_limit = story.order(Role.ENTRY).price_limit
    story.given(fill(Role.ENTRY, 40), confirmed, quote("99.96", "100.04")).when(wait(20)).then()
    assert story.order(Role.ENTRY).price_limit == price_limit


@pytest.mark.req("OD-017", "OD-058", "C-17")
@pytest.mark.parametrize(
    ("wish", "market"), [(entry(), quote("100.01", "100.07")), (SHORT, quote("99.93", "99.99"))]
)
def test_is_abandoned_at_20_seconds(wish: Event, market: Input) -> None:
    story = given(market, wish, ack(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.given(wait(5), replaced(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested, policy="entry"))
    story.when(cancelled(Role.ENTRY)).then(
        like(EntryAbandoned, intent_id="1", strategy="tests", pipeline_state="SEEKING_ENTRY")
    )
    assert story.pipeline.open_trades == ()
    story.when(entry(intent="2")).then_among(like(EntryAccepted, trade_no=2, cycle=2))


@pytest.mark.req("OD-057", "I49", "OD-016")
@pytest.mark.parametrize(
    ("side", "zone_max", "stop", "bid", "ask", "tick_limit"),
    [
        (PositionSide.LONG, "100.05", "99.00", "100.20", "100.30", "100.05"),
        (PositionSide.SHORT, "99.95", "101.00", "99.70", "99.80", "99.95"),
    ],
)
def test_never_goes_beyond_the_zone(
    side: PositionSide, zone_max: str, stop: str, bid: str, ask: str, tick_limit: str
) -> None:
    story = given(quote(bid, ask), entry(zone_max=zone_max, stop=stop, side=side), ack(Role.ENTRY))
    story.when(wait(5)).then(like(ReplaceRequested, price_limit=tick_limit))
    story.when(replaced(Role.ENTRY), wait(5), wait(5)).then(
        like(RepriceSkipped, reason="price unchanged"), like(RepriceSkipped, reason="price unchanged")
    )


@pytest.mark.req("OD-057")
def test_the_middle_between_two_ticks_is_rounded_into_the_zone() -> None:
    story = given(quote("100.00", "100.05"), entry(), ack(Role.ENTRY), wait(5))
    story.when(wait(5)).then(like(ReplaceRequested, price_limit="100.02"))
    short = entry(zone_max="99.90", stop="101", side=PositionSide.SHORT)
    story = given(quote("99.95", "100.00"), short, ack(Role.ENTRY), wait(5))
    story.when(wait(5)).then(like(ReplaceRequested, price_limit="99.98"))


@pytest.mark.req("I80", "C-16")
@pytest.mark.parametrize("spoil", [silent, quote("100.02", "100.01"), quote("100.01", None)])
def test_an_unusable_quote_uses_the_cycle(spoil: Any) -> None:
    story = given(quote("100.01", "100.07"), entry(), ack(Role.ENTRY), spoil)
    story.when(wait(5)).then(like(RepriceSkipped, reason="no usable quote"))
    story.when(quote("100.01", "100.07"), wait(4)).then()
    story.when(wait(1)).then(like(ReplaceRequested, reason="cycle 2 of 3", price_limit="100.04"))


def test_a_quote_is_stale_only_after_its_age() -> None:
    story = given(
        quote("100.01", "100.07"), entry(), ack(Role.ENTRY), wait(2), quote("100.01", "100.07"), silent
    )
    story.when(wait(3)).then(like(ReplaceRequested, price_limit="100.01"))


def test_an_unanswered_request_uses_the_cycle() -> None:
    story = given(quote("100.01", "100.07"), entry(), ack(Role.ENTRY), wait(5))
    story.when(wait(5)).then_among(like(RepriceSkipped, reason="request unanswered"))


@pytest.mark.parametrize("said", [ReportedStatus.PENDING_NEW, ReportedStatus.PENDING_REPLACE])
def test_an_entry_that_is_only_received_is_not_worked(said: ReportedStatus) -> None:
    story = given(quote("100.01", "100.07"), entry(), received(Role.ENTRY, said=said))
    story.when(wait(5)).then_among(like(RepriceSkipped, reason="request unanswered"))


@pytest.mark.req("OD-072", "OD-073", "I54")
def test_the_first_fill_ends_repricing_and_the_rest_stays_30_seconds() -> None:
    story = given(
        quote("100.01", "100.07"), entry(), ack(Role.ENTRY), wait(2), fill(Role.ENTRY, 40), confirmed
    )
    story.when(wait(29, ms=999)).then_none(ReplaceRequested).then_none(CancelRequested)
    story.when(wait(0, ms=1)).then(like(CancelRequested, policy="entry", reason="partial rest"))


def test_a_second_fill_does_not_prolong_the_rest() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, wait(20), fill(Role.ENTRY, 10))
    story.given(confirmed).when(wait(10)).then_among(like(CancelRequested, reason="partial rest"))


@pytest.mark.req("OD-087")
def test_the_rest_ends_with_the_time_for_entries() -> None:
    begin = CLOSE - 15 * MINUTE - 10_000_000
    story = given(until(begin), entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed)
    story.when(wait(9, ms=999)).then()
    story.when(wait(0, ms=1)).then_among(
        like(CancelRequested, policy="targets"), like(CancelRequested, policy="entry", reason="FORCED_CLOSE")
    )


def test_the_rest_of_an_entry_goes_when_what_it_bought_is_sold() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed, quote("98.99", "99.01"))
    story.when(fill(Role.STOP, at="99.00")).then_among(
        like(CancelRequested, policy="entry", reason="position closed")
    )


def test_an_entry_that_was_busted_after_something_was_sold_is_no_abandoned_one() -> None:
    story = given(in_position(), quote("100.99", "101.01"), fill(Role.TARGET, nth=0))
    story.when(bust(Role.ENTRY), confirmed).then_none(EntryAbandoned)
    assert story.trade.entered == 0
    assert story.trade.held < 0


@pytest.mark.req("OD-008", "OD-076")
@pytest.mark.parametrize("before", [[], [ack(Role.ENTRY)]], ids=["new", "submitted"])
def test_a_rejected_entry_is_abandoned(before: list[Input]) -> None:
    story = given(entry(), *before).when(rejected(Role.ENTRY, text="no money"))
    story.then_among(like(EntryAbandoned, reason="rejected: no money"))
    assert story.order(Role.ENTRY).status is OrderStatus.REJECTED
    assert story.pipeline.open_trades == ()


def test_an_entry_that_never_arrived_is_abandoned() -> None:
    given(entry(), wait(3)).when(unknown(Role.ENTRY)).then_among(like(EntryAbandoned))


def test_a_lost_entry_that_comes_back_is_cancelled() -> None:
    story = given(entry(), wait(3), unknown(Role.ENTRY))
    assert story.pipeline.open_trades == ()
    story.when(ack(Role.ENTRY)).then_among(like(CancelRequested, policy="entry", reason="trade is over"))
    story.given(cancelled(Role.ENTRY))
    assert story.pipeline.open_trades == ()


def test_a_refused_cancel_is_asked_again_with_growing_pauses() -> None:
    story = given(entry(), ack(Role.ENTRY), leave())
    story.when(refused(Role.ENTRY)).then(like(CancelRequested))
    story.when(refused(Role.ENTRY)).then()
    story.when(wait(0, ms=249)).then()
    story.when(wait(0, ms=1)).then(like(CancelRequested))


def test_nothing_is_repriced_in_a_halt() -> None:
    story = given(quote("100.01", "100.07"), entry(), ack(Role.ENTRY), halt())
    story.when(wait(5)).then(like(RepriceSkipped, reason="halted"))


@pytest.mark.req("OD-016")
def test_overdue_cycles_collapse_into_one() -> None:
    story = given(quote("100.01", "100.07"), entry(), ack(Role.ENTRY))
    story.now += 12_000_000
    story.clock()
    assert story.order(Role.ENTRY).cycles == 1
    story.given(replaced(Role.ENTRY)).when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, reason="cycle 2 of 3"))


@pytest.mark.req("OD-119", "C-30")
def test_size_is_capped_and_says_by_what() -> None:
    given().when(entry(600)).then_among(like(EntryAccepted, quantity=500, cap="risk.max_position_pct"))


@pytest.mark.req("OD-043", "OD-044", "OD-045")
@pytest.mark.parametrize(
    ("quantity", "triggers"),
    [
        (49, ["1R", "2R", "RUNNER"]),
        (50, ["1R", "KEY_LEVEL", "2R", "RUNNER"]),
        (150, ["1R", "KEY_LEVEL", "2R", "RUNNER"]),
        (151, ["1R", "KEY_LEVEL", "2R", "3R", "RUNNER"]),
    ],
)
def test_both_thresholds_belong_to_the_middle_class(quantity: int, triggers: list[str]) -> None:
    story = given(entry(quantity, key_level="101.50"))
    assert [rung.trigger for rung in story.trade.rungs] == triggers


def test_a_missing_key_level_gives_its_share_to_the_next_rung() -> None:
    rungs = given(entry()).trade.rungs
    assert [(rung.trigger, rung.pct) for rung in rungs] == [
        ("1R", Decimal("0.30")),
        ("2R", Decimal("0.55")),
        ("RUNNER", Decimal("0.15")),
    ]


BAD = [
    ({"quantity": 0}, "bad_quantity"),
    ({"quantity": "1.5"}, "bad_quantity"),
    ({"ideal": 0}, "bad_price"),
    ({"ideal": "100.001"}, "bad_price"),
    ({"zone_max": "99.99"}, "bad_zone"),
    ({"stop": "100.00"}, "bad_stop"),
    ({"key_level": "100.00"}, "bad_key_level"),
]


@pytest.mark.parametrize(("fields", "code"), BAD)
def test_a_malformed_request_is_refused(fields: dict[str, Any], code: str) -> None:
    story = given().when(entry(**fields)).then(like(IntentRefused, code=code, intent_id="1"))
    assert not story.pipeline.safe_mode


@pytest.mark.req("C-20")
def test_shorts_are_refused_where_they_are_off() -> None:
    short = entry(zone_max="99.9", stop="101", side=PositionSide.SHORT)
    given(settings=settings(risk__allow_short=False)).when(short).then(like(IntentRefused, code="no_shorts"))


def killed(story: Story) -> None:
    story.given(act(Act.KILL, level=1))


def disconnected(story: Story) -> None:
    from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus

    story.given(BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED))


@pytest.mark.req("OD-087", "OD-094", "I51")
@pytest.mark.parametrize(
    ("before", "code"),
    [
        (killed, "killed"),
        (act(Act.PAUSE), "paused"),
        (disconnected, "not_reconciled"),
        (halt(), "halted"),
        (until(CLOSE - 15 * MINUTE), "forced_close"),
        (in_position(), "not_flat"),
    ],
)
def test_is_refused_at_the_wrong_time(before: Any, code: str) -> None:
    given(before).when(entry(intent="2")).then(like(IntentRefused, code=code, intent_id="2"))


def test_is_accepted_until_the_forced_close() -> None:
    given(until(CLOSE - 15 * MINUTE - 1)).when(entry()).then_among(like(EntryAccepted))


def test_is_accepted_again_after_a_pause() -> None:
    given(act(Act.PAUSE), act(Act.RESUME)).when(entry()).then_among(like(EntryAccepted))


def test_a_size_below_one_lot_is_refused() -> None:
    small = settings(account__day_capital=price("100"))
    given(settings=small).when(entry()).then(like(IntentRefused, code="no_size"))
