"""Logs of what is rare in a trading day, for the audit to find: told event by event."""

from decimal import Decimal
from typing import Any

from eventlog.envelope import Envelope, StepRecord
from eventlog.postgres import PostgresLog
from oms.events.base import Event, body_text
from oms.events.broker import (
    CancelRejected,
    DuplicateConflict,
    ExecutionBusted,
    ExecutionCorrected,
    Fee,
    FeeReported,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    PositionAdjusted,
    RejectCode,
    ReportedStatus,
)
from oms.events.decisions import (
    DegradationEntered,
    DegradationLeft,
    EntryAccepted,
    ExecutionJudged,
    OrderPlaced,
    Rung,
)
from oms.events.operator import Act, OperatorCommanded
from oms.values import OrderType, PositionSide, Role, Side, TimeInForce
from tests import answers, builders
from tests.builders import entry
from tests.given import given, wait
from tests.unit.replay.days import DAY

STORY = "sim/test/story"
NOON = 1_772_640_000_000_000


def received_stop() -> list[Event]:
    """A stop that the broker has, for a while, without having accepted it."""
    told = given(
        entry(),
        answers.ack(Role.ENTRY),
        answers.fill(Role.ENTRY),
        answers.received(Role.STOP),
        wait(1),
        answers.received(Role.STOP, said=ReportedStatus.PENDING_REPLACE),
        wait(1),
        answers.ack(Role.STOP),
    )
    return [one.event for result in told.results for one in result.events]


SECOND = "sim/test/second-ids"
LOWERED = "sim/test/lowered-count"
FORGOTTEN = "sim/test/forgotten"


def _own(**fields: Any) -> Any:
    return lambda told: {
        **fields,
        "instrument": builders.NAME,
        "client_order_id": told.order(Role.ENTRY).wire_id,
    }


def _fee(execution: str) -> Any:
    fees = (Fee(amount=Decimal(1), currency="USD", kind="commission"),)
    return FeeReported(instrument=builders.NAME, execution=execution, fees=fees)


def _filled(execution: str, quantity: int, cumulative: int, revision: int = 0) -> Any:
    fields = _own(
        execution=execution, side=Side.BUY, quantity=Decimal(quantity), price=Decimal(100),
        cumulative=Decimal(cumulative), leaves=Decimal(100 - cumulative), revision=revision,
    )  # fmt: skip
    return lambda told: OrderFilled(**fields(told))


def _busted(execution: str, cumulative: int) -> Any:
    fields = _own(execution=execution, revision=1, cumulative=Decimal(cumulative))
    return lambda told: ExecutionBusted(**fields(told))


def _counted(cumulative: int, *, is_answer: bool = False) -> Any:
    fields = _own(
        status=ReportedStatus.PARTIALLY_FILLED, side=Side.BUY, quantity=Decimal(100),
        cumulative=Decimal(cumulative), leaves=Decimal(100 - cumulative),
    )  # fmt: skip
    return lambda told: OrderStatusReported(
        **fields(told), asked_at_seq=told.book.account.seq if is_answer else None
    )


def _corrected(execution: str, quantity: int, cumulative: int) -> Any:
    fields = _own(
        execution=execution, revision=1, quantity=Decimal(quantity), price=Decimal(100),
        cumulative=Decimal(cumulative), leaves=Decimal(100 - cumulative),
    )  # fmt: skip
    return lambda told: ExecutionCorrected(**fields(told))


def _seen_under_its_new_id(told: Any) -> Event:
    """The stop as its replace wanted it, whose own answer is late."""
    wanted = told.order(Role.STOP).pending[-1]
    return OrderStatusReported(
        instrument=builders.NAME,
        client_order_id=wanted.wire_id,
        status=ReportedStatus.NEW,
        quantity=wanted.quantity,
        leaves=wanted.quantity,
    )


def _replaced_long_ago(told: Any) -> Event:
    former, own = told.order(Role.STOP).wire_ids[-2], told.order(Role.STOP).client_order_id
    return OrderReplaced(
        instrument=builders.NAME, client_order_id=former, orig_client_order_id=own, quantity=Decimal(80)
    )


def _refused_as_dead(told: Any) -> Event:
    """What refuses a cancel that nobody waits for says nothing of the order."""
    return CancelRejected(
        instrument=builders.NAME,
        client_order_id="long-ago",
        orig_client_order_id=told.order(Role.STOP).wire_id,
        code=RejectCode.TOO_LATE,
        status=ReportedStatus.CANCELED,
    )


def lowered_count() -> list[Event]:
    """A bust that came before what was counted before it: the answer to a later question takes the count back, and once
    more to nothing. A fill under the count comes in between."""
    told = given(
        entry(),
        answers.ack(Role.ENTRY),
        _filled("a", 50, 50),
        _busted("a", 20),
        _filled("b", 30, 80),
        _filled("b", 20, 70, revision=1),
        _counted(20),
        _counted(20, is_answer=True),
        _filled("c", 10, 30),
        _counted(30, is_answer=True),
        _counted(25, is_answer=True),
        _counted(25),
    )
    return [one.event for result in told.results for one in result.events]


def forgotten_orders() -> list[Event]:
    """A stop that is unknown under the id of its replace, after a refusal that called it dead and a late word of the
    replace before; an entry of which the broker counts more than was ordered, and takes back so much that it is open
    again."""
    told = given(
        entry(),
        answers.ack(Role.ENTRY),
        answers.fill(Role.ENTRY, 60),
        answers.ack(Role.STOP),
        answers.fill(Role.ENTRY, 20),
        _seen_under_its_new_id,
        answers.fill(Role.ENTRY, 10),
        answers.replaced(Role.STOP),
        _replaced_long_ago,
        _refused_as_dead,
        answers.unknown(Role.STOP),
        _counted(130),
        _counted(130),
        _filled("e", 40, 130),
        _corrected("e", 5, 95),
        answers.unknown(Role.ENTRY),
        _filled("e", 5, 95, revision=2),
    )
    return [one.event for result in told.results for one in result.events]


