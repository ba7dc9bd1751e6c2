"""Every switch of a broker's capabilities, alone and with each other one: a whole trade, a forced close and a kill.

Whatever the broker's rules are, the position is protected after every step, judged from the broker's own book as well,
nothing that it refuses is sent, and the day ends flat. Architecture 6, "Broker capabilities".
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from typing import Any, Final

import pytest

from oms.events.base import Stamped
from oms.events.broker import CapabilitiesDeclared, OrderRejected, ReplaceRejected
from oms.events.decisions import Alerted, CloseRequested, IntentRefused, OrderPlaced
from oms.events.operator import Act, OperatorCommanded
from oms.state.protection import Protection, protection
from oms.state.view import View
from oms.values import (
    MILLISECOND,
    SECOND,
    SIGN_OF,
    ZERO,
    OrderType,
    PositionSide,
    Role,
    Severity,
    TradingPhase,
)
from tests import builders
from tests.builders import CLOSE, NAME, OPEN
from tests.unit.policies.days import CENT, Day, Move, Played

SWITCHES: Final[dict[str, dict[str, Any]]] = {
    "reserves_inventory": {"reserves_inventory": True},
    "refuses_opposite_side": {"refuses_opposite_side": True},
    "native_reduce_only": {"native_reduce_only": True},
    "no_modify": {"modify_stop": False},
    "silent_trigger": {"reports_trigger": False},
    "ids_reused": {"client_ids_unique_for_ever": False},
    "stops_sleep": {"stop_active_phases": (TradingPhase.REGULAR,)},
    "always_market": {"market_order_phases": tuple(TradingPhase)},
}
CASES: Final = [(), *((one,) for one in SWITCHES), *combinations(SWITCHES, 2), tuple(SWITCHES)]
PRE: Final = OPEN - 1800 * SECOND
STORIES: Final = {
    # Cents of each second after the entry has filled, seen from the side of the position.
    "bracket": (
        OPEN,
        [10, 40, 102, 103, 103, 103, 103, 103, 130, 160, 204, 205, 205, 205, 205, 150, 60, 40, 20],
    ),
    "slow target": (OPEN, [60, 101, 100, 99, 99, 99, 99, 99, 99, 101, 103, 103, 103, 60, -20, -120, -130]),
    "gap": (OPEN, [10, 20, -180, -180, -180, -180, -180, -180, -180, -180, -180]),
    "kill": (OPEN, [10, 40, 60]),
    "forced close": (CLOSE - 905 * SECOND, [10, 20, 30]),
    "kill before the open": (PRE, [10, 30, 60]),
    "bracket before the open": (
        PRE,
        [10, 102, 103, 103, 103, 103, 103, 60, -20, -120, -130, -130, -130, -130],
    ),
    "over the open": (
        OPEN - 10 * SECOND,
        [10, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 102, 103, 104, -120, -130],
    ),
}


@pytest.mark.req("OD-042", "I31", "I33")
@pytest.mark.parametrize("side", list(PositionSide), ids=lambda side: side.value)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "+".join(case) or "none")
def test_whatever_the_broker_can_do_a_trade_is_protected_and_ends_flat(
    case: tuple[str, ...], side: PositionSide
) -> None:
    for name in STORIES:
        play(name, case, side)


def play(name: str, case: tuple[str, ...], side: PositionSide) -> Played:
    """One story, every step of it checked; the transcript goes with a failure."""
    given: dict[str, Any] = {"client_ids_unique_for_ever": True}
    for switch in case:
        given |= SWITCHES[switch]
    start, path = STORIES[name]
    settings = builders.settings(pre_market__mode="gated")
    capabilities = CapabilitiesDeclared(**given)
    played = Played(
        Day([], capabilities=capabilities, start=start, settings=settings, extended_hours=True, seed=7)
    )
    seen = 0
    for _ in told(played, name, path, side):
        while seen < len(played.steps):
            check(played, seen, f"{name} {side.value} {case}")
            seen += 1
        check_book(played, f"{name} {side.value} {case}")
    if capabilities.reserves_inventory and side is PositionSide.SHORT:
        refused = [one.code for one in played.decisions if isinstance(one, IntentRefused)]
        assert refused == ["no_shorts"]
        return played
    check_flat(played, f"{name} {side.value} {case}")
    return played


def told(played: Played, name: str, path: list[int], side: PositionSide) -> Iterator[None]:
    """Enter at the middle, let it fill in two parts, follow the path, then whatever ends the story."""
    sign = int(SIGN_OF[side])
    played.now = max(played.now, played.day.start)
    for minute in (3, 2, 1):
        bar = builders.bar("99.9", "100.1", "100", end_at=played.now - minute * 60 * SECOND, volume=50_000)
        played.feed(bar)
    played.move(Move("quote", 0))
    request = builders.entry(
        100,
        ideal="100.00",
        zone_max=(10_000 + sign * 5) * CENT,
        stop=(10_000 - sign * 100) * CENT,
        side=side,
    )
    played.request(request)
    yield
    for _ in range(3):
        # A limit that is only just reached fills in parts.
        played.now += 500 * MILLISECOND
        played.mid = 10_000 - sign
        played.move(Move("quote", 0))
        yield
    for cents in path:
        played.now += SECOND
        played.mid = 10_000 + sign * cents
        played.move(Move("quote", 0))
        yield
    if name.startswith("kill"):
        act = OperatorCommanded(act=Act.KILL, principal="tests", reason="story", level=3)
        played.time.submit(Stamped(event=act, logical_time=played.time.now))
    for _ in range(1200 if name == "forced close" else 20):
        played.now += SECOND
        played.move(Move("quote", 0))
        yield
    played.time.flush()
    yield


def check(played: Played, index: int, where: str) -> None:
    """After one durable step: nobody is naked, whether by our state or by the broker's book."""
    result, now = played.steps[index].result, played.steps[index].stamped.logical_time
    for one in result.events:
        refused = isinstance(one.event, OrderRejected | ReplaceRejected)
        # A venue that turns no limit into a market order is no capability; the fallback is a cancel.
        assert not refused or "cannot become" in one.event.text, f"{where}\n{played.transcript()}"  # type: ignore[attr-defined]
        loud = isinstance(one.event, Alerted) and one.event.severity in (
            Severity.CRITICAL,
            Severity.EMERGENCY,
        )
        assert not loud, f"{where}: {one.event}\n{played.transcript()}"
    pipeline = result.changed.get(NAME)
    if pipeline is None:
        return
    view = View(result.account, pipeline, now)
    for trade in pipeline.trades.values():
        state = protection(view, trade)
        assert state is not Protection.NAKED, f"{where}: {now}\n{played.transcript()}"
        assert trade.held >= ZERO, f"{where}: oversold\n{played.transcript()}"


