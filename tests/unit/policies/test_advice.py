"""What a strategy or language model may say beside its requests: urgency and bias, closed words, and what they do."""

from itertools import product

import msgspec
import pytest

from oms.events.base import Event, decode
from oms.events.decisions import CancelRequested, EntryAccepted, IntentRefused, OrderPlaced, ReplaceRequested
from oms.events.strategy import EntryRequested, StrategyCycleBegun
from oms.values import Bias, OrderType, PositionSide, Role, Urgency
from tests.answers import ack, replaced
from tests.builders import NAME, STRATEGY, entry, price
from tests.given import Story, given, like, quote, wait

TIGHT = quote("100.01", "100.07")
SHORT = {"side": PositionSide.SHORT, "stop": "101", "zone_max": "99.90"}


def advice(urgency: Urgency = Urgency.NORMAL, bias: Bias = Bias.NEUTRAL, strategy: str = STRATEGY) -> Event:
    return StrategyCycleBegun(
        instrument=NAME, strategy=strategy, intent_id=f"{urgency} {bias}", urgency=urgency, bias=bias
    )


def worked(*said: Event) -> Story:
    """An entry through all its cycles; nobody sells."""
    story = given(*said, TIGHT, entry(), ack(Role.ENTRY))
    for _ in range(4):
        story.given(wait(5))
        if story.order(Role.ENTRY).pending and story.order(Role.ENTRY).pending[-1].quantity is not None:
            story.given(replaced(Role.ENTRY))
    return story


def limits(story: Story) -> list[str]:
    return [
        str(one.event.price_limit)
        for result in story.results
        for one in result.events
        if isinstance(one.event, OrderPlaced | ReplaceRequested)
    ]


@pytest.mark.req("OD-003")
@pytest.mark.parametrize("body", ['"urgency": "FRANTIC"', '"bias": "UP"', '"urgency": 2', '"bias": null'])
def test_another_word_is_no_advice(body: str) -> None:
    text = f'{{"instrument": "ACME", "strategy": "tests", "intent_id": "1", {body}}}'
    with pytest.raises(msgspec.ValidationError):
        decode("StrategyCycleBegun", 1, text)


@pytest.mark.req("OD-003")
def test_no_request_has_room_for_details_of_an_order() -> None:
    details = set(OrderPlaced.__struct_fields__) - {"instrument", "side", "quantity"}
    assert not details & set(EntryRequested.__struct_fields__)
    assert set(StrategyCycleBegun.__struct_fields__) == {
        "instrument",
        "strategy",
        "intent_id",
        "urgency",
        "bias",
    }


@pytest.mark.req("OD-003", "OD-057")
@pytest.mark.parametrize(("urgency", "bias"), list(product(Urgency, (Bias.LONG, Bias.NEUTRAL))))
def test_whatever_is_said_an_entry_stays_what_it_is(urgency: Urgency, bias: Bias) -> None:
    story = worked(advice(urgency, bias))
    decided = [one.event for result in story.results for one in result.events]
    orders = [one for one in decided if isinstance(one, OrderPlaced | ReplaceRequested)]
    assert all(one.order_type is OrderType.LIMIT and one.quantity == 100 for one in orders)
    assert all(price("100.00") <= one.price_limit <= price("100.10") for one in orders)  # type: ignore[operator]
    assert len(orders) <= 4
    assert isinstance(decided[-1], CancelRequested)


@pytest.mark.req("OD-003")
@pytest.mark.parametrize(
    ("urgency", "expected"),
    [
        (Urgency.LOW, ["100", "100.01", "100.04"]),
        (Urgency.NORMAL, ["100", "100.01", "100.04", "100.07"]),
        (Urgency.HIGH, ["100", "100.04", "100.07"]),
    ],
)
def test_urgency_moves_a_cycle_by_one_step(urgency: Urgency, expected: list[str]) -> None:
    assert [price(one) for one in limits(worked(advice(urgency)))] == [price(one) for one in expected]


def test_a_low_urgency_never_crosses_the_spread() -> None:
    assert price("100.07") not in [price(one) for one in limits(worked(advice(Urgency.LOW)))]


def test_the_newest_word_counts_and_only_that_of_the_own_strategy() -> None:
    usual = limits(worked())
    assert limits(worked(advice(Urgency.HIGH), advice())) == usual
    assert limits(worked(advice(Urgency.HIGH, strategy="another"))) == usual


@pytest.mark.req("OD-003")
def test_an_entry_against_the_bias_is_refused() -> None:
    given(advice(bias=Bias.SHORT)).when(entry()).then(like(IntentRefused, code="against_bias"))
    given(advice(bias=Bias.LONG)).when(entry(**SHORT)).then(like(IntentRefused, code="against_bias"))


@pytest.mark.parametrize("bias", [Bias.SHORT, Bias.NEUTRAL])
def test_an_entry_along_the_bias_is_taken(bias: Bias) -> None:
    given(advice(bias=bias)).when(entry(**SHORT)).then_among(like(EntryAccepted))


def test_a_strategy_is_not_bound_by_the_bias_of_another() -> None:
    given(advice(bias=Bias.SHORT, strategy="another")).when(entry()).then_among(like(EntryAccepted))


def test_a_strategy_cycle_alone_decides_nothing() -> None:
    given().when(advice(Urgency.HIGH, Bias.LONG)).then()


def test_a_hurried_entry_pays_the_far_side_at_its_second_cycle() -> None:
    story = given(advice(Urgency.HIGH), TIGHT, entry(), ack(Role.ENTRY), wait(5), replaced(Role.ENTRY))
    story.when(wait(5)).then(like(ReplaceRequested, price_limit="100.07", reason="cycle 2 of 3"))
