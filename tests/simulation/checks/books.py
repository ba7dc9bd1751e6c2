"""G and H. What really reached the broker, and agreement with its books."""

from collections.abc import Iterator
from decimal import Decimal

from oms.commands import PlaceOrder, adds_risk
from oms.policies.reconciliation import difference
from oms.state.order import LIVE_STATES, Order
from oms.state.pipeline import Pipeline
from oms.values import SIGN_OF, ZERO
from tests.simulation.checks.base import DAY, END, QUIET, Scene, check
from tests.simulation.oracle.messages import New

POISON = ("wrong_side", "zero_quantity")
"""Reports that contradict themselves: what is true then only a person can find out."""


def is_poisoned(scene: Scene) -> bool:
    """Whether the broker has lied in a way that its later words do not mend."""
    return any(scene.world.oracle.floor.struck[kind] for kind in POISON)


def doubtful(scene: Scene) -> set[str]:
    """Instruments with a fill under a second id that crossed a correction: the log says so, and asks for a person."""
    told: set[str] = scene.memory.get("doubtful", set())
    return told if scene.world.oracle.floor.struck["alias"] else set()


@check("I25", QUIET)
def books_agree_when_quiet(scene: Scene) -> Iterator[str]:
    """Position and working orders are the broker's own."""
    if scene.world.desk.uncertain or is_poisoned(scene):
        return
    yield from _difference(scene, quiet=True)


def _difference(scene: Scene, *, quiet: bool = False) -> Iterator[str]:
    """At a quiet point the difference that was told may still wait for all of the books; at the end none may."""
    floor = scene.world.oracle.floor
    for name, pipeline in scene.pipelines.items():
        if name in doubtful(scene):
            continue
        theirs = floor.held(name)
        is_told = quiet and Decimal(difference(pipeline)) == theirs - pipeline.position
        if pipeline.position != theirs and not is_told:
            yield f"{name}: the log says {pipeline.position}, the broker holds {theirs}"
        yield from _orders(scene, pipeline)


def _orders(scene: Scene, pipeline: Pipeline) -> Iterator[str]:
    floor = scene.world.oracle.floor
    for theirs in floor.orders.working(pipeline.name):
        ours = pipeline.find(theirs.client_id, theirs.order_ids[-1])
        if ours is None:
            yield f"the broker works {theirs.client_id}, the log does not know it"
        elif not ours.is_live or ours.leaves != theirs.leaves:
            said = f"{ours.status.value} {ours.leaves}"
            yield f"{theirs.client_id}: the broker works {theirs.leaves}, the log says {said}"
        elif (ours.price_limit, ours.price_stop) != (theirs.limit, theirs.stop):
            terms = f"{ours.price_limit}/{ours.price_stop}"
            yield f"{theirs.client_id}: the broker has {theirs.limit}/{theirs.stop}, the log {terms}"
    for trade in pipeline.open():
        for order in pipeline.live(trade.order_ids):
            yield from _known(scene, order)


def _known(scene: Scene, order: Order) -> Iterator[str]:
    theirs = scene.world.oracle.floor.orders.find(order.wire_id)
    if theirs is None:
        yield f"{order.client_order_id} ({order.status.value}) is not at the broker"
    elif not theirs.is_open and order.leaves:
        yield f"{order.client_order_id}: the log says {order.status.value}, the broker {theirs.status}"


@check("I25", QUIET)
def orders_are_as_large_as_asked(scene: Scene) -> Iterator[str]:
    """A broker that ends an order need not say with which terms; but none is filled by more than it was asked for."""
    if scene.world.desk.uncertain or is_poisoned(scene):
        return
    for pipeline in scene.pipelines.values():
        for order in pipeline.orders.values():
            if not order.is_external:
                yield from _as_asked(scene, order)


