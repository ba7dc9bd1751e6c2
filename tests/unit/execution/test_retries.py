"""Pauses between tries."""

import pytest

from oms.execution import retries
from oms.values import MILLISECOND, Role
from tests.answers import ack, in_position, rejected
from tests.builders import entry
from tests.given import given, wait


@pytest.mark.req("I87")
@pytest.mark.parametrize(
    ("refusals", "milliseconds"), [(0, 0), (1, 0), (2, 250), (3, 500), (4, 1000), (11, 60_000), (99, 60_000)]
)
def test_each_pause_is_twice_the_one_before(refusals: int, milliseconds: int) -> None:
    story = given(in_position())
    assert retries.pause(story.view, story.trade, refusals) == milliseconds * MILLISECOND


@pytest.mark.req("I21")
def test_a_cancel_waits_for_the_answer_under_way() -> None:
    story = given(entry())
    order = story.order(Role.ENTRY)
    assert retries.cancel_at(story.view, story.trade, order) == story.now + 2_000_000
    story.given(ack(Role.ENTRY))
    assert retries.cancel_at(story.view, story.trade, story.order(Role.ENTRY)) == 0


def test_failures_in_a_row_are_counted_from_the_newest() -> None:
    story = given(in_position())
    assert retries.failures(story.view, story.trade.stops) == []
    story.given(rejected(Role.TARGET, 0), wait(1))
    assert len(retries.failures(story.view, story.trade.targets)) == 0
    assert retries.failures(story.view, story.trade.targets[:1])
