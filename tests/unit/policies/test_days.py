"""Properties of whole days: random markets, random misbehaviour of the broker, the real writer in virtual time."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import (
    CancelUnasked,
    Delay,
    Disconnect,
    Drop,
    FillAfterCancel,
    FillOnly,
    LoseCancelRace,
    NoFillAfterTrigger,
    Reject,
    RejectReplace,
    Repeat,
    Script,
    Swap,
)
from oms.events.broker import CapabilitiesDeclared
from oms.fills import MODELS
from oms.state.fold import NAKED
from oms.step import pipeline_of
from oms.values import SECOND, Role
from tests.builders import CLOSE, NAME, OPEN
from tests.given import repeated, text_of
from tests.unit.policies.checks import check_end, check_step
from tests.unit.policies.days import Day, Move, Played

milliseconds = st.sampled_from([0, 50, 250, 300, 1000, 1500, 2900, 4000, 9000])
quotes = st.builds(
    Move, st.just("quote"), milliseconds, st.integers(-40, 40), st.sampled_from([1, 1, 1, 2, 60])
)
events = st.one_of(
    st.builds(Move, st.just("print"), milliseconds, st.integers(-60, 60)),
    st.builds(Move, st.just("bar"), st.integers(1000, 60_000), st.integers(0, 60)),
    st.builds(Move, st.just("silence"), st.just(0), st.integers(1, 20)),
    st.builds(Move, st.sampled_from(["one_sided", "crossed", "halt", "resume", "leave"]), milliseconds),
)
entries = st.builds(Move, st.just("enter"), milliseconds, st.integers(-300, 300))
moves = st.lists(st.one_of(quotes, quotes, quotes, quotes, events, entries), max_size=45)
tapes = st.builds(lambda first, rest: [Move("quote", 100), first, *rest], entries, moves)

faults = st.one_of(
    st.sampled_from([Reject(), RejectReplace(), NoFillAfterTrigger(), LoseCancelRace(), Repeat(), Swap()]),
    st.builds(FillOnly, st.integers(0, 40).map(Decimal)),
    st.builds(FillAfterCancel, st.just(None), st.integers(1, 9000)),
    st.builds(CancelUnasked, st.integers(1, 30_000)),
    st.builds(Drop, st.sampled_from(["OrderAccepted", "OrderReplaced", "OrderCanceled", "OrderTriggered"])),
    st.builds(
        Delay, st.integers(1, 9000), st.sampled_from(["OrderAccepted", "OrderFilled", "OrderCanceled"])
    ),
    st.builds(Swap, st.sampled_from(["OrderAccepted", "OrderFilled"])),
)
concerned = st.builds(When, role=st.sampled_from(list(Role)), nth=st.sampled_from([None, 1, 2, 3]))
lines = st.builds(Misbehave, what=faults, when=concerned)
drops = st.builds(
    Misbehave,
    what=st.builds(Disconnect, st.integers(3, 30), st.sampled_from([20, 3000, 20_000]), st.booleans()),
)
scripts: st.SearchStrategy[Script] = st.lists(st.one_of(lines, lines, lines, drops), max_size=4).map(tuple)
days = st.builds(
    Day,
    moves=tapes,
    script=scripts,
    seed=st.integers(1, 50),
    fill_model=st.sampled_from(sorted(MODELS)),
    capabilities=st.builds(
        CapabilitiesDeclared,
        modify_stop=st.booleans(),
        refuses_opposite_side=st.booleans(),
        reports_trigger=st.booleans(),
        client_ids_unique_for_ever=st.just(True),
    ),
    start=st.sampled_from([OPEN, CLOSE - 16 * 60 * SECOND]),
)
BOUNDED = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def played(day: Day) -> Played:
    """A whole day, every step of it checked."""
    one, seen = Played(day), 0
    for _ in one.play():
        seen = checked(one, seen)
    one.finish()
    checked(one, seen)
    return one


def checked(one: Played, seen: int) -> int:
    while seen < len(one.steps):
        check_step(one, seen)
        seen += 1
    return seen


@pytest.mark.req("I31", "I36", "I87")
@BOUNDED
@given(days)
def test_whatever_happens_the_invariants_hold(day: Day) -> None:
    one = played(day)
    check_end(one)


@pytest.mark.req("OD-042", "I46", "I40")
@BOUNDED
@given(tapes, st.integers(1, 50))
def test_with_a_broker_that_behaves_nobody_is_called(tape: list[Move], seed: int) -> None:
    usual = [move for move in tape if move.what not in ("halt", "silence", "crossed", "one_sided")]
    one = played(Day(usual, seed=seed))
    check_end(one)
    for trade in one.pipeline.trades.values():
        assert trade.held == 0
        assert trade.naked_us == 0 or NAKED, "only stale quotes can leave a stop unguarded"
    assert not one.pipeline.safe_mode


@BOUNDED
@given(days)
def test_no_policy_says_anything_twice(day: Day) -> None:
    one = Played(day)
    for _ in one.play():
        book = one.runner.book
        if not one.steps:
            continue
        last = one.steps[-1]
        if last.stamped.logical_time == book.account.now and pipeline_of(last.stamped.event) == NAME:
            said = repeated(book, NAME, book.account.now)
            assert not said, [text_of(decision) for decision in said]
