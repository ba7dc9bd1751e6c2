"""Published order state cases against the real thing: translation, fold and step, nothing of it replaced.

What a case sends becomes the decisions we would have logged, under the ids of the case; what it receives goes
through the FIX translation into `decide`. The venue is halted all the while and entries are never repriced, so
that no policy does anything to the orders of a case. What a case leaves out is filled in: the instrument is TEST,
the side BUY, the price 100, an execution is named after its case and step.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, localcontext
from functools import cache
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from oms.book import Book
from oms.brokers.fix44 import Executions, FrameRefused, Report, report, translate
from oms.config import Settings, load_settings
from oms.events.base import Event, Stamped
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, UnparsedFrame
from oms.events.clock import ClockAdvanced
from oms.events.decisions import (
    Alerted,
    CancelRequested,
    EntryAccepted,
    OrderPlaced,
    QueryRequested,
    ReplaceRequested,
)
from oms.events.operator import ConfigActivated
from oms.events.session import (
    AccountOpened,
    InstrumentDefined,
    VenueStatus,
    VenueStatusChanged,
    WriterStarted,
)
from oms.state.order import Order, PendingKind
from oms.state.pipeline import Pipeline
from oms.values import (
    CONTEXT,
    MILLISECOND,
    OrderType,
    PositionSide,
    Role,
    Side,
    TimeInForce,
    plain,
)
from replay.cases import Case, Cases, Step

INSTRUMENT: Final = "TEST"
POLICY: Final = "conformance"
PRICE: Final = Decimal(100)
BEGIN: Final = 1_767_362_400_000_000
"""Logical time at which every case begins (2026-01-02 14:00 UTC)."""

_HOUR_MS: Final = 3_600_000
_ALERTS: Final = ("late_fill", "gap_detected", "overfill")
_NOT_REPORTED: Final = frozenset(
    {"n", "dir", "expect", "crosses_request", "changes", "time_in_force", "source", "note", "action", "alert"}
    | {"poss_dup", "poss_resend", "cash_order_qty", "secondary_order_id", "day_avg_px", *_ALERTS}
)
"""Fields of a step that are no field of an order report."""


class Failure(Struct, frozen=True, gc=False):
    """A step after which something else was held than expected; only what differs is named."""

    case: str
    step: int
    expected: dict[str, str]
    got: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The failure for a program."""
        return {"id": self.case, "step": self.step, "expected": self.expected, "got": self.got}


def run_cases(cases: Cases, done: Callable[[int], None] | None = None) -> list[Failure]:
    """Run every case and return what differs, in the order of the file. `done` is called after each case."""
    failures: list[Failure] = []
    steps = [step for case in cases.cases for step in case.steps]
    named = {name for step in steps for name in (*step.alert, *(step.expect.alert if step.expect else ()))}
    watched = sorted({*_ALERTS, *named})
    with localcontext(CONTEXT):
        for case in cases.cases:
            failures += _Run(case, watched).run()
            if done is not None:
                done(1)
    return failures


@cache
def _settings() -> Settings:
    calm = {"entry.reprice_interval_ms": _HOUR_MS, "entry.partial_rest_ms": _HOUR_MS}
    return load_settings(arguments=calm).settings


def _begin() -> Book:
    """An account with one instrument, connected to its broker, in a halted market."""
    settings, book = _settings(), Book()
    opening: list[Event] = [
        AccountOpened(
            account="fix44/sim/conformance", log_id=POLICY, currency="USD", trading_day=date(2026, 1, 2)
        ),
        WriterStarted(epoch=1, code="", python="", dependencies=""),
        ConfigActivated(config_sha256=settings.sha256, profile=settings.profile, settings=settings.body()),
        BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED),
        InstrumentDefined(
            instrument=INSTRUMENT, symbol=INSTRUMENT, currency="USD", tick=Decimal("0.01"), lot=Decimal(1)
        ),
        VenueStatusChanged(instrument=INSTRUMENT, status=VenueStatus.HALTED),
    ]
    for event in opening:
        book.decide(Stamped(event=event, logical_time=BEGIN))
    return book


