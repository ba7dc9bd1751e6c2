"""How an accepted request begins: the decision with its ladder and size, and the first order. OD-014, OD-043..057.

An add is begun like an entry, under the trade that it adds to: a lot of its own, with its own stop, targets, ATR and
result, whose number stands beside that of the trade. OD-095..101; C-22.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from oms.events.base import Event
from oms.events.decisions import EntryAccepted, Rung
from oms.events.strategy import EntryRequested
from oms.execution import orders
from oms.execution.ladder import KEY_LEVEL, RUNNER
from oms.formulas.risk import size_class
from oms.sizing import Sized, Wanted, at_risk
from oms.state.trade import Trade, accepted
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    ONE,
    ZERO,
    OrderType,
    PositionSide,
    Role,
    ScaleOut,
    round_down_to_tick,
    round_up_to_tick,
)

ADD: Final = "ADD_TO_POSITION"
"""Reason of the order of an add."""


def begin(
    view: View, wish: EntryRequested, size: Sized, *, policy: str, parent: Trade | None = None
) -> Iterator[Event]:
    """Accept a request and send its first order; with `parent` it adds to that trade."""
    wanted = Wanted(quantity=wish.quantity, price=wish.ideal, stop=wish.stop)
    decision = EntryAccepted(
        instrument=wish.instrument,
        trade_no=view.account.next_trade_no,
        parent_trade_no=parent.trade_no if parent is not None else None,
        cycle=view.pipeline.cycle + 1,
        strategy=wish.strategy,
        intent_id=wish.intent_id,
        side=wish.side,
        quantity=size.quantity,
        ideal=wish.ideal,
        zone_max=wish.zone_max,
        stop=wish.stop,
        key_level=wish.key_level,
        config_sha256=view.account.config_sha256,
        rungs=rungs(view, wish, size.quantity),
        cap=size.cap,
        sizing=size.steps,
        at_risk=at_risk(view, wanted, size.quantity),
    )
    yield decision
    trade = accepted(decision, view.now, 0)
    yield orders.place(
        trade,
        Role.ENTRY,
        size.quantity,
        OrderType.LIMIT,
        price_limit=inside(view, trade, wish.ideal),
        valid_until=view.now + view.settings.entry.valid_for_ms * MILLISECOND,
        reason=ADD if parent is not None else "",
        policy=policy,
    )


def rungs(view: View, wish: EntryRequested, quantity: Decimal) -> tuple[Rung, ...]:
    """The ladder of the size class under the profile of the request, else of the settings.

    A missing key level gives its share to the next rung (architecture 6).
    """
    setting = view.settings.targets
    value = quantity * wish.ideal * view.pipeline.instrument.multiplier
    ladder = getattr(setting, size_class(value, setting.compact_below, setting.full_above).value)
    found: list[Rung] = []
    carried = ZERO
    for rung in ladder:
        if rung.trigger == KEY_LEVEL and wish.key_level is None:
            carried += rung.pct
            continue
        found.append(Rung(trigger=rung.trigger, pct=rung.pct + carried))
        carried = ZERO
    profile = wish.scale_out_profile or ScaleOut(setting.scale_out_profile)
    return _scaled(found, profile, setting.conservative_share)


def _scaled(ladder: list[Rung], profile: ScaleOut, share: Decimal) -> tuple[Rung, ...]:
    """As much for the runner as the profile leaves: all, more than its share, its share, or nothing (OD-050)."""
    targets = [rung for rung in ladder if rung.trigger != RUNNER]
    if profile is ScaleOut.OFF:
        targets = []
    elif profile is ScaleOut.CONSERVATIVE:
        targets = [replace(rung, pct=rung.pct * share) for rung in targets]
    rest = ONE - sum((rung.pct for rung in targets), ZERO)
    if profile is ScaleOut.AGGRESSIVE and targets:
        *others, last = targets
        return (*others, replace(last, pct=last.pct + rest))
    return (*targets, Rung(trigger=RUNNER, pct=rest)) if rest else tuple(targets)


def inside(view: View, trade: Trade, price: Decimal) -> Decimal:
    """Never beyond the zone maximum, not even by rounding to the tick (OD-057)."""
    if trade.side is PositionSide.LONG:
        return round_down_to_tick(min(price, trade.zone_max), view.tick)
    return round_up_to_tick(max(price, trade.zone_max), view.tick)
