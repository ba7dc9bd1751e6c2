"""Which faults met which situations: fault kind x order role x order state x phase of the day."""

from functools import cache

from tests.simulation.kinds import KINDS, RARE

Cell = tuple[str, str, str, str]

ROLES = ("ENTRY", "STOP", "TARGET", "EXIT")
STATES = ("NEW", "SUBMITTED", "PARTIAL_FILLED")
PHASES = ("regular", "closing")
SITUATIONS = tuple(
    (role, state, phase)
    for role in ROLES
    for state in STATES
    for phase in PHASES
    if phase != "closing" or role == "EXIT" or (role != "ENTRY" and state != "NEW")
)
"""Of our live orders while the market is open. In the closing phase entries do not live (the forced close gives them
up at once), and no stop or target is placed."""


@cache
def reachable() -> frozenset[Cell]:
    """The cells that a campaign has to reach: every kind in every situation, but for the rarest kinds."""
    return frozenset((kind, *where) for kind in KINDS if kind not in RARE for where in SITUATIONS)
