"""Sending too much: entries that are worked and given up, filled in part or whole, and what is said of it."""

from typing import Any

from oms.config import Settings
from oms.events.base import Event
from oms.events.decisions import DegradationEntered
from oms.events.operator import Act
from oms.events.strategy import StrategyCycleBegun
from oms.values import Role
from tests.answers import ack, cancelled, confirmed, fill, replaced
from tests.builders import NAME, STRATEGY, act, entry, leave, settings
from tests.given import Input, Story, quote, wait

RATE, RATIO, FILLS = "cancel_replace_rate", "order_trade_ratio", "fill_rate"
TIGHT = quote("100.01", "100.07")


def cycle(number: int, strategy: str = STRATEGY) -> Event:
    return StrategyCycleBegun(instrument=NAME, strategy=strategy, intent_id=f"cycle {number}")


def only(**on: Any) -> Settings:
    """Settings under which one metric alone can degrade."""
    off: dict[str, Any] = {"min_requests": 1000, "min_orders": 1000, "fill_rate_attempts": 1000}
    return settings(**{f"degradation__{name}": value for name, value in {**off, **on}.items()})


def asked(requests: int) -> Input:
    """One entry of which the price is moved (or the order cancelled) so many times: up to four requests."""

    def tell(story: Story) -> None:
        story.given(TIGHT, entry(intent=f"i{story.book.account.seq}"), ack(Role.ENTRY))
        for number in range(requests):
            story.given(wait(10 if RATE in story.pipeline.traffic.degraded else 5))
            if number < 3:
                story.given(replaced(Role.ENTRY))
        if requests == 4:
            story.given(cancelled(Role.ENTRY))

    return tell


def abandoned(story: Story) -> None:
    """An entry that nobody fills: one order."""
    story.given(entry(intent=f"i{story.book.account.seq}"), ack(Role.ENTRY))
    story.given(act(Act.CANCEL, instrument=NAME, client_order_id=story.order(Role.ENTRY).client_order_id))
    story.given(cancelled(Role.ENTRY))


def filled(shares: int) -> Input:
    """An entry of 100 of which so many are filled, and left again."""

    def tell(story: Story) -> None:
        story.given(entry(intent=f"i{story.book.account.seq}"), ack(Role.ENTRY))
        if shares:
            story.given(fill(Role.ENTRY, shares), confirmed)
        if shares < 100:
            own = story.order(Role.ENTRY).client_order_id
            story.given(act(Act.CANCEL, instrument=NAME, client_order_id=own), confirmed)
        if shares:
            story.given(leave(), confirmed)
            story.given(fill(Role.EXIT), confirmed)

    return tell


def said(story: Story, kind: type[Event] = DegradationEntered) -> list[Any]:
    return [one.event for result in story.results for one in result.events if isinstance(one.event, kind)]
