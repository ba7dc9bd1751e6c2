"""FIX reports in sequence: corrections of corrections, keys, recorded messages, and the published cases."""

import re
from decimal import Decimal
from typing import Any

import pytest
import yaml

from oms.brokers.fix44 import Executions, Report, parse, report, stamped, translate
from oms.brokers.fix44.frame import read_frame
from oms.events.base import Event, Stamped
from oms.events.broker import (
    CancelRejected,
    ExecutionBusted,
    ExecutionCorrected,
    OrderAccepted,
    OrderFilled,
    OrderStatusReported,
    OrderUnknown,
)
from tests.checkout import shared

D = Decimal
REMARKS = {
    "n",
    "dir",
    "expect",
    "crosses_request",
    "gap_detected",
    "late_fill",
    "overfill",
    "alert",
    "source",
}


def change(
    exec_id: str, exec_ref_id: str, kind: str = "TradeCorrect", quantity: int = 5, **fields: Any
) -> Report:
    given = {
        "msg": "ExecutionReport", "cl_ord_id": "X", "exec_type": kind, "ord_status": "PartiallyFilled",
        "exec_id": exec_id, "exec_ref_id": exec_ref_id, "last_qty": quantity, "last_px": "10",
    }  # fmt: skip
    return report(given | fields)


def revisions(executions: Executions, *reports: Report) -> list[tuple[str, str, int]]:
    found = [event for one in reports for event in translate(one, "I", executions)]
    return [
        (type(event).__name__, event.execution, event.revision)
        for event in found
        if isinstance(event, ExecutionCorrected | ExecutionBusted)
    ]


def test_correction_of_a_correction_belongs_to_the_first_execution() -> None:
    chain = [change("F", "D"), change("H", "F"), change("K", "H"), change("L", "K", "TradeCancel")]
    assert revisions(Executions(), *chain) == [
        ("ExecutionCorrected", "D", 1), ("ExecutionCorrected", "D", 2), ("ExecutionCorrected", "D", 3),
        ("ExecutionBusted", "D", 4),
    ]  # fmt: skip


def test_two_corrections_of_one_execution_follow_each_other() -> None:
    assert revisions(Executions(), change("F", "D"), change("G", "D")) == [
        ("ExecutionCorrected", "D", 1), ("ExecutionCorrected", "D", 2),
    ]  # fmt: skip


def test_correction_sent_again_is_the_same_revision() -> None:
    found = revisions(Executions(), change("F", "D"), change("H", "F"), change("F", "D"))
    assert [revision for _kind, _root, revision in found] == [1, 2, 1]


def test_correction_to_nothing_is_a_bust() -> None:
    assert revisions(Executions(), change("F", "D", quantity=0)) == [("ExecutionBusted", "D", 1)]


def test_restarted_connection_is_taught_from_the_log() -> None:
    executions = Executions()
    executions.learn("F", "D", 1)
    executions.learn("H", "D", 2)
    assert revisions(executions, change("K", "H")) == [("ExecutionCorrected", "D", 3)]


def keys(one: Report, events: list[Event]) -> list[str | None]:
    return [entry.dedupe_key for entry in stamped(one, events, 5, "bank/2026-03-02")]


def test_inputs_carry_clocks_source_and_bytes() -> None:
    one = change("F", "D", transact_time="20260302-14:30:00")
    (entry,) = stamped(one, translate(one, "I", Executions()), 5, "bank/2026-03-02", b"raw")
    assert isinstance(entry, Stamped)
    assert (entry.logical_time, entry.received_at, entry.event_time) == (5, 5, 1_772_461_800_000_000)
    assert (entry.source, entry.dedupe_key, entry.raw) == ("bank/2026-03-02", "execution:D:1", b"raw")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"exec_type": "New", "exec_id": "A", "cum_qty": 1}, ["report:A:0", "report:A:1"]),
        ({"exec_type": "New"}, [None]),
        ({"exec_type": "New", "exec_id": "0"}, [None]),
        ({"exec_type": "OrderStatus", "exec_id": "A"}, [None]),
        ({"msg": "OrderCancelReject", "cxl_rej_response_to": "OrderCancelRequest"}, ["refusal:X"]),
    ],
)
def test_keys_of_other_reports(fields: dict[str, Any], expected: list[str | None]) -> None:
    given = {"msg": "ExecutionReport", "cl_ord_id": "X", "order_id": "B", "ord_status": "New"}
    one = report(given | fields)
    assert keys(one, translate(one, "I", Executions())) == expected


