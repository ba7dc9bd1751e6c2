"""How often the price of one order is moved: the cycles of the settings, for entries and for planned exits."""

import pytest

from oms.config import Settings, load_settings
from oms.events.decisions import CancelRequested, ReplaceRequested
from oms.values import Role
from tests.answers import ack, confirmed, in_position, replaced
from tests.builders import entry, leave
from tests.given import given, quote, wait

MOST = 8
UNDEGRADED = {"degradation.min_requests": 1000}
"""Four moves and two targets that leave are more than five requests."""


def moves_of_an_entry(chosen: Settings) -> int:
    """Every quote is worth another price; after the last move the entry is given up."""
    story = given(quote("100.01", "100.07"), entry(zone_max="101.00"), ack(Role.ENTRY), settings=chosen)
    for moves in range(MOST):
        story.given(quote(f"100.{moves + 11}", f"100.{moves + 17}")).when(wait(5))
        if any(isinstance(one, CancelRequested) for one in story.told):
            return moves
        assert [type(one) for one in story.told] == [ReplaceRequested]
        story.given(replaced(Role.ENTRY))
    return MOST


def moves_of_an_exit(chosen: Settings) -> int:
    """Every quote is worth another price; after the last move the exit stays where it is."""
    story = given(in_position(), leave(), confirmed, settings=chosen)
    for moves in range(MOST):
        story.given(quote(f"99.{90 - moves}", "100.00")).when(wait(5))
        if not story.told:
            story.when(wait(60)).then()
            return moves
        assert [type(one) for one in story.told] == [ReplaceRequested]
        story.given(replaced(Role.EXIT))
    return MOST


@pytest.mark.req("OD-114", "OD-056")
@pytest.mark.parametrize("profile", ["default", "odin_07"])
def test_three_where_nobody_says_otherwise(profile: str) -> None:
    chosen = load_settings(arguments={"profile": profile}).settings
    assert (moves_of_an_entry(chosen), moves_of_an_exit(chosen)) == (3, 3)


@pytest.mark.req("OD-114")
@pytest.mark.parametrize("cycles", [1, 2, 4])
def test_the_setting_of_the_seed_is_for_entries_and_exits(cycles: int) -> None:
    named = {"OMS__ODIN__EXECUTION__MAX_REPRICING_CYCLES": str(cycles)}
    chosen = load_settings(environment=named, arguments=UNDEGRADED).settings
    assert (moves_of_an_entry(chosen), moves_of_an_exit(chosen)) == (cycles, cycles)


@pytest.mark.req("OD-114")
def test_entries_and_exits_have_a_setting_each() -> None:
    chosen = load_settings(arguments={"entry.max_cycles": 2, "exit.max_cycles": 4, **UNDEGRADED}).settings
    assert (moves_of_an_entry(chosen), moves_of_an_exit(chosen)) == (2, 4)
