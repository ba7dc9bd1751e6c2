"""Relations between runs that must end with the same books, and logs that are the same wherever they are kept."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.simulation import campaign
from tests.simulation.campaign import Task
from tests.simulation.plan import Fault, Plan
from tests.simulation.planner import plan_of
from tests.simulation.world import World

CALM = (10, 30)
MANY = 1200
"""More messages than a calm day has."""


def played(plan: Plan) -> World:
    world = World(plan)
    assert world.run().violations == []
    assert world.oracle.floor.executions
    return world


def books(world: World) -> tuple[dict[str, Decimal], Decimal, list[tuple[str, Decimal, Decimal]]]:
    """What the broker holds for us, the cash, and every execution."""
    floor = world.oracle.floor
    fills = [(floor.orders.of(one.order_id).side, one.quantity, one.price) for one in floor.executions]
    return world.oracle.positions, floor.ledger.cash, fills


@pytest.mark.parametrize("seed", CALM)
def test_everything_twice_is_the_same(seed: int) -> None:
    plan = plan_of(seed)
    copies = tuple(Fault(kind="copy_message", on="in:any", nth=n, quantity=1) for n in range(1, MANY))
    assert books(played(replace(plan, faults=copies))) == books(played(plan))


@pytest.mark.parametrize("seed", CALM)
def test_another_date_is_the_same(seed: int) -> None:
    plan = replace(plan_of(seed), first_day="2026-03-10")
    later = replace(plan, first_day="2026-03-12")
    assert books(played(later)) == books(played(plan))


def test_restarting_all_the_time_is_the_same() -> None:
    """The process dies every few minutes, but for the minute in which an entry or exit is worked."""
    plan = plan_of(10)
    times = [
        at
        for at in range(30_000, plan.heal_at, 150_000)
        if all(not wish.at - 1_000 <= at <= wish.at + 60_000 for wish in plan.wishes)
    ]
    looked = replace(plan, faults=tuple(Fault(kind="look", at=at) for at in times))
    often = played(replace(plan, faults=tuple(Fault(kind="kill_process", at=at) for at in times)))
    assert often.restarts > 50
    assert books(often) == books(played(looked))


def test_order_of_the_instruments_does_not_matter() -> None:
    plan = replace(plan_of(10), symbols=("AAA", "BBB", "CCC"))
    wishes = tuple(
        replace(wish, symbol=symbol, at=wish.at + 7_000 * number)
        for number, symbol in enumerate(plan.symbols)
        for wish in plan.wishes
    )
    plan = replace(plan, wishes=tuple(sorted(wishes, key=lambda wish: wish.at)))
    one, other = played(plan), played(replace(plan, symbols=("CCC", "AAA", "BBB")))
    for symbol in plan.symbols:
        assert fills_of(one, symbol) == fills_of(other, symbol)


def fills_of(world: World, symbol: str) -> list[tuple[str, Decimal, Decimal]]:
    floor = world.oracle.floor
    orders = [floor.orders.of(one.order_id) for one in floor.executions]
    return [
        (order.side, one.quantity, one.price)
        for order, one in zip(orders, floor.executions, strict=True)
        if order.symbol == symbol
    ]


@pytest.mark.parametrize("seed", CALM)
def test_splitting_fills_ends_in_the_same_position(seed: int) -> None:
    plan = plan_of(seed)
    whole = played(replace(plan, switches={"parts": 1}))
    split = played(replace(plan, switches={"parts": 6}))
    assert whole.oracle.positions == split.oracle.positions == {}
    assert len(split.oracle.floor.executions) > len(whole.oracle.floor.executions)


def test_log_is_the_same_in_memory_and_on_postgres() -> None:
    tasks = [Task(seed, 1, "memory") for seed in (43,)]
    memory = campaign.run(tasks)
    stored = campaign.run([replace(task, log="postgres") for task in tasks])
    assert memory.violations == stored.violations == []
    assert memory.digest == stored.digest
