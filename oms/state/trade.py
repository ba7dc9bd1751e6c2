"""One trade: its lots, stop, targets, exits and result. An execution of ours is a fill, never a trade.

A trade lives from the accepted entry request until it is flat and nothing of it can execute; late facts still
find it until the day rolls. Long or short is `side`; quantities are never negative except `held` after an
oversell.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from oms.events.decisions import EntryAccepted, Rung
from oms.state.order import Order
from oms.values import ENTRY, LONG, SELL_OF, SIGN_OF, ZERO, Micros, PositionSide, Role


class Lot(Struct, frozen=True, gc=False, kw_only=True):
    """What one entry order bought: quantity, cost (sum of price x quantity) and the ATR of that moment."""

    client_order_id: str
    quantity: Decimal
    value: Decimal
    atr: Decimal | None


class Guard(Struct, frozen=True, gc=False, kw_only=True):
    """The internal stop while armed. `breached_at` is the first quote's time at or through the level."""

    level: Decimal
    armed_at: Micros
    breached_at: Micros | None = None
    breached_seq: int = 0


PLANNED: Final = 14
"""Closes from this priority on are planned exits; what is stronger is an emergency or an order to leave."""


class Close(Struct, frozen=True, gc=False, kw_only=True):
    """The wish to close the trade, and how. A lower `priority` number is stronger; `price` is the market's near side
    at that moment."""

    reason: str
    priority: int
    market: bool
    at: Micros
    seq: int
    evidence: tuple[int, ...]
    price: Decimal | None = None

    @property
    def is_planned(self) -> bool:
        """Whether nothing forces the exit: it works by limits and may take its time."""
        return self.priority >= PLANNED and not self.market


class Alarm(Struct, frozen=True, gc=False, kw_only=True):
    """The newest CRITICAL report about the market while something was held. `price` is the market's near side at that
    moment, of a two-sided quote received at `quote_at`."""

    at: Micros
    seq: int
    price: Decimal | None = None
    quote_at: Micros = 0


class Trade(Struct, frozen=True, gc=False, kw_only=True):
    """A trade as folded. `entered` and `exited` are unique fills; `*_value` sums of price x quantity.

    A scale-up is a trade with a `parent_trade_no`: the lot added to that one, with its own entry price, ATR, stop,
    targets and result. `price_worst` is the worst price of an entry fill that stands; `slipped` the worst one that was
    acted on, `slipped_level` the stop that followed from it.
    """

    trade_no: int
    instrument: str
    cycle: int
    strategy: str
    intent_id: str
    side: PositionSide
    quantity: Decimal
    ideal: Decimal
    zone_max: Decimal
    stop0: Decimal
    key_level: Decimal | None
    config_sha256: str
    rungs: tuple[Rung, ...]
    accepted_at: Micros
    accepted_seq: int
    parent_trade_no: int | None = None
    entered: Decimal = ZERO
    exited: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    lots: tuple[Lot, ...] = ()
    level: Decimal | None = None
    level_source: str = ""
    mfe: Decimal | None = None
    price_worst: Decimal | None = None
    slipped: Decimal | None = None
    slipped_level: Decimal | None = None
    entries: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    guard: Guard | None = None
    close: Close | None = None
    trail_only: bool = False
    exhausted_at: Micros | None = None
    alarm: Alarm | None = None
    first_fill_at: Micros | None = None
    alerts: tuple[str, ...] = ()
    naked_since: Micros | None = None
    naked_us: int = 0
    unconfirmed_since: Micros | None = None
    unconfirmed_us: int = 0
    abandoned_at: Micros | None = None
    closed_at: Micros | None = None
    fees: Decimal = ZERO
    fees_entry: Decimal = ZERO
    pnl: Decimal = ZERO

    @property
    def held(self) -> Decimal:
        """What is open, in the trade's own direction; negative after an oversell."""
        return self.entered - self.exited

    @property
    def position(self) -> Decimal:
        """What is open, signed: short negative."""
        return self.held * SIGN_OF[self.side]

    @property
    def order_ids(self) -> tuple[str, ...]:
        """All orders of the trade."""
        return (*self.entries, *self.stops, *self.targets, *self.exits)

    @property
    def root_no(self) -> int:
        """The number of the trade as a whole: that of the first lot."""
        return self.trade_no if self.parent_trade_no is None else self.parent_trade_no

    @property
    def is_over(self) -> bool:
        """Whether the trade ended (a late fill may still reopen it in fact: look at `held`)."""
        return self.closed_at is not None or self.abandoned_at is not None

    @property
    def price_entry(self) -> Decimal | None:
        """Average entry price, or None before the first fill. Derived: cost is what is kept."""
        return self.entry_value / self.entered if self.entered > ZERO else None

    def result(self, multiplier: Decimal) -> Decimal:
        """Money made by what was exited, before fees; meaningful for a whole trade once it is flat."""
        return (self.exit_value - self.entry_value) * SIGN_OF[self.side] * multiplier

    def unsettled(self, multiplier: Decimal) -> bool:
        """Whether a flat trade's result differs from the one reported."""
        if self.closed_at is None:
            return self.entered > ZERO or self.exit_value != ZERO
        return self.result(multiplier) != self.pnl

    @property
    def risk(self) -> Decimal:
        """The planned risk per unit, 1R: distance from ideal to the initial stop."""
        return abs(self.ideal - self.stop0)

    @property
    def atr(self) -> Decimal | None:
        """The ATR at the first fill of the first lot."""
        return self.lots[0].atr if self.lots else None


