"""Whether a pipeline is calm, and whether anything has come up since: most inputs of a calm pipeline change nothing.

Calm means: every position is under a confirmed stop, no request is on its way, none was refused, nothing is
closing, the broker owes no answer and does by itself what brokers usually do. Then time alone changes nothing but for
what the clock, a deadline or a request brings, and most policies need not be asked again until an order, a trade, the
venue or the settings change. It is a cache beside the state: in no digest, never stored, and a step without it
decides the same (architecture 3; `tests/unit/state/test_calm.py`).
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from oms.events.broker import BrokerSnapshotReported, CapabilitiesDeclared
from oms.state.account import Account
from oms.state.market import Market
from oms.state.order import REJECTED, Order
from oms.state.pipeline import Pipeline, confirmed_stop_quantity
from oms.state.trade import Trade
from oms.state.view import View
from oms.values import ZERO, TradingPhase

SAME: Final = 1
"""A calm pipeline of which nothing has changed but quotes, prints, bars and depth."""
EXCURSION: Final = 2
"""As `SAME`, and the best price of a trade was raised."""
CHANGED: Final = 4
"""Anything else."""
BOOKS: Final = 8
"""As `SAME`, and the broker has told what is in its books, which one policy compares."""
ALWAYS: Final = SAME | EXCURSION | CHANGED | BOOKS


class Calm(Struct, frozen=True, gc=False):
    """A calm state about which no policy had anything to say."""

    account: Account
    pipeline: Pipeline


def since(calm: Calm | None, view: View) -> int:
    """What has come up since: `SAME`, `EXCURSION`, `BOOKS` or `CHANGED`."""
    is_told = isinstance(view.wish, BrokerSnapshotReported)
    if calm is None or (view.wish is not None and not is_told):
        return CHANGED
    before, after = calm.pipeline, view.pipeline
    if before is not after:
        if not _is_same_venue(before.market, after.market):
            return CHANGED
        # By identity where nothing changed: fields of a frozen struct are carried over as they are.
        if replace(before, market=after.market, trades=after.trades) != after:
            return CHANGED
    if not _is_same_account(calm.account, view.account):
        return CHANGED
    if before.trades is after.trades:
        return BOOKS if is_told else SAME
    if is_told:
        return CHANGED
    return EXCURSION if _is_excursion(before.trades, after.trades) else CHANGED


def is_calm(view: View) -> bool:
    """Whether time alone can bring nothing that the policies which are not asked `ALWAYS` would act on."""
    pipeline, market = view.pipeline, view.market
    if not pipeline.open_trades or pipeline.questions or pipeline.safe_mode or market.is_halted:
        return False
    if not (view.capabilities.modify_stop and _lets_rest(view.capabilities)):
        return False
    if market.resumed_at is not None and not market.resume_seq:
        return False
    return all(view.modifies_stops(trade) and _is_settled(pipeline, trade) for trade in pipeline.open())


def _lets_rest(broker: CapabilitiesDeclared) -> bool:
    """Whether nothing has to be watched that a broker would usually do by itself, or be exchanged in steps."""
    return (
        broker.reports_trigger
        and not broker.reserves_inventory
        and not broker.refuses_opposite_side
        and len(broker.stop_active_phases) == len(TradingPhase)
    )


def _is_settled(pipeline: Pipeline, trade: Trade) -> bool:
    if trade.held <= ZERO or trade.close is not None or trade.guard is not None or trade.alerts:
        return False
    orders = pipeline.orders
    if not all(_is_at_rest(orders[one]) for one in trade.order_ids):
        return False
    if any(orders[one].triggered_at is not None for one in trade.stops):
        return False
    if any(orders[one].is_live for one in trade.exits):
        return False
    # With no target left the stop follows the bars.
    if trade.targets and not any(orders[one].is_live for one in trade.targets):
        return False
    return confirmed_stop_quantity(pipeline, trade) >= pipeline.sellable(trade)


def _is_at_rest(order: Order) -> bool:
    return not order.pending and not order.refusals and order.status is not REJECTED


def _is_same_venue(before: Market, after: Market) -> bool:
    return (
        before.status is after.status
        and before.resumed_at == after.resumed_at
        and before.resume_seq == after.resume_seq
        and before.session_seq == after.session_seq
        and before.status_seq == after.status_seq
    )


def _is_same_account(before: Account, after: Account) -> bool:
    return (
        before.configs is after.configs
        and before.config_sha256 == after.config_sha256
        and before.capabilities is after.capabilities
        and before.connected is after.connected
        and before.reconciled is after.reconciled
        and before.kill_level == after.kill_level
    )


def _is_excursion(before: dict[int, Trade], after: dict[int, Trade]) -> bool:
    if before.keys() != after.keys():
        return False
    return all(
        trade is before[number] or replace(before[number], mfe=trade.mfe) == trade
        for number, trade in after.items()
    )
