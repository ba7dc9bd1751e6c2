"""I14..I59 over generated sessions: whatever is asked for and goes wrong, every invariant holds after every step.

The seeds of a campaign are drawn by dice; here Hypothesis draws the plan, and makes a failing one small.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulation.catalogue import END, HEAL
from tests.simulation.checks import IDS
from tests.simulation.kinds import COUNTED, SPREAD, TIMED
from tests.simulation.plan import Fault, Plan, Wish
from tests.simulation.world import World

ELSEWHERE = {"I41"}
"""Covered by I33 and I58."""
BROKERS = ("plain", "ibkr", "alpaca", "binance", "bybit", "fix")

wishes = st.builds(
    Wish,
    what=st.sampled_from(["enter"] * 4 + ["leave", "trail_only", "exhaustion", "monitor"]),
    at=st.integers(20_000, HEAL - 60_000),
    symbol=st.just("AAA"),
    side=st.sampled_from(["LONG", "SHORT"]),
    quantity=st.sampled_from([1, 3, 10, 100, 400]),
    risk=st.sampled_from([8, 15, 60, 120]),
    zone=st.sampled_from([0, 4, 25]),
    key=st.sampled_from([0, 30]),
    off=st.sampled_from([0, 2, -20]),
)


@st.composite
def counted(draw: st.DrawFn) -> Fault:
    """A fault on the n-th occasion of a kind."""
    kind, occasions, times, quantities = draw(st.sampled_from(COUNTED))
    on = draw(st.sampled_from(occasions))
    nth = draw(st.integers(1, min(SPREAD.get(on, 8), 60)))
    ms, quantity = draw(st.sampled_from(times)), draw(st.sampled_from(quantities))
    return Fault(kind=kind, on=on, nth=nth, ms=ms, quantity=quantity)


@st.composite
def timed(draw: st.DrawFn) -> Fault:
    """A fault at a time: of the market, the link, the process, or people."""
    kind, times, quantities = draw(st.sampled_from(TIMED))
    at, ms, quantity = (
        draw(st.integers(0, HEAL - 1)),
        draw(st.sampled_from(times)),
        draw(st.sampled_from(quantities)),
    )
    return Fault(kind=kind, at=at, ms=ms, quantity=quantity, symbol="AAA")


plans = st.builds(
    Plan,
    seed=st.integers(0, 9),
    first_day=st.just("2026-03-10"),
    personality=st.sampled_from(BROKERS),
    settings=st.fixed_dictionaries({"stop.type": st.sampled_from(["stop_limit", "stop_market"])}),
    heal_at=st.just(HEAL),
    ends_at=st.just(END + 240_000),
    wishes=st.lists(wishes, min_size=1, max_size=4).map(tuple),
    faults=st.lists(counted() | timed(), max_size=6).map(tuple),
)


def test_every_invariant_of_the_policy_is_looked_at() -> None:
    assert {f"I{number}" for number in range(14, 60)} - set(IDS) == ELSEWHERE


@pytest.mark.req("I31", "I33", "I51")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(plan=plans)
def test_whatever_happens_every_invariant_holds(plan: Plan) -> None:
    assert World(plan).run().violations == []
