"""How often and how many times a price is moved: the settings of the trade, less while degraded. OD-059, OD-060.

Only entries and planned exits ask here; nothing that a stop or an emergency sends is ever slowed.
"""

from typing import Final

from oms.execution.degradation import CANCEL_REPLACE, ORDER_TRADE, is_degraded
from oms.state.view import View
from oms.values import MILLISECOND, Micros

DEGRADED_CYCLES: Final = 1


def interval(view: View, normal_ms: int) -> Micros:
    """The time between two moves of a price; degradation never shortens it."""
    if is_degraded(view, CANCEL_REPLACE):
        normal_ms = max(normal_ms, view.settings.degradation.degraded_interval_ms)
    return normal_ms * MILLISECOND


def cycles(view: View, normal: int) -> int:
    """How many times the price of one order is moved."""
    return DEGRADED_CYCLES if is_degraded(view, ORDER_TRADE) else normal
