"""Rules of conduct that are judged from the inputs alone: freshness, order on the wire, reconciliation, deadlines."""

from collections.abc import Iterator

from oms.commands import priority
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerSnapshotReported,
)
from oms.events.clock import ClockAdvanced
from oms.events.decisions import (
    Alerted,
    CloseRequested,
    EntryAccepted,
    KillLevelRaised,
    PauseChanged,
)
from oms.events.operator import Act, OperatorCommanded
from oms.events.session import WriterStarted
from oms.values import MILLISECOND
from tests.simulation.checks.base import QUIET, Scene, check, is_fresh


@check("I70")
def risk_waits_for_the_books(scene: Scene) -> Iterator[str]:
    """Judged by the inputs: no entry between a new link (or writer) and the next complete snapshot."""
    memory = scene.own("I70 inputs", {"boot": -1, "compared": False})
    event = scene.input
    if memory["boot"] != scene.memory.get("boots"):
        memory["boot"], memory["compared"] = scene.memory.get("boots"), False
    if isinstance(event, BrokerLinkChanged | WriterStarted):
        memory["compared"] = False
    elif isinstance(event, BrokerSnapshotReported) and event.complete:
        memory["compared"] = True
    for one in scene.decisions(EntryAccepted):
        if not memory["compared"]:
            yield f"trade {one.event.trade_no} begins before the books were compared"


@check("I67", on=(BrokerSnapshotReported,))
def failed_queries_change_nothing(scene: Scene) -> Iterator[str]:
    """An incomplete snapshot decides nothing and changes no position."""
    event = scene.input
    if not isinstance(event, BrokerSnapshotReported) or event.complete:
        return
    for name, before in scene.before.items():
        if before is not None and scene.pipelines[name].position != before.position:
            yield f"{name}: an incomplete snapshot changed the position"
    if any(isinstance(one, Alerted) and one.code == "position_mismatch" for one in scene.events[1:]):
        yield "an incomplete snapshot was taken for the truth"


@check("I68", on=(BrokerSnapshotReported,))
def snapshots_undo_nothing(scene: Scene) -> Iterator[str]:
    """No snapshot changes what executions made."""
    if not isinstance(scene.input, BrokerSnapshotReported):
        return
    for name, before in scene.before.items():
        if before is not None and scene.pipelines[name].position != before.position:
            yield f"{name}: a snapshot changed the position"


@check("I69")
def strangers_are_left_alone(scene: Scene) -> Iterator[str]:
    """No command ever names an order that is not ours."""
    assert scene.committed is not None
    for command in scene.committed.result.commands:
        for name in (command.client_order_id, getattr(command, "orig_client_order_id", None)):
            if name is not None and (name.startswith(("X:", "manual"))):
                yield f"{type(command).__name__} names {name}"


@check("I69", QUIET)
def mismatch_is_told(scene: Scene) -> Iterator[str]:
    """Where the broker's position, as it said itself, differs from the log, somebody was told."""
    if scene.world.desk.uncertain:
        return
    for name, pipeline in scene.pipelines.items():
        if pipeline.position != scene.world.oracle.floor.held(name) and not scene.memory.get("loud"):
            yield f"{name}: {pipeline.position} in the log, {scene.world.oracle.floor.held(name)} at the broker"


@check("I66")
def protection_leaves_first(scene: Scene) -> Iterator[str]:
    """Of what one step sends, risk-reducing commands leave before others."""
    sent = scene.world.desk.sent
    memory = scene.own("I66", [0])
    for (at, before), (then, after) in zip(sent[memory[0] :], sent[memory[0] + 1 :], strict=False):
        same_step = at == then and _step_of(scene, before.seq) == _step_of(scene, after.seq)
        if same_step and priority(after) < priority(before):
            yield f"{after.client_order_id} waited behind {before.client_order_id}"
    memory[0] = max(len(sent) - 1, 0)


