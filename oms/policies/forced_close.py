"""Be flat before the session ends: aggressive limits from the start of the window, market orders at its end.

Both relative to the calendar's close, so half days and clock changes need no care. OD-019, OD-087..090; C-19, C-35.
"""

from collections.abc import Iterator
from typing import Final

from oms.arbitration import wants_close
from oms.events.base import Event
from oms.events.decisions import Alerted, CloseRequested
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, MarketReason, Micros, Severity

NAME: Final = "forced_close"
VERSION: Final = 1
PRIORITY: Final = 10
SCOPE: Final = "pipeline"

STUCK: Final = "cannot_liquidate"


def window(view: View) -> tuple[Micros, Micros] | None:
    """(start, end) of the forced close of the present session, or None where there is no close."""
    close_at = view.market.close_at
    if close_at is None:
        return None
    setting = view.settings.forced_close
    return (
        close_at - setting.start_before_close_ms * MILLISECOND,
        close_at - setting.end_before_close_ms * MILLISECOND,
    )


def is_closing(view: View) -> bool:
    """Whether new entries are over for this session. The start itself belongs to the window."""
    bounds = window(view)
    return bounds is not None and view.now >= bounds[0]


def decide(view: View) -> Iterator[Event]:
    """Ask for the close of every open position of the pipeline, and say so when it does not help."""
    bounds = window(view)
    if bounds is None or view.now < bounds[0]:
        return
    market = view.now >= bounds[1] or view.settings.forced_close.mode == "market"
    for trade in view.pipeline.open():
        if trade.held <= ZERO:
            continue
        if wants_close(trade, PRIORITY, market=market):
            yield CloseRequested(
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                reason=MarketReason.FORCED_CLOSE,
                priority=PRIORITY,
                market=market,
                evidence=(view.market.session_seq, view.account.seq),
                policy=NAME,
            )
        elif _is_stuck(view, trade, bounds[1]):
            yield Alerted(
                severity=Severity.EMERGENCY,
                code=STUCK,
                text=f"{trade.held} still open after the forced close",
                instrument=trade.instrument,
                trade_no=trade.trade_no,
                quantity=trade.held,
                policy=NAME,
            )


def next_due(view: View) -> Micros | None:
    """The next phase of the window, while there is anything to close."""
    bounds = window(view)
    if bounds is None or not view.pipeline.open_trades:
        return None
    return next((at for at in (*bounds, bounds[1] + view.ack_timeout()) if at > view.now), None)


def _is_stuck(view: View, trade: Trade, end: Micros) -> bool:
    return view.now >= end + view.ack_timeout() and STUCK not in trade.alerts
