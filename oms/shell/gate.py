"""The gate: the last check before the wire, with counters of its own.

It trusts nothing that decided: it sees durable fills, the market and the commands themselves, and refuses what
would open or enlarge a position beyond a limit. What protects or reduces always passes; it is counted, so that a
burst of it leaves no room for anything else. Architecture 3, "The gate"; OD-119; reliability I75.

Amounts are compared per currency of the instrument; nothing is converted.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from oms.commands import Command, PlaceOrder, ReplaceOrder, adds_risk
from oms.config import Settings
from oms.events.base import Event
from oms.events.market import QuoteReported, TradePrinted
from oms.shell.counted import (
    Holding,
    at_most,
    entered_since,
    entries_of,
    holding_of,
    messages_since,
    never_left,
)
from oms.state.account import Account
from oms.state.order import Order, PendingKind
from oms.state.pipeline import Pipeline
from oms.state.reports import REPEATED
from oms.values import MILLISECOND, ONE, SECOND, ZERO, Micros, OrderType, Role, Side

COLLAR: Final = "price_collar"
QUANTITY: Final = "max_order_quantity"
VALUE: Final = "max_order_value"
RATE: Final = "message_rate"
DAILY_LOSS: Final = "daily_loss"
EXPOSURE: Final = "gross_exposure"
KILLED: Final = "kill_level"
LOG_AWAY: Final = "log_away"

Refusal = tuple[str, str]
"""(limit, text)"""


class Gate:
    """Not for several threads: whoever dispatches asks, and shows what was committed.

    Its own are the messages of the last second, the newest prices and what it let pass; all other counters follow
    from the state (`counted`), so that they do not depend on when the gate began.
    """

    def __init__(self, account: Account, pipelines: Mapping[str, Pipeline]) -> None:
        """Begin with the folded books: what a writer finds that opens an account or takes it over."""
        self._account = account
        self._pipelines = pipelines
        self.log_is_away = False
        """Whether what was decided is durable in the emergency journal alone; then only risk is reduced (I60)."""
        self._begun_seq = account.seq
        self._passed: dict[str, str] = {}
        self._last = {name: price for name, one in pipelines.items() if (price := _newest(one)) is not None}
        self._holdings: dict[str, tuple[dict[str, Order], Holding]] = {}
        sent = [at for one in pipelines.values() for at in messages_since(one, account.now - SECOND)]
        self._sent = deque(sorted(sent))

    def follow(self, account: Account, pipelines: Mapping[str, Pipeline]) -> None:
        """Take the newest durable state."""
        self._account = account
        self._pipelines = pipelines

    def see(self, event: Event) -> None:
        """Take the newest price of an instrument from market data, logged or not."""
        if isinstance(event, TradePrinted):
            price: Decimal | None = event.price
        elif isinstance(event, QuoteReported):
            price = _middle(event.bid, event.ask)
        else:
            return
        if price is not None:
            self._last[event.instrument] = price

    @property
    def kill_level(self) -> int:
        """As committed: nothing is opened from 1 on, and nothing that adds risk leaves from 2 on (I74)."""
        return self._account.kill_level

    @property
    def _settings(self) -> Settings:
        return self._account.settings

    # What may leave

    def check(self, command: Command, now: Micros) -> Refusal | None:
        """Why the command must not leave, or None; then it is counted as sent."""
        refusal = self.verdict(command, now)
        if refusal is None:
            self._sent.append(now)
            if isinstance(command, PlaceOrder) and command.role is Role.ENTRY:
                self._passed = {own: name for own, name in self._passed.items() if self._waits(own, name)}
                self._passed[command.client_order_id] = command.instrument
        return refusal

    def verdict(self, command: Command, now: Micros) -> Refusal | None:
        """Why the command must not leave at `now`, or None. Counts nothing."""
        while self._sent and self._sent[0] <= now - SECOND:
            self._sent.popleft()
        return self._refusal(command, now) if adds_risk(command) else self._crowded(command)

    def _refusal(self, command: Command, now: Micros) -> Refusal | None:
        assert isinstance(command, PlaceOrder | ReplaceOrder)
        return (
            self._barred(command)
            or self._crowded(command)
            or self._repeated(command, now)
            or self._too_big(command)
            or self._off_market(command)
            or self._too_much_lost(command)
            or self._too_exposed(command)
        )

    def _barred(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        """What adds risk is not wanted at all now."""
        if self.kill_level >= (1 if isinstance(command, PlaceOrder) else 2):
            return KILLED, f"kill level {self.kill_level} is in force"
        if self.log_is_away:
            return LOG_AWAY, "the log does not answer; until it does nothing leaves that adds risk"
        return None

    def _crowded(self, command: Command) -> Refusal | None:
        """Too many messages in the last second. Stops, exits and cancels have the reserve and more."""
        if not isinstance(command, PlaceOrder | ReplaceOrder) or command.role in (Role.STOP, Role.EXIT):
            return None
        limit = self._settings.gate.messages_per_second - self._settings.gate.reserve_per_second
        if len(self._sent) < limit:
            return None
        return RATE, f"{len(self._sent)} messages in the last second, {limit} are allowed beside the reserve"

    def _repeated(self, command: PlaceOrder | ReplaceOrder, now: Micros) -> Refusal | None:
        if isinstance(command, ReplaceOrder):
            return None
        gate = self._settings.gate
        pipeline = self._pipelines.get(command.instrument)
        after = now - gate.repeated_entry_window_ms * MILLISECOND
        seen = entered_since(pipeline, after, self._has_left) if pipeline is not None else 0
        if seen < gate.repeated_entry_limit:
            return None
        return REPEATED, f"{seen} entries in {command.instrument} within {gate.repeated_entry_window_ms} ms"

    def _too_big(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        gate = self._settings.gate
        if command.quantity > gate.max_order_quantity:
            return QUANTITY, f"quantity {command.quantity} exceeds {gate.max_order_quantity}"
        value = command.quantity * self._price(command) * self._multiplier(command)
        if value > gate.max_order_value:
            return VALUE, f"value {value} exceeds {gate.max_order_value}"
        return None

    def _off_market(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        """A limit far through the market: a wrong price, or a wrong market. An order without a limit has none."""
        last = self._last.get(command.instrument)
        if command.order_type is not OrderType.LIMIT or command.price_limit is None:
            return None
        if last is None:
            return COLLAR, f"no price of {command.instrument} is known to compare with"
        collar = self._settings.gate.price_collar_pct
        through = (
            command.price_limit > last * (ONE + collar)
            if command.side is Side.BUY
            else command.price_limit < last * (ONE - collar)
        )
        return (
            (COLLAR, f"limit {command.price_limit} is more than {collar} through {last}") if through else None
        )

    def _too_much_lost(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        limit, currency = self._settings.risk.daily_loss_limit, self._currency(command)
        lost = self.lost(currency)
        if lost < limit:
            return None
        return DAILY_LOSS, f"{lost} {currency} lost today, the limit is {limit}"

    def _too_exposed(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        currency = self._currency(command)
        own = self._order(command)
        leaves = max(command.quantity - (own.filled if own is not None else ZERO), ZERO)
        total = self.exposed(currency, but=own) + leaves * self._price(command) * self._multiplier(command)
        limit = self._settings.risk.max_gross_exposure
        return (
            (EXPOSURE, f"{total} {currency} held and asked for, the limit is {limit}")
            if total > limit
            else None
        )

    # What is counted

    def lost(self, currency: str) -> Decimal:
        """What executions in a currency have lost since the day rolled, before fees; negative for a gain."""
        return -sum((self._holding(name).realized for name in self._of(currency)), ZERO)

    def exposed(self, currency: str, but: Order | None = None) -> Decimal:
        """What is held in a currency, long and short, and what entries other than `but` may still add."""
        return sum((self._exposure(name, but) for name in self._of(currency)), ZERO)

    def _exposure(self, name: str, but: Order | None) -> Decimal:
        """What is held of an instrument at the newest price, and what its entries but one may still add."""
        pipeline = self._pipelines[name]
        amount, last = ZERO, self._last.get(name)
        if pipeline.position:
            amount = abs(pipeline.position) * (last or self._holding(name).price)
        for order in entries_of(pipeline):
            if order is not but and self._has_left(order):
                amount += at_most(order, last or ZERO)
        return amount * pipeline.instrument.multiplier

    # What the state says

    def _of(self, currency: str) -> Iterator[str]:
        for name, pipeline in self._pipelines.items():
            if pipeline.instrument.currency == currency:
                yield name

    def _holding(self, name: str) -> Holding:
        """Reckoned anew only when an order of the instrument, or the day, has changed."""
        pipeline = self._pipelines[name]
        known = self._holdings.get(name)
        if known is not None and known[0] is pipeline.orders:
            return known[1]
        holding = holding_of(pipeline)
        self._holdings[name] = (pipeline.orders, holding)
        return holding

    def _order(self, command: PlaceOrder | ReplaceOrder) -> Order | None:
        """The order that a command is about, as it is known so far."""
        pipeline = self._pipelines.get(command.instrument)
        return pipeline.find(command.client_order_id) if pipeline is not None else None

    def _has_left(self, order: Order) -> bool:
        """Whether the broker may have an order. One from before the gate began may have left; nobody saw it."""
        if never_left(order):
            return False
        if order.pending_of(PendingKind.SUBMIT) is None or order.placed_seq <= self._begun_seq:
            return True
        return order.client_order_id in self._passed

    def _waits(self, client_order_id: str, name: str) -> bool:
        """Whether the broker has not answered to an order that left."""
        order = self._pipelines[name].find(client_order_id)
        return order is not None and order.pending_of(PendingKind.SUBMIT) is not None

    def _price(self, command: PlaceOrder | ReplaceOrder) -> Decimal:
        return command.price_limit or command.price_stop or self._last.get(command.instrument) or ZERO

    def _multiplier(self, command: PlaceOrder | ReplaceOrder) -> Decimal:
        pipeline = self._pipelines.get(command.instrument)
        return pipeline.instrument.multiplier if pipeline is not None else ONE

    def _currency(self, command: PlaceOrder | ReplaceOrder) -> str:
        pipeline = self._pipelines.get(command.instrument)
        return pipeline.instrument.currency if pipeline is not None else self._settings.account.currency


def _newest(pipeline: Pipeline) -> Decimal | None:
    """The newest price that was logged: of a print, or the middle of a quote."""
    market = pipeline.market
    middle = _middle(market.bid, market.ask)
    if middle is None or (market.last is not None and market.last_seq > market.quote_seq):
        return market.last
    return middle


def _middle(bid: Decimal | None, ask: Decimal | None) -> Decimal | None:
    sides = [side for side in (bid, ask) if side is not None]
    return sum(sides, ZERO) / len(sides) if sides else None