def _step_of(scene: Scene, seq: int) -> int:
    """The step that decided a command: the last input at or before it."""
    from bisect import bisect_right

    inputs: list[int] = scene.own("inputs", [])
    return bisect_right(inputs, seq)


@check("I01")
def inputs_are_counted(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) where steps begin; a step begins after the last one ended."""
    assert scene.committed is not None
    inputs: list[int] = scene.own("inputs", [])
    first = scene.committed.result.events[0].seq
    if inputs and first <= inputs[-1]:
        yield f"the step at {first} begins before the one at {inputs[-1]}"
    inputs.append(first)


@check("I80", of=(CloseRequested,))
def bad_quotes_trigger_nothing(scene: Scene) -> Iterator[str]:
    """A guard or a gap closes on a fresh, two-sided, uncrossed quote or on a print, never on less."""
    stale = (
        scene.account.settings.market_data.stale_quote_ms * MILLISECOND if scene.account.config_sha256 else 0
    )
    for one in scene.decisions(CloseRequested):
        if one.event.reason not in ("GUARD_STOP", "GAP_THROUGH_STOP"):
            continue
        market = scene.pipelines[one.event.instrument].market
        by_print = one.event.evidence == (market.last_seq,)
        if not by_print and not is_fresh(market, scene.now, stale):
            age = scene.now - (market.quote_at or 0)
            yield f"{one.event.reason} on a quote of {market.bid} to {market.ask}, {age // 1000} ms old"


@check("I80")
def quotes_only_get_newer(scene: Scene) -> Iterator[str]:
    """A quote that comes late never takes the place of a newer one."""
    newest = scene.own("I80 newest", {})
    for pipeline in scene.changed:
        at = pipeline.market.quote_at or 0
        if at < newest.get(pipeline.name, 0):
            yield f"{pipeline.name}: a quote of {at} took the place of one of {newest[pipeline.name]}"
        newest[pipeline.name] = at


@check("I81", on=(ClockAdvanced,))
def deadlines_are_not_missed(scene: Scene) -> Iterator[str]:
    """A clock input serves every deadline that has come; none is left behind it."""
    world = scene.world
    if not isinstance(scene.input, ClockAdvanced) or world.runner is None:
        return
    due = world.runner.next_due()
    if due is not None and due <= scene.now:
        yield f"a deadline {(scene.now - due) // 1000} ms ago is still to come"


@check("I77", of=(EntryAccepted,))
def trades_keep_their_configuration(scene: Scene) -> Iterator[str]:
    """A trade names the configuration in force when it began."""
    for one in scene.decisions(EntryAccepted):
        if one.event.config_sha256 != scene.account.config_sha256:
            yield f"trade {one.event.trade_no} begins under another configuration"


@check("I76")
def acts_are_logged_before_their_effect(scene: Scene) -> Iterator[str]:
    """A pause, and a kill that nothing of ours raised, follow an operator's act with a name and a reason."""
    event = scene.input
    if isinstance(event, OperatorCommanded) and not (event.principal and event.reason):
        yield "an operator without name or reason"
    for _ in scene.decisions(PauseChanged):
        if not isinstance(event, OperatorCommanded):
            yield "a pause without an operator"
    for one in scene.decisions(KillLevelRaised):
        ours = one.event.policy in ("protection", "forced_close")
        if not ours and not isinstance(event, OperatorCommanded):
            yield f"kill level {one.event.level} without an operator"


@check("I73", on=(OperatorCommanded,))
def kill_acts_have_effect(scene: Scene) -> Iterator[str]:
    """Pressing kill leaves at least that level."""
    event = scene.input
    killed = isinstance(event, OperatorCommanded) and event.act is Act.KILL and event.instrument is None
    if killed and scene.account.kill_level < (event.level or 3):  # type: ignore[attr-defined]
        yield f"kill {event.level} left the level at {scene.account.kill_level}"
