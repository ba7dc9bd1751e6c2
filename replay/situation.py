"""The state in words: what a person asks of an instant, and the same for a program.

Who holds the stop, what is under way, what comes next and because of which rule. Everything here is derived from
the state; nothing is decided. Money is in the instrument's currency and before fees unless a name says otherwise.
"""

from datetime import date
from decimal import Decimal
from typing import Final, Literal

from msgspec import Struct

from oms.policies import POLICIES
from oms.state import invariants
from oms.state.account import Account
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.step import Pipelines
from oms.values import SELL_OF, SIGN_OF, ZERO, Micros, rounded

Holder = Literal["broker stop", "internal guard", "exit in flight", "halt", "nobody", "flat"]

HOLDERS: Final[dict[Protection, Holder]] = {
    Protection.FLAT: "flat",
    Protection.BROKER_STOP: "broker stop",
    Protection.STOP_IN_FLIGHT: "internal guard",
    Protection.EXIT_IN_FLIGHT: "exit in flight",
    Protection.GUARDED: "internal guard",
    Protection.HALTED: "halt",
    Protection.NAKED: "nobody",
}
"""Who would end the trade at its stop level now. `nobody` means NAKED."""


class OrderLine(Struct, frozen=True, kw_only=True):
    """An order. `pending` are our requests that the broker has not answered."""

    client_order_id: str
    role: str
    side: str
    order_type: str
    state: str
    quantity: Decimal
    filled: Decimal
    leaves: Decimal
    price_limit: Decimal | None
    price_stop: Decimal | None
    pending: tuple[str, ...]
    rung: int | None
    reason: str
    is_live: bool


class TradeLine(Struct, frozen=True, kw_only=True):
    """A trade. `pnl_open` and the open part of `r` are at the side of the newest quote an exit would meet."""

    trade_no: int
    strategy: str
    side: str
    quantity: Decimal
    held: Decimal
    price_entry: Decimal | None
    stop: Decimal | None
    stop_source: str
    holder: Holder
    protection: str
    covered: Decimal
    closing: str
    pnl_realized: Decimal
    pnl_open: Decimal | None
    fees: Decimal
    r: Decimal | None
    naked_seconds: Decimal
    unconfirmed_seconds: Decimal
    is_over: bool
    orders: tuple[OrderLine, ...]


class PipelineLine(Struct, frozen=True, kw_only=True):
    """An instrument. The next deadline is what wakes it up if nothing else happens."""

    instrument: str
    position: Decimal
    bid: Decimal | None
    ask: Decimal | None
    quote_age_seconds: Decimal | None
    venue: str
    safe_mode: str
    next_due: Micros | None
    next_policy: str
    alerts: tuple[str, ...]
    trades: tuple[TradeLine, ...]
    external_orders: tuple[OrderLine, ...]


class Situation(Struct, frozen=True, kw_only=True):
    """An account at one instant."""

    account: str
    seq: int
    at: Micros
    trading_day: date | None
    epoch: int
    config_sha256: str
    connected: bool
    reconciled: bool
    kill_level: int
    kill_reason: str
    paused: bool
    realized: dict[str, Decimal]
    fees: dict[str, Decimal]
    pipelines: tuple[PipelineLine, ...]


def situation(account: Account, pipelines: Pipelines) -> Situation:
    """Describe a state. Pipelines by name, trades by number, orders in the order of their placement."""
    return Situation(
        account=account.account,
        seq=account.seq,
        at=account.now,
        trading_day=account.trading_day,
        epoch=account.epoch,
        config_sha256=account.config_sha256,
        connected=account.connected,
        reconciled=account.reconciled,
        kill_level=account.kill_level,
        kill_reason=account.kill_reason,
        paused=account.paused,
        realized=dict(account.realized),
        fees=dict(account.fees),
        pipelines=tuple(_pipeline(account, pipelines[name]) for name in sorted(pipelines)),
    )


def next_deadline(view: View) -> tuple[Micros | None, str]:
    """The next deadline of a pipeline and the policy it belongs to; (None, "") while nothing is under way."""
    if not view.pipeline.open_trades or not view.account.config_sha256:
        return None, ""
    asked = [(policy.name, policy.next_due) for policy in POLICIES if policy.next_due is not None]
    asked.append((invariants.POLICY, invariants.next_due))
    dues = [(due, name) for name, next_due in asked for due in next_due(view) if due > view.now]
    return min(dues, default=(None, ""), key=lambda found: found[0])