def second_ids() -> list[Event]:
    """Fills under second ids: one is busted by its second, a price comes under one that nobody knew, and one proves to
    be the next fill, because the broker counts it beside the one that was busted."""
    told = given(
        entry(),
        answers.ack(Role.ENTRY),
        _filled("a", 4, 4),
        _filled("a2", 4, 4),
        _busted("a2", 0),
        _filled("b", 3, 3),
        _filled("b2", 3, 3),
        _filled("c", 3, 3),
        _busted("b", 0),
        _counted(3),
        _counted(3),
        _filled("d", 2, 5),
        _filled("across", 5, 5),
        _filled("across", 2, 7, revision=1),
        _fee("c"),
        _fee("b2"),
    )
    return [one.event for result in told.results for one in result.events]


def tell(log: PostgresLog, account: str, events: list[Event]) -> None:
    """A log of one input after the other; decisions belong to the input before them."""
    head = log.acquire(account, "me")
    steps: list[list[Envelope]] = []
    for seq, event in enumerate(events, start=head.seq + 1):
        first = event.KIND == "I"
        columns = {
            name: getattr(event, name, None) or None
            for name in ("trade_no", "client_order_id", "broker_order_id", "reason")
        }
        row = Envelope(
            seq=seq, cause_seq=seq if first else steps[-1][0].seq, kind=event.KIND, type=type(event).__name__,
            version=event.VERSION, trading_day=DAY, logical_time=NOON + seq * 1_000_000, body=body_text(event),
            pipeline=getattr(event, "instrument", None), **columns,
        )  # fmt: skip
        if first:
            steps.append([])
        steps[-1].append(row)
    log.append(head, [StepRecord(tuple(rows)) for rows in steps])


def placed(own: str, quantity: int = 10) -> OrderPlaced:
    return OrderPlaced(
        instrument=builders.NAME, trade_no=1, client_order_id=own, role=Role.ENTRY, side=Side.BUY,
        quantity=Decimal(quantity), order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY,
        price_limit=Decimal(100), policy="entry",
    )  # fmt: skip


def accepted() -> EntryAccepted:
    return EntryAccepted(
        instrument=builders.NAME, trade_no=1, cycle=1, strategy="s", intent_id="1", side=PositionSide.LONG,
        quantity=Decimal(10), ideal=Decimal(100), zone_max=Decimal(101), stop=Decimal(99),
        config_sha256=builders.settings().sha256, rungs=(Rung(trigger="1R", pct=Decimal(1)),),
    )  # fmt: skip


def fill(own: str | None, execution: str, quantity: int, cumulative: int | None, **more: Any) -> OrderFilled:
    return OrderFilled(
        instrument=builders.NAME, client_order_id=own, execution=execution, side=Side.BUY,
        quantity=Decimal(quantity), price=Decimal(100),
        cumulative=None if cumulative is None else Decimal(cumulative), **more,
    )  # fmt: skip


def story() -> list[Event]:
    """What a good day does not have: doubled reports, busts, strangers, conflicts, people, degradation."""
    name = builders.NAME
    metric = {"instrument": name, "metric": "order_trade_ratio", "sent": 12, "policy": "degradation"}
    return [
        *builders.opening(builders.settings(), STORY),
        builders.instrument(),
        builders.entry(),
        accepted(),
        placed("A"),
        OrderAccepted(instrument=name, client_order_id="A", broker_order_id="b1"),
        fill("A", "x1", 4, 4),
        fill("A", "x1", 4, 4),
        fill("A", "x1-again", 4, 4),
        ExecutionJudged(
            instrument=name, trade_no=1, client_order_id="A", execution="x1-again", of="x1", policy="step"
        ),
        fill("A", "x2", 2, 6),
        ExecutionCorrected(
            instrument=name, client_order_id="A", execution="x2", revision=1, quantity=Decimal(3),
            price=Decimal(101), cumulative=Decimal(7),
        ),
        ExecutionBusted(instrument=name, broker_order_id="b1", execution="x1", revision=1, cumulative=Decimal(3)),
        OrderCanceled(instrument=name, client_order_id="A", cumulative=Decimal(3)),
        fill("A", "x3", 2, 5),
        fill(None, "y1", 7, 7, broker_order_id="stranger", leaves=Decimal(0)),
        FeeReported(instrument=name, execution="y1-again", fees=(Fee(amount=Decimal(2), currency="USD", kind="c"),)),
        fill(None, "y1-again", 7, 7, broker_order_id="stranger"),
        ExecutionJudged(
            instrument=name, client_order_id="X:stranger", execution="y1-again", of="y1", policy="step"
        ),
        PositionAdjusted(instrument=name, adjustment="SPLIT", ref="s1", quantity=Decimal(5)),
        placed("B"),
        OrderUnknown(instrument=name, client_order_id="B", asked_at_seq=100),
        OrderAccepted(instrument=name, client_order_id="B"),
        DuplicateConflict(first_seq=8, conflict_source="sim", conflict_key="k", text="another price"),
        OperatorCommanded(act=Act.PAUSE, principal="o'brien", reason="a \"quoted\" reason; DROP TABLE oms.event"),
        DegradationEntered(value=Decimal("6.5"), filled=Decimal(2), effect="half as often", **metric),
        builders.quote(99, 101, at=NOON),
        DegradationLeft(value=Decimal(3), filled=Decimal(4), reason="recovered", **metric),
    ]  # fmt: skip