def test_recorded_acknowledgement_that_calls_itself_a_fill() -> None:
    raw = shared("data/fix/logs/banzai_fix41.fix")[0].read_bytes()
    frames = [part.rstrip(b"\r\n") for part in re.split(rb"(?<=\x01)[\r\n]*(?=8=FIX)", raw)]
    assert len(frames) == 16
    assert all(read_frame(one).version == "FIX.4.1" for one in frames)
    executions = Executions()
    reports = [found for one in frames if (found := parse(one))]
    events = [event for one in reports for event in translate(one, one.symbol or "", executions)]
    # 150=2 stands in all five; only two of them executed anything.
    assert [(type(event).__name__, getattr(event, "instrument", "")) for event in events] == [
        ("OrderAccepted", "MSFT"), ("OrderFilled", "MSFT"), ("OrderAccepted", "ORCL"), ("OrderFilled", "ORCL"),
        ("OrderAccepted", "SPY"),
    ]  # fmt: skip
    assert [(event.quantity, event.price, event.execution) for event in events if isinstance(event, OrderFilled)] == [
        (D(10_000), D("12.3"), "2"), (D(10_000), D("12.3"), "4"),
    ]  # fmt: skip


def legacy(fields: str) -> Event:
    body = fields.replace("|", "\x01").encode() + b"\x01"
    head = f"8=FIX.4.2\x019={len(body)}\x01".encode()
    found = parse(head + body + f"10={sum(head + body) % 256:03}\x01".encode())
    assert found is not None
    (event,) = translate(found, "I", Executions())
    return event


def test_legacy_transactions() -> None:
    common = "35=8|37=B|11=X|17=E2|54=1|14=0|151=5|32=5|31=10|39=1|150=1"
    assert isinstance(legacy(f"{common}|20=0"), OrderFilled)
    assert isinstance(legacy(f"{common}|20=1|19=E1"), ExecutionBusted)
    assert isinstance(legacy(f"{common}|20=2|19=E1"), ExecutionCorrected)
    assert isinstance(legacy(f"{common}|20=3"), OrderStatusReported)
    assert isinstance(legacy(common.replace("32=5", "32=0")), OrderStatusReported)
    assert isinstance(legacy(common.replace("32=5", "32=0").replace("39=1", "39=0")), OrderAccepted)


def completed(step: dict[str, Any], previous: str, number: int) -> Report:
    """A report of the case file with what the file leaves out because it does not matter there."""
    given = {name: value for name, value in step.items() if name not in REMARKS}
    if step["msg"] == "OrderCancelReject":
        return report({"cxl_rej_response_to": previous, **given})
    extra = {"exec_id": f"step{number}", "side": "BUY", "last_px": 10}
    return report(extra | given)


class Books:
    """A count of what was executed that knows nothing of orders."""

    def __init__(self) -> None:
        self.seen: set[str | None] = set()
        self.held: dict[str, tuple[int, Decimal]] = {}

    def take(self, entry: Stamped) -> None:
        if entry.dedupe_key is not None and entry.dedupe_key in self.seen:
            return
        self.seen.add(entry.dedupe_key)
        event = entry.event
        if isinstance(event, OrderFilled | ExecutionCorrected | ExecutionBusted):
            quantity = D(0) if isinstance(event, ExecutionBusted) else event.quantity
            if event.revision >= self.held.get(event.execution, (0, D(0)))[0]:
                self.held[event.execution] = (event.revision, quantity)

    def total(self) -> Decimal:
        return sum((quantity for _revision, quantity in self.held.values()), D(0))


def test_published_cases_book_the_expected_quantity() -> None:
    cases = yaml.safe_load(shared("cases/fix44_order_states.yaml")[0].read_text())["cases"]
    wrong = []
    for case in cases:
        executions, books, request = Executions(), Books(), "OrderCancelRequest"
        for step in case["steps"]:
            if step["dir"] == "out":
                request = step["msg"]
            if step["dir"] != "in":
                continue
            one = completed(step, request, step["n"])
            for entry in stamped(one, translate(one, "I", executions), step["n"], "test"):
                books.take(entry)
            expected = step["expect"].get("cum_qty", 0)
            # One fill under two ids is told apart by the fold, which knows the order; here it counts twice.
            if books.total() != expected and (case["id"], step["n"]) != ("X.13", 4):
                wrong.append((case["id"], step["n"], books.total(), expected))
    assert len(cases) > 30
    assert wrong == []


def test_published_answers_for_orders_that_do_not_exist() -> None:
    cases = {
        one["id"]: one
        for one in yaml.safe_load(shared("cases/fix44_order_states.yaml")[0].read_text())["cases"]
    }
    (status,) = translate(completed(cases["G.1.a"]["steps"][1], "", 2), "I", Executions(), 9)
    assert isinstance(status, OrderUnknown)
    assert status.asked_at_seq == 9
    (refused,) = translate(completed(cases["B.1.f"]["steps"][1], "OrderCancelRequest", 2), "I", Executions())
    assert isinstance(refused, CancelRejected)
    assert (refused.broker_order_id, refused.status) == (None, None)
