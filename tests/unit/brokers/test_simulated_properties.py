"""What holds for every tape, every list of commands and every way of letting time pass."""

import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oms.brokers.simulated import Misbehave, Settings, SimulatedBroker, When
from oms.brokers.simulated.script import (
    Delay,
    Disconnect,
    Drop,
    FillAfterCancel,
    FillOnly,
    LoseCancelRace,
    Repeat,
    Swap,
)
from oms.events.base import Stamped, body_text
from oms.events.broker import CapabilitiesDeclared, OrderFilled
from oms.fills import MODELS
from oms.values import SIGN_OF_SIDE, Micros, OrderType, Role, Side
from tests.unit.brokers.simulated_desk import T0, Desk

Step = tuple[object, ...]

cents = st.integers(min_value=9_950, max_value=10_050)
sides = st.sampled_from(list(Side))
roles = st.sampled_from(list(Role))
targets = st.integers(0, 12)
steps = st.one_of(
    st.tuples(st.just("quote"), cents, st.integers(1, 4)),
    st.tuples(st.just("print"), cents),
    st.tuples(st.just("order"), sides, roles, st.integers(1, 30), st.none() | cents, st.none() | cents),
    st.tuples(st.just("cancel"), targets),
    st.tuples(st.just("replace"), targets, sides, st.integers(1, 40), cents),
    st.tuples(st.just("ask"), targets),
    st.tuples(st.just("query")),
    st.tuples(st.just("session"), st.integers(1, 9)),
    st.tuples(st.just("wait"), st.integers(1, 9_000)),
)
tapes = st.lists(steps, max_size=60)
scripts = st.lists(
    st.sampled_from([
        Misbehave(when=When(role=Role.ENTRY, nth=1), what=FillOnly(Decimal(3))),
        Misbehave(when=When(role=Role.STOP), what=FillAfterCancel(delay_ms=3)),
        Misbehave(when=When(role=Role.TARGET), what=Repeat()),
        Misbehave(when=When(nth=2), what=Swap()),
        Misbehave(when=When(nth=3), what=Drop("OrderFilled", 1)),
        Misbehave(when=When(nth=4), what=Delay(7)),
        Misbehave(when=When(role=Role.EXIT), what=LoseCancelRace()),
        Misbehave(what=Disconnect(4, 20)),
    ]),
    max_size=4,
)  # fmt: skip
brokers = st.builds(
    Settings,
    seed=st.integers(0, 9),
    fill_model=st.sampled_from(sorted(MODELS)),
    capabilities=st.builds(
        CapabilitiesDeclared,
        reserves_inventory=st.booleans(),
        refuses_opposite_side=st.booleans(),
        native_reduce_only=st.booleans(),
        client_ids_unique_for_ever=st.just(True),
    ),
    script=scripts.map(tuple),
)


def text(cents_: int) -> str:
    return str(Decimal(cents_) / 100)


def play(desk: Desk, tape: list[Step], chunk: Micros) -> Desk:
    """Play a tape; between steps time is advanced in pieces of `chunk` microseconds (0: not at all)."""
    desk.define()
    for number, step in enumerate(tape):
        act(desk, number, step)
        goal = desk.now + (step[1] if step[0] == "wait" and isinstance(step[1], int) else 700)
        if chunk:
            for now in range(desk.now, goal, chunk):
                desk.broker.advance(now)
        desk.now = goal
    desk.settle()
    return desk


def act(desk: Desk, number: int, step: Step) -> None:
    match step:
        case ("quote", int(bid), int(wide)):
            desk.quote(text(bid), text(bid + wide))
        case ("print", int(at)):
            desk.trade(text(at))
        case ("order", Side() as side, Role() as role, int(quantity), limit, stop):
            prices = [text(p) if isinstance(p, int) else None for p in (limit, stop)]
            desk.place(f"o{number}", side, quantity, limit=prices[0], stop=prices[1], role=role)
        case ("cancel", int(target)):
            desk.cancel(f"o{target}", f"c{number}")
        case ("replace", int(target), Side() as side, int(quantity), int(at)):
            desk.replace(f"o{target}", f"o{number}", side, quantity, OrderType.LIMIT, limit=text(at))
        case ("ask", int(target)):
            desk.ask(f"o{target}")
        case ("query",):
            desk.broker.advance(desk.now)
            desk.broker.query(number)
        case ("session", int(milliseconds)):
            desk.session(14, T0, desk.now + milliseconds * 1_000)


