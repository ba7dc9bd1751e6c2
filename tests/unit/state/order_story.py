"""Given, when, then over events of one order: what was folded, what came, what must be held."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from oms.book import Book
from oms.config import load_settings
from oms.events.base import Event, Stamped
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    CancelCause,
    CancelRejected,
    CommandFailed,
    ExecutionBusted,
    ExecutionCorrected,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.events.decisions import (
    CancelRequested,
    EntryAccepted,
    OrderPlaced,
    QueryRequested,
    ReplaceRequested,
)
from oms.events.operator import ConfigActivated
from oms.events.session import AccountOpened, InstrumentDefined, WriterStarted
from oms.formulas.indicators import Atr, Ema
from oms.state.fold import fold
from oms.state.market import Market
from oms.state.order import Anomaly, Order, Verdict
from oms.state.pipeline import Pipeline
from oms.values import OrderStatus, OrderType, PositionSide, Role, Side, TimeInForce

D = Decimal
NAME = "ACME"
NOW = 1_000_000
PLACED_SEQ = 2
DEFINED = InstrumentDefined(instrument=NAME, symbol=NAME, currency="USD", tick=D("0.01"), lot=D(1))


def amount(value: int | str | Decimal | None) -> Decimal | None:
    return None if value is None else D(value)


def empty() -> Pipeline:
    return Pipeline(instrument=DEFINED, market=Market(atr=Atr(length=14), ema=Ema(length=9)))


def trade(number: int = 1) -> EntryAccepted:
    return EntryAccepted(
        instrument=NAME, trade_no=number, cycle=number, strategy="s", intent_id=f"i{number}", side=PositionSide.LONG,
        quantity=D(10), ideal=D(100), zone_max=D(101), stop=D(90), config_sha256="c", rungs=(),
    )  # fmt: skip


def placed(quantity: int = 10, own: str = "X", *, role: Role = Role.ENTRY) -> OrderPlaced:
    return OrderPlaced(
        instrument=NAME, trade_no=1, client_order_id=own, role=role,
        side=Side.BUY if role is Role.ENTRY else Side.SELL, quantity=D(quantity),
        order_type=OrderType.STOP if role is Role.STOP else OrderType.LIMIT, time_in_force=TimeInForce.DAY,
        price_limit=None if role is Role.STOP else D(100), price_stop=D(90) if role is Role.STOP else None,
        policy="p",
    )  # fmt: skip


def accepted(own: str = "X", broker_order_id: str | None = None) -> OrderAccepted:
    return OrderAccepted(instrument=NAME, client_order_id=own, broker_order_id=broker_order_id)


def rejected(own: str = "X", code: str = "") -> OrderRejected:
    return OrderRejected(instrument=NAME, client_order_id=own, code=code, text="no")


def filled(
    execution: str,
    quantity: int,
    cum: int | None = None,
    leaves: int | None = None,
    *,
    own: str | None = "X",
    price: str = "100",
    revision: int = 0,
    side: Side = Side.BUY,
    broker_order_id: str | None = None,
) -> OrderFilled:
    return OrderFilled(
        instrument=NAME, client_order_id=own, broker_order_id=broker_order_id, execution=execution, side=side,
        revision=revision, quantity=D(quantity), price=D(price), cumulative=amount(cum), leaves=amount(leaves),
    )  # fmt: skip


def corrected(
    execution: str,
    quantity: int,
    cum: int | None = None,
    leaves: int | None = None,
    *,
    revision: int = 1,
    price: str = "100",
) -> ExecutionCorrected:
    return ExecutionCorrected(
        instrument=NAME, client_order_id="X", execution=execution, revision=revision, quantity=D(quantity),
        price=D(price), cumulative=amount(cum), leaves=amount(leaves),
    )  # fmt: skip


def busted(
    execution: str, cum: int | None = None, leaves: int | None = None, *, revision: int = 1
) -> ExecutionBusted:
    return ExecutionBusted(
        instrument=NAME, client_order_id="X", execution=execution, revision=revision, cumulative=amount(cum),
        leaves=amount(leaves),
    )  # fmt: skip


def canceled(
    cum: int | None = None, own: str = "Y", cause: CancelCause = CancelCause.REQUESTED
) -> OrderCanceled:
    return OrderCanceled(
        instrument=NAME, client_order_id=own, orig_client_order_id="X", cause=cause, cumulative=amount(cum)
    )


def cancel(wire_id: str = "Y", own: str = "X") -> CancelRequested:
    return CancelRequested(
        instrument=NAME, trade_no=1, client_order_id=own, wire_id=wire_id, orig_wire_id="X", policy="p"
    )


def change(quantity: int, wire_id: str = "Y", *, price: str = "100") -> ReplaceRequested:
    return ReplaceRequested(
        instrument=NAME, trade_no=1, client_order_id="X", wire_id=wire_id, orig_wire_id="X", quantity=D(quantity),
        order_type=OrderType.LIMIT, price_limit=D(price), policy="p",
    )  # fmt: skip


def replaced(
    quantity: int, own: str = "Y", cum: int | None = None, leaves: int | None = None
) -> OrderReplaced:
    return OrderReplaced(
        instrument=NAME, client_order_id=own, orig_client_order_id="X", quantity=D(quantity),
        cumulative=amount(cum), leaves=amount(leaves),
    )  # fmt: skip


def cancel_rejected(
    own: str = "Y", code: RejectCode = RejectCode.OTHER, status: ReportedStatus | None = None
) -> CancelRejected:
    return CancelRejected(
        instrument=NAME, client_order_id=own, orig_client_order_id="X", code=code, status=status
    )


def replace_rejected(own: str = "Y", code: RejectCode = RejectCode.OTHER) -> ReplaceRejected:
    return ReplaceRejected(instrument=NAME, client_order_id=own, orig_client_order_id="X", code=code)


def reported(
    status: ReportedStatus,
    cum: int | None = None,
    leaves: int | None = None,
    *,
    own: str | None = "X",
    quantity: int | None = None,
    side: Side | None = None,
    broker_order_id: str | None = None,
    asked: int | None = None,
) -> OrderStatusReported:
    return OrderStatusReported(
        instrument=NAME, client_order_id=own, broker_order_id=broker_order_id, status=status, side=side,
        quantity=amount(quantity), cumulative=amount(cum), leaves=amount(leaves), asked_at_seq=asked,
    )  # fmt: skip


def query(own: str = "X") -> QueryRequested:
    return QueryRequested(instrument=NAME, trade_no=1, client_order_id=own, wire_id=own, policy="p")


def unknown(own: str = "X", asked_at_seq: int = 99) -> OrderUnknown:
    return OrderUnknown(instrument=NAME, client_order_id=own, asked_at_seq=asked_at_seq)


def failed(command_seq: int = PLACED_SEQ, *, sent: bool) -> CommandFailed:
    return CommandFailed(instrument=NAME, client_order_id="X", command_seq=command_seq, sent=sent)


class Story:
    """A pipeline with one trade. Event number n is folded at seq n; what was odd about the last `when` is kept."""

    def __init__(self) -> None:
        self.pipeline = empty()
        self.seq = 0
        self.anomalies: tuple[Anomaly, ...] = ()
        self.fold(trade())

    def fold(self, event: Event) -> tuple[Anomaly, ...]:
        self.seq += 1
        self.pipeline, anomalies = fold(self.pipeline, event, NOW + self.seq, self.seq)
        return anomalies

    def when(self, *events: Event) -> "Story":
        self.anomalies = tuple(one for event in events for one in self.fold(event))
        return self

    @property
    def order(self) -> Order:
        return self.pipeline.orders["X"]

    @property
    def alerts(self) -> list[str]:
        return [one.code for one in self.anomalies if not isinstance(one, Verdict)]

    @property
    def judged(self) -> list[tuple[str, str | None, bool]]:
        """(execution, whose second id it is, whether it counts after all)"""
        return [(one.execution, one.of, one.counted) for one in self.anomalies if isinstance(one, Verdict)]

    @property
    def queried(self) -> list[str]:
        return [one.code for one in self.anomalies if one.wants_query]

    @property
    def pending(self) -> list[str]:
        return [one.kind.value for one in self.order.pending]

    def then(
        self,
        status: OrderStatus | None = None,
        filled: int | None = None,
        *,
        leaves: int | None = None,
        pending: list[str] | None = None,
        alerts: list[str] | None = None,
        queried: list[str] | None = None,
        judged: list[tuple[str, str | None, bool]] | None = None,
        **fields: Any,
    ) -> "Story":
        """Compare what is given. Whatever else, the sums hold and the trade holds what the order filled."""
        order = self.order
        got = {"status": order.status, "filled": order.filled, "leaves": order.leaves, "pending": self.pending,
               "alerts": self.alerts, "queried": self.queried, "judged": self.judged}  # fmt: skip
        wanted = {"status": status, "filled": filled, "leaves": leaves, "pending": pending, "alerts": alerts,
                  "queried": queried, "judged": judged}  # fmt: skip
        asked = {name: value for name, value in wanted.items() if value is not None}
        assert {name: got[name] for name in asked} == asked
        assert {name: getattr(order, name) for name in fields} == fields
        self.is_sound()
        return self

    def is_sound(self) -> None:
        for problem in unsound(self.pipeline):
            raise AssertionError(problem)


def given(*events: Event, role: Role = Role.ENTRY, quantity: int = 10) -> Story:
    """An order X that was placed, and what happened to it since."""
    return Story().when(placed(quantity, role=role)).when(*events)


def unsound(pipeline: Pipeline) -> Iterator[str]:
    """What can never be, whatever a broker reports."""
    for order in pipeline.orders.values():
        executed = sum((one.quantity for one in order.executions), D(0))
        if order.filled != executed or order.value != sum(
            (one.quantity * one.price for one in order.executions), D(0)
        ):
            yield f"{order.client_order_id}: filled {order.filled}, executions {executed}"
        if order.leaves < 0 or order.leaves > max(order.quantity - order.filled, D(0)):
            yield f"{order.client_order_id}: leaves {order.leaves} of {order.quantity}, filled {order.filled}"
        ended = order.status.value in ("FILLED", "CANCELED", "REJECTED")
        if ended and (order.leaves or order.ended_at is None):
            yield f"{order.client_order_id}: {order.status.value} with leaves {order.leaves}"
        if not ended and order.ended_at is not None:
            yield f"{order.client_order_id}: {order.status.value} and ended"
        if (order.status is OrderStatus.FILLED) != (order.filled >= order.quantity):
            yield f"{order.client_order_id}: {order.status.value} with {order.filled} of {order.quantity}"
        if len({one.root for one in order.executions}) != len(order.executions):
            yield f"{order.client_order_id}: an execution stands there twice"
    entered = sum((one.filled for one in pipeline.orders.values() if one.role is Role.ENTRY), D(0))
    if any(one.entered != entered for one in pipeline.trades.values()):
        yield f"trade entered {[one.entered for one in pipeline.trades.values()]}, orders {entered}"


def book() -> Book:
    """An account with one instrument and the default settings, connected to its broker."""
    settings, found = load_settings().settings, Book()
    opening: list[Event] = [
        AccountOpened(account="b/sim/a", log_id="l", currency="USD", trading_day=date(2026, 1, 2)),
        WriterStarted(epoch=1, code="", python="", dependencies=""),
        ConfigActivated(config_sha256=settings.sha256, profile=settings.profile, settings=settings.body()),
        BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED),
        DEFINED,
    ]
    for event in opening:
        found.decide(Stamped(event=event, logical_time=NOW))
    return found