def check_book(played: Played, where: str) -> None:
    """Where nothing is under way: what rests at the broker covers the position, or the guard has it."""
    if NAME not in played.runner.book.pipelines or played.broker.next_due() is not None:
        return
    pipeline = played.pipeline
    if any(order.pending for order in pipeline.orders.values()):
        return
    live = [order for order in played.broker.orders.values() if order.is_live]
    stops = sum((order.leaves for order in live if order.role is Role.STOP), ZERO)
    held = abs(played.broker.positions.get(NAME, ZERO))
    guarded = any(trade.guard is not None for trade in pipeline.open())
    leaving = any(order.role is Role.EXIT for order in live)
    assert stops >= held or guarded or leaving, f"{where}: {stops} for {held}\n{played.transcript()}"
    if pipeline.open_trades and not guarded and not leaving and held:
        assert stops == held, f"{where}: {stops} for {held}\n{played.transcript()}"
        assert not View(played.runner.book.account, pipeline, played.now).stops_sleep(), where


def check_flat(played: Played, where: str) -> None:
    """Both books are empty, and something was traded at all."""
    end = f"{where}\n{played.transcript()}"
    assert played.pipeline.position == ZERO, end
    assert set(played.broker.positions.values()) <= {ZERO}, end
    assert played.broker.live_instruments() == (), end
    assert played.pipeline.open_trades == (), end
    assert not played.pipeline.safe_mode, end
    # Where the stop needs the other side, the rest of the entry was given up for it.
    entered = 25 if played.day.capabilities.refuses_opposite_side else 100
    assert [one.entered for one in played.pipeline.trades.values()] == [Decimal(entered)], end
    before_open = played.day.start < OPEN
    if not before_open and "always_market" not in where:
        return
    for one in played.decisions:
        if (
            isinstance(one, OrderPlaced | CloseRequested)
            and getattr(one, "order_type", None) is OrderType.MARKET
        ):
            assert one.evidence, end
