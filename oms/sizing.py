"""How much may be traded: what a strategy asks for, then caps, then factors; every step is logged. C-30.

The chain is a list of named steps. A cap is a limit in units; the day's budget is what may still be lost today:
the daily loss limit plus the result so far, less fees and less what other trades have at risk. A factor takes a
share of what the caps have left. All in whole lots, rounded down. OD-093, OD-100, OD-119; OD-061.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct

from oms.events.decisions import SizingStep
from oms.execution import degradation
from oms.state.slippage import REDUCE
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ONE, SIGN_OF, ZERO, round_down_to_lot


class Wanted(Struct, frozen=True, gc=False, kw_only=True):
    """What is asked for: units at a price, with the stop that bounds the loss of a unit.

    `held` is there already; `addition` is the most that may be added to it (None for an entry).
    """

    quantity: Decimal
    price: Decimal
    stop: Decimal
    held: Decimal = ZERO
    addition: Decimal | None = None


class Sized(Struct, frozen=True, gc=False):
    """What is permitted, how it came about step by step, and the names of the steps that took something away."""

    quantity: Decimal
    steps: tuple[SizingStep, ...]
    cap: str


Cap = Callable[[View, Wanted], Decimal | None]
"""The most units that are permitted, or None where the step does not apply."""
Factor = Callable[[View], Decimal | None]
"""The share that is left, or None where the step does not apply."""


def sized(view: View, wanted: Wanted) -> Sized:
    """Run the chain. The quantity is never negative, in whole lots and at most what was asked for."""
    lot = view.lot
    left = max(round_down_to_lot(wanted.quantity, lot), ZERO)
    steps = [SizingStep(rule=BASE, quantity=left)]
    tightest, taken = "", []
    for name, cap in CAPS:
        limit = cap(view, wanted)
        if limit is None:
            continue
        if limit < left:
            left, tightest = max(round_down_to_lot(limit, lot), ZERO), name
        steps.append(SizingStep(rule=name, quantity=left))
    for name, factor in FACTORS:
        share = factor(view)
        if share is None:
            continue
        left = round_down_to_lot(left * share, lot)
        taken.append(name)
        steps.append(SizingStep(rule=name, quantity=left))
    return Sized(left, tuple(steps), ", ".join(name for name in (tightest, *taken) if name))


def at_risk(view: View, wanted: Wanted, quantity: Decimal) -> Decimal:
    """What so many units lose from their price to their stop, in money."""
    return quantity * _loss_per_unit(view, wanted)


def day_budget(view: View) -> Decimal:
    """What may still be lost today in the instrument's currency; negative when it is overdrawn."""
    account, currency = view.account, view.pipeline.instrument.currency
    result = account.realized.get(currency, ZERO) - account.fees.get(currency, ZERO)
    result += sum((_realized(view, trade) for trade in view.pipeline.open()), ZERO)
    return view.settings.risk.daily_loss_limit + result - sum(account.at_risk.values(), ZERO)


def _realized(view: View, trade: Trade) -> Decimal:
    """What the exits of a trade that is still open have earned, at its average entry price."""
    if trade.exited == ZERO or trade.entered == ZERO or trade.closed_at is not None:
        return ZERO
    cost = trade.entry_value * trade.exited / trade.entered
    return (trade.exit_value - cost) * SIGN_OF[trade.side] * view.pipeline.instrument.multiplier


def _loss_per_unit(view: View, wanted: Wanted) -> Decimal:
    return abs(wanted.price - wanted.stop) * view.pipeline.instrument.multiplier


def _unit(view: View, wanted: Wanted) -> Decimal:
    return wanted.price * view.pipeline.instrument.multiplier


def _addition(_view: View, wanted: Wanted) -> Decimal | None:
    return wanted.addition


def _position(view: View, wanted: Wanted) -> Decimal:
    return _share(view, wanted, view.settings.risk.max_position_pct) - wanted.held


def _share(view: View, wanted: Wanted, pct: Decimal) -> Decimal:
    """The units that a share of the day's capital pays for."""
    return pct * view.settings.account.day_capital / _unit(view, wanted)


def _pre_market(view: View, wanted: Wanted) -> Decimal | None:
    """Half the standard size before the open (OD-102)."""
    if not view.market.is_before_open(view.now):
        return None
    return _share(view, wanted, view.settings.pre_market.max_position_pct) - wanted.held


def _reduced(view: View, wanted: Wanted) -> Decimal | None:
    """The largest position less a share, while the last trades lost too much to slippage (OD-108)."""
    if REDUCE not in view.pipeline.slippage.measures or SLIPPAGE not in view.settings.policies.enabled:
        return None
    limits = [one for one in (_position(view, wanted), _pre_market(view, wanted)) if one is not None]
    left = ONE - view.settings.slippage.reduce_by
    return (min(limits) + wanted.held) * left - wanted.held


def _day(view: View, wanted: Wanted) -> Decimal | None:
    loss = _loss_per_unit(view, wanted)
    return day_budget(view) / loss if loss > ZERO else None


def _order_value(view: View, wanted: Wanted) -> Decimal:
    return view.settings.gate.max_order_value / _unit(view, wanted)


def _order_quantity(view: View, _wanted: Wanted) -> Decimal:
    return Decimal(view.settings.gate.max_order_quantity)


def _halved(view: View) -> Decimal | None:
    return HALF if degradation.is_halved(view) else None


HALF: Final = Decimal("0.5")
SLIPPAGE: Final = "slippage"
BASE: Final = "asked"
CAPS: Final[tuple[tuple[str, Cap], ...]] = (
    ("add_on.size", _addition),
    ("risk.max_position_pct", _position),
    ("pre_market.max_position_pct", _pre_market),
    ("slippage.reduce_by", _reduced),
    ("risk.daily_loss_limit", _day),
    ("gate.max_order_value", _order_value),
    ("gate.max_order_quantity", _order_quantity),
)
FACTORS: Final[tuple[tuple[str, Factor], ...]] = (("degradation.fill_rate", _halved),)