class _Run:
    """One case under way."""

    def __init__(self, case: Case, watched: list[str]) -> None:
        self.case = case
        self.watched = watched
        self.book = _begin()
        self.now = BEGIN
        self.executions = Executions()
        self.requests: dict[str, str] = {}
        self.asked_at_seq = 0

    @property
    def pipeline(self) -> Pipeline:
        return self.book.pipelines[INSTRUMENT]

    def run(self) -> list[Failure]:
        found = []
        for step in self.case.steps:
            before = self.pipeline
            alerts = self.take(step)
            expected = _expected(step, self.watched)
            got = self.held(step, before, alerts)
            wrong = [name for name in expected if expected[name] != got[name]]
            if wrong:
                picked = ({name: side[name] for name in wrong} for side in (expected, got))
                found.append(Failure(self.case.id, step.n, *picked))
        return found

    def take(self, step: Step) -> list[Alerted]:
        """Do what the step says; the alerts it raised."""
        self.now += MILLISECOND
        if step.dir == "out":
            assert step.cl_ord_id is not None
            self.requests[step.cl_ord_id] = str(step.msg)
            for decision in self.decided(step):
                self.log(decision)
            return []
        if step.dir == "none":
            # Nothing comes: let the time pass in which an answer was due.
            self.now += 2 * _settings().protection.ack_timeout_ms * MILLISECOND
            return self.step([ClockAdvanced()])
        return self.step(self.received(step))

    def step(self, events: Iterable[Event]) -> list[Alerted]:
        recorded = [
            one.event
            for event in events
            for one in self.book.decide(Stamped(event=event, logical_time=self.now)).events
        ]
        return [event for event in recorded if isinstance(event, Alerted)]

    def log(self, decision: Event) -> None:
        self.book.fold(decision, self.now, self.book.account.seq + 1, INSTRUMENT)
        self.book.reschedule()

    def decided(self, step: Step) -> list[Event]:
        """Our decisions behind a message. About an order that we do not have nothing could be decided."""
        if step.msg == "NewOrderSingle":
            return self.placed(step) if self.pipeline.find(step.cl_ord_id) is None else []
        order = self.pipeline.find(step.orig_cl_ord_id, step.cl_ord_id)
        if step.msg == "OrderStatusRequest":
            self.asked_at_seq = self.book.account.seq + 1
        if order is None or order.trade_no is None:
            return []
        common: dict[str, Any] = {
            "instrument": INSTRUMENT,
            "trade_no": order.trade_no,
            "client_order_id": order.client_order_id,
            "wire_id": step.cl_ord_id,
            "policy": POLICY,
        }
        if step.msg == "OrderStatusRequest":
            return [QueryRequested(**common)]
        if step.msg == "OrderCancelRequest":
            return [CancelRequested(orig_wire_id=str(step.orig_cl_ord_id), **common)]
        return [
            ReplaceRequested(
                orig_wire_id=str(step.orig_cl_ord_id),
                quantity=step.order_qty or order.quantity,
                order_type=OrderType(step.ord_type) if step.ord_type else order.order_type,
                price_limit=order.price_limit if step.price is None else step.price,
                price_stop=order.price_stop if step.stop_px is None else step.stop_px,
                **common,
            )
        ]

    def placed(self, step: Step) -> list[Event]:
        """The trade that the order belongs to, and the order."""
        account, side = self.book.account, Side(step.side or "BUY")
        price = step.price or PRICE
        quantity = step.order_qty or (step.cash_order_qty or price) / price
        is_long = side is Side.BUY
        common: dict[str, Any] = {"instrument": INSTRUMENT, "trade_no": account.next_trade_no}
        return [
            EntryAccepted(
                cycle=account.next_trade_no,
                strategy=POLICY,
                intent_id=str(step.cl_ord_id),
                side=PositionSide.LONG if is_long else PositionSide.SHORT,
                quantity=quantity,
                ideal=price,
                zone_max=price,
                stop=price / 2 if is_long else price * 2,
                config_sha256=account.config_sha256,
                rungs=(),
                **common,
            ),
            OrderPlaced(
                client_order_id=str(step.cl_ord_id),
                role=Role.ENTRY,
                side=side,
                quantity=quantity,
                order_type=OrderType(step.ord_type or "LIMIT"),
                time_in_force=TimeInForce.GTC if step.time_in_force == "GTC" else TimeInForce.DAY,
                price_limit=price,
                price_stop=step.stop_px,
                policy=POLICY,
                **common,
            ),
        ]

    def received(self, step: Step) -> list[Event]:
        """The inputs behind a message; one that cannot be read is an input too."""
        try:
            return translate(self.reported(step), INSTRUMENT, self.executions, self.asked_at_seq)
        except FrameRefused as error:
            digest = sha256(f"{self.case.id}:{step.n}".encode()).hexdigest()
            return [UnparsedFrame(raw_sha256=digest, error=str(error), origin=POLICY)]

    def reported(self, step: Step) -> Report:
        given = step.model_dump(exclude_none=True, exclude=set(_NOT_REPORTED))
        fields = {name: format(one, "f") if isinstance(one, Decimal) else one for name, one in given.items()}
        order = self.pipeline.find(step.cl_ord_id, step.orig_cl_ord_id, step.order_id)
        if step.msg == "OrderCancelReject":
            request = self.requests.get(step.cl_ord_id or "", "OrderCancelRequest")
            return report({"cxl_rej_response_to": request} | fields)
        known = {"symbol": INSTRUMENT, "exec_id": f"{self.case.id}:{step.n}"}
        known["side"] = order.side.value if order is not None else Side.BUY.value
        if step.last_qty:
            known["last_px"] = format(step.price or PRICE, "f")
        return report(known | fields)

    def held(self, step: Step, before: Pipeline, alerts: list[Alerted]) -> dict[str, str]:
        """What is held after a step, in the words of `_expected`."""
        order = self.pipeline.find(step.cl_ord_id, step.orig_cl_ord_id, step.order_id)
        after = self.pipeline
        same = _booked(after) == _booked(before) and after.position == before.position
        raised = {alert.code: alert.quantity for alert in alerts}
        return {
            "state": "none" if order is None else order.status.value,
            "pending": _flag(order),
            "filled": "0" if order is None else _spoken(order.filled),
            "change": "none" if same else "some",
            **{name: "none" if name not in raised else _spoken(raised[name]) for name in self.watched},
            **{f"{name} raised": "yes" if name in raised else "no" for name in self.watched},
        }


