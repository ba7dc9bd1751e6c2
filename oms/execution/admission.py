"""May this entry be made now? Each refusal has a stable code. OD-087, OD-094; C-20; reliability I30, I45, I51."""

from typing import Final

from oms.events.strategy import EntryRequested
from oms.execution import degradation, pre_market
from oms.state.view import View
from oms.values import MILLISECOND, ZERO, Bias, Micros, PositionSide, is_multiple, plain

Refusal = tuple[str, str]


def forced_close_start(view: View) -> Micros | None:
    """When entries end in the present session, or None where it has no close."""
    if view.market.close_at is None:
        return None
    return view.market.close_at - view.settings.forced_close.start_before_close_ms * MILLISECOND


def is_forced_close(view: View) -> bool:
    """Whether the forced-close window has begun; its first instant belongs to it."""
    start = forced_close_start(view)
    return start is not None and view.now >= start


def refusal(view: View, wish: EntryRequested) -> Refusal | None:
    """Why the entry is refused, or None. What is wrong with the request comes before what is wrong with the time."""
    return malformed(view, wish) or untimely(view) or _not_flat(view, wish) or unwanted(view, wish)


def malformed(view: View, wish: EntryRequested) -> Refusal | None:
    long = wish.side is PositionSide.LONG
    definition = view.pipeline.instrument
    if wish.quantity <= ZERO or not is_multiple(wish.quantity, definition.lot):
        return (
            "bad_quantity",
            f"quantity {plain(wish.quantity)} is not a positive multiple of the lot {plain(definition.lot)}",
        )
    for name in ("ideal", "zone_max", "stop"):
        price = getattr(wish, name)
        if price <= ZERO or not is_multiple(price, definition.tick):
            return (
                "bad_price",
                f"{name} {plain(price)} is not a positive multiple of the tick {plain(definition.tick)}",
            )
    if (wish.zone_max < wish.ideal) if long else (wish.zone_max > wish.ideal):
        return (
            "bad_zone",
            f"zone maximum {plain(wish.zone_max)} lies on the wrong side of ideal {plain(wish.ideal)}",
        )
    if (wish.stop >= wish.ideal) if long else (wish.stop <= wish.ideal):
        return "bad_stop", f"stop {plain(wish.stop)} lies on the wrong side of ideal {plain(wish.ideal)}"
    key = wish.key_level
    if key is not None and ((key <= wish.ideal) if long else (key >= wish.ideal)):
        return "bad_key_level", f"key level {plain(key)} lies on the wrong side of ideal {plain(wish.ideal)}"
    if not long and not view.settings.risk.allow_short:
        return "no_shorts", "risk.allow_short is off"
    if not long and view.capabilities.reserves_inventory:
        return "no_shorts", "the broker sells only what is held"
    return None


def untimely(view: View) -> Refusal | None:
    """Why nothing may be opened or added to now, whatever it is."""
    account, pipeline = view.account, view.pipeline
    if account.kill_level >= 1:
        return "killed", f"kill level {account.kill_level}: {account.kill_reason}"
    if account.paused:
        return "paused", "entries are paused by an operator"
    if pipeline.safe_mode:
        return "safe_mode", pipeline.safe_mode
    if not account.connected or not account.reconciled:
        return "not_reconciled", "the broker's books have not been compared with the log yet"
    if view.market.is_halted:
        return "halted", "the venue has halted trading"
    if is_forced_close(view):
        return "forced_close", "the forced-close window of this session has begun"
    if not view.market.is_regular(view.now) and (refused := pre_market.refusal(view)) is not None:
        return refused
    if view.pipeline.notes.get("reconciliation", {}).get("difference", "0") != "0":
        return "mismatch", "the broker's position differs from the log"
    return None


def _not_flat(view: View, wish: EntryRequested) -> Refusal | None:
    # One cycle at a time: a new trade needs the former one flat and none of its orders possibly alive.
    if view.pipeline.open_trades or view.pipeline.position != ZERO:
        return "not_flat", f"{wish.instrument} still has an open trade or position"
    return None


_AGAINST: Final = {PositionSide.LONG: Bias.SHORT, PositionSide.SHORT: Bias.LONG}


def unwanted(view: View, wish: EntryRequested) -> Refusal | None:
    """What the strategy itself leans against, and what degradation does not allow at present."""
    advice = view.pipeline.advice.get(wish.strategy)
    if advice is not None and advice.bias is _AGAINST[wish.side]:
        return "against_bias", f"{wish.strategy} leans {advice.bias.value} since its newest cycle"
    return degradation.refusal(view, wish)
