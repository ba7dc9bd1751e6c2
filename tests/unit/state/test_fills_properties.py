"""Properties of the order fold over everything a broker may report, in any order and any number of copies."""

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given as sampled
from hypothesis import settings
from hypothesis import strategies as st

from oms.events.base import Event
from oms.events.broker import (
    CancelCause,
    ExecutionBusted,
    ExecutionCorrected,
    OrderFilled,
    OrderTriggered,
    OrderUnknown,
    RejectCode,
    ReportedStatus,
)
from oms.values import Side
from tests.unit.state.order_story import (
    NAME,
    D,
    Story,
    accepted,
    busted,
    cancel,
    cancel_rejected,
    canceled,
    change,
    corrected,
    failed,
    filled,
    placed,
    query,
    rejected,
    replace_rejected,
    replaced,
    reported,
    unknown,
    unsound,
)

ids = st.sampled_from(["X", "Y", "Z", "?"])
executions = st.sampled_from(["a", "b", "c", "d"])
quantities = st.integers(1, 6)
totals = st.none() | st.integers(0, 14)
prices = st.sampled_from(["99", "100.01", "101.5"])
causes = st.sampled_from(CancelCause)
codes = st.sampled_from(RejectCode)

fills = st.builds(filled, executions, quantities, totals, totals, own=ids, price=prices)
corrections = st.builds(
    corrected, executions, quantities, totals, totals, revision=st.integers(1, 3), price=prices
)
busts = st.builds(busted, executions, totals, totals, revision=st.integers(1, 3))
answers = st.one_of(
    st.builds(accepted, ids, st.sampled_from([None, "B", "C"])),
    st.builds(rejected, ids, st.sampled_from(["", "DUPLICATE_ORDER"])),
    st.builds(canceled, totals, ids, causes),
    st.builds(cancel_rejected, ids, codes, st.none() | st.sampled_from(ReportedStatus)),
    st.builds(replace_rejected, ids, codes),
    st.builds(replaced, st.integers(1, 14), ids, totals, totals),
    st.builds(
        reported,
        st.sampled_from(ReportedStatus),
        totals,
        totals,
        own=ids,
        quantity=st.none() | st.integers(1, 14),
    ),
    st.builds(unknown, ids, st.integers(0, 99)),
    st.builds(failed, st.integers(1, 9), sent=st.booleans()),
    st.builds(OrderTriggered, instrument=st.just(NAME), client_order_id=ids),
)
reports = st.one_of(fills, corrections, busts, answers)
ours = st.sampled_from(["cancel", "replace", "query"])


def play(story: Story, script: Sequence[Event | str]) -> Story:
    """Fold reports, and our own requests under ids that are new each time but for the first two."""
    names = iter(["Y", "Z"])
    fresh = (next(names, f"w{number}") for number in count())
    for one in script:
        if isinstance(one, Event):
            story.when(one)
        elif one == "query":
            story.when(query())
        else:
            story.when(cancel(next(fresh)) if one == "cancel" else change(12, next(fresh)))
    return story


@pytest.mark.req("OD-009", "I14", "I16")
@settings(max_examples=150, deadline=None)
@sampled(st.lists(reports | ours, max_size=14))
def test_nothing_that_is_reported_breaks_the_books(script: list[Event | str]) -> None:
    story = Story().when(placed())
    for one in script:
        play(story, [one])
        assert list(unsound(story.pipeline)) == []


@pytest.mark.req("OD-010", "I08")
@settings(max_examples=150, deadline=None)
@sampled(st.lists(reports | ours, max_size=8), reports)
def test_a_message_at_once_again_changes_nothing(script: list[Event | str], message: Event) -> None:
    story = play(Story().when(placed()), script)
    first = story.when(message)
    if first.order.assumed or isinstance(message, OrderUnknown):
        return  # What is doubted at first is believed when it is said again; so is an absence.
    orders, position = first.pipeline.orders, first.pipeline.position
    story.when(message)
    assert (story.pipeline.orders, story.pipeline.position) == (orders, position)


