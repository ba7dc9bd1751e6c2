"""One step: an input and everything decided from it. Pure: no clock, no chance, no I/O.

`decide` folds the input, checks it, runs the policies in the order of their table, arbitrates between closers,
and folds every decision as it is made. `fold_recorded` folds one logged event and decides nothing: recovery uses
it, verification uses `decide` and compares.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from oms.arbitration import arbitrate
from oms.commands import Command
from oms.events import broker, clock, decisions, operator, session, strategy
from oms.events.base import Event, Stamped
from oms.execution import alerts, orders, outgoing
from oms.policies import CLOSERS, OWNERS, POLICIES, kill_switch
from oms.state import calm as calms
from oms.state import invariants
from oms.state.account import ACCOUNT_WIDE, Account, fold_account
from oms.state.calm import ALWAYS, CHANGED, Calm
from oms.state.fold import fold
from oms.state.order import Anomaly
from oms.state.pipeline import Pipeline
from oms.state.root import new_pipeline
from oms.state.view import View
from oms.values import Micros, Severity

Pipelines = Mapping[str, Pipeline]


class Recorded(Struct, frozen=True, gc=False):
    """An event with its place: `seq` in the account's log, the pipeline it belongs to (None: the account)."""

    seq: int
    event: Event
    pipeline: str | None


class StepResult(Struct, frozen=True, gc=False):
    """What a step did: the new account, the pipelines it changed, its events (input first) and its commands.

    `settled` are decision seqs whose commands have got their outcome; `decided` are the pipelines whose policies ran,
    `steady` those of them whose deadlines are what they were, but for those that have come. `calm` is what `decide` may
    be given with the next input: whether these pipelines are calm now.
    """

    account: Account
    changed: dict[str, Pipeline]
    events: tuple[Recorded, ...]
    commands: tuple[Command, ...]
    settled: tuple[int, ...]
    decided: tuple[str, ...] = ()
    steady: tuple[str, ...] = ()
    calm: dict[str, Calm | None] = {}


def decide(
    account: Account,
    pipelines: Pipelines,
    stamped: Stamped,
    due: Iterable[str] = (),
    calm: Mapping[str, Calm | None] = {},
) -> StepResult:
    """Step one input. `due` are the pipelines whose deadline has come (for `ClockAdvanced`), in order.

    `calm` saves asking policies that cannot have anything to say; without it the result is the same.
    Assumes that `values.CONTEXT` is the active decimal context. Raises KeyError for an event without a fold.
    """
    step = _Step(account, pipelines, stamped, calm)
    step.take(stamped.event, due)
    return step.result()


def fold_recorded(
    account: Account,
    pipelines: dict[str, Pipeline],
    event: Event,
    now: Micros,
    seq: int,
    pipeline: str | None,
) -> Account:
    """Fold one logged event into `pipelines` (changed in place) and return the new account."""
    for name in _addressed(event, pipeline, pipelines):
        before = pipelines.get(name)
        if before is None:
            if isinstance(event, session.InstrumentDefined):
                pipelines[name] = new_pipeline(event, account.settings)
            continue
        pipelines[name] = fold(before, event, now, seq)[0]
    return fold_account(account, event, now, seq)


def _addressed(event: Event, pipeline: str | None, pipelines: Pipelines) -> Iterable[str]:
    if pipeline is not None:
        return (pipeline,)
    if isinstance(event, clock.ClockAdvanced):
        return [quote.instrument for quote in event.quotes]
    if isinstance(event, session.DayRolled | broker.BrokerSnapshotReported):
        return list(pipelines)
    if isinstance(event, operator.ConfigActivated) and event.apply_to_open:
        return [name for name, pipeline in pipelines.items() if pipeline.open_trades]
    return ()


def pipeline_of(event: Event) -> str | None:
    """The pipeline an event addresses by itself, or None for the account."""
    if type(event) in ACCOUNT_WIDE:
        return None
    name: str | None = getattr(event, "instrument", None)
    return name


def next_due(
    account: Account,
    pipeline: Pipeline,
    now: Micros,
    *,
    decided_at: Micros | None = None,
    calm: Calm | None = None,
) -> Micros | None:
    """The earliest deadline of any policy for a pipeline after `decided_at` (default: `now`), when they last ran.

    None while nothing is under way. With `calm` what is not asked in a calm is left out: it has no deadline to come.
    """
    if not pipeline.is_busy or not account.config_sha256:
        return None
    decided_at = now if decided_at is None else decided_at
    view = View(account, pipeline, now)
    earliest: Micros | None = None
    for dues in _CALM_DUES if calm is not None and calm.pipeline is pipeline else _DUES:
        for due in dues(view):
            if due > decided_at and (earliest is None or due < earliest):
                earliest = due
    return earliest


_DUES = (*(policy.next_due for policy in POLICIES if policy.next_due is not None), invariants.next_due)

_CALM_DUES = tuple(
    policy.next_due for policy in POLICIES if policy.next_due is not None and policy.asked == ALWAYS
)