def bytes_of(heard: list[Stamped]) -> list[str]:
    return [
        f"{s.logical_time} {s.event_time} {s.source} {s.dedupe_key} {type(s.event).__name__} {body_text(s.event)}"
        for s in heard
    ]


@settings(max_examples=80, deadline=None)
@given(tape=tapes, how=brokers)
def test_positions_are_the_sum_of_executions(tape: list[Step], how: Settings) -> None:
    dump = play(Desk(SimulatedBroker(how)), tape, 0).broker.dump()
    total: Counter[str] = Counter()
    by_order: dict[str, Decimal] = {}
    for done in dump.executions:
        total[done.instrument] += SIGN_OF_SIDE[done.side] * done.quantity  # type: ignore[assignment]
        by_order[done.broker_order_id] = by_order.get(done.broker_order_id, Decimal(0)) + done.quantity
    assert {name: held for name, held in total.items() if held} == dump.positions
    for order in dump.orders:
        assert by_order.get(order.broker_order_id, 0) == order.cumulative <= order.quantity
        assert order.leaves in (0, order.quantity - order.cumulative)


@settings(max_examples=80, deadline=None)
@given(tape=tapes, how=brokers)
def test_no_fill_beyond_limit_and_keys_are_unique(tape: list[Step], how: Settings) -> None:
    desk = play(Desk(SimulatedBroker(how)), tape, 0)
    limits: dict[str, Decimal] = {}
    for number, step in enumerate(tape):
        if step[0] == "order" and isinstance(step[4], int):
            limits[f"o{number}"] = Decimal(text(step[4]))
        if step[0] == "replace" and isinstance(step[4], int):
            limits[f"o{number}"] = Decimal(text(step[4]))
    bodies: dict[str, str] = {}
    for stamped in desk.heard:
        event = stamped.event
        assert stamped.dedupe_key is not None
        assert bodies.setdefault(stamped.dedupe_key, body_text(event)) == body_text(event)
        if isinstance(event, OrderFilled) and event.client_order_id in limits:
            limit = limits[event.client_order_id]
            assert event.price <= limit if event.side is Side.BUY else event.price >= limit


@settings(max_examples=60, deadline=None)
@given(tape=tapes, how=brokers, chunk=st.sampled_from([113, 350, 1_009]))
def test_replies_do_not_depend_on_how_time_passes(tape: list[Step], how: Settings, chunk: Micros) -> None:
    replies = []
    for step in (0, chunk):
        desk = Desk(SimulatedBroker(how))
        desk.broker.advance(T0)
        replies.append(bytes_of(play(desk, tape, step).heard))
    assert replies[0] == replies[1]


@settings(max_examples=15, deadline=None)
@given(tape=tapes, how=brokers, cut=st.integers(0, 60))
def test_a_reload_in_between_changes_nothing_booked(
    tape: list[Step], how: Settings, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("book") / "book"
    desk = play(Desk(SimulatedBroker(how, path)), tape[:cut], 350)
    before = desk.broker.dump()
    desk.broker.close()
    again = SimulatedBroker(how, path)
    assert replace(again.dump(), now=0) == replace(before, now=0)
    again.close()


PROGRAM = """
import hashlib
from tests.unit.brokers.test_simulated_properties import *
tape = [step for number in range(40) for step in (
    ("quote", 9_990 + number * 7 % 23, 2),
    ("order", list(Side)[number % 2], list(Role)[number % 4], 5 + number, 10_000 if number % 3 else None, None),
    ("cancel", number), ("print", 9_995 + number * 5 % 17), ("query",))]
how = Settings(seed=5, script=(Misbehave(when=When(nth=2), what=Swap()), Misbehave(what=Disconnect(9, 20))))
heard = play(Desk(SimulatedBroker(how)), tape, 350).heard
assert len(heard) > 200
print(hashlib.sha256("\\n".join(bytes_of(heard)).encode()).hexdigest())
"""


def test_two_hash_seeds_give_the_same_bytes() -> None:
    root = Path(__file__).resolve().parents[3]
    digests = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "PATH": ""},
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert len(digests) == 1
