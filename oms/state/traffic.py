"""What a pipeline sent and what came of it: the window from which degradation is judged. Architecture 6; OD-059..061.

Counted are requests for entries, targets and planned exits, and executions of any order of ours. What a stop or an
emergency asks for is not counted. Times are logical, oldest first; nothing here reads a setting.
"""

from bisect import bisect_right

from msgspec import Struct
from msgspec.structs import replace

from oms.state.order import CANCELED, FILLED, Order
from oms.state.trade import Trade
from oms.values import ENTRY, SECOND, ZERO, Micros, Role

KEPT = 1000
"""The most entries of a window; with more than this within a window the oldest do not count any more."""
LONGEST: Micros = 86_400 * SECOND
"""The longest window that a configuration may ask for."""

_ENDED = (FILLED, CANCELED)

CANCEL_REPLACE = "cancel_replace_rate"
ORDER_TRADE = "order_trade_ratio"
FILL_RATE = "fill_rate"

_COUNTED = (Role.ENTRY, Role.TARGET, Role.EXIT)

Times = tuple[Micros, ...]


class Traffic(Struct, frozen=True, gc=False, kw_only=True):
    """Times of cancel and replace requests, of orders placed and of executions; ids of ended entry orders.

    `at` is when something was last counted. `degraded` are the metrics beyond their threshold at present, with the
    log position at which they went there; `day_seq` is that of the newest change of the account's day.
    """

    requests: Times = ()
    orders: Times = ()
    executions: Times = ()
    attempts: tuple[str, ...] = ()
    degraded: dict[str, int] = {}
    at: Micros = 0
    day_seq: int = 0


def requested(traffic: Traffic, trade: Trade, role: Role | None, now: Micros) -> Traffic:
    """Count a cancel or a replace."""
    if not _is_counted(trade, role):
        return traffic
    return replace(traffic, requests=_with(traffic.requests, now, now), at=now)


def moved(traffic: Traffic, trade: Trade, old: Order | None, new: Order, now: Micros) -> Traffic:
    """Count a new order, new executions and busted ones, and remember an entry that has ended.

    An entry that was given up because its trade is to be closed says nothing about the market.
    """
    if old is None:
        if not _is_counted(trade, new.role):
            return traffic
        return replace(traffic, orders=_with(traffic.orders, now, now), at=now)
    if new.executions is not old.executions:
        traffic = replace(traffic, executions=_executed(traffic.executions, old, new, now), at=now)
    if new.role is not ENTRY or old.status in _ENDED or new.status not in _ENDED:
        return traffic
    if trade.close is not None or new.client_order_id in traffic.attempts:
        return traffic
    return replace(traffic, attempts=(*traffic.attempts, new.client_order_id)[-KEPT:], at=now)


def _executed(times: Times, old: Order, new: Order, now: Micros) -> Times:
    if new.executions[:-1] == old.executions and new.executions[-1].quantity > ZERO:
        return _with(times, new.executions[-1].at, now)
    counted = {one.root for one in old.executions if one.quantity > ZERO}
    for one in new.executions:
        if one.quantity > ZERO and one.root not in counted:
            times = _with(times, one.at, now)
        elif one.quantity == ZERO and one.root in counted:
            times = _without(times, one.at)
    return times


def left(traffic: Traffic, metric: str) -> Traffic:
    """The metric is in order again. The fill rate is then judged from new attempts, or it would return at once."""
    degraded = {one: seq for one, seq in traffic.degraded.items() if one != metric}
    attempts = () if metric == FILL_RATE else traffic.attempts
    return replace(traffic, degraded=degraded, attempts=attempts)


def _is_counted(trade: Trade, role: Role | None) -> bool:
    """Stops never; nothing that serves an emergency either."""
    return role in _COUNTED and (trade.close is None or trade.close.is_planned)


def _with(times: Times, at: Micros, now: Micros) -> Times:
    """One more, without what no window reaches any more. A restated execution keeps its own time."""
    if times and times[0] <= now - LONGEST:
        times = times[bisect_right(times, now - LONGEST) :]
    times = (*times[1 - KEPT :], at)
    return times if len(times) < 2 or times[-2] <= at else tuple(sorted(times))


def _without(times: Times, at: Micros) -> Times:
    if at not in times:
        return times
    index = times.index(at)
    return (*times[:index], *times[index + 1 :])
