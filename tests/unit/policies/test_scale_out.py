"""Which profiles of scaling out there are, and which ladder each of them makes of the standard one."""

from decimal import Decimal

import pytest

from oms.config import load_settings
from oms.errors import ConfigError
from oms.events.decisions import EntryAccepted, OrderPlaced
from oms.values import Role, ScaleOut
from tests.answers import in_position
from tests.builders import entry, settings
from tests.given import given, like

LADDERS = {
    "OFF": [("RUNNER", "1")],
    "CONSERVATIVE": [("1R", "0.15"), ("KEY_LEVEL", "0.15"), ("2R", "0.125"), ("RUNNER", "0.575")],
    "STANDARD": [("1R", "0.30"), ("KEY_LEVEL", "0.30"), ("2R", "0.25"), ("RUNNER", "0.15")],
    "AGGRESSIVE": [("1R", "0.30"), ("KEY_LEVEL", "0.30"), ("2R", "0.40")],
}
WISH = entry(key_level="101.50")


@pytest.mark.req("OD-050")
def test_there_are_four_profiles_and_no_other_is_accepted() -> None:
    assert {one.value for one in ScaleOut} == set(LADDERS)
    for name in LADDERS:
        assert settings(targets__scale_out_profile=name).targets.scale_out_profile == name
    for name in ("", "OTHER", "standard", "STANDARD "):
        with pytest.raises(ConfigError, match="OMS-C013"):
            load_settings(arguments={"targets.scale_out_profile": name})


@pytest.mark.req("OD-050", "OD-044")
@pytest.mark.parametrize("profile", LADDERS)
def test_the_profile_picks_the_shares_of_the_ladder(profile: str) -> None:
    story = given(settings=settings(targets__scale_out_profile=profile)).when(WISH)
    (accepted,) = (one for one in story.told if isinstance(one, EntryAccepted))
    wanted = [(trigger, Decimal(pct)) for trigger, pct in LADDERS[profile]]
    assert [(one.trigger, one.pct) for one in accepted.rungs] == wanted


@pytest.mark.req("OD-050")
@pytest.mark.parametrize("profile", ["default", "odin_07"])
def test_where_nobody_picks_one_it_is_the_standard_profile(profile: str) -> None:
    story = given(settings=load_settings(arguments={"profile": profile}).settings).when(WISH)
    (accepted,) = (one for one in story.told if isinstance(one, EntryAccepted))
    wanted = [(trigger, Decimal(pct)) for trigger, pct in LADDERS["STANDARD"]]
    assert [(one.trigger, one.pct) for one in accepted.rungs] == wanted


@pytest.mark.req("OD-050")
@pytest.mark.parametrize("profile", LADDERS)
def test_a_ladder_of_nothing_but_the_runner_is_that_under_every_profile(profile: str) -> None:
    bare = [{"trigger": "RUNNER", "pct": "1"}]
    chosen = settings(targets__scale_out_profile=profile, targets__standard=bare)
    story = given(settings=chosen).when(WISH)
    story.then(like(EntryAccepted, quantity=100), like(OrderPlaced, role=Role.ENTRY, quantity=100))
    held = given(in_position(WISH), settings=chosen)
    assert (held.trade.targets, held.trade.held) == ((), 100)
