"""What is really so at the broker, whatever the log says: nakedness, oversells, orders nobody wants."""

from collections.abc import Iterator

from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import SELL_OF, SIGN_OF, ZERO, Role
from tests.simulation.checks.base import QUIET, Scene, check
from tests.simulation.oracle.orders import Order

REPAIR_US = 30_000_000
"""How long the truth may be wrong while nothing prevents us from mending it."""
WAITING = ("STOP", "STOP_LIMIT")


def _since(scene: Scene, name: str, key: str, *, wrong: bool) -> int:
    """How long something has been wrong without a pause, in microseconds."""
    known = scene.own(name, {})
    if not wrong:
        known.pop(key, None)
        return 0
    now: int = scene.world.clock
    return now - known.setdefault(key, now)


def _is_free(scene: Scene, symbol: str) -> bool:
    """Whether nothing keeps us from acting: the venue trades, and the broker has not just refused us."""
    return bool(scene.world.oracle.floor.venues[symbol].is_trading)


def _reducing(scene: Scene, symbol: str, trade: Trade) -> list[Order]:
    side = SELL_OF[trade.side].value
    return [order for order in scene.world.oracle.floor.orders.working(symbol) if order.side == side]


@check("I31", QUIET)
def broker_really_protects(scene: Scene) -> Iterator[str]:
    """What is held for our trades is covered at the broker by waiting stops or exits, but for a short while."""
    for pipeline, trade in scene.held():
        symbol = pipeline.name
        orders = [order for order in _reducing(scene, symbol, trade) if not order.by_hand]
        covered = sum((order.leaves for order in orders if _covers(pipeline, order)), ZERO)
        # Where others have sold, the account holds less than our trades do, and no more than that is to be covered.
        there = scene.world.oracle.floor.held(symbol) * SIGN_OF[trade.side]
        wrong = covered < min(trade.held, there) and _is_free(scene, symbol) and not trade.alerts
        wrong = wrong and not _is_unheard(scene, pipeline, trade)
        late = _since(scene, "truth I31", f"{trade.trade_no}", wrong=wrong)
        if late > REPAIR_US and trade.guard is None and trade.close is None:
            yield f"trade {trade.trade_no} holds {trade.held}, the broker covers {covered} for {late // 1000} ms"


def _is_unheard(scene: Scene, pipeline: Pipeline, trade: Trade) -> bool:
    """Whether a report of one of its orders was lost without a trace: only asking for the books can bring it."""
    heard = (pipeline.find(one) for one in scene.world.desk.lost)
    return any(order is not None and order.trade_no == trade.trade_no for order in heard)


def _covers(pipeline: Pipeline, order: Order) -> bool:
    """Whether an order at the broker bounds the loss: a stop, or an exit of ours."""
    known = pipeline.find(order.client_id)
    return order.kind in (*WAITING, "MARKET") or (known is not None and known.role is Role.EXIT)


@check("I26", QUIET)
def oversell_is_repaired(scene: Scene) -> Iterator[str]:
    """A trade that was sold beyond what it held is bought back at once, if that left the account short."""
    for pipeline, trade in scene.held():
        there = scene.world.oracle.floor.held(pipeline.name) * SIGN_OF[trade.side]
        wrong = trade.held < ZERO and there < ZERO and _is_free(scene, pipeline.name)
        late = _since(scene, "I26", f"{trade.trade_no}", wrong=wrong)
        if wrong and trade.close is None:
            yield f"trade {trade.trade_no} is oversold by {-trade.held} and no repair was asked for"
        elif late > REPAIR_US and not trade.alerts:
            yield f"trade {trade.trade_no} is oversold by {-trade.held} for {late // 1000} ms"


@check("I55", QUIET)
def exposure_stays_within_limits(scene: Scene) -> Iterator[str]:
    """What is held and what entries may still buy is within the limit of gross exposure, at the broker's count."""
    if not scene.account.config_sha256:
        return
    floor, total = scene.world.oracle.floor, ZERO
    for name, pipeline in scene.pipelines.items():
        price = pipeline.market.last or pipeline.market.bid or ZERO
        total += abs(floor.held(name)) * price
        total += sum(
            (order.leaves * (order.limit or price) for trade in pipeline.open()
             for one in pipeline.live(trade.entries) if (order := floor.orders.find(one.wire_id)) and order.is_open),
            ZERO,
        )  # fmt: skip
    # One that was lowered meanwhile is not what these trades began under.
    began_under = [scene.account.configs[trade.config_sha256] for _, trade in scene.held()]
    limit = max(one.risk.max_gross_exposure for one in (scene.account.settings, *began_under))
    if total > limit + limit / 10:
        yield f"exposure of {total}, the limit is {limit}"
