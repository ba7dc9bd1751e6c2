"""When most policies need not be asked. That it changes no decision is compared in every step of every test."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from oms.events.base import Event, Stamped
from oms.events.broker import BrokerSnapshotReported, PositionLine
from oms.events.decisions import Alerted
from oms.policies import POLICIES
from oms.state.account import Account
from oms.state.calm import ALWAYS, BOOKS, CHANGED, EXCURSION, SAME, is_calm, since
from oms.state.market import Market
from oms.state.view import View
from oms.values import Role
from tests.answers import ack, cancelled, fill, in_position, rejected, triggered
from tests.builders import NAME, entry, halt, leave
from tests.given import Input, Story, bar, given, quote

WATCHED_MARKET = {"status", "status_seq", "resumed_at", "resume_seq", "session_seq"}
FREE_MARKET = {
    "atr", "ema", "swings", "bid", "ask", "quote_at", "quote_seq", "last", "last_at", "last_seq", "bar", "bar_seq",
    "depth", "depth_seq", "volumes",
}  # fmt: skip
WITH_STATUS = {"status_at"}
WITH_SESSION = {"calendar", "pre_open_at", "open_at", "close_at"}
WATCHED_ACCOUNT = {"configs", "config_sha256", "capabilities", "connected", "reconciled", "kill_level"}
FREE_ACCOUNT = {
    "account", "log_id", "currency", "seq", "now", "epoch", "trading_day", "kill_reason", "kill_seq", "kill_day",
    "awaited", "paused", "next_trade_no", "realized", "fees", "at_risk", "asked_from",
}  # fmt: skip


def calm_since(story: Story) -> int:
    """What has come up since the newest calm state."""
    return since(story.book._calm.get(NAME), story.view)


def test_a_position_under_a_confirmed_stop_is_calm() -> None:
    story = given(in_position())
    assert is_calm(story.view)
    assert calm_since(story) == SAME


def test_quotes_and_bars_leave_it_calm_and_its_deadlines_as_they_were() -> None:
    story = given(in_position()).when(quote("99.98", "100.00"), bar("99.98", "100.00", "99.99"))
    assert not story.told
    assert story.results[-1].steady == (NAME,)
    assert calm_since(story) == SAME


def test_of_a_look_at_books_that_agree_only_reconciliation_is_asked() -> None:
    story = given(in_position())
    held = (PositionLine(instrument=NAME, quantity=story.trade.held),)
    own = tuple(one.wire_id for one in story.pipeline.orders.values() if one.is_live)
    told = BrokerSnapshotReported(
        asked_at_seq=story.book.account.seq, complete=True, positions=held, open_orders=own
    )
    assert since(story.book._calm[NAME], replace(story.view, wish=told)) == BOOKS
    story.when(told)
    assert not story.told
    assert story.results[-1].steady == (NAME,)
    assert [policy.name for policy in POLICIES if policy.asked & BOOKS and policy.asked != ALWAYS] == [
        "reconciliation"
    ]
    story.when(replace(told, positions=()))
    assert "position_mismatch" in [one.code for one in story.told if isinstance(one, Alerted)]


def test_a_better_price_is_looked_at_by_the_owner_of_the_stop() -> None:
    story = given(in_position())
    best = story.trade.mfe
    assert best is not None
    raised = story.pipeline.trades | {story.trade.trade_no: replace(story.trade, mfe=best + 1)}
    after = View(story.book.account, replace(story.pipeline, trades=raised), story.now)
    assert since(story.book._calm[NAME], after) == EXCURSION
    asked = [policy.name for policy in POLICIES if policy.asked & EXCURSION]
    assert "protective_stop" in asked
    assert "targets" not in asked


def test_any_other_change_of_a_trade_asks_all() -> None:
    story = given(in_position())
    other = story.pipeline.trades | {story.trade.trade_no: replace(story.trade, pnl=Decimal(1))}
    after = View(story.view.account, replace(story.pipeline, trades=other), story.now)
    assert since(story.book._calm[NAME], after) == CHANGED


@pytest.mark.parametrize(
    "disturbance",
    [fill(Role.TARGET), cancelled(Role.STOP), triggered, halt(), leave()],
    ids=["fill", "stop gone", "triggered", "halt", "request"],
)
def test_what_needs_an_answer_ends_the_calm(disturbance: Input) -> None:
    story = given(in_position()).when(disturbance)
    assert not is_calm(story.view)
    assert NAME not in story.results[-1].steady


@pytest.mark.parametrize(
    "inputs",
    [
        [entry()],
        [entry(), ack(Role.ENTRY)],
        [entry(), ack(Role.ENTRY), fill(Role.ENTRY)],
        [entry(), ack(Role.ENTRY), fill(Role.ENTRY), rejected(Role.STOP)],
    ],
    ids=["asked", "working", "stop on its way", "stop refused"],
)
def test_before_the_stop_is_confirmed_nothing_is_calm(inputs: list[Input]) -> None:
    assert not is_calm(given(*inputs).view)


def test_an_account_that_is_stopped_asks_all() -> None:
    story = given(in_position())
    for name, value in (("kill_level", 1), ("connected", False), ("reconciled", False), ("configs", {})):
        after = View(replace(story.book.account, **{name: value}), story.pipeline, story.now)
        assert since(story.book._calm[NAME], after) == CHANGED, name


def test_every_field_of_market_and_account_is_decided_upon() -> None:
    """A new field belongs to what ends a calm or to what no policy that is left out reads; nobody may forget it."""
    market = WATCHED_MARKET | FREE_MARKET | WITH_STATUS | WITH_SESSION
    assert set(Market.__struct_fields__) == market
    assert set(Account.__struct_fields__) == WATCHED_ACCOUNT | FREE_ACCOUNT


def test_a_step_taken_again_after_a_rollback_computes_its_deadline_anew() -> None:
    """The state after it is equal to the one that was calm, but the deadline is that of before."""
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY), ack(Role.STOP), ack(Role.TARGET, 0))
    answers = []
    while asked := [one for one in story.pipeline.orders.values() if one.pending]:
        answer = ack(asked[0].role or Role.TARGET, story.trade.targets.index(asked[0].client_order_id))
        story.book.rollback()
        answers.append(Stamped(event=event_of(answer, story), logical_time=story.now))
        for stamped in answers:
            story.book.decide(stamped)
    assert calm_since(story) == SAME
    due = story.book.next_due()
    story.book.rollback()
    assert story.book.next_due() != due
    for stamped in answers:
        story.book.decide(stamped)
    assert story.book.next_due() == due


def event_of(answer: Input, story: Story) -> Event:
    assert callable(answer)
    event = answer(story)
    assert event is not None
    return event
