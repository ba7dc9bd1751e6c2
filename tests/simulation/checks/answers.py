"""What is answered, settled and accounted for: wishes, refusals, intents, money, the end of the day."""

from collections.abc import Iterator

from oms.commands import adds_risk
from oms.events.broker import (
    BrokerSnapshotReported,
    CommandExpired,
    CommandRefused,
    DuplicateConflict,
    OrderRejected,
    UnparsedFrame,
)
from oms.events.decisions import (
    Alerted,
    CloseRequested,
    DecisionFailed,
    EntryAbandoned,
    EntryAccepted,
    IntentRefused,
    SafeModeEntered,
)
from oms.events.market import QuoteReported
from oms.events.strategy import EntryRequested, ExitRequested
from oms.values import MILLISECOND, SIGN_OF, ZERO, OrderStatus, Severity
from tests.simulation.checks.base import DAY, END, Scene, check


@check("I83", on=(EntryRequested, ExitRequested))
def every_wish_is_answered(scene: Scene) -> Iterator[str]:
    """A request is answered in its own step, exactly once."""
    event = scene.input
    if isinstance(event, EntryRequested):
        answers = [one for one in scene.events[1:] if isinstance(one, EntryAccepted | IntentRefused)]
        if len(answers) != 1:
            yield f"entry request {event.intent_id} got {len(answers)} answers"
    if isinstance(event, ExitRequested):
        answers = [one for one in scene.events[1:] if isinstance(one, CloseRequested | IntentRefused)]
        if not answers:
            yield f"exit request {event.intent_id} got no answer"


@check("I83", of=(EntryAccepted,))
def intents_are_taken_once(scene: Scene) -> Iterator[str]:
    """One intent becomes at most one trade."""
    taken = scene.own("I83", set())
    for one in scene.decisions(EntryAccepted):
        key = (one.event.strategy, one.event.intent_id)
        if key in taken:
            yield f"the intent {key} was accepted twice"
        taken.add(key)


@check("I12", on=(UnparsedFrame, DuplicateConflict))
def inputs_are_not_lost(scene: Scene) -> Iterator[str]:
    """What could not be read or came again otherwise is told, not dropped."""
    told = any(isinstance(one, Alerted) and one.severity is Severity.CRITICAL for one in scene.events[1:])
    if isinstance(scene.input, UnparsedFrame | DuplicateConflict) and not told:
        yield f"{type(scene.input).__name__} was not told"


@check("I75", on=(CommandRefused,))
def gate_refuses_for_a_reason(scene: Scene) -> Iterator[str]:
    """The gate speaks of exposure only when there is some, at the broker or as far as its reports have come: budgets of
    orders that ended are given back."""
    event = scene.input
    if not isinstance(event, CommandRefused) or event.limit != "gross_exposure":
        return
    floor, held = scene.world.oracle.floor, ZERO
    for name, pipeline in scene.pipelines.items():
        price = floor.venues[name].bid or ZERO
        held += max(abs(floor.held(name)), abs(pipeline.position)) * price
        held += sum((order.leaves * price for order in floor.orders.working(name)), ZERO)
    if held * 4 < scene.account.settings.risk.max_gross_exposure:
        yield f"an entry was refused for exposure, with {held} at the broker"


@check("I65")
def entries_stay_below_the_rate(scene: Scene) -> Iterator[str]:
    """Risk-adding commands on the wire leave the reserve to the others."""
    sent = scene.world.desk.sent
    memory = scene.own("I65", [0])
    gate = scene.account.settings.gate if scene.account.config_sha256 else None
    for index in range(memory[0], len(sent)):
        at, command = sent[index]
        if gate is None or not adds_risk(command):
            continue
        recent = sum(
            1
            for then, _ in sent[max(0, index - gate.messages_per_second - 2) : index]
            if then > at - 1_000_000
        )
        if recent > gate.messages_per_second - gate.reserve_per_second:
            yield f"{command.client_order_id} was sent as message {recent + 1} of its second"
    memory[0] = len(sent)


@check("I55")
def stale_commands_are_not_sent(scene: Scene) -> Iterator[str]:
    """No risk-adding command leaves after its validity."""
    sent = scene.world.desk.sent
    memory = scene.own("I55 sent", [0])
    for at, command in sent[memory[0] :]:
        until = getattr(command, "valid_until", None)
        if adds_risk(command) and until is not None and at > until:
            yield f"{command.client_order_id} left {(at - until) // 1000} ms after it was valid"
    memory[0] = len(sent)


@check("I52")
def closing_is_asked_for(scene: Scene) -> Iterator[str]:
    """In the forced-close window every position that policies look at is being closed."""
    assert scene.committed is not None
    for name in scene.committed.result.decided:
        pipeline = scene.pipelines[name]
        close_at = pipeline.market.close_at
        start = scene.account.settings.forced_close.start_before_close_ms * MILLISECOND
        if close_at is None or scene.now < close_at - start:
            continue
        for trade in pipeline.open():
            there = scene.world.oracle.floor.held(pipeline.name) * SIGN_OF[trade.side]
            if min(trade.held, there) > ZERO and trade.close is None:
                yield f"trade {trade.trade_no} holds {trade.held} in the forced-close window"


@check("I88", of=(DecisionFailed, SafeModeEntered))
def failures_stay_at_home(scene: Scene) -> Iterator[str]:
    """No policy of the product raises, and no invariant of its own breaks."""
    for one in scene.decisions(DecisionFailed, SafeModeEntered):
        yield f"{type(one.event).__name__} {getattr(one.event, 'text', '')} {getattr(one.event, 'reason', '')}"


