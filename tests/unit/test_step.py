"""The step: isolation, routing, and that nothing is said twice."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oms.policies
from oms import step
from oms.arbitration import arbitrate, wants_close
from oms.errors import OmsError
from oms.events.base import Event
from oms.events.broker import OrderFilled
from oms.events.decisions import (
    Alerted,
    CancelRequested,
    CloseRequested,
    DecisionFailed,
    DecisionRefused,
    IntentRefused,
    KillLevelRaised,
    OrderPlaced,
    SafeModeEntered,
)
from oms.policies import CLOSERS, OWNERS, POLICIES, Policy
from oms.state.root import Deadlines
from oms.state.trade import Close
from oms.values import OrderType, Role, Side
from tests.answers import ack, confirmed, fill, in_position, triggered
from tests.builders import NAME, act, entry, leave, price, settings
from tests.given import given, like, quote, until, wait
from tests.unit.policies.test_forced_close import END


class Broken(Exception):
    """A policy that does not work."""


def breaks(_view: Any) -> Iterator[Event]:
    raise Broken
    yield


def broken(name: str, policies: tuple[Policy, ...]) -> tuple[Policy, ...]:
    return tuple(
        Policy(one.name, one.version, one.priority, breaks, one.next_due) if one.name == name else one
        for one in policies
    )


@pytest.fixture
def without_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "OWNERS", broken("targets", OWNERS))


def test_the_stop_is_placed_although_the_targets_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    story = given(entry(), ack(Role.ENTRY))
    monkeypatch.setattr(step, "OWNERS", broken("targets", OWNERS))
    monkeypatch.setattr("tests.given.POLICIES", ())
    story.when(fill(Role.ENTRY)).then_among(
        like(DecisionFailed), like(OrderPlaced, role=Role.STOP, quantity=100)
    )
    story.when(ack(Role.STOP)).then_none(DecisionFailed)
    story.when(until(END)).then_among(like(CloseRequested, reason="FORCED_CLOSE"))


@pytest.mark.parametrize("name", [policy.name for policy in POLICIES])
def test_whichever_policy_fails_the_step_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    story = given(in_position(), quote("100.99", "101.01"))
    monkeypatch.setattr(step, "OWNERS", broken(name, OWNERS))
    monkeypatch.setattr(step, "CLOSERS", broken(name, CLOSERS))
    monkeypatch.setattr("tests.given.POLICIES", ())
    story.when(fill(Role.TARGET, nth=0)).then_among(
        like(DecisionFailed, failed_policy=name), like(SafeModeEntered)
    )
    story.when(wait(1), confirmed).then_none(DecisionFailed)


def test_an_instrument_that_is_not_known_is_refused() -> None:
    given().when(entry(name="NOBODY")).then(like(IntentRefused, code="unknown_instrument"))
    stray = OrderFilled(
        instrument="NOBODY",
        client_order_id="x",
        execution="1",
        side=Side.BUY,
        quantity=price(1),
        price=price(1),
    )
    given().when(stray).then(like(Alerted, code="unknown_instrument"))


def test_requests_are_answered_in_their_own_step_only() -> None:
    story = given(in_position()).when(leave())
    story.then_among(like(CloseRequested))
    story.when(wait(0, ms=500), confirmed).then_none(CloseRequested)


def close(priority: int, *, market: bool, trade_no: int = 1) -> CloseRequested:
    return CloseRequested(
        instrument=NAME, trade_no=trade_no, reason="r", priority=priority, market=market, policy="p"
    )


@pytest.mark.req("OM-037", "OM-038", "OM-039")
def test_the_strongest_close_stands_and_the_others_are_named() -> None:
    weak, strong = close(14, market=False), close(10, market=False)
    assert arbitrate([(14, "b", weak), (10, "a", strong)])[1] is strong
    refused = arbitrate([(14, "b", weak), (10, "a", strong)])[0]
    assert isinstance(refused, DecisionRefused)
    assert (refused.refused_policy, refused.winner_policy) == ("b", "a")
    twin = close(10, market=False)
    assert arbitrate([(10, "b", twin), (10, "a", strong)])[1] is strong
    emergency = close(11, market=True)
    assert arbitrate([(10, "a", strong), (11, "c", emergency)])[1] is emergency
    elsewhere = close(14, market=False, trade_no=2)
    assert arbitrate([(14, "b", elsewhere), (10, "a", strong)]) == [elsewhere, strong]


@pytest.mark.req("OD-090")
@pytest.mark.parametrize(
    ("wanted", "stands"), [([1, 1], [1]), ([3, 1], [3]), ([1, 3, 3, 2], [1, 3]), ([2], [2])]
)
def test_a_kill_level_is_raised_once_in_a_step(wanted: list[int], stands: list[int]) -> None:
    raised = arbitrate([(10, "a", KillLevelRaised(level=level, reason="x", policy="a")) for level in wanted])
    assert [one.level for one in raised if isinstance(one, KillLevelRaised)] == stands


@pytest.mark.parametrize(
    ("present", "asked", "changes"),
    [
        (None, (14, False), True),
        ((14, False), (14, False), False),
        ((14, False), (10, False), True),
        ((14, False), (30, True), True),
        ((11, True), (10, False), False),
        ((11, True), (10, True), True),
        ((10, True), (11, True), False),
    ],
)
def test_a_close_is_asked_for_only_if_it_changes_something(
    present: tuple[int, bool] | None, asked: tuple[int, bool], changes: bool
) -> None:
    from msgspec.structs import replace

    known = None
    if present is not None:
        known = Close(reason="r", priority=present[0], market=present[1], at=0, seq=1, evidence=(1,))
    trade = replace(given(in_position()).trade, close=known)
    assert wants_close(trade, asked[0], market=asked[1]) is changes


def test_a_guard_and_a_forced_close_do_not_take_turns() -> None:
    story = given(in_position(), until(END - 9 * 60_000_000), quote("98.9", "98.95"), triggered, wait(5))
    story.when(wait(3)).then_none(CloseRequested, market=False)


def test_deadlines_come_in_order_and_stay_until_put_again() -> None:
    deadlines = Deadlines()
    for name, at in [("b", 5), ("a", 5), ("c", 3), ("d", 9), ("c", 7), ("c", 3)]:
        deadlines.put(name, at)
    assert deadlines.due(5) == ["c", "a", "b"]
    assert deadlines.due(5) == ["c", "a", "b"]
    deadlines.put("c", None)
    deadlines.put("a", 8)
    assert deadlines.earliest() == 5
    assert deadlines.due(8) == ["b", "a"]
    for number in range(1000):
        deadlines.put("b", number)
    assert deadlines.due(1000) == ["a", "d", "b"]
    assert deadlines.get("b") == 999


def test_a_rollback_restores_state_and_deadlines() -> None:
    story = given(entry(), ack(Role.ENTRY))
    book = story.book
    kept = (book.account, dict(book.pipelines), book.next_due())
    from oms.events.base import Stamped

    for event in (act_flat(), quote("99", "99.01")(story)):
        assert isinstance(event, Event)
        book.decide(Stamped(event=event, logical_time=story.now + 7_000_000))
    assert book.account is not kept[0]
    book.rollback()
    assert (book.account, dict(book.pipelines), book.next_due()) == kept


def act_flat() -> Event:
    from oms.events.operator import Act

    return act(Act.FLAT)


def test_no_policy_imports_a_sibling() -> None:
    folder = Path(oms.policies.__file__).parent
    names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    for path in sorted(folder.glob("*.py")):
        if path.stem == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "oms.policies":
                assert not {alias.name for alias in node.names} & names, path.name
            elif isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("oms.policies."), path.name


def test_every_policy_stands_in_the_table_under_its_own_name() -> None:
    folder = Path(oms.policies.__file__).parent
    assert {policy.name for policy in POLICIES} == {path.stem for path in folder.glob("*.py")} - {"__init__"}


def test_a_market_stand_in_never_becomes_a_market_order_outside_the_session() -> None:
    story = given(entry(), ack(Role.ENTRY), until(END + 5 * 60_000_000)).when(fill(Role.ENTRY, 10))
    story.then_none(OrderPlaced, order_type=OrderType.MARKET)


@pytest.mark.req("F23")
def test_in_safe_mode_targets_and_entries_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), ack(Role.STOP), ack(Role.TARGET))
    monkeypatch.setattr(step, "CLOSERS", broken("stop_fallback", CLOSERS))
    monkeypatch.setattr("tests.given.POLICIES", ())
    story.when(quote("100.02", "100.04")).then_among(
        like(SafeModeEntered, reason="stop_fallback failed"),
        like(CancelRequested, policy="targets"),
        like(CancelRequested, policy="entry", reason="safe mode"),
    )
    assert not any(isinstance(one, CancelRequested) and one.policy == "protective_stop" for one in story.told)


def test_a_policy_that_is_switched_off_decides_nothing() -> None:
    quiet = settings(policies__enabled={"targets": 0})
    story = given(entry(), ack(Role.ENTRY), settings=quiet).when(fill(Role.ENTRY))
    story.then_among(like(OrderPlaced, role=Role.STOP)).then_none(OrderPlaced, role=Role.TARGET)


@pytest.mark.parametrize("name", ["kill_switch", "protective_stop", "exit", "guard_stop", "reconciliation"])
def test_what_protects_cannot_be_switched_off(name: str) -> None:
    with pytest.raises(OmsError) as refused:
        settings(policies__enabled={name: 0})
    assert f"{name} protects positions" in refused.value.render()
