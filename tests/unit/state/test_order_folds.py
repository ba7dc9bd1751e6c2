"""The fold's table is total, and orders that are not ours are tracked without ever being acted on."""

from decimal import localcontext

import pytest
from msgspec.structs import replace

from oms.events import registry
from oms.events.base import REGISTRY, Event, Stamped
from oms.events.broker import CancelCause, OrderCanceled, ReportedStatus
from oms.events.decisions import Alerted
from oms.state import requests
from oms.state.account import ACCOUNT_WIDE
from oms.state.fold import FOLDS
from oms.step import pipeline_of
from oms.values import CONTEXT, SECOND, OrderStatus, OrderType, Side
from tests.unit.state.order_story import (
    NAME,
    NOW,
    D,
    accepted,
    book,
    busted,
    cancel_rejected,
    corrected,
    filled,
    given,
    rejected,
    reported,
    unknown,
)

ACCOUNT_ONLY = {
    "AccountOpened", "WriterStarted", "CapabilitiesDeclared", "BrokerLinkChanged", "UnparsedFrame",
    "DuplicateConflict", "ClockSuspect", "KillLevelRaised", "PauseChanged",
    "LogLinkChanged", "JournalSetAside", "KillLevelLowered", "SecondPersonAwaited", "ListenerFailed",
    "BooksUnanswered",
}  # fmt: skip
"""Events that no pipeline ever folds."""
EVERY_PIPELINE = {"ClockAdvanced", "ConfigActivated", "DayRolled", "BrokerSnapshotReported"}
"""Events of the account that pipelines fold as well."""


@pytest.mark.req("I12")
def test_every_event_type_has_a_fold_or_is_of_the_account_alone() -> None:
    assert registry
    folded = {kind.__name__ for kind in FOLDS}
    assert folded | ACCOUNT_ONLY == set(REGISTRY)
    assert not folded & ACCOUNT_ONLY


@pytest.mark.req("I12")
def test_every_event_that_names_an_instrument_has_a_fold() -> None:
    naming = {name for name, kind in REGISTRY.items() if "instrument" in kind.__struct_fields__}
    assert naming | EVERY_PIPELINE == {kind.__name__ for kind in FOLDS}


def test_events_of_the_account_address_no_pipeline() -> None:
    for name in ACCOUNT_ONLY | EVERY_PIPELINE:
        kind = REGISTRY[name]
        assert kind in ACCOUNT_WIDE or "instrument" not in kind.__struct_fields__, name


STRANGER = [
    reported(ReportedStatus.NEW, 0, 10, own="THEIRS", quantity=10, side=Side.BUY),
    filled("a", 4, 4, 6, own="THEIRS"),
    filled("c", 2, 8, 2, own="THEIRS"),
    OrderCanceled(instrument=NAME, client_order_id="THEIRS", cause=CancelCause.UNSOLICITED),
]


@pytest.mark.req("I69")
def test_strangers_are_never_acted_on() -> None:
    with localcontext(CONTEXT):
        account, commands, decided = book(), [], []
        for number, event in enumerate(STRANGER, start=1):
            result = account.decide(Stamped(event=event, logical_time=NOW + number * SECOND))
            commands += result.commands
            decided += [one.event for one in result.events[1:]]
    assert commands == []
    assert {type(one) for one in decided} <= {Alerted}
    assert account.pipelines[NAME].position == 6


def test_unknown_order_is_an_alert_and_no_order() -> None:
    event: Event = OrderCanceled(instrument=NAME, client_order_id="?")
    with localcontext(CONTEXT):
        account = book()
        result = account.decide(Stamped(event=event, logical_time=NOW))
    assert [one.event.code for one in result.events if isinstance(one.event, Alerted)] == ["unknown_order"]
    assert (pipeline_of(event), account.pipelines[NAME].orders) == (NAME, {})


@pytest.mark.parametrize(
    "report",
    [rejected("?"), busted("?"), cancel_rejected("?"), unknown("?"), reported(ReportedStatus.NEW, own="?")],
    ids=lambda one: type(one).__name__,
)
def test_report_of_an_order_nobody_knows(report: Event) -> None:
    story = given(accepted())
    before = story.order
    stranger = {"client_order_id": "?", "orig_client_order_id": None}
    known = {name: value for name, value in stranger.items() if name in type(report).__struct_fields__}
    fields = {name: getattr(report, name) for name in type(report).__struct_fields__}
    story.when(type(report)(**fields | known))
    assert (story.alerts, story.order, list(story.pipeline.orders)) == (["unknown_order"], before, ["X"])


