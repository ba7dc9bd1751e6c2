"""The broker as its client and its market see it. Nothing happens by itself: `advance` moves its time."""

import heapq
from collections.abc import Mapping
from decimal import Decimal

from tests.simulation.oracle.behaviour import Behaviour
from tests.simulation.oracle.floor import MS, Floor, Quirk, about, tell_status
from tests.simulation.oracle.matching import end, execute, match
from tests.simulation.oracle.messages import Report, Request
from tests.simulation.oracle.orders import Order
from tests.simulation.oracle.requests import obey
from tests.simulation.oracle.venue import Venue


class Oracle:
    """A broker with its own books. Times in microseconds, never backwards."""

    def __init__(
        self, behaviour: Behaviour, seed: int, quirks: Mapping[tuple[str, int], list[Quirk]] | None = None
    ) -> None:
        self.floor = Floor(behaviour, seed, dict(quirks or {}))
        self.manual = 0
        self._link_down_at: int | None = None

    # What the market does

    def list_symbol(self, symbol: str, tick: Decimal) -> None:
        """Begin to trade a symbol."""
        self.floor.venues[symbol] = Venue(symbol, tick)

    def open_session(self, symbol: str) -> None:
        """The regular session begins."""
        self.floor.venues[symbol].is_session = True

    def close_session(self, symbol: str, at: int) -> None:
        """The session ends: day orders expire."""
        self.floor.venues[symbol].is_session = False
        for order in self.floor.orders.working(symbol):
            if order.time_in_force == "DAY":
                end(self.floor, order, at, "expired", "the session is over")

    def roll_day(self) -> None:
        """The statement day changes; executions of the old one are not listed any more."""
        self.floor.day += 1

    def quote(self, symbol: str, bid: Decimal | None, ask: Decimal | None, at: int) -> None:
        """A new best bid and offer; orders meet it."""
        self.advance(at)
        venue = self.floor.venues[symbol]
        venue.bid, venue.ask = bid, ask
        match(self.floor, symbol, at)

    def printed(self, symbol: str, price: Decimal, at: int) -> None:
        """A trade between others."""
        self.advance(at)
        match(self.floor, symbol, at, price)

    def halt(self, symbol: str, at: int) -> None:
        """Trading stops."""
        self._set_halted(symbol, at, halted=True)

    def resume(self, symbol: str, at: int) -> None:
        """Trading goes on."""
        self._set_halted(symbol, at, halted=False)
        match(self.floor, symbol, at)

    def _set_halted(self, symbol: str, at: int, *, halted: bool) -> None:
        floor = self.floor
        floor.venues[symbol].halted = halted
        if floor.behaviour.suspends_in_halt:
            for order in floor.orders.working(symbol):
                order.suspended = halted
                floor.say(about(order, "status"), at)

    # What others do to the account

    def trade_by_hand(self, symbol: str, signed: Decimal, at: int) -> None:
        """Somebody trades in the account past the client's program."""
        venue = self.floor.venues[symbol]
        side = "BUY" if signed > 0 else "SELL"
        price = venue.touch(side)
        if price is None or not venue.is_trading:
            return
        self.manual += 1
        order = self._by_hand(symbol, side, abs(signed))
        execute(self.floor, order, abs(signed), price, at)

    def _by_hand(self, symbol: str, side: str, quantity: Decimal) -> Order:
        number = len(self.floor.orders.all) + 1
        order = Order(
            f"M{number}",
            [f"manual-{self.manual}"],
            symbol,
            side,
            quantity,
            "MARKET",
            "DAY",
            None,
            None,
            False,
            number,
        )
        order.order_ids.append(order.order_id)
        order.by_hand = True
        self.floor.orders.add(order)
        return order

    def cancel_by_hand(self, symbol: str, at: int, kinds: tuple[str, ...]) -> int:
        """Somebody, or the venue, cancels the working orders of these kinds; returns how many."""
        found = [order for order in self.floor.orders.working(symbol) if order.kind in kinds]
        for order in found:
            end(self.floor, order, at, "canceled", "canceled at the broker")
        return len(found)

    def restate_statuses(self, at: int) -> None:
        """Say the status of every working order again."""
        for order in self.floor.orders.all_working():
            self.floor.say(about(order, "status"), at)

    # The client

    def request(self, request: Request, at: int) -> None:
        """Take a request that arrives now."""
        self.advance(at)
        obey(self.floor, request, at)

    def link_lost(self, at: int) -> None:
        """The client's connection is gone."""
        after = self.floor.behaviour.cancels_after_disconnect_ms
        self._link_down_at = at
        if after is not None:
            self.floor.later(at + after * MS, self._protect)

    def link_made(self, at: int) -> None:
        """The client is there (again)."""
        self._link_down_at = None
        self.floor.is_first = True
        if self.floor.behaviour.replays_on_connect:
            self.restate_statuses(at)

    def _protect(self, at: int) -> None:
        after = self.floor.behaviour.cancels_after_disconnect_ms or 0
        if self._link_down_at is None or at - self._link_down_at < after * MS:
            return
        self.floor.struck["disconnect_protection"] += 1
        for order in self.floor.orders.all_working():
            end(self.floor, order, at, "canceled", "disconnect protection")
            tell_status(self.floor, order, at)

    # Time

    def advance(self, at: int) -> None:
        """Let what is due happen."""
        floor = self.floor
        while floor.agenda and floor.agenda[0][0] <= at:
            due, _, act = heapq.heappop(floor.agenda)
            floor.now = max(floor.now, due)
            act(due)
        floor.now = max(floor.now, at)

    def next_due(self) -> int | None:
        """When something happens by itself next."""
        return self.floor.agenda[0][0] if self.floor.agenda else None

    def take(self) -> list[tuple[int, Report]]:
        """The reports since the last call, with the time at which each leaves."""
        out, self.floor.out = self.floor.out, []
        return out

    # The books

    @property
    def positions(self) -> dict[str, Decimal]:
        """Signed holdings; no zeros."""
        return {name: held for name in sorted(self.floor.venues) if (held := self.floor.held(name))}

    def working(self) -> list[Order]:
        """Orders that may execute, oldest first."""
        return self.floor.orders.all_working()
