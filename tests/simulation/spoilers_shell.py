"""Spoilt questions, commands and effects: what was asked, what left, what an input did not do, how a trade is left."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from oms.commands import QueryOrder
from oms.events.base import Event
from oms.events.broker import (
    BrokerSnapshotReported,
    CancelRejected,
    CommandFailed,
    OrderTriggered,
    OrderUnknown,
    PositionLine,
)
from oms.events.decisions import OrderPlaced, QueryRequested, ReplaceRequested
from oms.events.market import QuoteReported
from oms.events.session import VenueStatus
from oms.state.order import Order, Pending
from oms.state.trade import Guard
from oms.step import Recorded
from oms.values import ZERO, MarketReason, OrderStatus, OrderType, Role
from tests.simulation.checks.base import Scene
from tests.simulation.desk import Question
from tests.simulation.market import Told
from tests.simulation.spoilers_state import market
from tests.simulation.spoiling import Spoil, decision, input_of

D = Decimal
EVER = 2**60


# Questions


def nobody_told(scene: Scene) -> bool:
    """The books count as compared, and this link has not told them."""
    link = scene.memory.get("link")
    if link is None or not link.told or isinstance(scene.input, BrokerSnapshotReported):
        return False
    link.told = False
    return True


def nobody_asked(scene: Scene) -> bool:
    """The link stands for a while, and no question is on record."""
    link = scene.memory.get("link")
    if link is None or not link.told:
        return False
    link.told = False
    scene.world.desk.questions.clear()
    return True


def nobody_asked_again(scene: Scene) -> bool:
    link, desk = scene.memory.get("link"), scene.world.desk
    if link is None or not link.told:
        return False
    link.since = 0
    desk.questions[:] = [Question(1, desk.link, whole=True)]
    return True


def asked_early(scene: Scene) -> bool:
    """A question about an order whose request is just on its way."""
    for pipeline in scene.pipelines.values():
        for order in pipeline.orders.values():
            if order.pending and scene.now < order.pending[0].asked_at + 1_000_000:
                scene.before[pipeline.name] = pipeline
                event = QueryRequested(
                    instrument=pipeline.name, trade_no=1, client_order_id=order.client_order_id, wire_id="x",
                    reason="x", policy="reconciliation",
                )  # fmt: skip
                _add(scene, event)
                return True
    return False


def _add(scene: Scene, event: Event) -> None:
    assert scene.committed is not None
    events = scene.committed.result.events
    recorded = (*events, Recorded(events[-1].seq + 1, event, "AAA"))
    scene.committed = type(scene.committed)(
        scene.committed.stamped, replace(scene.committed.result, events=recorded)
    )


def not_followed_up(scene: Scene) -> bool:
    if "looks" not in scene.memory or "link" not in scene.memory or not scene.memory["link"].told:
        return False
    scene.memory["looks"].due = EVER
    return True


# The shell


def not_sent(scene: Scene) -> bool:
    """The link does not know of a command that is to have its outcome still."""
    desk, owed = scene.world.desk, scene.memory.get("owed")
    waits = (
        [seq for seq, one in owed.commands.items() if not desk.is_settled(one)] if owed is not None else []
    )
    desk.tried.difference_update(waits)
    return any(not isinstance(owed.commands[seq], QueryOrder) for seq in waits)


def sent_when_settled(scene: Scene) -> bool:
    desk = scene.world.desk
    desk.settled.extend(command for _, command in desk.sent[:1])
    return bool(desk.settled)


def asked_as_if_sent(scene: Scene) -> bool:
    """A question that left before everything names the end of the log after it."""
    desk, looked = scene.world.desk, scene.memory.get("left")
    desk.questions.append(Question(1, desk.link, whole=True, asked_at_seq=EVER))
    fresh = desk.sent[looked.commands :] if looked is not None else []
    return any(not isinstance(command, QueryOrder) for _, command in fresh)


def torn(scene: Scene) -> bool:
    if "owed" not in scene.memory:
        return False
    scene.world.desk.torn.add(EVER)
    return True


def unscheduled(scene: Scene) -> bool:
    scene.memory["unscheduled"] = ["AAA"]
    return True


def watched(told: Told, quote_at: int) -> Spoil:
    """A level is armed far beyond the market, and of the quotes this is what was told and what is logged."""

    def spoil(scene: Scene) -> bool:
        for pipeline, trade in scene.held():
            if trade.held <= ZERO:
                continue
            guarded = replace(trade, guard=Guard(level=D(10_000), armed_at=1))
            scene.pipelines[pipeline.name] = replace(
                pipeline,
                trades={**pipeline.trades, trade.trade_no: guarded},
                market=replace(pipeline.market, quote_at=quote_at),
            )
            scene.world.told[pipeline.name] = told
            return True
        return False

    return spoil


# Effects


def said(make: Callable[[Order, Pending], Event]) -> Spoil:
    """Say something about a request that is under way, without its effect."""

    def spoil(scene: Scene) -> bool:
        pipeline = scene.pipelines.get("AAA")
        for order in pipeline.orders.values() if pipeline is not None else ():
            if len(order.pending) == 1 and order.pending[0].kind.value == "CANCEL" and order.leaves:
                return _say(scene, make(order, order.pending[0]))
        return False

    return spoil


def _say(scene: Scene, event: Event) -> bool:
    assert scene.committed is not None
    scene.committed = type(scene.committed)(
        replace(scene.committed.stamped, event=event),
        replace(scene.committed.result, events=scene.committed.result.events[:1]),
    )
    scene.before = dict(scene.pipelines)
    return True


def refusal(order: Order, request: Pending) -> Event:
    return CancelRejected(instrument="AAA", client_order_id=request.wire_id)


def failure(order: Order, request: Pending) -> Event:
    return CommandFailed(
        instrument="AAA", client_order_id=request.wire_id, command_seq=request.seq, sent=False
    )


def absence(order: Order, request: Pending) -> Event:
    return OrderUnknown(instrument="AAA", client_order_id=request.wire_id, asked_at_seq=EVER)


def elected(scene: Scene) -> bool:
    pipeline = scene.pipelines.get("AAA")
    for order in pipeline.orders.values() if pipeline is not None else ():
        if order.role is Role.STOP and order.is_confirmed and order.triggered_at is None:
            return _say(scene, OrderTriggered(instrument="AAA", client_order_id=order.client_order_id))
    return False


# Exits


def _is_exit(scene: Scene) -> bool:
    return any(one.event.role is Role.EXIT for one in scene.decisions(OrderPlaced))


def beside(role: Role) -> Spoil:
    """A stop that nobody gives up, or a target that has just been placed, stands where an exit is placed."""

    def spoil(scene: Scene) -> bool:
        before = scene.before.get("AAA")
        if not _is_exit(scene) or before is None:
            return False
        now = scene.pipelines["AAA"]
        own = next((name for name, one in before.orders.items() if one.role is role), None)
        if own is None:
            return False
        stays = replace(
            before.orders[own], status=OrderStatus.SUBMITTED, leaves=D(1), pending=(), placed_at=scene.now
        )
        scene.before["AAA"] = replace(before, orders={**before.orders, own: stays})
        scene.pipelines["AAA"] = replace(now, orders={**now.orders, own: stays})
        return True

    return spoil


def elected_beside_targets(scene: Scene) -> bool:
    assert scene.committed is not None
    if "AAA" not in scene.committed.result.decided:
        return False
    pipeline = scene.pipelines["AAA"]
    for trade in pipeline.open():
        waiting = [one for one in pipeline.live(trade.targets) if not one.pending]
        for stop in pipeline.live(trade.stops) if waiting else ():
            orders = {**pipeline.orders, stop.client_order_id: replace(stop, triggered_at=scene.now)}
            scene.pipelines["AAA"] = replace(pipeline, orders=orders)
            return True
    return False


def guarded(scene: Scene, *, printed: bool) -> bool:
    """A level has been watched since ever, a quote or a print is beyond it, and nobody acts."""
    pipeline, before = scene.pipelines.get("AAA"), scene.before.get("AAA")
    if pipeline is None or before is None or not isinstance(scene.input, QuoteReported):
        return False
    bid, held = pipeline.market.bid, [one for one in before.open() if one.held > ZERO and one.close is None]
    if not held or bid is None:
        return False
    market, level = pipeline.market, bid
    if printed:
        level = bid - 1
        market = replace(market, last=level, last_at=scene.now, last_seq=scene.seq)
    trade = replace(held[0], guard=Guard(level=level, armed_at=0))
    scene.before["AAA"] = replace(before, trades={**before.trades, trade.trade_no: trade})
    scene.pipelines["AAA"] = replace(
        pipeline, market=market, trades={**pipeline.trades, trade.trade_no: trade}
    )
    scene.memory["passed"] = {("AAA", trade.trade_no, 0): 0}
    return True


def market_order_out_of_phase(scene: Scene) -> bool:
    """The broker takes no market order at all, and one leaves with a reason that its profile permits."""
    if not decision(ReplaceRequested, order_type=OrderType.MARKET, reason=MarketReason.FORCED_CLOSE)(scene):
        return False
    scene.account = replace(
        scene.account, capabilities=replace(scene.account.capabilities, market_order_phases=())
    )
    return True


def held_under_a_kill(scene: Scene) -> bool:
    """What is held stays, whatever level is in force."""
    assert scene.committed is not None
    pipeline = scene.pipelines.get("AAA") if "AAA" in scene.committed.result.decided else None
    if pipeline is None or not any(one.held > ZERO and one.close is None for one in pipeline.open()):
        return False
    scene.account = replace(scene.account, kill_level=3)
    return True


def other_books(scene: Scene) -> bool:
    """The books say something that nobody compares."""
    positions = (PositionLine(instrument="AAA", quantity=D(77)),)
    return "AAA" in scene.pipelines and input_of(
        BrokerSnapshotReported, positions=positions, asked_at_seq=EVER
    )(scene)


def exit_in_a_halt(scene: Scene) -> bool:
    return _is_exit(scene) and market(scene, OrderPlaced, status=VenueStatus.HALTED)


def opener_under_a_kill(scene: Scene) -> bool:
    """An entry works on, whatever level is in force."""
    assert scene.committed is not None
    pipeline = scene.pipelines.get("AAA") if "AAA" in scene.committed.result.decided else None
    entries = (
        [one for one in pipeline.orders.values() if one.role is Role.ENTRY] if pipeline is not None else []
    )
    if pipeline is None or not entries or not pipeline.open():
        return False
    works = replace(entries[0], status=OrderStatus.SUBMITTED, leaves=D(1), pending=(), refusals=0)
    scene.pipelines["AAA"] = replace(pipeline, orders={**pipeline.orders, works.client_order_id: works})
    scene.account = replace(scene.account, kill_level=2)
    return True


def older_quote(scene: Scene) -> bool:
    """A newer quote has been seen than the one that is known."""
    assert scene.committed is not None
    scene.memory["I80 newest"] = {"AAA": EVER}
    return "AAA" in scene.committed.result.changed