@pytest.mark.parametrize(
    ("order_type", "limit", "stop"),
    [("LIMIT", 100, None), ("STOP", None, 95), ("STOP_LIMIT", 100, 95), ("MARKET", None, None)],
)
def test_an_order_keeps_no_price_that_its_new_type_does_not_have(
    order_type: str, limit: int | None, stop: int | None
) -> None:
    """Also where the request is forgotten: a stop that became the exit once kept its stop price."""
    order = replace(given().order, order_type=OrderType.STOP_LIMIT, price_limit=D(100), price_stop=D(95))
    changed = requests.with_terms(order, None, quantity=order.quantity, order_type=OrderType(order_type))
    assert (changed.order_type.value, changed.price_limit, changed.price_stop) == (order_type, limit, stop)


def test_order_that_is_not_ours_is_tracked() -> None:
    told = reported(ReportedStatus.NEW, 0, 10, own=None, quantity=10, side=Side.SELL, broker_order_id="B1")
    story = given(accepted()).when(told)
    story.when(filled("a", 4, 4, 6, own=None, side=Side.SELL, broker_order_id="B1"))
    order = story.pipeline.orders["X:B1"]
    assert (order.status, order.filled, order.leaves, order.is_external) == (
        OrderStatus.PARTIAL_FILLED,
        4,
        6,
        True,
    )
    assert (story.pipeline.external, story.pipeline.trades[1].entered, story.alerts) == (-4, 0, [])


def test_time_without_a_stop_begins_with_the_fill_also_beside_a_stranger() -> None:
    """Once the position was taken from before the fill: 4 sold by others hid the 10 that came."""
    story = given(accepted()).when(filled("x", 4, own="?", side=Side.SELL), filled("a", 10, 10, 0))
    assert story.pipeline.position == 6
    assert story.pipeline.trades[1].unconfirmed_since == NOW + story.seq


def test_quantity_of_a_stranger_grows_with_its_fills() -> None:
    story = given().when(filled("a", 4, own="?"), filled("b", 4, own="?"))
    order = story.pipeline.orders["X:?"]
    assert (order.status, order.quantity, story.alerts, story.pipeline.position) == (
        OrderStatus.FILLED,
        8,
        [],
        8,
    )


def _of_a_stranger(event: Event) -> Event:
    return replace(event, client_order_id="?")


@pytest.mark.req("I69")
def test_bust_of_a_stranger_waits_for_its_fill() -> None:
    story = given(accepted()).when(_of_a_stranger(busted("a", 0, 10)))
    assert (story.alerts, story.pipeline.position) == (["unknown_order"], 0)
    story.when(filled("b", 3, 3, 7, own="?"))
    assert story.pipeline.position == 3
    story.when(filled("a", 4, 7, 3, own="?"))
    assert (story.pipeline.position, story.pipeline.restated) == (3, {})
    story.when(filled("a", 4, 7, 3, own="?"))
    assert story.pipeline.position == 3


@pytest.mark.parametrize("revisions", [(1, 2), (2, 1), (2, 2)])
def test_highest_correction_of_a_stranger_waits(revisions: tuple[int, int]) -> None:
    story = given(accepted())
    for revision in revisions:
        story.when(_of_a_stranger(corrected("a", 4 - revision, 4 - revision, revision=revision)))
    story.when(filled("a", 4, 4, 6, own="?"))
    assert story.pipeline.position == 2


def test_fill_newer_than_what_waits_for_it_stands() -> None:
    story = given(accepted()).when(_of_a_stranger(busted("a", 0, 10)))
    story.when(filled("a", 5, 5, 5, own="?", revision=2))
    assert (story.pipeline.position, story.pipeline.restated) == (5, {})


def test_restatements_that_wait_are_bounded() -> None:
    story = given(accepted()).when(*(_of_a_stranger(busted(f"e{number}")) for number in range(300)))
    assert (len(story.pipeline.restated), "e299" in story.pipeline.restated) == (256, True)