def _booked(pipeline: Pipeline) -> list[Order]:
    """The orders; the further ids of an execution and the fills that are covered are remembered, not booked."""
    return [
        replace(order, repeats=(), executions=tuple(replace(one, aliases=()) for one in order.executions))
        for order in pipeline.orders.values()
    ]


def _flag(order: Order | None) -> str:
    """The pending flag; of a cancel and a replace at once the cancel ranks higher, as in FIX."""
    if order is None:
        return "none"
    if order.pending_of(PendingKind.CANCEL) is not None:
        return "cancel"
    return "replace" if order.pending_of(PendingKind.REPLACE) is not None else "none"


def _expected(step: Step, watched: list[str]) -> dict[str, str]:
    """What must be held after a step; a field that the case does not name is left out."""
    expect = step.expect
    wanted: Mapping[str, Any] = {name: getattr(step, name) for name in _ALERTS}
    named = (*step.alert, *(expect.alert if expect is not None else ()))
    found: dict[str, str] = {}
    for name in watched:
        raised = wanted.get(name, False) or name in named
        if raised is True or not raised:
            found[f"{name} raised"] = "yes" if raised else "no"
        else:
            found[name] = _spoken(raised)
    if expect is None:
        return found
    if expect.names("base_state"):
        found["state"] = expect.base_state or "none"
    if expect.names("base_state") or expect.names("pending"):
        found["pending"] = expect.pending or "none"
    if expect.cum_qty is not None:
        found["filled"] = _spoken(expect.cum_qty)
    if not expect.accepted:
        found["change"] = "none"
    return found


def _spoken(value: Decimal | None) -> str:
    return "none" if value is None else format(plain(value), "f")
