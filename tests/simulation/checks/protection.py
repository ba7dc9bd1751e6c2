"""D. Protection: stops, guard, exits. E, in part: entries and targets."""

from collections.abc import Iterator
from decimal import Decimal

from oms.events.decisions import (
    Alerted,
    EntryAccepted,
    GuardArmed,
    OrderPlaced,
    ReplaceRequested,
    RepriceSkipped,
    StopMoved,
)
from oms.state.order import Order, PendingKind
from oms.state.pipeline import Pipeline
from oms.state.trade import Trade
from oms.values import BUY_OF, MILLISECOND, SELL_OF, ZERO, OrderType, PositionSide, Role, TimeInForce
from tests.simulation.checks.base import QUIET, Scene, check, exposed_of, is_fresh

STOPS = (OrderType.STOP, OrderType.STOP_LIMIT)


def _working_stops(pipeline: Pipeline, trade: Trade) -> list[Order]:
    return [order for order in pipeline.live(trade.stops) if order.order_type in STOPS]


def _is_protected(scene: Scene, pipeline: Pipeline, trade: Trade) -> bool:
    """The closed list of protected states, computed apart from the product.

    Where a stop cannot be modified, one whose cancel is under way covers nothing: it is exchanged under the guard
    (architecture 6, "Stop").
    """
    settings, market, now = scene.account.settings, pipeline.market, scene.now
    ack = settings.protection.ack_timeout_ms * MILLISECOND
    held, exposed = trade.held, exposed_of(pipeline, trade)
    mode = scene.account.configs[trade.config_sha256].stop.replace_mode
    exchanges = not scene.account.capabilities.modify_stop or mode != "modify"
    stops = [
        order
        for order in _working_stops(pipeline, trade)
        if order.is_confirmed and not (exchanges and order.pending_of(PendingKind.CANCEL))
    ]
    confirmed = sum((order.leaves for order in stops), ZERO)
    if exposed == ZERO or (held > ZERO and confirmed >= exposed):
        return True
    if market.is_halted:
        return True
    fresh = is_fresh(market, now, settings.market_data.stale_quote_ms * MILLISECOND)
    guarded = trade.guard is not None and fresh
    if guarded and any(
        (exchanges or one.kind is not PendingKind.CANCEL) and now < one.since + ack
        for order in pipeline.live(trade.stops)
        for one in order.pending
    ):
        return True
    side = SELL_OF[trade.side] if held > ZERO else BUY_OF[trade.side]
    exits = ZERO
    for order in pipeline.live(trade.exits):
        submit = order.pending_of(PendingKind.SUBMIT)
        if order.side is side and (submit is None or now < submit.since + ack):
            exits += order.leaves
    return exits >= exposed


@check("I31")
def position_is_protected_or_told(scene: Scene) -> Iterator[str]:
    """Held means protected by one of the listed means, or NAKED was alerted in the same step."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        for trade in pipeline.open():
            if trade.held and trade.naked_since is None and not _is_protected(scene, pipeline, trade):
                yield f"trade {trade.trade_no} holds {trade.held} without protection, and nobody was told"


@check("I31", QUIET)
def nakedness_ends(scene: Scene) -> Iterator[str]:
    """A position does not stay naked: an exit is asked for within the budget."""
    limit = scene.account.settings.protection
    budget = (limit.resolve_timeout_ms + 2 * limit.ack_timeout_ms) * MILLISECOND
    for pipeline, trade in scene.held():
        if trade.naked_since is None or trade.close is not None or pipeline.market.is_halted:
            continue
        if scene.now - trade.naked_since > budget:
            yield f"trade {trade.trade_no} is naked for {(scene.now - trade.naked_since) // 1000} ms without an exit"


@check("I32", QUIET)
def stop_covers_exactly(scene: Scene) -> Iterator[str]:
    """At quiet the working stop is for the position, not more and not less."""
    for pipeline, trade in scene.held():
        live = _working_stops(pipeline, trade)
        if trade.close is not None or pipeline.market.is_halted or trade.held <= ZERO:
            continue
        total = sum((order.leaves for order in live), ZERO)
        if live and total != exposed_of(pipeline, trade) and not _excused(scene, live):
            yield f"trade {trade.trade_no} holds {trade.held}, its stops {total}"


def _excused(scene: Scene, live: list[Order]) -> bool:
    """A stop that was elected, has begun to fill, or that the broker refuses to change."""
    return any(
        order.triggered_at is not None or order.filled or order.refusals or order.missing for order in live
    )


@check("I33")
def one_stop_at_a_time(scene: Scene) -> Iterator[str]:
    """At most two stops in a replacement, one otherwise; ours that nobody is giving up.

    One that is not answered yet may have to wait for that (I21), so it counts in the step that places it only.
    """
    for pipeline in scene.changed:
        for trade in pipeline.open():
            live = [
                order
                for order in _working_stops(pipeline, trade)
                if order.leaves > ZERO and order.pending_of(PendingKind.CANCEL) is None and not order.refusals
                if not order.pending or order.placed_at == scene.now
            ]
            if len(live) > 1 and not pipeline.safe_mode:
                yield f"trade {trade.trade_no} has {len(live)} live stops"


BINDING = ("oca", "oco", "group", "parent", "linked")


@check("I34", of=(OrderPlaced, ReplaceRequested))
def stops_stand_alone(scene: Scene) -> Iterator[str]:
    """No order of ours belongs to a group: the event has no field for one, whatever its whole name would be."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested):
        if any(word in name for name in one.event.__struct_fields__ for word in BINDING):
            yield f"{one.event.client_order_id} names a group"