def _as_asked(scene: Scene, order: Order) -> Iterator[str]:
    theirs = scene.world.oracle.floor.orders.find(order.wire_id)
    if theirs is None or theirs.quantity == order.quantity:
        return
    if order.status in LIVE_STATES or min(order.quantity, order.filled) > theirs.quantity:
        yield f"{order.client_order_id}: the broker was asked for {theirs.quantity}, the log says {order.quantity}"


@check("I60")
def what_was_sent_is_durable(scene: Scene) -> Iterator[str]:
    """Every command on the wire is a decision in the log."""
    sent = scene.world.desk.sent
    seen = scene.own("I60", [0])
    last = scene.world.store.last_seq(scene.world.runner.head.account) if scene.world.runner else 0
    for _, command in sent[seen[0] :]:
        if command.seq > last:
            yield f"{type(command).__name__} {command.client_order_id} was sent before it was stored"
    seen[0] = len(sent)


@check("I61")
def one_effect_per_intent(scene: Scene) -> Iterator[str]:
    """No command reaches the wire twice, and no placement the broker twice."""
    sent = scene.world.desk.sent
    seen = scene.own("I61", [0, set()])
    for _, command in sent[seen[0] :]:
        if command.seq in seen[1] and isinstance(command, PlaceOrder):
            yield f"the placement {command.client_order_id} was sent twice"
        seen[1].add(command.seq)
    seen[0] = len(sent)


@check("I61", END)
def one_order_per_id(scene: Scene) -> Iterator[str]:
    """Judged by the broker: one order per id of ours."""
    ids = [request.client_id for _, request in scene.world.desk.effects if isinstance(request, New)]
    for one in sorted({one for one in ids if ids.count(one) > 1}) if len(ids) < 5000 else []:
        yield f"{one} arrived twice"


@check("I70")
def no_risk_before_reconciliation(scene: Scene) -> Iterator[str]:
    """Nothing that adds risk is decided before the books were compared."""
    assert scene.committed is not None
    if scene.account.reconciled and scene.account.connected:
        return
    for command in scene.committed.result.commands:
        if adds_risk(command):
            yield f"{command.client_order_id} adds risk before the books were compared"


@check("I52", DAY)
def flat_after_the_close(scene: Scene) -> Iterator[str]:
    """After the forced close nothing is held, or an emergency says so."""
    if scene.world.is_dead:
        return
    told = scene.memory.get("emergency", False)
    for pipeline, trade in scene.held():
        there = scene.world.oracle.floor.held(pipeline.name) * SIGN_OF[trade.side]
        # Of a trade that others have sold the account holds nothing, and of one oversold it may lack nothing.
        left = min(trade.held, max(there, ZERO)) if trade.held > ZERO else max(trade.held, min(there, ZERO))
        if left != ZERO and not told and "cannot_liquidate" not in trade.alerts:
            yield f"trade {trade.trade_no} holds {left} after the close and no emergency was declared"


@check("I86", END)
def everything_settles(scene: Scene) -> Iterator[str]:
    """Faults stopped long ago: nothing is unknown, naked or held; the books agree."""
    world = scene.world
    if world.is_dead:
        yield "the process is not running"
        return
    if is_poisoned(scene):
        return
    if not scene.account.reconciled or world.desk.down:
        yield "not reconciled"
    for pipeline, trade in scene.held():
        for order in pipeline.live(trade.order_ids):
            if order.pending:
                yield f"{order.client_order_id} ({order.role}) is unresolved: {order.pending[0].kind.value}"
        if trade.naked_since is not None:
            yield f"trade {trade.trade_no} is naked"
    yield from _difference(scene)


@check("I86", END)
def calm_days_are_silent(scene: Scene) -> Iterator[str]:
    """A day on which nothing goes wrong ends without an alert above INFO."""
    plan = scene.world.plan
    if plan.calm and not (plan.faults or plan.switches or plan.settings) and scene.memory.get("loud"):
        yield f"alerts on a calm day: {scene.memory['loud'][:3]}"
