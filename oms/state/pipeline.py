"""One pipeline: account x instrument. Its trades, its orders, its market; single-threaded by construction."""

from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from oms.events.broker import ExecutionBusted, ExecutionCorrected
from oms.events.session import InstrumentDefined
from oms.state.market import Market
from oms.state.order import Order
from oms.state.slippage import Slippage, closed, with_intents
from oms.state.trade import Trade, booked, with_order, without_stop
from oms.state.traffic import Traffic, moved
from oms.values import SIGN_OF, SIGN_OF_SIDE, STOP_TYPES, ZERO, Bias, Micros, Role, Urgency


class Advice(Struct, frozen=True, gc=False, kw_only=True):
    """What a strategy said at its newest cycle, and when that began: two closed words and nothing else (OD-003)."""

    urgency: Urgency
    bias: Bias
    began_at: Micros
    began_seq: int


class Question(Struct, frozen=True, gc=False, kw_only=True):
    """An order we asked about that has no request under way, until the broker answers. `queries` counts from 1."""

    asked_at: Micros
    queries: int


class Restatement(Struct, frozen=True, gc=False, kw_only=True):
    """What came before the first report of its order: one of the two (a cached state tells types by their place)."""

    bust: ExecutionBusted | None = None
    correction: ExecutionCorrected | None = None

    @property
    def event(self) -> ExecutionBusted | ExecutionCorrected:
        """What the broker said."""
        found = self.bust or self.correction
        assert found is not None
        return found


class Pipeline(Struct, frozen=True, gc=False, kw_only=True):
    """State of one instrument in one account. The dicts are never changed in place.

    `aliases` maps every id the broker may use to the order's own id. `questions` is by order, `advice` by strategy.
    `external` is the signed position of orders that are not ours, `adjusted` that of corporate acts. `restated` holds,
    by execution, what was taken back or corrected before any report told its order.
    """

    instrument: InstrumentDefined
    market: Market
    trades: dict[int, Trade] = {}
    orders: dict[str, Order] = {}
    aliases: dict[str, str] = {}
    open_trades: tuple[int, ...] = ()
    questions: dict[str, Question] = {}
    cycle: int = 0
    external: Decimal = ZERO
    adjusted: Decimal = ZERO
    safe_mode: str = ""
    alerts: tuple[str, ...] = ()
    notes: dict[str, dict[str, Any]] = {}
    traffic: Traffic = Traffic()
    slippage: Slippage = Slippage()
    advice: dict[str, Advice] = {}
    restated: dict[str, Restatement] = {}

    @property
    def name(self) -> str:
        """The pipeline's key in the log: our instrument id."""
        return self.instrument.instrument

    @property
    def position(self) -> Decimal:
        """Signed position: unique fills plus adjustments (architecture 9.7)."""
        own = sum((trade.position for trade in self.trades.values()), ZERO)
        return own + self.external + self.adjusted

    @property
    def is_busy(self) -> bool:
        """Whether its policies may have something to do without being asked."""
        return bool(self.open_trades or self.questions or self.traffic.degraded or self.slippage.unmeasured)

    def open(self) -> list[Trade]:
        """Trades that still need attention, oldest first."""
        numbers = self.open_trades
        # Asked twenty times in a step, and nearly always about one trade.
        return [self.trades[numbers[0]]] if len(numbers) == 1 else [self.trades[one] for one in numbers]

    def of(self, ids: tuple[str, ...]) -> list[Order]:
        """The orders of a slot, oldest first."""
        return [self.orders[one] for one in ids]

    def live(self, ids: tuple[str, ...]) -> list[Order]:
        """The orders of a slot of which anything may still execute."""
        return [order for one in ids if (order := self.orders[one]).is_live]

    def sellable(self, trade: Trade) -> Decimal:
        """What an exit of the trade may still close: never negative, in the trade's own direction.

        What it holds, less what the broker counts for its ended exits and we have not seen, and at most the net
        position on its side where others have traded or the position was adjusted; then older trades come first
        (architecture 6, "External orders"; 9.7). What the broker counts for an entry is there, seen or not.
        """
        known = _SELLABLE[0]
        if known[0] is self and known[1] is trade:
            return known[2]
        sellable = self._sellable(trade)
        _SELLABLE[0] = (self, trade, sellable)
        return sellable

    def _sellable(self, trade: Trade) -> Decimal:
        left, unseen, orders = trade.entered - trade.exited, ZERO, self.orders
        for ids in (trade.stops, trade.targets, trade.exits):
            for one in ids:
                order = orders[one]
                # Most have nothing unseen, and one number is then both counts.
                if order.total is not order.filled and order.total > order.filled and not order.is_live:
                    unseen += order.missing
        if self.external or self.adjusted:
            older = (other.held for other in self.open() if other.trade_no < trade.trade_no)
            entered = (self.orders[one].missing for other in self.open() for one in other.entries)
            left = min(left, self.position * SIGN_OF[trade.side] - sum(older, ZERO) + sum(entered, ZERO))
        if unseen:
            left -= unseen
        return max(ZERO, left)

    def exposed(self, trade: Trade) -> Decimal:
        """What of the trade needs protection: what may be closed, or what was oversold. Never negative.

        Where others have bought what was oversold the account is not short of it, and buying it would be a new risk.
        """
        if trade.entered >= trade.exited:
            return self.sellable(trade)
        others = (self.external + self.adjusted) * SIGN_OF[trade.side]
        return max(ZERO, min(-trade.held, -trade.held - others))

    def find(self, *ids: str | None) -> Order | None:
        """The order behind any id the broker uses for it."""
        for one in ids:
            if one is not None and (own := self.aliases.get(one)) is not None:
                return self.orders[own]
        return None