@check("I35", of=(OrderPlaced,))
def stops_outlive_the_session(scene: Scene) -> Iterator[str]:
    """Stops are good till cancelled."""
    for one in scene.decisions(OrderPlaced):
        if one.event.role is Role.STOP and one.event.time_in_force is not TimeInForce.GTC:
            yield f"stop {one.event.client_order_id} is {one.event.time_in_force.value}"


@check("I36", of=(StopMoved,))
def stops_never_loosen(scene: Scene) -> Iterator[str]:
    """The effective level never moves away from the market, restarts included."""
    best = scene.own("I36", {})
    for one in scene.decisions(StopMoved):
        trade = scene.pipelines[one.event.instrument].trades[one.event.trade_no]
        before = best.get(trade.trade_no)
        worse = before is not None and (
            one.event.level < before if trade.side is PositionSide.LONG else one.event.level > before
        )
        if worse:
            yield f"trade {trade.trade_no}: the stop went from {before} to {one.event.level}"
        best[trade.trade_no] = one.event.level


@check("I37", of=(StopMoved, GuardArmed))
def stop_is_finite(scene: Scene) -> Iterator[str]:
    """The effective stop is a finite, positive price."""
    for one in scene.decisions(StopMoved, GuardArmed):
        level: Decimal = one.event.level
        if not level.is_finite() or level <= ZERO:
            yield f"a stop level of {level}"


@check("I38", of=(OrderPlaced,))
def stops_are_not_through_the_market(scene: Scene) -> Iterator[str]:
    """A stop is sent only if a fresh quote is not at or through it."""
    for one in scene.decisions(OrderPlaced):
        event = one.event
        if event.role is not Role.STOP:
            continue
        pipeline = scene.pipelines[event.instrument]
        market = pipeline.market
        stale = scene.account.settings.market_data.stale_quote_ms * MILLISECOND
        if not is_fresh(market, scene.now, stale):
            continue
        price = market.exit_price(event.side)
        trade = pipeline.trades[event.trade_no]
        through = price <= event.price_stop if trade.side is PositionSide.LONG else price >= event.price_stop
        if through:
            yield f"a stop at {event.price_stop} was sent with the market at {price}"


@check("I39", of=(OrderPlaced,))
def stop_limits_lie_beyond(scene: Scene) -> Iterator[str]:
    """The limit of a stop-limit lies beyond its trigger, toward a fill, on the tick."""
    for one in scene.decisions(OrderPlaced):
        event = one.event
        if event.order_type is not OrderType.STOP_LIMIT:
            continue
        tick = scene.pipelines[event.instrument].instrument.tick
        beyond = (
            event.price_limit <= event.price_stop
            if event.side.value == "SELL"
            else (event.price_limit >= event.price_stop)
        )
        setting = scene.account.configs[
            scene.pipelines[event.instrument].trades[event.trade_no].config_sha256
        ].stop
        sign = 1 if event.side.value == "SELL" else -1
        exact = event.price_stop * (1 - sign * setting.limit_offset_pct)
        beyond = beyond and sign * (exact - event.price_limit) >= 0
        if not beyond or event.price_limit % tick or event.price_stop % tick:
            yield f"stop {event.price_stop} with limit {event.price_limit}"


