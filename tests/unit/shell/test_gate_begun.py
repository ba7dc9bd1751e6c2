"""A gate that has just begun judges as the one that lived through the day, at whatever place of a log it begins."""

from collections.abc import Iterator
from decimal import Decimal, localcontext

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.commands import PlaceOrder
from oms.events.broker import OrderFilled
from oms.shell.counted import Holding
from oms.shell.gate import RATE, Gate
from oms.shell.runner import Committed
from oms.state.order import PendingKind
from oms.values import CONTEXT, SIGN_OF_SIDE, OrderType, Role, Side, TimeInForce
from tests import builders
from tests.builders import NAME
from tests.unit.policies.days import Day, Move, Played
from tests.unit.policies.test_days import entries, moves, scripts

TIGHT = builders.settings(
    gate__max_order_value="100000000", gate__repeated_entry_limit=3, risk__max_gross_exposure="60000"
)
QUANTITIES = (1, 100, 300, 599)
tapes = st.builds(lambda first, rest: [Move("quote", 100), first, *rest], entries, moves)
days = st.builds(
    Day,
    moves=tapes,
    script=scripts,
    seed=st.integers(1, 50),
    settings=st.just(TIGHT),
    batch_limit=st.just(1),
    everything=st.just(True),
)
restatements = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 9)), max_size=4)


def probes() -> Iterator[PlaceOrder]:
    """Entries of several sizes that nobody has decided."""
    for quantity in QUANTITIES:
        yield PlaceOrder(
            seq=0, instrument=NAME, client_order_id=f"probe {quantity}", role=Role.ENTRY, side=Side.BUY,
            quantity=Decimal(quantity), order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY,
            price_limit=Decimal(100),
        )  # fmt: skip


class Watched(Played):
    """A day at each step of which a gate begins."""

    def __init__(self, day: Day) -> None:
        self.compared = 0
        super().__init__(day)
        self.runner.observe(self.compare)

    def compare(self, _committed: Committed) -> None:
        """The figures and the verdicts of both; what is not yet known to have left, a new gate takes for gone."""
        state, now = self.runner.published, self.time.now
        lived, begun = self.time._gate, Gate(state.account, state.pipelines)
        assert begun.lost("USD") == lived.lost("USD")
        pairs = [(begun.verdict(one, now), lived.verdict(one, now)) for one in probes()]
        if self.is_waiting():
            assert begun.exposed("USD") >= lived.exposed("USD")
            assert all(new is not None for new, old in pairs if old is not None and old[0] != RATE)
        else:
            assert begun.exposed("USD") == lived.exposed("USD")
            assert all(new == old for new, old in pairs if RATE not in {one[0] for one in (new, old) if one})
            self.compared += 1

    def is_waiting(self) -> bool:
        """Whether an entry is on its way to the gate or the broker."""
        orders = self.pipeline.orders.values()
        return any(one.role is Role.ENTRY and one.pending_of(PendingKind.SUBMIT) for one in orders)

    def restate(self, nth: int, change: int) -> None:
        """The broker takes an execution back, or corrects it."""
        known = [one for one in self.broker.executions.values() if one.quantity]
        if not known:
            return
        one = known[nth % len(known)]
        if change:
            self.broker.correct(one.execution, one.quantity, one.price - change)
        else:
            self.broker.bust(one.execution)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days, restatements)
def test_begun_gate_judges_as_the_one_that_lived(day: Day, restated: list[tuple[int, int, int]]) -> None:
    with localcontext(CONTEXT):
        played = Watched(day)
        for number, _ in enumerate(played.play()):
            for _, nth, change in (one for one in restated if one[0] == number):
                played.restate(nth, change)
        played.finish()
        assert played.compared


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days)
def test_loss_is_what_a_count_of_the_rows_says(day: Day) -> None:
    with localcontext(CONTEXT):
        played = Played(day)
        for _ in played.play():
            pass
        played.finish()
        fills = {
            one.execution: one for step in played.steps if isinstance(one := step.stamped.event, OrderFilled)
        }
        holding = Holding()
        realized = [holding.take(SIGN_OF_SIDE[one.side] * one.quantity, one.price) for one in fills.values()]
        assert played.time._gate.lost("USD") == -sum(realized)
