"""Each entry of the fault catalogue that a simulator can inject, on one small trade: it strikes, and nothing breaks."""

import pytest

from tests.checkout import nothing
from tests.simulation.catalogue import ROWS, problems
from tests.simulation.plan import Plan


@pytest.mark.parametrize(("plan", "alert"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_fault_breaks_nothing(plan: Plan, alert: str) -> None:
    nothing(problems(plan, alert))
