"""The broker's books are looked at from time to time: what was lost without a trace on a standing link is found."""

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import pytest

from oms.brokers.simulated.script import CancelUnasked, Disconnect, Drop, Misbehave, Script, When
from oms.events.base import Stamped
from oms.events.broker import BooksUnanswered, BrokerSnapshotReported, PositionLine
from oms.events.decisions import Alerted
from oms.events.session import SessionOpened
from oms.shell.record import event_of
from oms.values import CONTEXT, SECOND, Micros, Role
from tests import builders
from tests.builders import CLOSE, NAME, OPEN
from tests.unit.shell.test_opening import ACCOUNT, Account

EVERY = 30 * SECOND
STOP = When(role=Role.STOP, nth=1)


@pytest.fixture(autouse=True)
def _arithmetic() -> Iterator[None]:
    with localcontext(CONTEXT):
        yield


def looking(script: Script = (), *, looks: bool = True) -> Account:
    account = Account(script=script)
    account.time.books.every_so_often = looks
    return account


def found(account: Account, *types: type) -> list:  # type: ignore[type-arg]
    rows = (event_of(row) for row in account.log.read(ACCOUNT))
    return [one for one in rows if isinstance(one, types)]


def alerts(account: Account) -> list[str]:
    return [one.code for one in found(account, Alerted)]


def covered(account: Account) -> int:
    """What resting stops at the broker cover."""
    stops = (one for one in account.broker.orders.values() if one.role is Role.STOP and one.is_live)
    return sum(int(one.quantity - one.cumulative) for one in stops)


def until(account: Account, at: Micros, *, cents: int = 0) -> None:
    """A still market up to a time, a quote each second, `cents` above where it was."""
    first = account.time.now // SECOND * SECOND + SECOND
    for second in range(first, at + 1, SECOND):
        quote = builders.quote(f"{99.99 + cents / 100:.2f}", f"{100 + cents / 100:.2f}", at=second)
        account.feed(quote, second)
        account.time.flush()


@pytest.mark.req("BB-052", "BB-053", "BB-055")
def test_a_stop_that_was_cancelled_by_hand_stands_again_though_nobody_was_told() -> None:
    lost = (
        Misbehave(when=STOP, what=CancelUnasked(after_ms=5000)),
        Misbehave(when=STOP, what=Drop(message="OrderCanceled")),
    )
    for looks in (False, True):
        account = looking(lost, looks=looks)
        until(account, OPEN + EVERY - SECOND)
        assert (account.held, covered(account)) == (100, 0)
        until(account, OPEN + EVERY + 2 * SECOND)
        assert covered(account) == (100 if looks else 0)


@pytest.mark.req("BB-054", "BB-056")
def test_a_fill_that_never_came_is_fetched() -> None:
    account = looking(
        (Misbehave(when=When(role=Role.TARGET, nth=1), what=Drop(message="OrderFilled", nth=1)),)
    )
    until(account, OPEN + 10 * SECOND, cents=200)
    held = account.broker.positions[NAME]
    assert held < account.held == 100
    until(account, OPEN + EVERY + 2 * SECOND, cents=200)
    assert account.held == held == covered(account)
    assert alerts(account).count("position_mismatch") == 1


@pytest.mark.parametrize("odd", [
    {"positions": (PositionLine(instrument=NAME, quantity=Decimal(140)),)}, {"open_orders": ("a stranger's",)},
])  # fmt: skip
def test_all_of_the_books_are_asked_for_some_times_because_of_the_same_thing(odd: dict[str, Any]) -> None:
    """What they said of it may have been lost as well; but some things they cannot explain."""
    account = looking()
    asked: list[bool] = []
    agreed = {"positions": (PositionLine(instrument=NAME, quantity=Decimal(100)),)}

    def answer(asked_at_seq: int, *, whole: bool = True) -> None:
        asked.append(whole)
        event = BrokerSnapshotReported(asked_at_seq=asked_at_seq, complete=True, **{**agreed, **odd})
        account.time.put(Stamped(event=event, logical_time=account.time.now))

    account.time.books._query = answer
    until(account, OPEN + 8 * EVERY + SECOND)
    assert asked == [False, True] * 5 + [False] * 3


def test_books_that_agree_are_one_row_and_decide_nothing() -> None:
    account = looking()
    until(account, OPEN + 10 * EVERY)
    rows = list(account.log.read(ACCOUNT))
    looks = [row.seq for row in rows if row.type == "BrokerSnapshotReported"][1:]
    assert len(looks) == 10
    assert not [row for row in rows if row.cause_seq in looks and row.seq not in looks]
    assert not found(account, Alerted)


def test_a_broker_that_does_not_answer_is_told_once_and_asked_again() -> None:
    account = looking()
    account.broker.tells_books = False
    until(account, OPEN + 8 * EVERY)
    assert [one.times for one in found(account, BooksUnanswered)] == [3]
    assert alerts(account) == ["books_unanswered"]
    account.broker.tells_books = True
    until(account, OPEN + 9 * EVERY + SECOND)
    assert len(found(account, BrokerSnapshotReported)) == 2
    account.broker.tells_books = False
    until(account, OPEN + 14 * EVERY)
    assert alerts(account) == ["books_unanswered"] * 2


