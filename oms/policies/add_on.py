"""Scale-up: a lot is added to an open position that has earned it, as a cycle of its own under the same trade.

The lot has its own entry price, ATR, stop, targets and result, so each group of lots has one stop and the stops sum to
the position; the old lots keep what they had. It is asked for by the strategy, or found by `profit_ema`: enough profit
and a price near the average. Nothing is added to what is closing, unprotected or still being entered, nor when an entry
would be refused. OD-095..101; C-21, C-22; reliability I28, I30.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from oms.events.base import Event
from oms.events.decisions import IntentRefused
from oms.events.strategy import AddRequested, EntryRequested
from oms.execution import admission
from oms.execution.entries import begin
from oms.execution.orders import exit_side
from oms.sizing import Sized, Wanted, sized
from oms.state.protection import Protection, protection
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import (
    SIGN_OF,
    ZERO,
    PositionSide,
    plain,
    round_down_to_lot,
    round_down_to_tick,
    round_up_to_tick,
)

NAME: Final = "add_on"
VERSION: Final = 1
PRIORITY: Final = 55
SCOPE: Final = "pipeline"


def decide(view: View) -> Iterator[Event]:
    """Answer a request to add; with `profit_ema` add without one."""
    if isinstance(view.wish, AddRequested):
        yield from _answer(view, view.wish)
    elif view.settings.add_on.condition == "profit_ema" and view.wish is None:
        for trade in _roots(view):
            wish = _found(view, trade) if _forbidden(view, trade) is None else None
            if wish is not None and (size := _size(view, wish, trade)).quantity > ZERO:
                yield from begin(view, wish, size, policy=NAME, parent=trade)
                return


def _answer(view: View, request: AddRequested) -> Iterator[Event]:
    trade = next((one for one in _roots(view) if _is_meant(one, request)), None)
    if trade is None:
        yield _refused(request, ("nothing_to_add_to", "the strategy holds no open trade to add to"))
        return
    wish = _as_entry(view, request, trade)
    refusal = admission.malformed(view, wish) or _forbidden(view, trade) or admission.unwanted(view, wish)
    if refusal is not None:
        yield _refused(request, refusal)
        return
    size = _size(view, wish, trade)
    if size.quantity > ZERO:
        yield from begin(view, wish, size, policy=NAME, parent=trade)
    else:
        yield _refused(request, ("no_size", f"{size.cap} leaves less than one lot"))


def _refused(request: AddRequested, refusal: admission.Refusal) -> IntentRefused:
    return IntentRefused(
        instrument=request.instrument,
        strategy=request.strategy,
        intent_id=request.intent_id,
        code=refusal[0],
        text=refusal[1],
    )


def _roots(view: View) -> list[Trade]:
    """Trades with a position that are no additions themselves, oldest first."""
    return [one for one in view.pipeline.open() if one.parent_trade_no is None and one.held > ZERO]


def _is_meant(trade: Trade, request: AddRequested) -> bool:
    return trade.strategy == request.strategy and request.trade_no in (None, trade.trade_no)


def _added(view: View, trade: Trade) -> list[Trade]:
    """What was added to a trade before, whatever came of it."""
    return [one for one in view.pipeline.trades.values() if one.parent_trade_no == trade.trade_no]


def _as_entry(view: View, request: AddRequested, trade: Trade) -> EntryRequested:
    """The request with what it left open."""
    stop = trade.level if trade.level is not None else trade.stop0
    return EntryRequested(
        instrument=request.instrument,
        strategy=request.strategy,
        intent_id=request.intent_id,
        side=trade.side,
        quantity=request.quantity if request.quantity is not None else _largest(view, trade),
        ideal=request.ideal,
        zone_max=request.zone_max,
        stop=request.stop if request.stop is not None else stop,
        key_level=request.key_level,
    )


def _found(view: View, trade: Trade) -> EntryRequested | None:
    """An addition at the average of closes, if the price is near it; the average never gets better by waiting."""
    ema, price = view.market.ema.value, view.exit_price(exit_side(trade))
    if ema is None or price is None or abs(price - ema) > view.settings.add_on.ema_band_pct * ema:
        return None
    long = trade.side is PositionSide.LONG
    ideal = round_down_to_tick(ema, view.tick) if long else round_up_to_tick(ema, view.tick)
    request = AddRequested(
        instrument=trade.instrument,
        strategy=trade.strategy,
        intent_id=f"{trade.intent_id}+{len(_added(view, trade)) + 1}",
        ideal=ideal,
        zone_max=ideal,
    )
    wish = _as_entry(view, request, trade)
    refused = admission.malformed(view, wish) or admission.unwanted(view, wish)
    return wish if refused is None else None


def _largest(view: View, trade: Trade) -> Decimal:
    """The most that the settings add this time, in whole lots; at least one, so that the chain says what cuts it."""
    return max(round_down_to_lot(_addition(view, trade), view.lot), view.lot)


def _addition(view: View, trade: Trade) -> Decimal:
    """A share of the first lot: always the same, or each time the former times gamma."""
    setting = view.settings.add_on
    if setting.size == "pct_of_initial":
        return setting.pct_of_initial * trade.entered
    return setting.gamma ** (len(_added(view, trade)) + 1) * trade.entered


def _size(view: View, wish: EntryRequested, trade: Trade) -> Sized:
    return sized(
        view,
        Wanted(
            quantity=wish.quantity,
            price=wish.ideal,
            stop=wish.stop,
            held=abs(view.pipeline.position),
            addition=_addition(view, trade),
        ),
    )


def _forbidden(view: View, trade: Trade) -> admission.Refusal | None:
    """Why nothing may be added to the trade now, whatever it is; or None."""
    return admission.untimely(view) or _unearned(view, trade) or _unready(view, trade)


def _unready(view: View, trade: Trade) -> admission.Refusal | None:
    """What of the position itself stands against adding to it."""
    for one in (trade, *_added(view, trade)):
        if one.close is not None and not one.is_over:
            return "closing", f"trade {one.trade_no} is being closed"
        if view.live(one.entries):
            return "entry_working", f"trade {one.trade_no} is still being entered"
        if protection(view, one) not in (Protection.BROKER_STOP, Protection.FLAT):
            return "not_protected", f"no stop is confirmed for trade {one.trade_no}"
    return None


def _unearned(view: View, trade: Trade) -> admission.Refusal | None:
    """The settings' own conditions: whether at all, how often, and with how much profit."""
    setting = view.settings.add_on
    if setting.condition == "off":
        return "no_adds", "add_on.condition is off"
    if view.capabilities.refuses_opposite_side:
        return "opposite_side", "the broker refuses an entry beside a working stop"
    if len(_added(view, trade)) >= setting.max_count:
        return "add_limit", f"add_on.max_count is {setting.max_count}"
    price, price_entry = view.exit_price(exit_side(trade)), trade.price_entry
    if price is None or price_entry is None:
        return "no_quote", "no usable quote to value the position with"
    if (price - price_entry) * SIGN_OF[trade.side] < setting.min_profit_r * trade.risk:
        return "not_earned", f"less than {plain(setting.min_profit_r)} R of profit at {plain(price)}"
    return None
