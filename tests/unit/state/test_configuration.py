"""A configuration changes by an event of the log and in no other way; whom it concerns."""

import pytest
from msgspec.structs import replace

from oms.config import Settings
from oms.events.base import Event
from oms.events.decisions import EntryAccepted, ReplaceRequested
from oms.events.operator import ConfigActivated
from oms.values import Role
from tests.answers import ack, cancelled, replaced
from tests.builders import CLOSE, MINUTE, entry, opening, settings
from tests.given import given, like, quote, until, wait

TIGHT = quote("100.01", "100.07")


def activated(configuration: Settings, *, apply_to_open: bool = False) -> Event:
    (event,) = opening(configuration)[2:]
    assert isinstance(event, ConfigActivated)
    return replace(event, apply_to_open=apply_to_open)


@pytest.mark.req("OD-113", "OD-114")
def test_a_new_configuration_is_for_new_trades() -> None:
    faster = settings(entry__reprice_interval_ms=3000, entry__max_cycles=1)
    story = given(TIGHT, entry(), ack(Role.ENTRY), activated(faster))
    story.when(wait(4, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, reason="cycle 1 of 3"))
    story.given(replaced(Role.ENTRY), wait(10), replaced(Role.ENTRY), wait(10), cancelled(Role.ENTRY))
    story.when(TIGHT, entry(intent="2")).then_among(like(EntryAccepted, config_sha256=faster.sha256))
    story.given(ack(Role.ENTRY))
    story.when(wait(3)).then(like(ReplaceRequested, reason="cycle 1 of 1"))


@pytest.mark.req("OD-113")
def test_a_configuration_that_says_so_is_for_open_trades_as_well() -> None:
    faster = settings(entry__reprice_interval_ms=3000)
    story = given(TIGHT, entry(), ack(Role.ENTRY), activated(faster, apply_to_open=True))
    assert story.trade.config_sha256 == faster.sha256
    story.when(wait(2, ms=999)).then()
    story.when(wait(0, ms=1)).then(like(ReplaceRequested, reason="cycle 1 of 3"))


@pytest.mark.req("OD-117")
def test_a_limit_of_safety_is_for_open_trades_at_once() -> None:
    earlier = settings(forced_close__start_before_close_ms=20 * 60_000)
    story = given(until(CLOSE - 30 * MINUTE), entry(), ack(Role.ENTRY), activated(earlier))
    kinds = {type(one).__name__ for one in story.when(until(CLOSE - 20 * MINUTE)).told}
    assert "CancelRequested" in kinds