def test_books_of_a_new_link_that_did_not_come_are_asked_for_sooner() -> None:
    """Until they have come nothing is compared and no entry is possible."""
    account = Account()
    account.broker.tells_books = False
    account.open(OPEN, builders.settings())
    account.time.books.every_so_often = True
    asked: list[Micros] = []

    def answer(_seq: int, *, whole: bool = True) -> None:
        assert whole
        asked.append((account.time.now - OPEN) // SECOND)

    account.time.books._query = answer
    until(account, OPEN + 80 * SECOND)
    assert not account.runner.published.account.reconciled
    assert asked == [10, 30, 60]
    assert alerts(account) == ["books_unanswered"]


def asked_around_the_close(*, silent: int = 0) -> list[tuple[int, bool]]:
    """When the books were asked for, in seconds from the close, and whether for all of them. Some are not answered."""
    account = looking()
    account.feed(builders.quote("99.99", "100.00", at=CLOSE - 40 * SECOND), CLOSE - 40 * SECOND)
    asked: list[tuple[int, bool]] = []

    def answer(asked_at_seq: int, *, whole: bool = True) -> None:
        asked.append(((account.time.now - CLOSE) // SECOND, whole))
        lines = (PositionLine(instrument=NAME, quantity=account.held),) if account.held else ()
        event = BrokerSnapshotReported(asked_at_seq=asked_at_seq, complete=True, positions=lines)
        if not 1 < len(asked) < 2 + silent:
            account.time.put(Stamped(event=event, logical_time=account.time.now))

    account.time.books._query = answer
    until(account, CLOSE + 3 * EVERY)
    return asked


def test_all_of_the_books_are_asked_for_at_the_close() -> None:
    """A price that was corrected changes no position and no open order: only the day's executions tell of it."""
    assert asked_around_the_close() == [(-10, False), (0, True), (30, False), (60, False), (90, False)]


def test_books_of_the_close_that_do_not_come_are_asked_for_again() -> None:
    asked = asked_around_the_close(silent=2)
    assert asked == [(-10, False), (0, True), (30, True), (60, True), (90, False)]


def test_every_close_that_was_announced_has_its_question() -> None:
    """A later session is announced before the earlier one closes, as with markets that overlap."""
    account = looking()
    for close_at in (OPEN + 45 * SECOND, OPEN + 100 * SECOND, None):
        session = SessionOpened(
            instrument=NAME, calendar="XNYS", session_date=builders.DAY, open_at=OPEN, close_at=close_at
        )
        account.time.submit(Stamped(event=session, logical_time=account.time.now))
    asked: list[tuple[int, bool]] = []

    def answer(asked_at_seq: int, *, whole: bool = True) -> None:
        asked.append(((account.time.now - OPEN) // SECOND, whole))
        lines = (PositionLine(instrument=NAME, quantity=account.held),) if account.held else ()
        event = BrokerSnapshotReported(asked_at_seq=asked_at_seq, complete=True, positions=lines)
        account.time.put(Stamped(event=event, logical_time=account.time.now))

    account.time.books._query = answer
    until(account, OPEN + 140 * SECOND)
    assert asked == [(30, False), (45, True), (75, False), (100, True), (130, False)]


def test_the_answer_to_an_earlier_question_is_none_to_that_of_the_close() -> None:
    account = looking()
    account.feed(builders.quote("99.99", "100.00", at=CLOSE - 5 * SECOND), CLOSE - 5 * SECOND)
    asked: list[tuple[int, bool]] = []

    def answer(asked_at_seq: int, *, whole: bool = True) -> None:
        asked.append(((account.time.now - CLOSE) // SECOND, whole))
        seq = 1 if len(asked) == 1 else asked_at_seq
        lines = (PositionLine(instrument=NAME, quantity=account.held),) if account.held else ()
        event = BrokerSnapshotReported(asked_at_seq=seq, complete=True, positions=lines)
        account.time.put(Stamped(event=event, logical_time=account.time.now))

    account.time.books._query = answer
    until(account, CLOSE + 70 * SECOND)
    assert asked == [(0, True), (30, True), (60, False)]


def test_nobody_looks_while_the_link_is_down_or_where_it_is_turned_off() -> None:
    account = looking((Misbehave(what=Disconnect(after_messages=4, for_ms=100_000)),))
    assert account.time.books.next_due() is None
    off = looking()
    off.open(OPEN + 3 * SECOND, builders.settings(protection__books_every_ms=0))
    off.time.books.every_so_often = True
    assert off.runner.published.account.connected
    assert off.time.books.next_due() is None


def test_a_writer_that_slept_looks_once_when_it_wakes() -> None:
    account = looking()
    awake = OPEN + 100 * EVERY
    account.feed(builders.quote("99.99", "100.00", at=awake), awake)
    assert account.broker.asked == 2
    assert account.time.books.next_due() == awake + EVERY
