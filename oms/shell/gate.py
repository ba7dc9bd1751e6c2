"""The gate: the last check before the wire, with counters of its own.

It trusts nothing that decided: it sees durable fills, the market and the commands themselves, and refuses what
would open or enlarge a position beyond a limit. What protects or reduces always passes; it is counted, so that a
burst of it leaves no room for anything else. Architecture 3, "The gate"; OD-119; reliability I75.

Amounts are compared per currency of the instrument; nothing is converted.
"""

from collections import deque
from decimal import Decimal
from typing import Final

from msgspec import Struct

from oms.commands import Command, PlaceOrder, ReplaceOrder, adds_risk
from oms.config import Settings
from oms.events.base import Event
from oms.events.broker import (
    CommandExpired,
    CommandFailed,
    CommandRefused,
    ExecutionBusted,
    ExecutionCorrected,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
)
from oms.events.market import QuoteReported, TradePrinted
from oms.events.session import DayRolled, InstrumentDefined
from oms.state.account import Account
from oms.state.pipeline import Pipeline
from oms.values import MILLISECOND, ONE, SECOND, SIGN_OF, SIGN_OF_SIDE, ZERO, Micros, OrderType, Role, Side

COLLAR: Final = "price_collar"
QUANTITY: Final = "max_order_quantity"
VALUE: Final = "max_order_value"
RATE: Final = "message_rate"
REPEATED: Final = "repeated_entry"
DAILY_LOSS: Final = "daily_loss"
EXPOSURE: Final = "gross_exposure"
KILLED: Final = "kill_level"
LOG_AWAY: Final = "log_away"

Refusal = tuple[str, str]
"""(limit, text)"""


