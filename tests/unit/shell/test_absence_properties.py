"""Whenever the log goes away and comes back, in the end it is the log that never was away, link by link."""

from decimal import localcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.events.operator import Act
from oms.shell.journaled import RETRY_S
from oms.values import CONTEXT, SECOND
from tests import builders
from tests.unit.shell.away import AwayLog, Clock, writer
from tests.unit.shell.test_journaled import AT, market, proven, told
from tests.unit.shell.test_runner import quote


def played(log: AwayLog, directory: Path, moves: list[tuple[str, int]]) -> bytes:
    """The chain's end after a session of inputs, in which the log goes away and comes back as told."""
    clock = Clock()
    runner, _ = writer(log, directory, clock)
    market(runner)
    at = AT
    for number, (move, size) in enumerate(moves):
        at += SECOND
        if move == "away":
            log.away, log.stores_first = True, bool(size % 2)
        elif move == "back":
            log.away = False
            clock.seconds += RETRY_S
        elif move == "entry":
            runner.process(told(builders.entry(size, intent=str(number)), at=at))
        elif move == "kill":
            runner.process(told(builders.act(Act.KILL, level=size % 3 + 1), at=at))
        elif move == "quotes":
            runner.process([quote(at + one) for one in range(size % 3 + 1)])
    log.away, log.stores_first = False, False
    clock.seconds += RETRY_S
    runner.process([quote(at + SECOND)])
    proven(log, runner)
    assert not list(directory.glob("*.journal"))
    return runner.head.chain


moves = st.lists(
    st.tuples(st.sampled_from(("away", "back", "entry", "kill", "quotes")), st.integers(1, 9)), max_size=12
)


@pytest.mark.req("I04", "I60")
@given(moves=moves)
@settings(max_examples=60, deadline=None)
def test_an_absence_leaves_no_trace_in_the_chain(moves: list[tuple[str, int]]) -> None:
    with localcontext(CONTEXT), TemporaryDirectory() as first, TemporaryDirectory() as second:
        without = [("wait", 0) if move[0] in ("away", "back") else move for move in moves]
        assert played(AwayLog(), Path(first), moves) == played(AwayLog(), Path(second), without)
