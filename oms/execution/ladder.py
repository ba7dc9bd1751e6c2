"""Where the tranches of a trade's ladder lie. OD-043..048."""

from decimal import Decimal
from typing import Final

from oms.formulas.risk import r_multiple_price
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import LONG, SIGN_OF, ZERO, round_down_to_tick, round_up_to_tick

KEY_LEVEL: Final = "KEY_LEVEL"
RUNNER: Final = "RUNNER"


def rung_price(view: View, trade: Trade, index: int) -> Decimal | None:
    """The limit of a tranche: R multiples from the average entry, or the key level; None for the runner.

    A key level that is not beyond the average entry would sell at a loss, or for nothing: its tranche waits for the
    price of the next rung, to which a missing key level gives its share as well (architecture 6).
    """
    price_entry = trade.price_entry
    if price_entry is None:
        return None
    trigger, sign = trade.rungs[index].trigger, SIGN_OF[trade.side]
    if trigger == KEY_LEVEL:
        price = trade.key_level
        if price is None or (price - price_entry) * sign <= ZERO:
            return rung_price(view, trade, index + 1) if index + 1 < len(trade.rungs) else None
    elif trigger == RUNNER:
        return None
    else:
        price = r_multiple_price(price_entry, trade.risk, Decimal(trigger.removesuffix("R")), trade.side)
    if price <= ZERO:
        return None
    if trade.side is LONG:
        return round_up_to_tick(price, view.tick)
    return round_down_to_tick(price, view.tick)


def first_target(view: View, trade: Trade) -> Decimal | None:
    """The nearest price at which the ladder sells; None where it has none, or is not used."""
    if trade.trail_only or view.settings_of(trade).targets.policy == "TRAIL_ONLY":
        return None
    found = [
        price for index in range(len(trade.rungs)) if (price := rung_price(view, trade, index)) is not None
    ]
    return (min(found) if trade.side is LONG else max(found)) if found else None
