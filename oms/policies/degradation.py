"""Send less while too much is sent for what gets filled, and say when that begins and ends.

Judged when something was counted, so that it never depends on which quotes were logged; ended by what is filled or
by time, at the very instant at which the window makes it so. What follows from it stands in
`oms/execution/repricing.py` and `oms/execution/degradation.py`. OD-059..063, OD-120, OD-121; reliability I50.
"""

from collections.abc import Iterator
from typing import Final

from oms.events.base import Event
from oms.events.decisions import DegradationEntered, DegradationLeft
from oms.execution.degradation import (
    CANCEL_REPLACE,
    FILL_RATE,
    ORDER_TRADE,
    Reading,
    attempts,
    is_badly_filled,
    is_over,
    ratios,
    value,
)
from oms.state.view import View
from oms.values import Micros

NAME: Final = "degradation"
VERSION: Final = 1
PRIORITY: Final = 58
SCOPE: Final = "pipeline"

RECOVERED: Final = "recovered"


def decide(view: View) -> Iterator[Event]:
    """Enter or leave, metric by metric."""
    traffic = view.pipeline.traffic
    if traffic.at != view.now and not traffic.degraded:
        return
    for ratio in ratios(view):
        found = ratio.reading(view.now)
        if ratio.metric in traffic.degraded:
            if ratio.is_recovered(found):
                yield _left(view, ratio.metric, found, RECOVERED)
        elif traffic.at == view.now and ratio.is_beyond(found):
            yield _entered(view, ratio.metric, found)
    if FILL_RATE in traffic.degraded:
        reason = is_over(view, traffic)
        if reason:
            yield _left(view, FILL_RATE, attempts(view), reason)
    elif traffic.at == view.now and is_badly_filled(view, found := attempts(view)):
        yield _entered(view, FILL_RATE, found)


def next_due(view: View) -> Iterator[Micros]:
    """When a ratio will have recovered."""
    traffic = view.pipeline.traffic
    if not traffic.degraded:
        return
    for ratio in ratios(view):
        if ratio.metric in traffic.degraded:
            yield ratio.recovers_at(traffic.at)


def _entered(view: View, metric: str, found: Reading) -> DegradationEntered:
    setting = view.settings.degradation
    effects = {
        CANCEL_REPLACE: f"reprice every {setting.degraded_interval_ms} ms",
        ORDER_TRADE: "one cycle, no retry",
        FILL_RATE: "half size" if setting.fill_rate_action == "halve" else "observing",
    }
    return DegradationEntered(
        instrument=view.pipeline.name,
        metric=metric,
        value=value(metric, found),
        sent=found.sent,
        filled=found.filled,
        effect=effects[metric],
        policy=NAME,
    )


def _left(view: View, metric: str, found: Reading, reason: str) -> DegradationLeft:
    return DegradationLeft(
        instrument=view.pipeline.name,
        metric=metric,
        value=value(metric, found),
        sent=found.sent,
        filled=found.filled,
        reason=reason,
        policy=NAME,
    )
