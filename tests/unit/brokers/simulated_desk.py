"""A desk in front of a simulated broker: short words for market data, commands and what was heard."""

from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from oms.brokers.base import Broker
from oms.commands import CancelOrder, PlaceOrder, QueryOrder, ReplaceOrder
from oms.events.base import Event, Stamped
from oms.events.broker import OrderFilled
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.session import (
    InstrumentDefined,
    SessionOpened,
    VenueStatus,
    VenueStatusChanged,
)
from oms.values import SECOND, Micros, OrderType, Role, Side, TimeInForce

T0: Micros = 1_700_000_000_000_000
TICK = Decimal("0.01")
_E = TypeVar("_E", bound=Event)


def price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


class Desk:
    """Time stands at `now`; `settle` lets a second pass, in which all that is under way arrives."""

    def __init__(self, broker: Any, instrument: str = "ACME") -> None:
        self.broker = broker
        self.instrument = instrument
        self.now = T0
        self.heard: list[Stamped] = []
        self.seq = 0
        checked: Broker = broker
        checked.start(self.heard.append, None)

    def define(self, instrument: str = "ACME", lot: str = "1") -> "Desk":
        event = InstrumentDefined(
            instrument=instrument, symbol=instrument, currency="USD", tick=TICK, lot=Decimal(lot)
        )
        self.broker.market(event, self.now)
        return self

    def session(self, day: int, open_at: Micros, close_at: Micros | None) -> "Desk":
        event = SessionOpened(
            instrument=self.instrument,
            calendar="XNYS",
            session_date=date(2023, 11, day),
            open_at=open_at,
            close_at=close_at,
        )
        self.broker.market(event, self.now)
        return self

    def venue(self, status: VenueStatus) -> "Desk":
        self.broker.market(VenueStatusChanged(instrument=self.instrument, status=status), self.now)
        return self

    def quote(self, bid: str | None, ask: str | None) -> "Desk":
        event = QuoteReported(
            instrument=self.instrument, bid=price(bid), ask=price(ask), received_at=self.now
        )
        self.broker.market(event, self.now)
        return self

    def trade(self, at: str) -> "Desk":
        event = TradePrinted(instrument=self.instrument, price=Decimal(at), received_at=self.now)
        self.broker.market(event, self.now)
        return self

    def bar(self, o: str, h: str, low: str, c: str, *, seconds: int = 60) -> "Desk":
        """A bar that opens now; time goes to its end."""
        open_at = self.now
        self.now += seconds * SECOND
        event = BarClosed(
            instrument=self.instrument,
            open_at=open_at,
            end_at=self.now,
            open=Decimal(o),
            high=Decimal(h),
            low=Decimal(low),
            close=Decimal(c),
        )
        self.broker.market(event, self.now)
        return self

    def place(
        self,
        name: str,
        side: Side,
        quantity: int | str,
        *,
        limit: str | None = None,
        stop: str | None = None,
        role: Role = Role.ENTRY,
        tif: TimeInForce = TimeInForce.DAY,
        enlarges: bool = False,
    ) -> "Desk":
        kinds = {
            (False, False): OrderType.MARKET,
            (True, False): OrderType.LIMIT,
            (False, True): OrderType.STOP,
            (True, True): OrderType.STOP_LIMIT,
        }
        command = PlaceOrder(
            seq=self._next(),
            instrument=self.instrument,
            client_order_id=name,
            role=role,
            side=side,
            quantity=Decimal(quantity),
            order_type=kinds[limit is not None, stop is not None],
            time_in_force=tif,
            enlarges=enlarges,
            price_limit=price(limit),
            price_stop=price(stop),
        )
        self.broker.send_at(command, self.now)
        return self

    def replace(
        self,
        orig: str,
        name: str,
        side: Side,
        quantity: int,
        order_type: OrderType,
        *,
        limit: str | None = None,
        stop: str | None = None,
    ) -> "Desk":
        command = ReplaceOrder(
            seq=self._next(),
            instrument=self.instrument,
            client_order_id=name,
            orig_client_order_id=orig,
            role=Role.ENTRY,
            side=side,
            quantity=Decimal(quantity),
            order_type=order_type,
            price_limit=price(limit),
            price_stop=price(stop),
        )
        self.broker.send_at(command, self.now)
        return self

    def cancel(self, orig: str, name: str = "cancel") -> "Desk":
        command = CancelOrder(
            seq=self._next(),
            instrument=self.instrument,
            client_order_id=name,
            orig_client_order_id=orig,
        )
        self.broker.send_at(command, self.now)
        return self

    def ask(self, name: str) -> "Desk":
        command = QueryOrder(seq=self._next(), instrument=self.instrument, client_order_id=name)
        self.broker.send_at(command, self.now)
        return self

    def settle(self, seconds: int = 1) -> list[Event]:
        """Let time pass; the events heard meanwhile."""
        before = len(self.heard)
        self.now += seconds * SECOND
        while (due := self.broker.next_due()) is not None and due <= self.now:
            self.broker.advance(due)
        self.broker.advance(self.now)
        return [stamped.event for stamped in self.heard[before:]]

    def of(self, kind: type[_E]) -> list[_E]:
        """All events of one type heard so far."""
        return [stamped.event for stamped in self.heard if isinstance(stamped.event, kind)]

    def fills(self, name: str | None = None) -> list[tuple[str, str]]:
        """(quantity, price) of all fills heard, of one client id or of all."""
        return [
            (str(fill.quantity), str(fill.price))
            for fill in self.of(OrderFilled)
            if name in (None, fill.client_order_id)
        ]

    def order(self, name: str) -> Any:
        """The broker's own record of an order."""
        return next(order for order in self.broker.dump().orders if name in order.wire_ids)

    def _next(self) -> int:
        self.seq += 1
        return self.seq


def names(events: list[Event]) -> list[str]:
    """The types of events."""
    return [type(event).__name__ for event in events]
