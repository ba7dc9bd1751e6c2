"""Checks that share an invariant with others fire by themselves, each for what it alone looks at."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from oms.events.broker import OrderFilled
from oms.events.decisions import CloseRequested, OrderPlaced
from oms.state.order import Order
from oms.values import OrderType, Role, Side
from tests.checkout import nothing
from tests.simulation.catalogue import GAP, at, on, small
from tests.simulation.checks import effects, exits, questions, shell
from tests.simulation.checks.base import END, IDLE, QUIET, STEP, TABLE, Scene
from tests.simulation.market import Told
from tests.simulation.plan import Plan
from tests.simulation.spoilers import when
from tests.simulation.spoilers_shell import (
    EVER,
    absence,
    asked_as_if_sent,
    asked_early,
    beside,
    elected,
    elected_beside_targets,
    exit_in_a_halt,
    failure,
    guarded,
    held_under_a_kill,
    market_order_out_of_phase,
    nobody_asked,
    nobody_asked_again,
    nobody_told,
    not_followed_up,
    not_sent,
    older_quote,
    opener_under_a_kill,
    other_books,
    refusal,
    said,
    sent_when_settled,
    torn,
    unscheduled,
    watched,
)
from tests.simulation.spoilers_state import market, placed, unguarded
from tests.simulation.spoiling import Spoil, decision, fired, input_of, order

D = Decimal
BASE = small()
CALM = Plan(seed=10, first_day="2026-11-27", calm=True, heal_at=600_000)
CUT = small(at("cut", ms=500))
SLOW = small(on("slow_ack", "new", ms=4000))
REFUSED = small(on("reject", "amend"), GAP)
SLOW_CANCELS = small(switches={"cancel_takes_ms": 900})


def target_at_market(scene: Scene) -> bool:
    return placed(scene, Role.TARGET, {"order_type": OrderType.MARKET})


def target_at_market_without_a_price(scene: Scene) -> bool:
    return target_at_market(scene) and market(scene, OrderPlaced, bid=None, ask=None, last=None)


ROWS: tuple[tuple[str, str, Plan, Spoil], ...] = (
    ("books_are_told_before_they_count", STEP, BASE, nobody_told),
    ("books_are_asked_for_at_once", IDLE, BASE, nobody_asked),
    ("books_are_asked_for_again", IDLE, BASE, nobody_asked_again),
    ("orders_are_not_asked_about_too_early", STEP, SLOW, asked_early),
    ("what_a_look_finds_is_followed_up", IDLE, BASE, not_followed_up),
    ("quotes_only_get_newer", STEP, BASE, older_quote),
    ("openers_leave_under_a_kill", STEP, BASE, opener_under_a_kill),
    ("deadlines_outlive_the_process", STEP, CUT, unscheduled),
    ("what_was_decided_leaves", IDLE, BASE, not_sent),
    ("what_is_settled_does_not_leave", IDLE, BASE, sent_when_settled),
    ("questions_tell_of_what_has_left", IDLE, BASE, asked_as_if_sent),
    ("failures_to_send_are_told", IDLE, BASE, torn),
    ("armed_levels_see_the_market", IDLE, BASE, watched(Told(EVER, EVER, D(1), D(2)), 1)),
    ("silence_is_noticed", IDLE, BASE, watched(Told(1, 1, None, None), 1)),
    ("refusals_end_requests", STEP, SLOW_CANCELS, said(refusal)),
    ("refusals_end_requests", STEP, SLOW_CANCELS, said(failure)),
    ("lost_requests_are_followed_up", STEP, SLOW_CANCELS, said(absence)),
    ("elections_are_remembered", STEP, BASE, elected),
    ("wrong_sides_are_not_booked", STEP, BASE, input_of(OrderFilled, side=Side.SELL)),
    ("gaps_are_told", STEP, BASE, order(Role.ENTRY, lambda one, _: when(one.filled > 0, counted_more(one)))),
    ("levels_were_really_passed", STEP, BASE, decision(CloseRequested, reason="GAP_THROUGH_STOP")),
    ("exits_wait_their_turn", STEP, REFUSED, beside(Role.STOP)),
    ("exits_wait_their_turn", STEP, REFUSED, beside(Role.TARGET)),
    ("exits_rest_in_a_halt", STEP, REFUSED, exit_in_a_halt),
    ("elected_stops_stand_alone", STEP, BASE, elected_beside_targets),
    ("guards_are_armed", STEP, BASE, unguarded),
    ("guards_fire", STEP, BASE, lambda scene: guarded(scene, printed=False)),
    ("guards_fire", STEP, BASE, lambda scene: guarded(scene, printed=True)),
    ("kill_leaves_positions", STEP, BASE, held_under_a_kill),
    ("market_orders_are_permitted", STEP, BASE, target_at_market),
    ("market_orders_are_permitted", STEP, BASE, target_at_market_without_a_price),
    ("market_orders_are_permitted", STEP, BASE, market_order_out_of_phase),
    ("targets_are_their_share", STEP, BASE, lambda scene: placed(scene, Role.TARGET, {"quantity": D(90)})),
    ("differences_are_told", STEP, CUT, other_books),
    ("orders_are_as_large_as_asked", QUIET, BASE, order(Role.ENTRY, lambda one, _: when(one.filled > 0, larger(one)))),
    ("orders_are_as_large_as_asked", QUIET, BASE, order(Role.STOP, lambda one, _: when(one.is_live, larger(one)))),
    ("calm_days_are_silent", END, CALM, lambda scene: scene.memory.__setitem__("loud", ["x"]) is None),
)  # fmt: skip
COUNTING = {"commands_are_counted", "looks_are_counted", "silence_is_counted"}
"""These keep what the others look at."""


def counted_more(one: Order) -> Order:
    return replace(one, total=one.filled + 5)


def larger(one: Order) -> Order:
    return replace(one, quantity=one.quantity + 1, filled=one.filled + 1)


@pytest.mark.parametrize(
    ("name", "moment", "plan", "spoil"), ROWS, ids=[f"{n}-{row[0]}" for n, row in enumerate(ROWS)]
)
def test_check_fires_by_itself(name: str, moment: str, plan: Plan, spoil: Spoil) -> None:
    assert name in fired(plan, moment, spoil)


def test_every_check_of_these_files_is_listed() -> None:
    files = {module.__name__ for module in (effects, exits, questions, shell)}
    names = {row.check.__name__ for row in TABLE if row.check.__module__ in files}
    nothing(sorted(names - {row[0] for row in ROWS} - COUNTING))
