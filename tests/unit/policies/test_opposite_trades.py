"""Two trades of one instrument in opposite directions: an entry that was believed lost may fill beside its successor.

The account has only the difference, so a broker that enforces reduce-only would refuse the way out of one of them.
"""

from typing import Any

import pytest

from oms.commands import PlaceOrder, reduces_only
from oms.events.broker import CancelCause
from oms.events.decisions import EntryAbandoned
from oms.values import SELL_OF, PositionSide, Role, Side
from tests.answers import cancelled, fill, in_position, unknown
from tests.builders import entry, leave
from tests.given import Story, given, like, wait

LONG = PositionSide.LONG
SHORT = PositionSide.SHORT
ZONE: dict[PositionSide, dict[str, Any]] = {
    LONG: {"side": LONG, "zone_max": "100.50", "stop": "99"},
    SHORT: {"side": SHORT, "zone_max": "99.50", "stop": "101"},
}


def beside(lost: PositionSide, held: PositionSide) -> Story:
    """One share of an entry that was given up, which came to light beside a hundred of the next trade."""
    story = given(entry(1, intent="lost", **ZONE[lost]))
    late = fill(Role.ENTRY)(story)
    assert late is not None
    story.when(unknown(Role.ENTRY)).then_among(like(EntryAbandoned))
    story.given(in_position(entry(100, intent="held", **ZONE[held])), late)
    assert [(trade.side, trade.held) for trade in story.pipeline.open()] == [(lost, 1), (held, 100)]
    return story


def left(story: Story) -> list[tuple[Side, bool]]:
    """The exits of the newest trade, and whether they are reduce-only, once its targets and its stop are gone."""
    story.given(leave(), wait(2), *(cancelled(Role.TARGET, nth) for nth in range(len(story.trade.targets))))
    story.given(cancelled(Role.STOP, cause=CancelCause.UNSOLICITED), wait(1))
    placed = [one for result in story.results for one in result.commands if isinstance(one, PlaceOrder)]
    own = [one for one in placed if one.client_order_id in story.trade.exits]
    return [(one.side, reduces_only(one)) for one in own]


@pytest.mark.req("I26", "F2")
@pytest.mark.parametrize(("lost", "held", "out"), [(LONG, SHORT, Side.BUY), (SHORT, LONG, Side.SELL)])
def test_the_way_out_of_opposite_trades_is_not_reduce_only(
    lost: PositionSide, held: PositionSide, out: Side
) -> None:
    assert left(beside(lost, held)) == [(out, False)]


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_trades_of_one_side_leave_reduce_only(side: PositionSide) -> None:
    assert left(beside(side, side)) == [(SELL_OF[side], True)]
