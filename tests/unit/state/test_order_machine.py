"""The order machine: what is declared is what the fold uses, for every state and trigger."""

import pytest
from transitions import MachineError

from oms.state.order import ENDED_STATES, LIVE_STATES, TABLE, Outcome, Trigger, machine
from oms.values import OrderStatus

NEW, SUBMITTED, PARTIAL_FILLED, FILLED, CANCELED, REJECTED = OrderStatus
PAIRS = [(state, trigger) for state in OrderStatus for trigger in Trigger]
MOVES = {pair: row[1] for pair, row in TABLE.items() if row[0] is Outcome.MOVE}


class Model:
    """Something for the library's machine to move."""

    state: str


@pytest.mark.req("OD-006", "OD-009")
@pytest.mark.parametrize(("state", "trigger"), PAIRS, ids=lambda one: one.value)
def test_table_says_what_the_machine_does(state: OrderStatus, trigger: Trigger) -> None:
    model = Model()
    machine().add_model(model, initial=state.value)
    try:
        model.trigger(trigger.value)  # type: ignore[attr-defined]
        moved = True
    except MachineError:
        moved = False
    outcome, after = TABLE[state, trigger]
    assert (outcome is Outcome.MOVE, after.value) == (moved, model.state)


@pytest.mark.req("OD-009", "I16")
def test_table_is_total() -> None:
    assert set(TABLE) == set(PAIRS)
    assert all(after is state for (state, _), (kind, after) in TABLE.items() if kind is not Outcome.MOVE)


def test_every_state_is_live_or_ended() -> None:
    assert {*LIVE_STATES, *ENDED_STATES} == set(OrderStatus)
    assert not {*LIVE_STATES} & {*ENDED_STATES}


@pytest.mark.parametrize(
    ("state", "trigger", "after"),
    [
        pytest.param(NEW, Trigger.ACKNOWLEDGE, SUBMITTED, marks=pytest.mark.req("OD-006")),
        pytest.param(SUBMITTED, Trigger.FILL_PART, PARTIAL_FILLED, marks=pytest.mark.req("OD-006")),
        pytest.param(PARTIAL_FILLED, Trigger.FILL_PART, PARTIAL_FILLED, marks=pytest.mark.req("OD-006")),
        pytest.param(PARTIAL_FILLED, Trigger.FILL_ALL, FILLED, marks=pytest.mark.req("OD-006")),
        pytest.param(SUBMITTED, Trigger.FILL_ALL, FILLED, marks=pytest.mark.req("OD-006")),
        pytest.param(NEW, Trigger.CANCEL, CANCELED, marks=pytest.mark.req("OD-007")),
        pytest.param(SUBMITTED, Trigger.CANCEL, CANCELED, marks=pytest.mark.req("OD-007")),
        pytest.param(SUBMITTED, Trigger.REJECT, REJECTED, marks=pytest.mark.req("OD-008")),
        # The rest of a partly filled entry is cancelled (C-02).
        pytest.param(PARTIAL_FILLED, Trigger.CANCEL, CANCELED, marks=pytest.mark.req("OD-009", "C-02")),
    ],
)
def test_listed_moves_exist(state: OrderStatus, trigger: Trigger, after: OrderStatus) -> None:
    assert MOVES[state, trigger] is after


@pytest.mark.req("I17")
def test_an_end_is_left_only_by_a_typed_correction() -> None:
    left = {
        (state, trigger)
        for (state, trigger), after in MOVES.items()
        if state in ENDED_STATES and after is not state
    }
    assert {trigger for _, trigger in left} == {
        Trigger.FILL_ALL, Trigger.REOPEN, Trigger.REOPEN_EMPTY, Trigger.CANCEL_AGAIN, Trigger.REINSTATE,
    }  # fmt: skip
    assert {state for state, trigger in left if trigger is Trigger.REINSTATE} == {CANCELED, REJECTED}


@pytest.mark.req("OD-009")
@pytest.mark.parametrize(
    ("state", "trigger"),
    [(PARTIAL_FILLED, Trigger.REJECT), (FILLED, Trigger.REJECT), (REJECTED, Trigger.ACKNOWLEDGE)],
)
def test_illegal_moves_are_anomalies(state: OrderStatus, trigger: Trigger) -> None:
    assert TABLE[state, trigger] == (Outcome.ANOMALY, state)
