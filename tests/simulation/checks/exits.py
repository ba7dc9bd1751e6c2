"""D and F. How a trade is left: for a true reason, in turn with its stop and targets, and never in a halt."""

from collections.abc import Iterator
from decimal import Decimal

from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, BrokerSnapshotReported
from oms.events.decisions import Alerted, CloseRequested, OrderPlaced, ReplaceRequested
from oms.state.order import Order
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import MILLISECOND, ZERO, PositionSide, Role
from tests.simulation.checks.base import Scene, check, exposed_of, is_fresh


@check("I57", of=(CloseRequested,))
def levels_were_really_passed(scene: Scene) -> Iterator[str]:
    """A trade is closed because of its level only where the market stands at or through it."""
    for one in scene.decisions(CloseRequested):
        pipeline = scene.pipelines[one.event.instrument]
        trade, market = pipeline.trades[one.event.trade_no], pipeline.market
        is_long = trade.side is PositionSide.LONG
        if one.event.reason not in ("GAP_THROUGH_STOP", "GUARD_STOP") or trade.level is None:
            continue
        prices = [market.bid if is_long else market.ask]
        if one.event.reason == "GUARD_STOP":
            prices.append(market.last)
        level = trade.level
        if not any(price is not None and (price <= level if is_long else price >= level) for price in prices):
            yield f"trade {trade.trade_no} is left for {one.event.reason} at {prices}, its level is {level}"


@check("I58", of=(OrderPlaced,))
def exits_wait_their_turn(scene: Scene) -> Iterator[str]:
    """An exit is placed beside a stop only if one of them does not answer, and beside no target that may yet leave.

    Judged by the state before the step, so that what the step itself asks for excuses nothing.
    """
    ack = scene.account.settings.protection.ack_timeout_ms * MILLISECOND if scene.account.config_sha256 else 0
    for one in scene.decisions(OrderPlaced):
        before = scene.before.get(one.event.instrument)
        trade = before.trades.get(one.event.trade_no) if before is not None else None
        if one.event.role is not Role.EXIT or before is None or trade is None:
            continue
        now = scene.pipelines[one.event.instrument]
        # What the input itself has ended stands in nobody's way.
        beside = [
            order
            for order in before.live((*trade.stops, *trade.targets))
            if order.side is one.event.side and order.leaves and now.orders[order.client_order_id].is_live
        ]
        stops = [order for order in beside if order.role is Role.STOP]
        if stops and not any(order.pending for order in stops):
            yield f"an exit is placed beside stop {stops[0].client_order_id}, which nobody has given up"
        young = [
            order for order in beside if order.role is Role.TARGET and _asked_at(order) + ack > scene.now
        ]
        if young:
            yield f"an exit is placed beside target {young[0].client_order_id}, which may yet answer"


def _asked_at(order: Order) -> int:
    return max(order.placed_at, order.requested_at)


@check("I59", of=(OrderPlaced, ReplaceRequested))
def exits_rest_in_a_halt(scene: Scene) -> Iterator[str]:
    """While the venue has halted no exit is placed or changed."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested):
        pipeline = scene.pipelines[one.event.instrument]
        if not pipeline.market.is_halted:
            continue
        order = pipeline.orders[one.event.client_order_id]
        # A stop that the exit takes over keeps its role and loses its stop price.
        if order.role is Role.EXIT or (order.role is Role.STOP and one.event.price_stop is None):
            yield f"exit {one.event.client_order_id} is worked in a halt"


@check("I43")
def elected_stops_stand_alone(scene: Scene) -> Iterator[str]:
    """From its election on the stop alone closes the trade: no target is left beside it."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        for trade in pipeline.open():
            if not any(order.triggered_at is not None for order in pipeline.live(trade.stops)):
                continue
            for order in pipeline.live(trade.targets):
                if not order.pending and not order.refusals:
                    yield f"target {order.client_order_id} works beside an elected stop"