REQUESTS = (
    strategy.EntryRequested,
    strategy.AddRequested,
    strategy.ExitRequested,
    strategy.ExhaustionReported,
    strategy.StrategyCycleBegun,
    operator.OperatorCommanded,
    broker.BrokerSnapshotReported,
)
"""Inputs that policies answer in their own step and never again."""

TELLING = (broker.BrokerLinkChanged, broker.CapabilitiesDeclared, operator.ConfigActivated, session.DayRolled)
"""Inputs of the account that can change what is wanted of everything open."""


class _Step:
    """The working state of one step; it lives only inside `decide`."""

    def __init__(
        self, account: Account, pipelines: Pipelines, stamped: Stamped, calm: Mapping[str, Calm | None]
    ) -> None:
        self.account = account
        self.now = stamped.logical_time
        self.before = pipelines
        self.cause = account.seq + 1
        self.wish = stamped.event if isinstance(stamped.event, REQUESTS) else None
        self.changed: dict[str, Pipeline] = {}
        self.events: list[Recorded] = []
        self.commands: list[Command] = []
        self.decided: dict[str, bool] = {}
        self.calm_before = calm
        self.calm: dict[str, Calm | None] = {}
        self.since = CHANGED
        self.running = ""

    def result(self) -> StepResult:
        settled = [
            pending.seq
            for name, pipeline in self.changed.items()
            for pending in outgoing.settled(self.before.get(name), pipeline)
        ]
        return StepResult(
            self.account,
            self.changed,
            tuple(self.events),
            tuple(self.commands),
            tuple(settled),
            tuple(self.decided),
            tuple(name for name, is_steady in self.decided.items() if is_steady),
            self.calm,
        )

    def pipeline(self, name: str) -> Pipeline | None:
        return self.changed.get(name) or self.before.get(name)

    def take(self, event: Event, due: Iterable[str]) -> None:
        """Fold the input and decide for everything it touches."""
        name = pipeline_of(event)
        self.events.append(Recorded(self.cause, event, name))
        addressed = _addressed(event, name, self.before)
        anomalies = {one: self.fold_input(one, event) for one in addressed}
        self.account = fold_account(self.account, event, self.now, self.cause)
        if not self.account.config_sha256:
            return
        if name is not None and self.pipeline(name) is None:
            self.refuse_unknown(event)
        alert = alerts.of_account(event)
        if alert is not None:
            self.record(alert, None)
        touched = [*due, *addressed]
        if isinstance(event, operator.OperatorCommanded) and name is None:
            for decision in kill_switch.decide_account(self.account, event):
                self.record(decision, None)
            touched += self.all_open()
        elif isinstance(event, TELLING):
            touched += self.all_open()
        level = self.account.kill_level
        self.run_all(touched, anomalies)
        if self.account.kill_level > level:
            # One pipeline has found a reason to stop them all.
            self.run_all(self.all_open(), {})

    def all_open(self) -> list[str]:
        return [name for name, pipeline in self.before.items() if pipeline.is_busy]

    def run_all(self, names: Iterable[str], anomalies: dict[str, tuple[Anomaly, ...]]) -> None:
        for name in dict.fromkeys(names):
            if self.pipeline(name) is not None:
                self.run(name, anomalies.get(name, ()))

    def fold_input(self, name: str, event: Event) -> tuple[Anomaly, ...]:
        pipeline = self.pipeline(name)
        if pipeline is None:
            if isinstance(event, session.InstrumentDefined):
                self.changed[name] = new_pipeline(event, self.account.settings)
            return ()
        self.changed[name], anomalies = fold(pipeline, event, self.now, self.cause)
        return anomalies

    def refuse_unknown(self, event: Event) -> None:
        if isinstance(event, strategy.EntryRequested | strategy.AddRequested | strategy.ExitRequested):
            self.record(
                decisions.IntentRefused(
                    instrument=event.instrument,
                    strategy=event.strategy,
                    intent_id=event.intent_id,
                    code="unknown_instrument",
                    text=f"{event.instrument} is not defined in this account",
                ),
                None,
            )
        elif not isinstance(event, session.InstrumentDefined):
            text = f"{type(event).__name__} for {pipeline_of(event)}"
            self.record(
                decisions.Alerted(
                    severity=Severity.WARNING, code="unknown_instrument", text=text, policy="step"
                ),
                None,
            )

    def run(self, name: str, anomalies: tuple[Anomaly, ...]) -> None:
        """Run all policies on one pipeline. What raises is left out, and the others decide once more without it."""
        view = self.view(name)
        if not anomalies and not view.pipeline.is_busy and view.wish is None:
            self.decided[name] = False
            return
        failed: list[tuple[str, Exception]] = []
        kept = (self.account, self.changed.get(name), len(self.events), len(self.commands))
        before = self.calm[name] if name in self.calm else self.calm_before.get(name)
        while True:
            skipped = [one for one, _ in failed]
            self.since = CHANGED if failed else calms.since(before, view)
            if anomalies:
                self.report(name, anomalies)
            for one, error in failed:
                self.fail(name, one, error)
            try:
                self.running = ""
                self.closers(name, skipped)
                self.owners(name, skipped)
                self.running = "invariants"
                if self.running not in skipped:
                    self.check(name)
                self.note(name, is_quiet=len(self.events) == kept[2] and not failed)
                return
            except Exception as error:  # Isolation: whatever a policy does wrong, the others stand.
                if self.running in ("", *skipped):
                    raise
                failed.append((self.running, error))
                self.restore(name, kept)

    def note(self, name: str, *, is_quiet: bool) -> None:
        """Remember whether the pipeline is calm now. What was not asked would have been as silent as what was."""
        is_steady = self.since != CHANGED
        self.decided[name] = is_steady and self.decided.get(name, True)
        if self.since != calms.SAME:
            view = self.view(name)
            is_calm = is_steady or (is_quiet and view.wish is None and calms.is_calm(view))
            self.calm[name] = Calm(view.account, view.pipeline) if is_calm else None

    def restore(self, name: str, kept: tuple[Account, Pipeline | None, int, int]) -> None:
        self.account = kept[0]
        if kept[1] is not None:
            self.changed[name] = kept[1]
        else:
            self.changed.pop(name, None)
        del self.events[kept[2] :]
        del self.commands[kept[3] :]

    def fail(self, name: str, policy: str, error: Exception) -> None:
        """Say so once per policy and kind of error, and let the pipeline only keep and reduce from here on."""
        pipeline = self.pipeline(name)
        assert pipeline is not None
        text = type(error).__name__
        known = pipeline.notes.get("step", {})
        if known.get(policy) != text:
            self.record(decisions.DecisionFailed(instrument=name, failed_policy=policy, text=text), name)
            note = decisions.PolicyNoted(instrument=name, policy="step", value={**known, policy: text})
            self.record(note, name)
        if not pipeline.safe_mode:
            self.record(
                decisions.SafeModeEntered(instrument=name, reason=f"{policy} failed", text=text), name
            )

    def report(self, name: str, anomalies: tuple[Anomaly, ...]) -> None:
        """Turn what was odd about the input into alerts, and ask where only the broker knows."""
        asked: set[str] = set()
        for anomaly in anomalies:
            self.record(alerts.of_anomaly(name, anomaly), name)
            pipeline = self.pipeline(name)
            own = anomaly.client_order_id
            if anomaly.wants_query and own is not None and pipeline is not None and own not in asked:
                order = pipeline.orders[own]
                asked.add(own)
                if not order.is_external:
                    self.record(orders.query(order, policy="step", reason=anomaly.code), name)

    def view(self, name: str) -> View:
        pipeline = self.pipeline(name)
        assert pipeline is not None
        return View(self.account, pipeline, self.now, self.cause, self.wish)

    def closers(self, name: str, skipped: list[str]) -> None:
        """Collect what the closers want on one and the same state; the strongest wish per trade stands."""
        view = self.view(name)
        if not view.pipeline.is_busy and view.wish is None:
            return
        wanted: list[tuple[int, str, Event]] = []
        enabled = self.account.settings.policies.enabled
        for policy in CLOSERS:
            if policy.asked & self.since and policy.name in enabled and policy.name not in skipped:
                self.running = policy.name
                for decision in policy.decide(view):
                    # Not by a comprehension: it would be a function, made for every policy.
                    wanted.append((policy.priority, policy.name, decision))  # noqa: PERF401
        for decision in arbitrate(wanted) if wanted else ():
            self.record(decision, name)

    def owners(self, name: str, skipped: list[str]) -> None:
        """Let each owner see what the ones before it decided."""
        view = self.view(name)
        if not view.pipeline.is_busy and view.wish is None:
            return
        enabled = self.account.settings.policies.enabled
        for policy in OWNERS:
            if policy.asked & self.since and policy.name in enabled and policy.name not in skipped:
                self.running = policy.name
                made = list(policy.decide(view))
                for decision in made:
                    self.record(decision, name)
                if made:
                    view = self.view(name)

    def check(self, name: str) -> None:
        if self.since != CHANGED:
            return
        view = self.view(name)
        if view.pipeline.open_trades:
            for decision in invariants.check(view):
                self.record(decision, name)

    def record(self, decision: Event, name: str | None) -> None:
        """Give a decision its place and ids, fold it, and read its command."""
        if isinstance(decision, decisions.KillLevelRaised | decisions.PauseChanged):
            name = None
        self.since = CHANGED
        seq = self.account.seq + 1
        decision = outgoing.identified(decision, self.account, seq)
        self.events.append(Recorded(seq, decision, name))
        if name is not None:
            pipeline = self.pipeline(name)
            assert pipeline is not None
            self.changed[name] = fold(pipeline, decision, self.now, seq)[0]
        self.account = fold_account(self.account, decision, self.now, seq)
        command = outgoing.command_of(decision, seq, self.pipeline(name) if name is not None else None)
        if command is not None:
            self.commands.append(command)
