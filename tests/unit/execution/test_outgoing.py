"""Which requests of ours a step settles: the outbox forgets those, and no others."""

from oms.values import Role
from tests.answers import ack, cancelled, fill, replaced
from tests.builders import entry, leave
from tests.given import Story, given, quote, wait


def settled(story: Story) -> list[int]:
    return [seq for result in story.results for seq in result.settled]


def asked(story: Story) -> dict[str, int]:
    """The decision behind every request that nobody has answered, by the order's own id."""
    return {own: order.pending[0].seq for own, order in story.pipeline.orders.items() if order.pending}


def test_an_answer_settles_its_request_once_and_no_other() -> None:
    story = given(entry())
    (seq,) = asked(story).values()
    assert settled(story) == []
    story.given(quote("100.00", "100.02"), ack(Role.ENTRY))
    assert settled(story) == [seq]
    story.given(ack(Role.ENTRY), quote("100.00", "100.02"))
    assert settled(story) == [seq]
    story.given(fill(Role.ENTRY))
    stop = story.order(Role.STOP)
    story.given(ack(Role.STOP))
    assert settled(story) == [seq, stop.placed_seq]
    assert stop.client_order_id not in asked(story)
    assert len(asked(story)) == len(story.trade.targets)


def test_a_cancel_and_a_change_are_settled_by_what_answers_them() -> None:
    story = given(entry(), ack(Role.ENTRY), quote("100.01", "100.03"), wait(5))
    (change,) = asked(story).values()
    story.given(replaced(Role.ENTRY))
    assert settled(story)[-1] == change
    story.given(leave())
    (cancel,) = asked(story).values()
    story.given(cancelled(Role.ENTRY))
    assert settled(story)[-1] == cancel
