"""What others do with the account: own exits never close more than it holds on the trade's side (architecture 6)."""

from decimal import Decimal
from typing import Any

import pytest

from oms.events.base import Event
from oms.events.broker import (
    CancelCause,
    OrderCanceled,
    OrderFilled,
    OrderStatusReported,
    PositionAdjusted,
    ReportedStatus,
)
from oms.events.decisions import Alerted, CancelRequested, GuardDisarmed, OrderPlaced, ReplaceRequested
from oms.events.operator import Act
from oms.state.protection import Protection
from oms.values import PositionSide, Role, Side
from tests.answers import ack, confirmed, fill, in_position, replaced
from tests.builders import CLOSE, NAME, act, entry, leave
from tests.given import Input, Story, again, given, like, until, wait

SHORT: dict[str, Any] = {"side": PositionSide.SHORT, "zone_max": "99.90", "stop": "101.00"}


def stranger(side: Side, quantity: int) -> Event:
    """An execution of an order that is not ours."""
    return OrderFilled(
        instrument=NAME,
        client_order_id=f"HAND-{side.value}",
        broker_order_id=f"BH-{side.value}",
        execution=f"XH-{side.value}-{quantity}",
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(100),
    )


def adjusted(quantity: int) -> Event:
    return PositionAdjusted(instrument=NAME, adjustment="A1", ref="transfer", quantity=Decimal(quantity))


def gone(role: Role, cumulative: int) -> Input:
    """The order is cancelled; the broker counts more than we have seen."""

    def answer(story: Story) -> Event:
        own = story.order(role).wire_id
        return OrderCanceled(
            instrument=NAME,
            client_order_id=own,
            cause=CancelCause.UNSOLICITED,
            cumulative=Decimal(cumulative),
        )

    return answer


def entry_counts(cumulative: int) -> Input:
    """The broker counts more of the entry than we have seen."""
    return lambda story: OrderStatusReported(
        instrument=NAME, client_order_id=story.order(Role.ENTRY).wire_id, status=ReportedStatus.FILLED,
        cumulative=Decimal(cumulative), leaves=Decimal(0),
    )  # fmt: skip


def sold_at_most(story: Story, role: Role) -> Decimal:
    orders = [one for one in story.pipeline.orders.values() if one.role is role and one.is_live]
    return sum((one.leaves for one in orders), Decimal(0))


@pytest.mark.parametrize("reduction", [stranger(Side.SELL, 40), adjusted(-40)], ids=["sold", "adjusted"])
def test_stop_and_targets_shrink_to_what_the_account_still_holds(reduction: Event) -> None:
    story = given(in_position()).when(reduction)
    story.then_among(like(ReplaceRequested, quantity=60, price_stop="99.00"))
    story.when(confirmed)
    assert sold_at_most(story, Role.STOP) == 60
    assert sold_at_most(story, Role.TARGET) <= 60
    assert story.protection is Protection.BROKER_STOP
    assert again(story) == []


@pytest.mark.parametrize("reduction", [stranger(Side.SELL, 100), adjusted(-100), stranger(Side.SELL, 101)])
def test_nothing_is_sold_of_what_others_have_sold(reduction: Event) -> None:
    story = given(in_position()).when(reduction)
    story.then_among(like(CancelRequested, policy="protective_stop"))
    assert not [one for one in story.told if isinstance(one, Alerted) and one.code == "unprotected"]
    story.when(confirmed)
    assert sold_at_most(story, Role.STOP) == sold_at_most(story, Role.TARGET) == 0
    assert story.protection is Protection.FLAT
    assert again(story) == []


def test_a_short_is_mirrored() -> None:
    story = given(in_position(entry(**SHORT))).when(stranger(Side.BUY, 40), confirmed)
    assert sold_at_most(story, Role.STOP) == 60
    story.when(stranger(Side.BUY, 60), confirmed)
    assert sold_at_most(story, Role.STOP) == sold_at_most(story, Role.TARGET) == 0


@pytest.mark.parametrize("quantity", [1, 1000])
def test_what_others_add_on_the_same_side_changes_nothing(quantity: int) -> None:
    story = given(in_position()).when(stranger(Side.BUY, quantity)).then()
    assert sold_at_most(story, Role.STOP) == 100


def test_an_exit_closes_no_more_than_the_account_holds() -> None:
    story = given(in_position(), stranger(Side.SELL, 40), confirmed)
    story.when(act(Act.FLAT, instrument=NAME), confirmed)
    assert sold_at_most(story, Role.STOP) + sold_at_most(story, Role.EXIT) == 60