def accepted(event: EntryAccepted, now: Micros, seq: int) -> Trade:
    """A new trade from an accepted entry request."""
    return Trade(
        trade_no=event.trade_no,
        instrument=event.instrument,
        cycle=event.cycle,
        strategy=event.strategy,
        intent_id=event.intent_id,
        side=event.side,
        quantity=event.quantity,
        ideal=event.ideal,
        zone_max=event.zone_max,
        stop0=event.stop,
        key_level=event.key_level,
        config_sha256=event.config_sha256,
        rungs=event.rungs,
        accepted_at=now,
        accepted_seq=seq,
        parent_trade_no=event.parent_trade_no,
    )


def with_order(trade: Trade, order: Order) -> Trade:
    """Put an order into the slot of its role."""
    slot = {Role.ENTRY: "entries", Role.STOP: "stops", Role.TARGET: "targets", Role.EXIT: "exits"}[
        order.role or Role.EXIT
    ]
    ids: tuple[str, ...] = getattr(trade, slot)
    return trade if order.client_order_id in ids else replace(trade, **{slot: (*ids, order.client_order_id)})


def without_stop(trade: Trade, client_order_id: str) -> Trade:
    """A stop became the exit: it leaves its old slot."""
    return replace(trade, stops=tuple(one for one in trade.stops if one != client_order_id))


def booked(
    trade: Trade, old: Order, new: Order, atr: Decimal | None, now: Micros, others: Mapping[str, Order]
) -> Trade:
    """Carry the change of an order's executions into the trade (fills, corrections and busts alike).

    `others` are the orders of the pipeline, among them the trade's other entries.

    `exited` is net: an order that buys an oversold quantity back takes it from what was sold.
    """
    quantity = new.filled - old.filled
    value = new.value - old.value
    if not quantity and not value:
        return trade
    newest = new.executions[-1].price if new.executions and quantity > ZERO else None
    if new.role is not ENTRY:
        sign = 1 if new.side is SELL_OF[trade.side] else -1
        exited, exit_value = trade.exited + sign * quantity, trade.exit_value + sign * value
        return replace(trade, exited=exited, exit_value=exit_value, mfe=_high_water(trade, newest))
    return replace(
        trade,
        entered=trade.entered + quantity,
        entry_value=trade.entry_value + value,
        lots=_with_lot(trade.lots, new, atr),
        first_fill_at=trade.first_fill_at if trade.first_fill_at is not None else now,
        price_worst=_worst(trade, old, new, others),
        mfe=_high_water(trade, newest),
    )


def with_high_water(trade: Trade, price: Decimal) -> Trade:
    """Raise the maximum favourable excursion (OD-086)."""
    mfe = _high_water(trade, price)
    return trade if mfe is trade.mfe else replace(trade, mfe=mfe)


def _high_water(trade: Trade, price: Decimal | None) -> Decimal | None:
    """The maximum favourable excursion with this price; it never falls back."""
    known = trade.mfe
    if known is None or price is None:
        return price if known is None else known
    return price if (price > known if trade.side is LONG else price < known) else known


def _worst(trade: Trade, old: Order, new: Order, others: Mapping[str, Order]) -> Decimal | None:
    """The worst entry price that stands: of a new fill and those before, or of all of them where one was restated."""
    known, worse = trade.price_worst, max if trade.side is LONG else min
    if new.executions and new.executions[:-1] == old.executions:
        price = new.executions[-1].price
        return price if known is None else worse(known, price)
    entries = (new if one == new.client_order_id else others[one] for one in trade.entries)
    return worse(
        (one.price for order in entries for one in order.executions if one.quantity > ZERO), default=None
    )


def _with_lot(lots: tuple[Lot, ...], order: Order, atr: Decimal | None) -> tuple[Lot, ...]:
    for index, lot in enumerate(lots):
        if lot.client_order_id == order.client_order_id:
            changed = replace(lot, quantity=order.filled, value=order.value)
            return (*lots[:index], changed, *lots[index + 1 :])
    return (
        *lots,
        Lot(client_order_id=order.client_order_id, quantity=order.filled, value=order.value, atr=atr),
    )