@pytest.mark.req("OD-010", "OD-013", "OD-075")
@settings(max_examples=100, deadline=None)
@sampled(
    st.lists(st.tuples(quantities, prices), min_size=1, max_size=6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_copies_of_fills_give_the_same(
    sizes: list[tuple[int, str]], has_totals: bool, chance: object
) -> None:
    reports, cum, ordered = [], 0, sum(size for size, _ in sizes) + 1
    for number, (size, price) in enumerate(sizes):
        cum += size
        known = (cum, ordered - cum) if has_totals else (None, None)
        reports.append(filled(f"e{number}", size, *known, price=price))
    straight = Story().when(placed(ordered), *reports).order
    mixed = reports + [one for one in reports if chance.random() < 0.5]  # type: ignore[attr-defined]
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    shuffled = Story().when(placed(ordered), *mixed).order
    assert (shuffled.filled, shuffled.value) == (straight.filled, straight.value)
    assert (shuffled.status, shuffled.leaves) == (straight.status, straight.leaves)
    assert shuffled.filled == cum
    assert shuffled.missing == 0


def truth(messages: Sequence[Event]) -> dict[str, tuple[int, D, D]]:
    """Quantity and price of every execution at its highest revision; the first of equals stands."""
    found: dict[str, tuple[int, D, D]] = {}
    for one in messages:
        if isinstance(one, OrderFilled | ExecutionCorrected):
            row = (one.revision, one.quantity, one.price)
        else:
            assert isinstance(one, ExecutionBusted)
            row = (one.revision, D(0), D(0))
        if one.execution not in found or row[0] > found[one.execution][0]:
            found[one.execution] = row
    return found


plain_fills = st.builds(filled, executions, quantities, price=prices)
plain_corrections = st.builds(corrected, executions, quantities, revision=st.integers(1, 3), price=prices)
plain_busts = st.builds(busted, executions, revision=st.integers(4, 5))


@pytest.mark.req("I20", "I24")
@settings(max_examples=100, deadline=None)
@sampled(st.lists(st.one_of(plain_fills, plain_corrections, plain_busts), max_size=12))
def test_filled_is_the_sum_of_executions_at_their_highest_revision(messages: list[Event]) -> None:
    story = Story().when(placed(30), *messages)
    rows = truth(messages).values()
    assert story.order.filled == sum(quantity for _, quantity, _ in rows)
    assert story.order.value == sum(quantity * price for _, quantity, price in rows)
    assert story.pipeline.position == story.order.filled


@pytest.mark.req("I17", "I23")
@settings(max_examples=60, deadline=None)
@sampled(
    st.lists(st.tuples(quantities, prices), min_size=1, max_size=5),
    st.integers(0, 4),
    quantities,
    st.booleans(),
)
def test_bust_and_correction_reverse_exactly(
    sizes: list[tuple[int, str]], index: int, quantity: int, is_canceled: bool
) -> None:
    reports = [filled(f"e{number}", size, price=price) for number, (size, price) in enumerate(sizes)]
    story = Story().when(placed(40), accepted(), *reports)
    if is_canceled:
        story.when(canceled())
    before = story.order
    name = f"e{index % len(sizes)}"
    size, price = sizes[index % len(sizes)]
    story.when(corrected(name, quantity, revision=1, price="77"))
    assert story.order.filled == before.filled - size + quantity
    story.when(busted(name, revision=2))
    assert (story.order.filled, story.order.value) == (before.filled - size, before.value - size * D(price))
    story.when(corrected(name, size, revision=3, price=price))
    assert (story.order.filled, story.order.value) == (before.filled, before.value)
    assert story.order.status is before.status
    assert story.pipeline.trades[1].entry_value == before.value


@settings(deadline=None)
@sampled(st.lists(reports, max_size=10))
def test_reports_of_strangers_never_touch_our_trades(messages: list[Event]) -> None:
    story = Story().when(placed())
    before = story.order
    for one in messages:
        if (
            getattr(one, "client_order_id", None) == "?"
            and getattr(one, "orig_client_order_id", None) is None
        ):
            story.when(one)
    assert story.order == before
    assert story.pipeline.trades[1].entered == 0


@settings(deadline=None)
@sampled(st.sampled_from(Side), quantities)
def test_position_of_strangers_is_signed(side: Side, quantity: int) -> None:
    story = Story().when(filled("a", quantity, own="?", side=side))
    assert story.pipeline.position == (quantity if side is Side.BUY else -quantity)