class Holding(Struct):
    """What the gate believes is held of an instrument. Signed quantity; price is the average of what opened it."""

    currency: str
    multiplier: Decimal = ONE
    quantity: Decimal = ZERO
    price: Decimal = ZERO

    def value(self, last: Decimal | None) -> Decimal:
        """What is held, at the newest price."""
        return abs(self.quantity) * (last or self.price) * self.multiplier

    def take(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Add a signed execution; return what it realised."""
        held = self.quantity
        self.quantity = held + quantity
        if held * quantity >= ZERO:
            self.price = (
                (abs(held) * self.price + abs(quantity) * price) / abs(self.quantity)
                if self.quantity
                else ZERO
            )
            return ZERO
        closed = min(abs(held), abs(quantity))
        realized = (price - self.price) * closed * (ONE if held > ZERO else -ONE) * self.multiplier
        if abs(quantity) > abs(held):
            self.price = price
        return realized


class Working(Struct):
    """An entry order that left and may still execute."""

    instrument: str
    price: Decimal
    quantity: Decimal
    filled: Decimal = ZERO

    @property
    def leaves(self) -> Decimal:
        """What can still execute."""
        return max(self.quantity - self.filled, ZERO)


class Gate:
    """Not for several threads: whoever dispatches asks, and observes what was committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.kill_level = 0
        """As committed: nothing is opened from 1 on, and nothing that adds risk leaves from 2 on (I74)."""
        self.log_is_away = False
        """Whether what was decided is durable in the emergency journal alone; then only risk is reduced (I60)."""
        self._holdings: dict[str, Holding] = {}
        self._last: dict[str, Decimal] = {}
        self._working: dict[str, Working] = {}
        self._roots: dict[str, str] = {}
        self._executions: dict[str, tuple[str, Side, Decimal, Decimal]] = {}
        self._realized: dict[str, Decimal] = {}
        self._sent: deque[Micros] = deque()
        self._entries: dict[str, deque[Micros]] = {}

    def begin(self, account: Account, pipelines: dict[str, Pipeline]) -> None:
        """Start from the folded books: what a writer finds that takes an account over."""
        self._realized = dict(account.realized)
        self.kill_level = account.kill_level
        for name, pipeline in pipelines.items():
            self._define(pipeline.instrument)
            holding = self._holdings[name]
            last = pipeline.market.last or pipeline.market.bid
            if last is not None:
                self._last[name] = last
            for trade in pipeline.open():
                price = trade.price_entry
                if trade.held and price is not None:
                    holding.take(SIGN_OF[trade.side] * trade.held, price)
            for order in pipeline.orders.values():
                if order.is_live and order.role is Role.ENTRY:
                    price = order.price_limit or last or ZERO
                    self._roots[order.wire_id] = order.client_order_id
                    self._working[order.client_order_id] = Working(name, price, order.quantity, order.filled)

    def configure(self, settings: Settings) -> None:
        """Follow a change of the configuration."""
        self._settings = settings

    # What happens

    def see(self, event: Event) -> None:
        """Take the newest price of an instrument from market data, logged or not."""
        if isinstance(event, TradePrinted):
            price: Decimal | None = event.price
        elif isinstance(event, QuoteReported):
            sides = [side for side in (event.bid, event.ask) if side is not None]
            price = sum(sides, ZERO) / len(sides) if sides else None
        else:
            return
        if price is not None:
            self._last[event.instrument] = price

    def observe(self, event: Event) -> None:
        """Count a durable input."""
        if isinstance(event, OrderFilled):
            self._filled(event)
        elif isinstance(event, ExecutionBusted | ExecutionCorrected):
            self._restated(event)
        elif isinstance(event, OrderCanceled | OrderRejected):
            self._working.pop(self._root(event.client_order_id), None)
        elif isinstance(event, CommandExpired | CommandRefused) or (
            isinstance(event, CommandFailed) and not event.sent
        ):
            # Of a change that did not leave the order stands as it was; its id is no order's first.
            self._working.pop(event.client_order_id, None)
        elif isinstance(event, InstrumentDefined):
            self._define(event)
        elif isinstance(event, DayRolled):
            self._realized.clear()

    def _define(self, event: InstrumentDefined) -> None:
        known = self._holdings.get(event.instrument)
        if known is None:
            self._holdings[event.instrument] = Holding(event.currency, event.multiplier)

    def _filled(self, event: OrderFilled) -> None:
        if event.execution in self._executions or event.instrument not in self._holdings:
            return
        self._executions[event.execution] = (event.instrument, event.side, event.quantity, event.price)
        self._book(event.instrument, SIGN_OF_SIDE[event.side] * event.quantity, event.price)
        root = self._root(event.client_order_id)
        working = self._working.get(root)
        if working is not None:
            working.filled += event.quantity
            if not working.leaves:
                del self._working[root]

    def _restated(self, event: ExecutionBusted | ExecutionCorrected) -> None:
        """Take the old execution back at its own price, and the corrected one in."""
        known = self._executions.pop(event.execution, None)
        if known is None:
            return
        name, side, quantity, price = known
        self._book(name, -SIGN_OF_SIDE[side] * quantity, price)
        if isinstance(event, ExecutionCorrected):
            self._executions[event.execution] = (name, side, event.quantity, event.price)
            self._book(name, SIGN_OF_SIDE[side] * event.quantity, event.price)

    def _book(self, name: str, quantity: Decimal, price: Decimal) -> None:
        holding = self._holdings[name]
        realized = holding.take(quantity, price)
        self._realized[holding.currency] = self._realized.get(holding.currency, ZERO) + realized

    # What may leave

    def check(self, command: Command, now: Micros) -> Refusal | None:
        """Why the command must not leave, or None; then it is counted as sent."""
        while self._sent and self._sent[0] <= now - SECOND:
            self._sent.popleft()
        refusal = self._refusal(command, now) if adds_risk(command) else self._crowded(command)
        if refusal is None:
            self._count(command, now)
        return refusal

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
        seen = self._entries.setdefault(command.instrument, deque())
        while seen and seen[0] <= now - gate.repeated_entry_window_ms * MILLISECOND:
            seen.popleft()
        if len(seen) < gate.repeated_entry_limit:
            return None
        return (
            REPEATED,
            f"{len(seen)} entries in {command.instrument} within {gate.repeated_entry_window_ms} ms",
        )

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
        lost = -self._realized.get(currency, ZERO)
        if lost < limit:
            return None
        return DAILY_LOSS, f"{lost} {currency} lost today, the limit is {limit}"

    def _too_exposed(self, command: PlaceOrder | ReplaceOrder) -> Refusal | None:
        currency = self._currency(command)
        held = [
            one.value(self._last.get(name))
            for name, one in self._holdings.items()
            if one.currency == currency and one.quantity
        ]
        replaced = self._root(command.orig_client_order_id) if isinstance(command, ReplaceOrder) else None
        working = [
            one.leaves * one.price * self._holdings[one.instrument].multiplier
            for own, one in self._working.items()
            if own != replaced and self._holdings[one.instrument].currency == currency
        ]
        leaves = max(command.quantity - self._filled_of(command), ZERO)
        asked = leaves * self._price(command) * self._multiplier(command)
        limit = self._settings.risk.max_gross_exposure
        total = sum((*held, *working), ZERO) + asked
        return (
            (EXPOSURE, f"{total} {currency} held and asked for, the limit is {limit}")
            if total > limit
            else None
        )

    def _count(self, command: Command, now: Micros) -> None:
        self._sent.append(now)
        if not isinstance(command, PlaceOrder | ReplaceOrder) or command.role is not Role.ENTRY:
            return
        root, filled = command.client_order_id, ZERO
        if isinstance(command, ReplaceOrder):
            root = self._root(command.orig_client_order_id)
            self._roots[command.client_order_id] = root
            filled = self._filled_of(command)
        else:
            self._entries.setdefault(command.instrument, deque()).append(now)
        self._holdings.setdefault(command.instrument, Holding(self._settings.account.currency))
        self._working[root] = Working(command.instrument, self._price(command), command.quantity, filled)

    def _filled_of(self, command: PlaceOrder | ReplaceOrder) -> Decimal:
        """What an order that is to be changed has executed; its quantity counts that in."""
        if isinstance(command, PlaceOrder):
            return ZERO
        working = self._working.get(self._root(command.orig_client_order_id))
        return working.filled if working is not None else ZERO

    def _root(self, wire_id: str | None) -> str:
        """The first id of an order whose id changed with every change."""
        return self._roots.get(wire_id or "", wire_id or "")

    def _price(self, command: PlaceOrder | ReplaceOrder) -> Decimal:
        return command.price_limit or command.price_stop or self._last.get(command.instrument) or ZERO

    def _multiplier(self, command: PlaceOrder | ReplaceOrder) -> Decimal:
        holding = self._holdings.get(command.instrument)
        return holding.multiplier if holding is not None else ONE

    def _currency(self, command: PlaceOrder | ReplaceOrder) -> str:
        holding = self._holdings.get(command.instrument)
        return holding.currency if holding is not None else self._settings.account.currency