@check("I31")
def guards_are_armed(scene: Scene) -> Iterator[str]:
    """What is held without any confirmed stop, and is not being closed, is watched inside."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        for trade in pipeline.open():
            if (
                trade.held <= ZERO
                or trade.level is None
                or trade.close is not None
                or trade.guard is not None
            ):
                continue
            if pipeline.sellable(trade) > ZERO and not _has_stop(scene, trade):
                yield f"trade {trade.trade_no} holds {trade.held} with neither stop nor guard"


def _has_stop(scene: Scene, trade: Trade) -> bool:
    return any(order.is_confirmed for order in scene.pipelines[trade.instrument].live(trade.stops))


@check("I31")
def guards_fire(scene: Scene) -> Iterator[str]:
    """A level that is watched inside and was passed is acted on: by a print in its own step, by quotes once a later one
    confirms the first. Both are judged of a guard that was armed before the step."""
    assert scene.committed is not None
    passed: dict[tuple[str, int, int], int] = scene.own("passed", {})
    for name in scene.committed.result.decided:
        pipeline, before = scene.pipelines[name], scene.before.get(name)
        market = pipeline.market
        for trade in before.open() if before is not None else ():
            guard, now = trade.guard, pipeline.trades[trade.trade_no]
            if (
                guard is None
                or not _is_watched(pipeline, now)
                or (now.guard and now.guard.level != guard.level)
            ):
                continue
            setting = scene.account.configs[trade.config_sha256].guard
            is_long, key = trade.side is PositionSide.LONG, (name, trade.trade_no, guard.armed_at)
            is_printed = market.last_seq == scene.seq and (market.last_at or 0) > guard.armed_at
            if is_printed and _is_beyond(market.last, guard.level, is_long):
                yield f"a print of {market.last} passed the level {guard.level} of trade {trade.trade_no}"
            price = market.bid if is_long else market.ask
            stale = scene.account.settings.market_data.stale_quote_ms * MILLISECOND
            if not (is_fresh(market, scene.now, stale) and _is_beyond(price, guard.level, is_long)):
                passed.pop(key, None)
            elif market.bid and market.ask and market.ask - market.bid <= setting.max_spread_pct * market.bid:
                first = passed.setdefault(key, scene.now)
                if (market.quote_at or 0) - first >= setting.confirm_ms * MILLISECOND:
                    yield f"a quote of {price} is beyond the level {guard.level} of trade {trade.trade_no} for long"


def _is_watched(pipeline: Pipeline, trade: Trade) -> bool:
    """Whether a trade still depends on its guard after the step."""
    return trade.close is None and not pipeline.market.is_halted and exposed_of(pipeline, trade) > ZERO


def _is_beyond(price: Decimal | None, level: Decimal, is_long: bool) -> bool:
    return price is not None and (price <= level if is_long else price >= level)


@check("I46", of=(OrderPlaced,))
def targets_are_their_share(scene: Scene) -> Iterator[str]:
    """A target is for the share of its tranche, to less than a lot."""
    for one in scene.decisions(OrderPlaced):
        pipeline = scene.pipelines[one.event.instrument]
        trade = pipeline.trades[one.event.trade_no]
        if one.event.role is not Role.TARGET or one.event.rung is None:
            continue
        share = trade.entered * trade.rungs[one.event.rung].pct
        if one.event.quantity >= share + pipeline.instrument.lot:
            yield f"target {one.event.client_order_id} is for {one.event.quantity}, its share is {share}"


@check("I69", on=(BrokerSnapshotReported, BrokerLinkChanged))
def differences_are_told(scene: Scene) -> Iterator[str]:
    """Where complete books contradict the log, judged by what both say, somebody is told; once for each difference.

    Books that were asked for over an earlier link prove nothing, once those of the process have been compared.
    """
    event, boots = scene.input, scene.memory.get("boots", 0)
    link = scene.own("I69", {"boots": boots})
    if link["boots"] != boots:
        link.clear()
        link["boots"] = boots
    if isinstance(event, BrokerLinkChanged):
        is_up = event.status is BrokerLinkStatus.CONNECTED
        if link.get("compared") and (link.get("up") or not is_up):
            link["since"] = scene.seq
        link["up"] = is_up
    if not isinstance(event, BrokerSnapshotReported) or not event.complete:
        return
    if event.asked_at_seq < link.get("since", 0):
        return
    link["compared"] = True
    told = {
        one.instrument
        for one in scene.events[1:]
        if isinstance(one, Alerted) and one.code == "position_mismatch"
    }
    for name, pipeline in scene.pipelines.items():
        newest = max((one.seq for order in pipeline.orders.values() for one in order.executions), default=0)
        theirs = sum((line.quantity for line in event.positions if line.instrument == name), ZERO)
        before = scene.before.get(name, pipeline)
        known = before.notes.get("reconciliation", {}).get("difference", "0") if before is not None else "0"
        difference = theirs - pipeline.position
        if difference and newest <= event.asked_at_seq and difference != Decimal(known) and name not in told:
            yield f"{name}: the books say {theirs}, the log {pipeline.position}, and nobody was told"
