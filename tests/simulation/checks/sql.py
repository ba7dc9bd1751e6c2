"""The fourth of those that have to agree: what plain SQL makes of the log. Only where the log is kept in PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import psycopg

from oms.values import ZERO
from tests.simulation.checks.base import DAY, Scene, check

ORDERS = """
SELECT DISTINCT ON (pipeline, client_order_id) pipeline, client_order_id, status, quantity, filled, leaves
FROM oms.v_order_history ORDER BY pipeline, client_order_id, seq DESC
"""
POSITIONS = "SELECT pipeline, quantity FROM oms.v_position WHERE until_seq IS NULL"


@check("I04", DAY)
def sql_says_what_the_fold_says(scene: Scene) -> Iterator[str]:
    """Orders and positions at the end of a day are the same in SQL as in the state."""
    if scene.world.conninfo is None:
        return
    with psycopg.connect(scene.world.conninfo) as connection:
        orders = {(name, own): tuple(rest) for name, own, *rest in connection.execute(ORDERS)}
        held: dict[str, Any] = dict(connection.execute(POSITIONS).fetchall())
    for name, pipeline in scene.pipelines.items():
        if held.get(name, ZERO) != pipeline.position:
            yield f"{name}: SQL says {held.get(name, ZERO)}, the fold {pipeline.position}"
        for own, order in pipeline.orders.items():
            folded = (order.status.value, order.quantity, order.filled, order.leaves)
            if orders.get((name, own)) != folded:
                yield f"{own}: SQL says {orders.get((name, own))}, the fold {folded}"
