"""How much we send for what gets filled, from the pipeline's window of traffic. Architecture 6, "Degradation".

A request counts for exactly its window: at the age of the window it does not count any more. The numbers are those
of the configuration in force. OD-059..061; reliability I50.
"""

from bisect import bisect_right
from decimal import ROUND_CEILING, Decimal
from typing import Final

from msgspec import Struct

from oms.events.strategy import EntryRequested
from oms.state.traffic import CANCEL_REPLACE, FILL_RATE, ORDER_TRADE, Times, Traffic
from oms.state.view import View
from oms.values import MILLISECOND, ONE, ZERO, Micros, rounded

NAME: Final = "degradation"
METRICS: Final = (CANCEL_REPLACE, ORDER_TRADE, FILL_RATE)

__all__ = ["CANCEL_REPLACE", "FILL_RATE", "ORDER_TRADE"]


class Reading(Struct, frozen=True, gc=False):
    """A metric at one instant: `sent` requests, orders or attempts, and what of them was `filled`."""

    sent: int
    filled: Decimal


class Ratio(Struct, frozen=True, gc=False):
    """The numbers of one of the two ratios, and what it counts. Equal to a threshold is not beyond it."""

    metric: str
    sent: Times
    executions: Times
    window: Micros
    minimum: int
    warn: Decimal
    recover: Decimal

    def reading(self, at: Micros) -> Reading:
        """What counts at a time that is not before the newest entry."""
        return Reading(
            _count(self.sent, at - self.window), Decimal(_count(self.executions, at - self.window))
        )

    def is_beyond(self, found: Reading) -> bool:
        """Whether too much is sent."""
        return found.sent >= self.minimum and found.sent > self.warn * max(ONE, found.filled)

    def is_recovered(self, found: Reading) -> bool:
        """Whether so little is sent that all is well again, whatever the smallest sample is."""
        return found.sent < self.recover * max(ONE, found.filled)

    def recovers_at(self, since: Micros) -> Micros:
        """When it will have recovered by the passing of time alone, from `since` on.

        Nothing can change but by an entry leaving the window, and only one that was sent lowers the ratio.
        """
        found = self.reading(since)
        if self.is_recovered(found):
            return since
        oldest = len(self.sent) - found.sent
        # As many as must go even if no execution goes with them.
        index = len(self.sent) - int((self.recover * max(ONE, found.filled)).to_integral_value(ROUND_CEILING))
        ends = (at + self.window for at in self.sent[max(index, oldest) :])
        # An empty window has recovered, so that the last entry ends it at the latest.
        return next(end for end in ends if self.is_recovered(self.reading(end)))


def ratios(view: View) -> tuple[Ratio, Ratio]:
    """Cancel/replace rate and order/trade ratio under the configuration in force."""
    setting, traffic = view.settings.degradation, view.pipeline.traffic
    return (
        Ratio(
            CANCEL_REPLACE,
            traffic.requests,
            traffic.executions,
            setting.cancel_replace_window_ms * MILLISECOND,
            setting.min_requests,
            setting.cancel_replace_rate_warn,
            setting.cancel_replace_rate_recover,
        ),
        Ratio(
            ORDER_TRADE,
            traffic.orders,
            traffic.executions,
            setting.order_trade_window_ms * MILLISECOND,
            setting.min_orders,
            setting.order_trade_ratio_warn,
            setting.order_trade_ratio_recover,
        ),
    )


def attempts(view: View) -> Reading:
    """The newest entry attempts and the sum of their filled shares (1 for an entry filled whole)."""
    known = view.pipeline.orders
    newest = view.pipeline.traffic.attempts[-view.settings.degradation.fill_rate_attempts :]
    found = [known[one] for one in newest if one in known]
    return Reading(len(found), sum((order.filled / order.quantity for order in found), ZERO))


def is_badly_filled(view: View, found: Reading) -> bool:
    """Whether too little of the last attempts was filled; fewer attempts than that say nothing."""
    setting = view.settings.degradation
    return found.sent >= setting.fill_rate_attempts and found.filled < setting.fill_rate_warn * found.sent


def value(metric: str, found: Reading) -> Decimal:
    """The metric as it is logged: filled share for the fill rate, else what was sent per execution."""
    if metric == FILL_RATE:
        return rounded(found.filled / found.sent, 4) if found.sent else ZERO
    return rounded(found.sent / max(ONE, found.filled), 4)


def is_degraded(view: View, metric: str) -> bool:
    """Whether a metric slows us at present; never where the configuration has no degradation.

    What ends it ends it at once: who asks before the end is logged in the same step gets the same answer.
    """
    traffic = view.pipeline.traffic
    if metric not in traffic.degraded or NAME not in view.settings.policies.enabled:
        return False
    if metric == FILL_RATE:
        return not is_over(view, traffic)
    return not any(one.metric == metric and one.is_recovered(one.reading(view.now)) for one in ratios(view))


def is_halved(view: View) -> bool:
    """Whether a new position has half the size only."""
    return is_degraded(view, FILL_RATE) and view.settings.degradation.fill_rate_action == "halve"


def refusal(view: View, wish: EntryRequested) -> tuple[str, str] | None:
    """Why an entry has to wait while we are degraded, or None."""
    traffic = view.pipeline.traffic
    if not traffic.degraded:
        return None
    if is_degraded(view, FILL_RATE) and view.settings.degradation.fill_rate_action == "observe":
        return "observing", "too little of the last entries was filled; until the next strategy cycle"
    if is_degraded(view, ORDER_TRADE) and _is_retry(view, wish):
        return "no_retry", "too many orders for what was filled; an abandoned entry is not tried again"
    return None


def _is_retry(view: View, wish: EntryRequested) -> bool:
    """Whether the strategy's newest trade here was abandoned, and this asks for the same side in the same cycle."""
    mine = [trade for trade in view.pipeline.trades.values() if trade.strategy == wish.strategy]
    if not mine:
        return False
    last = max(mine, key=lambda trade: trade.trade_no)
    advice = view.pipeline.advice.get(wish.strategy)
    if last.abandoned_at is None or last.side is not wish.side:
        return False
    return advice is None or advice.began_at < last.abandoned_at


def is_over(view: View, traffic: Traffic) -> str:
    """Why a bad fill rate does not count any more, or ""."""
    since = traffic.degraded[FILL_RATE]
    if any(advice.began_seq > since for advice in view.pipeline.advice.values()):
        return "next strategy cycle"
    return "new day" if traffic.day_seq > since else ""


def _count(times: Times, before: Micros) -> int:
    """How many are younger than this."""
    return len(times) - bisect_right(times, before)
