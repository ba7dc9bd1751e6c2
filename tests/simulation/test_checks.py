"""Every invariant that is looked at has a planted violation that makes it fire."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from oms.events.broker import (
    CommandRefused,
    OrderFilled,
)
from oms.events.decisions import (
    CloseRequested,
    DegradationEntered,
    EntryAccepted,
    OrderPlaced,
    ReplaceRequested,
    SafeModeEntered,
    StopMoved,
    TradeClosed,
)
from oms.events.operator import OperatorCommanded
from oms.events.slippage import SlippageMeasured
from oms.events.strategy import EntryRequested
from oms.state.order import PendingKind
from oms.values import ONE, ZERO, OrderStatus, Role, TimeInForce
from tests.checkout import nothing
from tests.simulation.catalogue import END as OVER
from tests.simulation.catalogue import ENTER, GAP, HEAL, HELD, at, on, small
from tests.simulation.checks import IDS
from tests.simulation.checks.base import DAY, END, QUIET, STEP, Scene
from tests.simulation.checks.protection import stops_stand_alone
from tests.simulation.plan import Plan, Wish
from tests.simulation.spoilers import (
    again,
    alive_overnight,
    behind,
    busy,
    epochs,
    forgotten_key,
    held,
    incomplete,
    late_deadline,
    ledger,
    lie,
    live,
    many_sent,
    oversold,
    row,
    sent,
    sent_twice,
    stranger,
    told_again,
    twin,
    when,
)
from tests.simulation.spoilers_state import (
    blind,
    command_for_dead,
    entry,
    exit_order,
    fell,
    has,
    jumped,
    loosened,
    market,
    market_order,
    not_flat,
    open_late,
    settled_by_time,
    shifted,
    silent_loss,
    stop,
    unguarded,
    unread,
)
from tests.simulation.spoiling import (
    Spoil,
    account,
    added,
    decision,
    dropped,
    fired,
    input_of,
    order,
    trade,
)

BASE = small()
CHATTY = small(switches={"copies_of_statuses": 3})
TWICE = small(at("cut", ms=500), at("cut", ms=500, when=HELD + 5000))
RESTLESS = Plan(
    seed=5,
    first_day="2026-03-10",
    calm=True,
    heal_at=HEAL,
    ends_at=OVER,
    settings={
        "degradation.min_requests": 2,
        "degradation.cancel_replace_rate_warn": "1.5",
        "degradation.cancel_replace_rate_recover": "1",
    },
    wishes=tuple(
        Wish(at=ENTER + n * 25_000, symbol="AAA", quantity=3, risk=60, zone=1, off=-40) for n in range(4)
    ),
)
"""Entries that nobody fills, and that are asked for again and again."""
D = Decimal

SHORT_DAY = Plan(seed=5, first_day="2026-11-27", calm=True, heal_at=HEAL, wishes=BASE.wishes)
FALLEN = small(GAP)
KILLED = small(at("kill2", when=HELD))

ROWS: tuple[tuple[str, str, Plan, Spoil], ...] = (
    ("I01", STEP, BASE, shifted),
    ("I02", END, CHATTY, row(lambda one: replace(one, body=one.body.replace("AAA", "AAB")))),
    ("I03", END, CHATTY, row(lambda one: replace(one, body=one.body.replace("AAA", "AAB")))),
    ("I04", END, BASE, lie),
    ("I06", END, replace(CHATTY, seed=10), row(lambda one: replace(one, logical_time=1))),
    ("I11", STEP, BASE, input_of(OrderFilled, client_order_id="zzz", broker_order_id="zzz")),
    ("I12", STEP, BASE, unread),
    ("I13", END, small(at("kill_process")), epochs),
    ("I14", STEP, BASE, order(Role.ENTRY, lambda one, _: when(one.filled > 0, again(one, filled=one.quantity + 1)))),
    ("I15", STEP, BASE, order(Role.ENTRY, lambda one, _: when(one.status is OrderStatus.FILLED, again(one, leaves=ONE)))),
    ("I16", STEP, BASE, lambda scene: jumped(scene, OrderStatus.FILLED, OrderStatus.REJECTED)),
    ("I17", STEP, BASE, lambda scene: jumped(scene, OrderStatus.CANCELED, OrderStatus.SUBMITTED)),
    ("I18", STEP, BASE, fell),
    ("I19", STEP, BASE, decision(OrderPlaced, client_order_id="S" + "A" * 12)),
    ("I20", STEP, BASE, order(Role.ENTRY, lambda one, _: when(len(one.executions) == 1, again(one, executions=one.executions * 2)))),
    ("I21", STEP, FALLEN, order(Role.STOP, lambda one, _: when(one.pending_of(PendingKind.REPLACE) is not None, again(one, pending=one.pending * 2)))),
    ("I22", STEP, BASE, command_for_dead),
    ("I23", STEP, BASE, order(Role.ENTRY, lambda one, _: when(one.filled > 0, again(one, value=one.value + 1)))),
    ("I24", STEP, BASE, trade(lambda one, _: when(one.held > ZERO, replace(one, entered=one.entered + 1)))),
    ("I25", QUIET, BASE, held),
    ("I26", QUIET, BASE, trade(oversold)),
    ("I27", STEP, BASE, trade(lambda one, _: when(one.held > ZERO, replace(one, entered=one.entered + 1)))),
    ("I28", STEP, BASE, trade(lambda one, _: when(bool(one.lots), replace(one, lots=())))),
    ("I29", STEP, BASE, decision(TradeClosed, pnl=D(77))),
    ("I29", END, BASE, ledger),
    ("I31", STEP, BASE, unguarded),
    ("I31", QUIET, BASE, trade(lambda one, scene: when(one.held > ZERO and one.close is None, replace(one, naked_since=scene.now - 60_000_000)))),
    ("I32", QUIET, BASE, order(Role.STOP, lambda one, _: when(live(one), again(one, leaves=one.leaves + 1)))),
    ("I33", STEP, BASE, twin(Role.STOP)),
    ("I35", STEP, BASE, lambda scene: stop(scene, time_in_force=TimeInForce.DAY)),
    ("I36", STEP, BASE, loosened),
    ("I37", STEP, BASE, decision(StopMoved, level=D("NaN"))),
    ("I38", STEP, BASE, lambda scene: stop(scene, price_stop=D(500))),
    ("I39", STEP, BASE, lambda scene: stop(scene, price_limit=D(500))),
    ("I40", QUIET, BASE, trade(lambda one, scene: when(one.held > ZERO and one.close is None and scene.now - one.first_fill_at > 30_000_000, replace(one, exited=one.entered)))),
    ("I40", DAY, SHORT_DAY, alive_overnight),
    ("I42", STEP, BASE, order(Role.STOP, lambda one, _: when(live(one), again(one, triggered_at=1)))),
    ("I43", STEP, BASE, order(Role.STOP, lambda one, _: when(live(one), again(one, filled=ONE)))),
    ("I44", STEP, small(on("reject", "new:STOP")), silent_loss),
    ("I45", STEP, BASE, twin(Role.ENTRY)),
    ("I46", STEP, BASE, twin(Role.TARGET)),
    ("I47", STEP, BASE, decision(OrderPlaced, quantity=D("0.5"))),
    ("I48", QUIET, BASE, trade(lambda one, _: when(one.held > ZERO and one.close is None, replace(one, trail_only=True)))),
    ("I49", STEP, BASE, lambda scene: entry(scene, price_limit=D(500))),
    ("I50", STEP, RESTLESS, decision(DegradationEntered, value=ONE)),
    ("I50", STEP, RESTLESS, decision(DegradationEntered, sent=10_000, value=D(10_000))),
    ("I51", STEP, BASE, account(lambda scene: has(scene, EntryAccepted), paused=True)),
    ("I30", STEP, BASE, not_flat),
    ("I52", STEP, SHORT_DAY, open_late),
    ("I53", STEP, BASE, lambda scene: market(scene, EntryAccepted, open_at=2**60)),
    ("I54", STEP, BASE, order(Role.ENTRY, lambda one, _: when(live(one), again(one, first_fill_at=1)))),
    ("I55", STEP, BASE, sent(valid_until=1, seq=1)),
    ("I56", STEP, BASE, decision(SlippageMeasured, fills=())),
    ("I56", STEP, BASE, decision(SlippageMeasured, fills=lambda one: tuple(replace(fill, cost=D(7)) for fill in one.fills))),
    ("I56", END, BASE, lambda scene: scene.memory.__setitem__("I56", {}) is None),
    ("I57", STEP, FALLEN, decision(CloseRequested, evidence=())),
    ("I58", STEP, small(on("reject", "amend"), GAP), lambda scene: exit_order(scene, quantity=D(900))),
    ("I59", STEP, BASE, market_order),
    ("I60", STEP, BASE, sent(seq=10_000_000)),
    ("I61", STEP, BASE, sent_twice),
    ("I62", STEP, small(on("slow_ack", "new", ms=4000)), settled_by_time),
    ("I63", STEP, CHATTY, forgotten_key),
    ("I64", END, BASE, order(Role.ENTRY, lambda one, _: again(one, status=OrderStatus.NEW))),
    ("I65", STEP, BASE, many_sent),
    ("I66", STEP, BASE, behind),
    ("I67", STEP, TWICE, incomplete),
    ("I68", STEP, TWICE, incomplete),
    ("I69", STEP, BASE, stranger),
    ("I70", STEP, BASE, account(lambda scene: has(scene, EntryAccepted), reconciled=False)),
    ("I71", STEP, BASE, told_again),
    ("I72", END, BASE, lambda scene: not scene.world.oracle.floor.ledger.trade("magic", "AAA", D(0) + 1, D(5))),
    ("I73", STEP, KILLED, lambda scene: scene.memory.__setitem__("I73", [9]) is None),
    ("I74", STEP, BASE, account(lambda scene: has(scene, EntryAccepted), kill_level=2)),
    ("I75", STEP, BASE, lambda scene: entry(scene, quantity=D(10**9))),
    ("I76", STEP, KILLED, input_of(OperatorCommanded, principal="")),
    ("I77", STEP, BASE, decision(EntryAccepted, config_sha256="other")),
    ("I79", STEP, BASE, lambda scene: scene.memory.__setitem__("I79", [2**62]) is None),
    ("I80", STEP, FALLEN, blind),
    ("I81", STEP, small(on("reject", "new:LIMIT", 2)), late_deadline),
    ("I83", STEP, BASE, lambda scene: isinstance(scene.input, EntryRequested) and dropped(EntryAccepted)(scene)),
    ("I86", END, BASE, lambda scene: not scene.world.oracle.floor.ledger.trade("magic", "AAA", D(1), D(5))),
    ("I87", STEP, BASE, busy),
    ("I88", STEP, BASE, added(EntryRequested, lambda _: SafeModeEntered(instrument="AAA", reason="x", text="y"))),
)  # fmt: skip


def _names(rows: Any) -> list[str]:
    return [f"{one[0]}-{one[1].replace(' ', '-')}" for one in rows]


@pytest.mark.parametrize(("invariant", "moment", "plan", "spoil"), ROWS, ids=_names(ROWS))
def test_violation_fires(invariant: str, moment: str, plan: Plan, spoil: Spoil) -> None:
    assert invariant in fired(plan, moment, spoil)


def test_every_invariant_has_its_violation() -> None:
    structural = {"I34"}
    nothing(sorted(set(IDS) - {one[0] for one in ROWS} - structural))
    assert len(IDS) >= 70


@pytest.mark.req("OD-036")
@pytest.mark.parametrize("kind", [OrderPlaced, ReplaceRequested])
@pytest.mark.parametrize("name", ["oca_group", "oco", "order_group_id", "parent_id", "linked_orders"])
def test_an_order_with_a_field_for_a_group_is_noticed(kind: Any, name: str) -> None:
    grouped = msgspec.defstruct(kind.__name__, [(name, str, "g")], bases=(kind,), frozen=True, kw_only=True)
    terms: dict[str, Any] = dict.fromkeys(kind.__struct_fields__)
    told = [SimpleNamespace(event=one(**terms)) for one in (kind, grouped)]
    scene: Any = SimpleNamespace(decisions=lambda *_kinds: iter(told[:1]))
    assert list(stops_stand_alone(scene)) == []
    scene.decisions = lambda *_kinds: iter(told)
    assert list(stops_stand_alone(scene)) == ["None names a group"]


def test_gate_that_forgets_is_noticed() -> None:
    def spoil(scene: Scene) -> bool:
        assert scene.committed is not None
        event = CommandRefused(
            instrument="AAA", client_order_id="x", command_seq=1, limit="gross_exposure", text="too much"
        )
        scene.committed = type(scene.committed)(
            replace(scene.committed.stamped, event=event), scene.committed.result
        )
        return scene.account.config_sha256 != ""

    assert "I75" in fired(BASE, STEP, spoil)
