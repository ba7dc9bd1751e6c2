"""C. Position and money."""

from collections.abc import Iterator
from decimal import Decimal

from oms.events.decisions import TradeClosed
from oms.values import SIGN_OF, SIGN_OF_SIDE, ZERO
from tests.simulation.checks.base import END, Scene, check


@check("I24")
def position_is_the_sum_of_fills(scene: Scene) -> Iterator[str]:
    """Position equals unique fills plus adjustments, order by order."""
    for pipeline in scene.changed:
        before = scene.before.get(pipeline.name)
        if before is not None and before.orders is pipeline.orders:
            continue
        for trade in pipeline.open():
            fills = sum(
                (SIGN_OF_SIDE[order.side] * order.filled for order in pipeline.of(trade.order_ids)), ZERO
            )
            if fills != trade.position:
                yield f"trade {trade.trade_no}: position {trade.position}, its fills make {fills}"


@check("I28")
def lots_are_the_entries(scene: Scene) -> Iterator[str]:
    """Lots hold what entries bought, each at its own cost."""
    for pipeline in scene.changed:
        for trade in pipeline.open():
            if sum((lot.quantity for lot in trade.lots), ZERO) != trade.entered:
                yield f"trade {trade.trade_no}: lots do not add up to {trade.entered}"
            if sum((lot.value for lot in trade.lots), ZERO) != trade.entry_value:
                yield f"trade {trade.trade_no}: lots do not cost {trade.entry_value}"


@check("I29", of=(TradeClosed,))
def results_are_exact(scene: Scene) -> Iterator[str]:
    """The result of a closed trade is exits minus entries, by its own fills."""
    for one in scene.decisions(TradeClosed):
        pipeline = scene.pipelines[one.event.instrument]
        trade = pipeline.trades[one.event.trade_no]
        cash: Decimal = sum(
            (-SIGN_OF_SIDE[order.side] * order.value for order in pipeline.of(trade.order_ids)), ZERO
        )
        if cash != one.event.pnl:
            yield f"trade {trade.trade_no}: result {one.event.pnl}, its fills paid {cash}"
        if trade.held * SIGN_OF[trade.side] != ZERO:
            yield f"trade {trade.trade_no} was closed holding {trade.held}"


@check("I29", END)
def ledger_balances(scene: Scene) -> Iterator[str]:
    """The oracle's double entry adds up to nothing."""
    if not scene.world.oracle.floor.ledger.is_balanced():
        yield "the broker's own ledger does not balance"
