"""Which faults met which situations: fault kind x order role x order state x phase of the day."""

from functools import cache

from tests.simulation.planner import KINDS, RARE

Cell = tuple[str, str, str, str]

ROLES = ("ENTRY", "STOP", "TARGET", "EXIT")
STATES = ("NEW", "SUBMITTED", "PARTIAL_FILLED")
PHASES = ("regular", "closing")


@cache
def reachable() -> frozenset[Cell]:
    """The cells that a campaign has to reach: live orders of ours, while the market is open.

    Not every kind can meet every situation: in the closing phase entries do not live (the forced close gives them up at
    its first instant) and no stop or target is placed any more, and after the rarest kinds little else happens.
    """
    return frozenset(
        (kind, role, state, phase)
        for kind in KINDS
        if kind not in RARE
        for role in ROLES
        for state in STATES
        for phase in PHASES
        if phase != "closing" or role == "EXIT" or (role != "ENTRY" and state != "NEW")
    )
