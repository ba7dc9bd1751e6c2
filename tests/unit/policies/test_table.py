"""The table of the policies: which are there, in which order, and which wish of two is the stronger one.

The numbers are those of the architecture; a close carries its own into the log.
"""

from oms.policies import CLOSERS, OWNERS

PRIORITIES = {
    "kill_switch": 0,
    "protection": 5,
    "reconciliation": 8,
    "forced_close": 10,
    "guard_stop": 11,
    "stop_fallback": 11,
    "strategy_exit": 14,
    "exit": 15,
    "bracket": 20,
    "protective_stop": 30,
    "targets": 40,
    "entry": 50,
    "add_on": 55,
    "degradation": 58,
    "slippage": 60,
}


def test_every_policy_has_the_priority_of_the_architecture() -> None:
    assert {policy.name: policy.priority for policy in (*CLOSERS, *OWNERS)} == PRIORITIES


def test_closers_stand_in_the_order_of_their_strength() -> None:
    assert [policy.name for policy in CLOSERS] == sorted(
        (policy.name for policy in CLOSERS), key=lambda name: (PRIORITIES[name], name)
    )


def test_the_stop_moves_before_targets_leave_and_the_exit_is_sent() -> None:
    names = [policy.name for policy in OWNERS]
    assert (
        names.index("protective_stop") < names.index("targets") < names.index("exit") < names.index("entry")
    )