@pytest.mark.parametrize(("sold", "left"), [(40, "60"), (99, "1")])
def test_an_exit_that_fails_says_what_the_account_still_holds(sold: int, left: str) -> None:
    story = given(in_position(), stranger(Side.SELL, sold), confirmed)
    close_at = story.pipeline.market.close_at
    assert close_at is not None
    story.when(until(close_at)).then_among(like(Alerted, code="cannot_liquidate", quantity=left))


@pytest.mark.req("OD-090")
def test_executions_that_nobody_has_seen_are_no_peace_at_the_close() -> None:
    story = given(in_position()).when(gone(Role.STOP, 100))
    close_at = story.pipeline.market.close_at
    assert close_at is not None
    story.when(until(close_at)).then_among(like(Alerted, code="cannot_liquidate", quantity=100))


@pytest.mark.req("OD-090")
def test_the_session_ends_in_peace_when_others_have_sold_everything() -> None:
    story = given(in_position(), stranger(Side.SELL, 100), confirmed)
    close_at = story.pipeline.market.close_at
    assert close_at is not None
    story.when(until(close_at)).then()


def test_what_is_bought_back_by_hand_is_protected_again() -> None:
    story = given(in_position(), stranger(Side.SELL, 100), confirmed)
    story.when(stranger(Side.BUY, 100)).then_among(like(OrderPlaced, role=Role.STOP, quantity=100))


def test_a_stop_that_sold_unseen_is_placed_again_for_the_rest() -> None:
    story = given(in_position()).when(gone(Role.STOP, 40))
    story.then_among(like(OrderPlaced, role=Role.STOP, quantity=60))
    story.when(ack(Role.STOP)).then_among(like(GuardDisarmed))
    assert story.protection is Protection.BROKER_STOP
    assert again(story) == []


def test_a_stop_that_sold_everything_unseen_is_not_placed_again() -> None:
    story = given(in_position()).when(gone(Role.STOP, 100))
    assert not [one for one in story.told if isinstance(one, OrderPlaced)]


def test_what_the_stop_sold_unseen_is_gone_beside_what_others_sold() -> None:
    story = given(in_position(), stranger(Side.SELL, 40), confirmed).when(gone(Role.STOP, 40))
    story.then_among(like(OrderPlaced, role=Role.STOP, quantity=20))


def test_what_the_entry_bought_unseen_is_there_for_others_to_sell() -> None:
    story = given(entry(), ack(Role.ENTRY), fill(Role.ENTRY, 40), confirmed)
    story.given(entry_counts(100), stranger(Side.SELL, 60), confirmed)
    assert story.trade.held == 40
    assert sold_at_most(story, Role.STOP) == 40


def test_the_fills_of_the_gone_stop_change_nothing_more() -> None:
    story = given(in_position(), gone(Role.STOP, 40), confirmed)
    assert sold_at_most(story, Role.STOP) == 60
    story.when(fill(Role.STOP, 40, nth=0))
    assert story.trade.held == 60
    assert sold_at_most(story, Role.STOP) == 60
    assert story.protection is Protection.BROKER_STOP


@pytest.mark.parametrize(("bought", "repaired"), [(1, 29), (29, 1), (30, 0), (50, 0)])
def test_of_what_was_oversold_only_what_leaves_the_account_short_is_bought_back(
    bought: int, repaired: int
) -> None:
    """More would be a new risk, and a broker that only reduces refuses it for ever."""
    story = given(
        in_position(), stranger(Side.BUY, bought), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT)
    )
    story.when(fill(Role.TARGET, nth=0))
    placed = [one for one in story.told if isinstance(one, OrderPlaced)]
    assert [(one.side, one.quantity) for one in placed] == [(Side.BUY, repaired)] * bool(repaired)
    assert story.trade.held == -30
    if not repaired:
        assert story.protection is Protection.FLAT
        story.when(until(CLOSE)).then_none(OrderPlaced).then_none(Alerted, code="cannot_liquidate")


def test_what_others_sold_beside_an_oversell_is_not_ours_to_buy_back() -> None:
    story = given(
        in_position(), stranger(Side.SELL, 5), leave(), wait(2), replaced(Role.STOP), fill(Role.EXIT)
    )
    held = story.trade.held
    story.when(fill(Role.TARGET, nth=0)).then_among(like(OrderPlaced, side=Side.BUY, quantity=30 - held))
