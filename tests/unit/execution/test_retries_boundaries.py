"""What counts as a failure and when a cancel is due, exactly at their limits."""

from typing import Any

import pytest
from msgspec.structs import replace

from oms.events.broker import CancelCause
from oms.events.decisions import CancelRequested
from oms.execution import retries
from oms.state.view import View
from oms.values import MILLISECOND, OrderStatus, Role
from tests.answers import ack, cancelled, in_position
from tests.builders import entry, leave
from tests.given import Story, given, wait

SOON = 10_000


def ended(story: Story, **changes: Any) -> View:
    """The story's first target with another end."""
    order = story.order(Role.TARGET, 0)
    orders = {**story.pipeline.orders, order.client_order_id: replace(order, **changes)}
    return View(story.book.account, replace(story.pipeline, orders=orders), story.now)


@pytest.mark.parametrize(
    ("lived_ms", "cause", "fails"),
    [
        (SOON - 1, CancelCause.UNSOLICITED, True),
        (SOON, CancelCause.UNSOLICITED, False),
        (SOON - 1, CancelCause.REQUESTED, False),
        (0, CancelCause.EXPIRED, True),
    ],
)
def test_what_was_taken_away_soon_has_failed(lived_ms: int, cause: CancelCause, fails: bool) -> None:
    story = given(in_position())
    order = story.order(Role.TARGET, 0)
    end = order.placed_at + lived_ms * MILLISECOND
    view = ended(story, status=OrderStatus.CANCELED, cancel_cause=cause, ended_at=end)
    assert bool(retries.failures(view, (order.client_order_id,))) is fails


def test_a_refused_order_has_failed_however_long_it_lived() -> None:
    story = given(in_position())
    order = story.order(Role.TARGET, 0)
    view = ended(story, status=OrderStatus.REJECTED, ended_at=order.placed_at + 99_000 * MILLISECOND)
    assert len(retries.failures(view, (order.client_order_id,))) == 1


def test_a_cancel_is_made_at_the_very_instant_it_is_due() -> None:
    story = given(entry()).when(leave())
    story.then_none(CancelRequested)  # The placement has until `ack_timeout` to be answered.
    story.when(wait(1, ms=999)).then_none(CancelRequested)
    story.when(wait(0, ms=1))
    assert any(isinstance(one, CancelRequested) for one in story.told)
    late = given(entry(), ack(Role.ENTRY), leave(), cancelled(Role.ENTRY))
    assert late.pipeline.open_trades == ()