@check("I40", QUIET)
def flat_leaves_no_orders(scene: Scene) -> Iterator[str]:
    """Nothing held means no reducing order is live, after the time for cleaning up."""
    grace = scene.account.settings.protection.cleanup_ms * MILLISECOND
    for pipeline, trade in scene.held():
        if trade.held != ZERO:
            continue
        for order in pipeline.live((*trade.stops, *trade.targets, *trade.exits)):
            fills = [one.at for other in pipeline.of(trade.order_ids) for one in other.executions]
            since = max([*fills, order.placed_at, order.requested_at])
            if scene.now - since > grace + 2_000_000 and not order.refusals:
                yield f"trade {trade.trade_no} is flat and {order.client_order_id} ({order.role}) still works"


@check("I43")
def partial_stop_is_an_emergency(scene: Scene) -> Iterator[str]:
    """A stop that fills in part: in the same step its targets are cancelled and the rest is closed."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            began = order.filled > ZERO and (old is None or old.filled == ZERO)
            if order.role is not Role.STOP or not began or order.leaves == ZERO or pipeline.market.is_halted:
                continue
            if order.order_type is not OrderType.STOP_LIMIT:
                continue
            trade = pipeline.trades[order.trade_no or 0]
            # What others have closed is no longer there to be closed.
            held = trade.held > ZERO and exposed_of(pipeline, trade) > ZERO
            if held and trade.close is None:
                yield f"stop {order.client_order_id} filled in part and trade {trade.trade_no} is not being closed"
            waiting = [
                one for one in pipeline.live(trade.targets) if not one.pending and not one.refusals and held
            ]
            if waiting:
                yield f"stop {order.client_order_id} filled in part beside target {waiting[0].client_order_id}"


@check("I44")
def lost_stops_are_told(scene: Scene) -> Iterator[str]:
    """A stop that is refused or vanishes is told in the same step."""
    for pipeline in scene.changed:
        for old, order in scene.moved(pipeline):
            if order.role is not Role.STOP or old is None or old.status is order.status:
                continue
            unasked = (
                order.status.value == "CANCELED"
                and order.cancel_cause is not None
                and (order.cancel_cause.value == "UNSOLICITED" and not any(one.ours for one in old.pending))
            )
            if order.status.value != "REJECTED" and not unasked:
                continue
            trade = pipeline.trades[order.trade_no or 0]
            told = any(isinstance(one, Alerted) for one in scene.events)
            known = set(trade.alerts) & {"stop_rejected", "unprotected"}
            if trade.held > ZERO and not told and not known:
                yield f"stop {order.client_order_id} is {order.status.value} and nobody was told"


@check("I45")
def one_entry_at_a_time(scene: Scene) -> Iterator[str]:
    """At most one live entry per pipeline."""
    for pipeline in scene.changed:
        live = [
            order
            for trade in pipeline.open()
            for order in pipeline.live(trade.entries)
            if order.leaves > ZERO and order.pending_of(PendingKind.CANCEL) is None and not order.refusals
        ]
        if len(live) > 1:
            yield f"{pipeline.name} has {len(live)} live entries"


@check("I46")
def targets_within_the_position(scene: Scene) -> Iterator[str]:
    """Targets sell no more than is held, one per tranche; what is being given up does not count."""
    for pipeline in scene.changed:
        for trade in pipeline.open():
            live = [
                order for order in pipeline.live(trade.targets) if not order.pending and not order.refusals
            ]
            rungs = [order.rung for order in live]
            if len(rungs) != len(set(rungs)):
                yield f"trade {trade.trade_no} has two targets of one tranche"
            total = sum((order.leaves for order in live), ZERO)
            if trade.held > ZERO and trade.close is None and total > trade.held:
                yield f"trade {trade.trade_no}: targets for {total}, held {trade.held}"


@check("I47", of=(OrderPlaced,))
def tranches_are_whole(scene: Scene) -> Iterator[str]:
    """Tranche quantities are positive whole lots."""
    for one in scene.decisions(OrderPlaced):
        lot = scene.pipelines[one.event.instrument].instrument.lot
        if one.event.quantity <= ZERO or one.event.quantity % lot:
            yield f"{one.event.role.value} order for {one.event.quantity}"


@check("I48", QUIET)
def trail_only_has_no_targets(scene: Scene) -> Iterator[str]:
    """After TRAIL_ONLY no target lives once the cancels are confirmed."""
    for pipeline, trade in scene.held():
        for order in pipeline.live(trade.targets):
            if trade.trail_only and not order.refusals:
                yield f"trade {trade.trade_no} trails and target {order.client_order_id} lives"


@check("I49")
def entries_stay_in_the_zone(scene: Scene) -> Iterator[str]:
    """The limit never passes the zone maximum, and cycles are bounded."""
    for one in scene.decisions(OrderPlaced, ReplaceRequested, RepriceSkipped):
        event = one.event
        pipeline = scene.pipelines[event.instrument]
        order = pipeline.orders[event.client_order_id]
        if order.role is not Role.ENTRY:
            continue
        if order.cycles > scene.account.settings.entry.max_cycles:
            yield f"entry of trade {event.trade_no} is in cycle {order.cycles}"
        if isinstance(event, RepriceSkipped) or event.price_limit is None:
            continue
        trade = pipeline.trades[event.trade_no]
        over = (
            event.price_limit > trade.zone_max
            if trade.side is PositionSide.LONG
            else (event.price_limit < trade.zone_max)
        )
        if over:
            yield f"entry of trade {trade.trade_no} at {event.price_limit}, the zone ends at {trade.zone_max}"


@check("I51", of=(EntryAccepted,))
def no_entry_at_the_wrong_time(scene: Scene) -> Iterator[str]:
    """No entry in the forced-close window, under a kill, unreconciled, paused or halted."""
    account = scene.account
    for one in scene.decisions(EntryAccepted):
        pipeline = scene.pipelines[one.event.instrument]
        close_at = pipeline.market.close_at
        start = account.settings.forced_close.start_before_close_ms * MILLISECOND
        if close_at is not None and scene.now >= close_at - start:
            yield f"an entry was accepted {(close_at - scene.now) // 1000} ms before the close"
        if account.kill_level or account.paused or not account.reconciled or pipeline.market.is_halted:
            yield "an entry was accepted in kill, pause, halt or before reconciliation"


@check("I30", of=(EntryAccepted,))
def new_cycles_begin_flat(scene: Scene) -> Iterator[str]:
    """A new trade needs the former one flat and nothing of it alive."""
    for one in scene.decisions(EntryAccepted):
        before = scene.before.get(one.event.instrument)
        if before is None:
            continue
        if before.position != ZERO or any(
            order.is_live for order in before.orders.values() if not order.is_external
        ):
            yield f"trade {one.event.trade_no} begins with {before.position} held or orders alive"


@check("I54")
def entry_rest_is_given_up(scene: Scene) -> Iterator[str]:
    """The rest of an entry is cancelled no later than 30 s after its first fill (when something looks)."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        for trade in pipeline.open():
            limit = scene.account.configs[trade.config_sha256].entry.partial_rest_ms * MILLISECOND
            for order in pipeline.live(trade.entries):
                late = order.first_fill_at is not None and scene.now - order.first_fill_at >= limit
                if late and not order.pending and not order.refusals:
                    since = (scene.now - (order.first_fill_at or 0)) // 1000
                    yield f"entry {order.client_order_id} still works {since} ms after its fill"


@check("I53", of=(EntryAccepted,))
def entries_wait_for_the_session(scene: Scene) -> Iterator[str]:
    """No entry before the regular session: pre-market rules are not traded."""
    for one in scene.decisions(EntryAccepted):
        if not scene.pipelines[one.event.instrument].market.is_regular(scene.now):
            yield f"trade {one.event.trade_no} begins outside the session"
