"""What the guarded level is measured by. Architecture 6, "Guard"."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.decisions import AlertCleared, Alerted, GuardBreached
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import LONG, ZERO, Severity, plain

WIDE: Final = "wide_spread"
BAD_QUOTE: Final = "bad_quote"


def is_through(trade: Trade, price: Decimal | None, level: Decimal) -> bool:
    """Whether a price stands at or beyond a stop level; no price does not."""
    if price is None:
        return False
    return price <= level if trade.side is LONG else price >= level


def is_narrow(view: View, trade: Trade) -> bool:
    """Whether the newest quote is narrow enough to be trusted."""
    bid, ask = view.market.bid, view.market.ask
    if bid is None or ask is None or bid <= ZERO:
        return False
    return (ask - bid) / bid <= view.settings_of(trade).guard.max_spread_pct


def breach(view: View, trade: Trade, policy: str) -> Iterator[Event]:
    """A first fresh quote stands at or through the level; one that is too wide is an event of its own."""
    yield GuardBreached(instrument=trade.instrument, trade_no=trade.trade_no, policy=policy)
    if not is_narrow(view, trade) and WIDE not in trade.alerts:
        yield Alerted(
            severity=Severity.WARNING,
            code=WIDE,
            text="a quote beyond the guarded level is too wide to be trusted",
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            policy=policy,
        )


def quality(view: View, trade: Trade, policy: str, *, arms: bool = False) -> Iterator[Event]:
    """Say once that the guard looks at a quote which is crossed or lacks a side, and once that this is over; `arms`: it
    does from this step on."""
    market = view.market
    is_bad = market.quote_at is not None and not market.is_two_sided
    if is_bad and (arms or trade.guard is not None) and BAD_QUOTE not in trade.alerts:
        bid, ask = (one if one is None else plain(one) for one in (market.bid, market.ask))
        yield Alerted(
            severity=Severity.WARNING,
            code=BAD_QUOTE,
            text=f"the guard cannot use a quote of {bid} to {ask}",
            instrument=trade.instrument,
            trade_no=trade.trade_no,
            policy=policy,
        )
    elif not (is_bad or arms) and BAD_QUOTE in trade.alerts:
        yield AlertCleared(
            code=BAD_QUOTE, instrument=trade.instrument, trade_no=trade.trade_no, policy=policy
        )