_SELLABLE: list[tuple[Pipeline | None, Trade | None, Decimal]] = [(None, None, ZERO)]
"""The newest answer of `Pipeline.sellable`: policies ask the same of the same state one after the other."""


def confirmed_stop_quantity(pipeline: Pipeline, trade: Trade) -> Decimal:
    """How much of the position broker stops are known to cover, were they to trigger now."""
    quantity = ZERO
    for one in trade.stops:
        order = pipeline.orders[one]
        if order.is_confirmed and order.order_type in STOP_TYPES:
            quantity += order.leaves
    return quantity


def put_trade(pipeline: Pipeline, trade: Trade) -> Pipeline:
    """Store a trade and keep the list of those that need attention."""
    return _listed(replace(pipeline, trades={**pipeline.trades, trade.trade_no: trade}), trade)


def _listed(pipeline: Pipeline, trade: Trade) -> Pipeline:
    """Keep the list of trades that need attention after one of them changed."""
    # A trade that is over needs attention again as soon as a late fact changes its position or its result,
    # or one of its orders turns out to be alive.
    needed = (
        trade.entered != trade.exited
        or not trade.is_over
        or trade.unsettled(pipeline.instrument.multiplier)
        or any(pipeline.orders[one].is_live for one in trade.order_ids)
    )
    listed = trade.trade_no in pipeline.open_trades
    if needed == listed:
        return pipeline
    if listed:
        numbers = tuple(number for number in pipeline.open_trades if number != trade.trade_no)
    else:
        numbers = tuple(sorted((*pipeline.open_trades, trade.trade_no)))
    return replace(pipeline, open_trades=numbers)


def put_order(pipeline: Pipeline, old: Order | None, new: Order, now: Micros) -> Pipeline:
    """Store a changed order and carry the change into its trade and the position."""
    if new is old:
        return pipeline
    if old is not None and new.trade_no is not None:
        new = with_intents(pipeline.trades[new.trade_no], old, new)
    own = new.client_order_id
    aliases = _aliased(pipeline.aliases, old, new)
    orders = {**pipeline.orders, own: new}
    before = old if old is not None else replace(new, filled=ZERO, value=ZERO)
    if new.trade_no is None:
        change = (new.filled - before.filled) * SIGN_OF_SIDE[new.side]
        return replace(pipeline, orders=orders, aliases=aliases, external=pipeline.external + change)
    trade = pipeline.trades[new.trade_no]
    traffic = moved(pipeline.traffic, trade, old, new, now)
    if old is None:
        trade = with_order(trade, new)
    elif new.role is Role.STOP and new.order_type not in STOP_TYPES:
        # The stop was taken over into the exit: from here on the exit's owner minds it.
        orders[own] = new = replace(new, role=Role.EXIT)
        trade = with_order(without_stop(trade, own), new)
    trade = booked(trade, before, new, pipeline.market.atr.value, now, orders)
    trades = {**pipeline.trades, trade.trade_no: trade}
    pipeline = replace(pipeline, orders=orders, aliases=aliases, traffic=traffic, trades=trades)
    if trade.closed_at is not None and new.executions is not before.executions:
        # It was measured when it closed, and other fills are other slippage even where the result is the same.
        pipeline = replace(pipeline, slippage=closed(pipeline.slippage, trade.trade_no))
    known, trade = trade, measured(pipeline, trade, now)
    return _listed(pipeline, trade) if trade is known else put_trade(pipeline, trade)


def measured(pipeline: Pipeline, trade: Trade, now: Micros) -> Trade:
    """Keep the time in which a position has no confirmed broker stop for all of it."""
    exposed = pipeline.exposed(trade)
    covered = exposed == ZERO or confirmed_stop_quantity(pipeline, trade) >= exposed
    if covered == (trade.unconfirmed_since is None):
        return trade
    if not covered:
        return replace(trade, unconfirmed_since=now)
    since = trade.unconfirmed_since if trade.unconfirmed_since is not None else now
    return replace(trade, unconfirmed_since=None, unconfirmed_us=trade.unconfirmed_us + now - since)


def _aliased(aliases: dict[str, str], old: Order | None, order: Order) -> dict[str, str]:
    if (
        old is not None
        and order.wire_ids is old.wire_ids
        and order.broker_ids is old.broker_ids
        and order.pending is old.pending
    ):
        return aliases
    own = order.client_order_id
    fresh = [one for one in (own, *order.wire_ids, *order.broker_ids) if one not in aliases]
    fresh += [one.wire_id for one in order.pending if one.wire_id not in aliases and one.wire_id not in fresh]
    return {**aliases, **dict.fromkeys(fresh, own)} if fresh else aliases
