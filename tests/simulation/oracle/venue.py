"""The market of one symbol as the broker sees it, and what an order meets there.

A sell stop is elected by a print or bid at or below its trigger, mirrored for buys. A market order takes the far
side of the quote, a limit executes when the far side reaches it. No order executes in a halt or outside the session.
"""

from dataclasses import dataclass
from decimal import Decimal

from tests.simulation.oracle.orders import Order


@dataclass(slots=True)
class Venue:
    """Newest prices and the state of trading."""

    symbol: str
    tick: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    halted: bool = False
    is_session: bool = False

    @property
    def is_trading(self) -> bool:
        """Whether orders may execute now."""
        return self.is_session and not self.halted

    def touch(self, side: str) -> Decimal | None:
        """What an order of this side would meet, or None on a crossed or one-sided quote."""
        if self.bid is None or self.ask is None or self.bid > self.ask:
            return None
        return self.ask if side == "BUY" else self.bid

    def elects(self, order: Order, price: Decimal | None = None) -> bool:
        """Whether a waiting stop is elected by the present quote, or by a print at `price`."""
        level = price if price is not None else self.touch(order.side)
        if level is None or order.stop is None:
            return False
        return level <= order.stop if order.side == "SELL" else level >= order.stop

    def price_of(self, order: Order) -> Decimal | None:
        """At which price a working order would execute now, or None."""
        price = self.touch(order.side)
        if price is None:
            return None
        if order.kind in ("MARKET", "STOP"):
            return price
        assert order.limit is not None
        reached = price <= order.limit if order.side == "BUY" else price >= order.limit
        if not reached:
            return None
        return order.limit if order.resting else price