@check("I64", END)
def every_intent_is_resolved(scene: Scene) -> Iterator[str]:
    """Long after faults stopped no placement waits for its fate."""
    for pipeline in scene.pipelines.values():
        for order in pipeline.orders.values():
            if order.status is OrderStatus.NEW and not order.is_external:
                yield f"{order.client_order_id} is still new"


@check("I72", END)
def money_agrees_to_the_cent(scene: Scene) -> Iterator[str]:
    """The log's fills cost what the broker's ledger says, to the cent and the share."""
    from tests.simulation.checks.books import doubtful, is_poisoned

    world = scene.world
    if (
        is_poisoned(scene)
        or doubtful(scene)
        or world.is_dead
        or world.plan.days > 1
        or world.desk.owes_correction
    ):
        return
    paid = sum(
        (
            order.value * (-1 if order.side.value == "BUY" else 1)
            for pipeline in scene.pipelines.values()
            for order in pipeline.orders.values()
        ),
        ZERO,
    )
    theirs = world.oracle.floor.ledger.cash + world.oracle.floor.ledger.fees
    if paid != theirs:
        yield f"the log's fills moved {paid}, the broker's books {theirs}"


@check("I40", DAY)
def nothing_waits_overnight_without_a_position(scene: Scene) -> Iterator[str]:
    """After the close no order of ours works at the broker for a position that is not there."""
    floor = scene.world.oracle.floor
    if scene.world.is_dead or scene.world.desk.down or not scene.world.healed:
        return
    for name in scene.pipelines:
        for order in floor.orders.working(name):
            if not order.by_hand and not floor.held(name):
                yield f"{order.client_id} ({order.kind}) works overnight and nothing is held"


@check("I71", on=(BrokerSnapshotReported,))
def comparing_twice_changes_nothing(scene: Scene) -> Iterator[str]:
    """A second complete snapshot with the same content says nothing new of the position."""
    event = scene.input
    if not isinstance(event, BrokerSnapshotReported) or not event.complete:
        return
    last = scene.own("I71", {})
    told = [
        one.text for one in scene.events[1:] if isinstance(one, Alerted) and one.code == "position_mismatch"
    ]
    key = (event.positions, tuple(sorted((name, p.position) for name, p in scene.pipelines.items())))
    if told and last.get("key") == key and last.get("told") == told:
        yield f"told twice: {told}"
    last["key"], last["told"] = key, told


@check("I80", on=(QuoteReported,))
def quotes_are_in_order(scene: Scene) -> Iterator[str]:
    """The newest quote in the state is never older than one that was logged."""
    event = scene.input
    if isinstance(event, QuoteReported):
        market = scene.pipelines[event.instrument].market
        if market.quote_at is not None and market.quote_at < event.received_at:
            yield f"{event.instrument}: a quote of {event.received_at} was passed over"


@check("I45", of=(EntryAbandoned,))
def abandoned_entries_are_over(scene: Scene) -> Iterator[str]:
    """An entry is given up only when nothing of it lives and nothing was bought."""
    for one in scene.decisions(EntryAbandoned):
        pipeline = scene.pipelines[one.event.instrument]
        trade = pipeline.trades[one.event.trade_no]
        if (
            trade.held
            or pipeline.live(trade.entries)
            or any(order.missing for order in pipeline.of(trade.entries))
        ):
            yield f"trade {trade.trade_no} was abandoned holding {trade.held} or with orders alive"


@check("I57", of=(CloseRequested,))
def closes_have_evidence(scene: Scene) -> Iterator[str]:
    """A close names events before it."""
    for one in scene.decisions(CloseRequested):
        if not one.event.evidence or any(not 0 < seq < one.seq for seq in one.event.evidence):
            yield f"close of trade {one.event.trade_no} for {one.event.reason} on {one.event.evidence}"


@check("I63")
def broker_inputs_are_kept_under_their_key(scene: Scene) -> Iterator[str]:
    """An input with a key is in the inbox under it."""
    assert scene.committed is not None
    stamped = scene.committed.stamped
    world = scene.world
    if stamped.dedupe_key is None or stamped.source is None or world.runner is None or scene.account.seq % 16:
        return
    if world.store.inbox(world.runner.head.account, stamped.source, stamped.dedupe_key) is None:
        yield f"{stamped.source}:{stamped.dedupe_key} is not in the inbox"


@check("I27")
def held_is_entered_minus_exited(scene: Scene) -> Iterator[str]:
    """What a trade holds is what its entries bought less what its exits sold, share by share."""
    for pipeline in scene.changed:
        for trade in pipeline.open():
            bought = sum((order.filled for order in pipeline.of(trade.entries)), ZERO)
            if bought != trade.entered:
                yield f"trade {trade.trade_no}: entered {trade.entered}, its entries bought {bought}"


@check("I61", on=(CommandRefused, CommandExpired))
def refusals_settle_placements(scene: Scene) -> Iterator[str]:
    """A command that was refused or expired here never reaches the wire."""
    event = scene.input
    if not isinstance(event, CommandRefused | CommandExpired):
        return
    if any(command.seq == event.command_seq for _, command in scene.world.desk.sent[-200:]):
        yield f"command {event.command_seq} was refused and sent"


@check("I16", on=(OrderRejected,))
def rejections_reach_the_order(scene: Scene) -> Iterator[str]:
    """A rejected order does not go on as if nothing had been said."""
    event = scene.input
    if isinstance(event, OrderRejected) and event.code != "DUPLICATE_ORDER":
        pipeline = scene.pipelines.get(event.instrument)
        order = pipeline.find(event.client_order_id) if pipeline is not None else None
        if order is not None and order.status is OrderStatus.NEW:
            yield f"{order.client_order_id} was rejected and is {order.status.value}"