def _pipeline(account: Account, pipeline: Pipeline) -> PipelineLine:
    view, market = View(account, pipeline, account.now), pipeline.market
    due, policy = next_deadline(view)
    age = account.now - market.quote_at if market.quote_at is not None else None
    external = [order for order in pipeline.orders.values() if order.is_external]
    return PipelineLine(
        instrument=pipeline.name,
        position=pipeline.position,
        bid=market.bid,
        ask=market.ask,
        quote_age_seconds=_seconds(age) if age is not None else None,
        venue=market.status.value,
        safe_mode=pipeline.safe_mode,
        next_due=due,
        next_policy=policy,
        alerts=pipeline.alerts,
        trades=tuple(_trade(view, pipeline.trades[number]) for number in sorted(pipeline.trades)),
        external_orders=tuple(_order(order) for order in external),
    )


def _trade(view: View, trade: Trade) -> TradeLine:
    multiplier, now = view.pipeline.instrument.multiplier, view.now
    realized = _realized(trade) * multiplier
    unrealized = _open(view, trade)
    at_risk = trade.risk * trade.entered * multiplier
    ids = (*trade.entries, *trade.stops, *trade.targets, *trade.exits)
    orders = sorted(view.orders(ids), key=lambda order: order.placed_seq)
    state = protection(view, trade)
    return TradeLine(
        trade_no=trade.trade_no,
        strategy=trade.strategy,
        side=trade.side.value,
        quantity=trade.quantity,
        held=trade.held,
        price_entry=rounded(trade.price_entry, 6) if trade.price_entry is not None else None,
        stop=trade.level,
        stop_source=trade.level_source,
        holder=HOLDERS[state],
        protection=state.value,
        covered=sum((order.leaves for order in view.live(trade.stops) if order.is_confirmed), ZERO),
        closing=trade.close.reason if trade.close is not None else "",
        pnl_realized=rounded(realized, 6),
        pnl_open=rounded(unrealized, 6) if unrealized is not None else None,
        fees=trade.fees,
        r=rounded((realized + (unrealized or ZERO)) / at_risk, 4) if at_risk else None,
        naked_seconds=_lasted(trade.naked_us, trade.naked_since, now),
        unconfirmed_seconds=_lasted(trade.unconfirmed_us, trade.unconfirmed_since, now),
        is_over=trade.is_over,
        orders=tuple(_order(order) for order in orders),
    )


def _realized(trade: Trade) -> Decimal:
    """Made by what was exited: its value against the same share of the entry's cost, per unit of multiplier."""
    if trade.entered <= ZERO:
        return ZERO
    cost = trade.entry_value * trade.exited / trade.entered
    return (trade.exit_value - cost) * SIGN_OF[trade.side]


def _open(view: View, trade: Trade) -> Decimal | None:
    """What the rest would make at the newest quote; zero when flat, None without a quote."""
    if trade.held == ZERO or trade.price_entry is None:
        return ZERO
    price = view.market.exit_price(SELL_OF[trade.side])
    if price is None:
        return None
    return (
        (price - trade.price_entry) * trade.held * SIGN_OF[trade.side] * view.pipeline.instrument.multiplier
    )


def _order(order: Order) -> OrderLine:
    return OrderLine(
        client_order_id=order.client_order_id,
        role=order.role.value if order.role is not None else "EXTERNAL",
        side=order.side.value,
        order_type=order.order_type.value,
        state=order.status.value,
        quantity=order.quantity,
        filled=order.filled,
        leaves=order.leaves,
        price_limit=order.price_limit,
        price_stop=order.price_stop,
        pending=tuple(pending.kind.value for pending in order.pending),
        rung=order.rung,
        reason=order.reason,
        is_live=order.is_live,
    )


def _lasted(us: Micros, since: Micros | None, now: Micros) -> Decimal:
    return _seconds(us + (now - since if since is not None else 0))


def _seconds(us: Micros) -> Decimal:
    return Decimal(us).scaleb(-6)
