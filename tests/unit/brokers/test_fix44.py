"""FIX order reports: which frames are refused, and what a report becomes."""

from decimal import Decimal
from typing import Any

import pytest

from oms.brokers.fix44 import Executions, FrameRefused, Report, parse, report, translate
from oms.events.base import Event
from oms.events.broker import (
    CancelCause,
    CancelRejected,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderStatusReported,
    OrderTriggered,
    OrderUnknown,
    RejectCode,
    ReplaceRejected,
    ReportedStatus,
)
from oms.values import OrderType, Side

D = Decimal
# What the case file leaves out of a report, because it does not matter there.
FILLED_IN = {"exec_id": "E", "side": "BUY", "last_px": "10", "cxl_rej_response_to": "OrderCancelRequest"}


def execution(**fields: Any) -> Report:
    return report({"msg": "ExecutionReport", "cl_ord_id": "X", "order_id": "B", **FILLED_IN, **fields})


def events(*reports: Report) -> list[Event]:
    executions = Executions()
    return [event for one in reports for event in translate(one, "I", executions, 7)]


def event(**fields: Any) -> Event:
    (found,) = events(execution(**fields))
    return found


def frame(fields: str, version: str = "FIX.4.4") -> bytes:
    """A frame from `tag=value|tag=value`, with length and checksum."""
    body = fields.replace("|", "\x01").encode("latin-1") + b"\x01"
    head = f"8={version}\x019={len(body)}\x01".encode()
    return head + body + f"10={sum(head + body) % 256:03}\x01".encode()


FILL = "35=8|34=2|37=B|11=X|17=E1|150=F|39=1|55=MSFT|54=1|38=100|32=40|31=12.50|151=60|14=40|6=12.5"


def test_frame_becomes_a_fill() -> None:
    found = parse(frame(f"{FILL}|60=20260302-14:30:00.123456789"))
    assert found is not None
    assert (found.symbol, found.avg_px) == ("MSFT", D("12.5"))
    assert found.transact_time == 1_772_461_800_123_456
    assert events(found) == [
        OrderFilled(
            instrument="I", client_order_id="X", broker_order_id="B", execution="E1", side=Side.BUY,
            quantity=D(40), price=D("12.5"), cumulative=D(40), leaves=D(60),
        )
    ]  # fmt: skip


def test_leap_second_is_the_next_second() -> None:
    ends = [parse(frame(f"{FILL}|60=20161231-23:59:{second}")) for second in ("59", "60")]
    assert [one.transact_time for one in ends if one] == [1_483_228_799_000_000, 1_483_228_800_000_000]


def test_raw_data_may_hold_the_separator() -> None:
    found = parse(frame(f"{FILL}|354=5|355=a|9=b"))
    assert found is not None
    assert found.exec_id == "E1"


@pytest.mark.parametrize("other", ["35=0", "35=A|98=0", "35=3|45=6|58=no", "35=D|11=X"])
def test_messages_of_another_kind_are_no_reports(other: str) -> None:
    assert parse(frame(other)) is None


GOOD = frame(FILL)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad_header"),
        (b"hello", "bad_header"),
        (GOOD[2:], "bad_header"),
        (GOOD.replace(b"35=8", b"36=8"), "bad_header"),
        (frame(FILL, "FIX.5.0"), "bad_header"),
        (GOOD[:-1], "bad_length"),
        (GOOD + b"8", "bad_length"),
        (GOOD[:40], "bad_length"),
        (GOOD.replace(b"\x019=", b"\x019=1", 1), "bad_length"),
        (GOOD.replace(b"55=MSFT", b"55=MSFU"), "bad_checksum"),
        (frame(FILL + "|44="), "empty_value"),
        (frame(FILL + "|nonsense"), "bad_field"),
        (frame(FILL + "|044=1"), "bad_field"),
        (frame(FILL + "|354=9999|355=a"), "bad_field"),
        (frame(FILL + "|14=40"), "repeated_tag"),
        (frame("35=8|58=" + "x" * 70_000), "oversized"),
        (frame("35=8" + "|453=1" * 3_000), "too_many_fields"),
        (frame(FILL.replace("150=F", "150=Z")), "unknown_value"),
        (frame(FILL.replace("150=F", "150=1")), "unknown_value"),
        (frame(FILL.replace("|150=F", "")), "unknown_value"),
        (frame(FILL.replace("39=1", "39=x")), "unknown_value"),
        (frame(FILL.replace("|39=1", "")), "bad_value"),
        (frame(FILL.replace("54=1", "54=Q")), "unknown_value"),
        (frame(FILL.replace("32=40", "32=4e1")), "bad_value"),
        (frame(FILL.replace("32=40", "32=-40")), "bad_value"),
        (frame(FILL.replace("31=12.50", "31=NaN")), "bad_value"),
        (frame(FILL.replace("151=60", "151=" + "9" * 41)), "bad_value"),
        (frame(FILL.replace("11=X", "11=X\x02")), "bad_value"),
        (frame(f"{FILL}|60=20261302-14:30:00"), "bad_value"),
        (frame(f"{FILL}|60=20260302-14:30:61"), "bad_value"),
        (frame(f"{FILL}|103=1.5"), "bad_value"),
    ],
)
def test_frame_that_does_not_add_up_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(FrameRefused) as caught:
        parse(raw)
    assert caught.value.code == code


@pytest.mark.parametrize("size", range(0, len(GOOD), 7))
def test_every_cut_of_a_frame_is_refused(size: int) -> None:
    with pytest.raises(FrameRefused):
        parse(GOOD[:size])


@pytest.mark.parametrize("at", range(0, len(GOOD), 5))
def test_every_changed_byte_is_refused(at: int) -> None:
    with pytest.raises(FrameRefused):
        parse(GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :])


def test_unknown_order_type_does_not_lose_the_fill() -> None:
    assert len(events(*(one for one in [parse(frame(f"{FILL}|40=P"))] if one))) == 1


def test_unknown_field_name_is_refused() -> None:
    with pytest.raises(FrameRefused, match="avg_price"):
        execution(exec_type="New", ord_status="New", avg_price="1")


@pytest.mark.parametrize(
    "fields",
    [
        {"exec_type": "Trade", "last_qty": None},
        {"exec_type": "Trade", "last_qty": 0},
        {"exec_type": "Trade", "last_qty": 1, "last_px": None},
        {"exec_type": "Trade", "last_qty": 1, "side": None},
        {"exec_type": "Trade", "last_qty": 1, "exec_id": None},
        {"exec_type": "TradeCancel"},
        {"exec_type": "TradeCorrect", "exec_ref_id": "C"},
        {"exec_type": "Replaced"},
        {"exec_type": "Canceled", "cl_ord_id": None, "order_id": None},
        {"exec_type": "New", "cl_ord_id": None, "order_id": None},
        {"exec_type": None},
    ],
)
def test_report_without_what_it_reports_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(FrameRefused):
        event(ord_status="New", **fields)


def test_refused_fill_is_not_half_learned() -> None:
    executions = Executions()
    broken = execution(
        exec_type="TradeCorrect", ord_status="Filled", exec_ref_id="C", last_qty=1, last_px=None
    )
    with pytest.raises(FrameRefused):
        translate(broken, "I", executions)
    assert executions.revise("E", "C") == ("C", 1)


def test_acknowledgement() -> None:
    assert event(exec_type="New", ord_status="New", cum_qty=0) == OrderAccepted(
        instrument="I", client_order_id="X", broker_order_id="B"
    )


def test_acknowledgement_that_knows_of_fills_tells_them() -> None:
    first, second = events(execution(exec_type="New", ord_status="PartiallyFilled", cum_qty=5, leaves_qty=3))
    assert isinstance(first, OrderAccepted)
    assert isinstance(second, OrderStatusReported)
    assert (second.status, second.cumulative) == (ReportedStatus.PARTIALLY_FILLED, D(5))


def test_order_of_a_stranger_comes_with_its_terms() -> None:
    found = event(
        exec_type="New", ord_status="New", cl_ord_id=None, order_qty=10, ord_type="LIMIT", price="9.5"
    )
    assert found == OrderStatusReported(
        instrument="I", broker_order_id="B", status=ReportedStatus.NEW, side=Side.BUY,
        order_type=OrderType.LIMIT, quantity=D(10), price_limit=D("9.5"),
    )  # fmt: skip


def test_end_of_a_strangers_order_has_its_made_up_id() -> None:
    found = event(exec_type="Canceled", ord_status="Canceled", cl_ord_id=None)
    assert isinstance(found, OrderCanceled)
    assert found.client_order_id == "X:B"


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"exec_type": "Canceled", "orig_cl_ord_id": "W"}, CancelCause.REQUESTED),
        ({"exec_type": "Canceled"}, CancelCause.UNSOLICITED),
        ({"exec_type": "Expired"}, CancelCause.EXPIRED),
        ({"exec_type": "DoneForDay", "leaves_qty": 0}, CancelCause.DONE_FOR_DAY),
    ],
)
def test_cause_of_the_end(fields: dict[str, Any], cause: CancelCause) -> None:
    found = event(ord_status="Canceled", cum_qty=3, text="by\x01e", **fields)
    assert isinstance(found, OrderCanceled)
    assert (found.cause, found.cumulative, found.text) == (cause, D(3), "by e")


@pytest.mark.parametrize(
    ("exec_type", "ord_status", "expected"),
    [
        ("DoneForDay", "DoneForDay", ReportedStatus.DONE_FOR_DAY),
        ("PendingCancel", "New", ReportedStatus.PENDING_CANCEL),
        ("PendingReplace", "PartiallyFilled", ReportedStatus.PENDING_REPLACE),
        ("PendingNew", "PendingNew", ReportedStatus.PENDING_NEW),
        ("Suspended", "Suspended", ReportedStatus.SUSPENDED),
        ("Stopped", "Stopped", ReportedStatus.STOPPED),
        ("Restated", "PartiallyFilled", ReportedStatus.PARTIALLY_FILLED),
        ("OrderStatus", "Canceled", ReportedStatus.CANCELED),
        ("OrderStatus", "Rejected", ReportedStatus.REJECTED),
        ("Calculated", "Calculated", ReportedStatus.DONE_FOR_DAY),
    ],
)
def test_status_reports(exec_type: str, ord_status: str, expected: ReportedStatus) -> None:
    found = event(exec_type=exec_type, ord_status=ord_status, leaves_qty=5, order_qty=10, cum_qty=5)
    assert isinstance(found, OrderStatusReported)
    assert found.status is expected


def test_settled_order_that_is_full_is_filled() -> None:
    found = event(exec_type="Calculated", ord_status="Calculated", order_qty=10, cum_qty=10, leaves_qty=0)
    assert isinstance(found, OrderStatusReported)
    assert found.status is ReportedStatus.FILLED


@pytest.mark.parametrize("fields", [{"order_id": None}, {"order_id": "NONE"}, {"ord_rej_reason": 5}])
def test_order_that_the_broker_does_not_know(fields: dict[str, Any]) -> None:
    found = event(exec_type="OrderStatus", ord_status="Rejected", **fields)
    assert found == OrderUnknown(instrument="I", client_order_id="X", asked_at_seq=7)


def test_rejection_names_its_reason() -> None:
    found = event(exec_type="Rejected", ord_status="Rejected", ord_rej_reason=6, text="again")
    assert found == OrderRejected(
        instrument="I", client_order_id="X", broker_order_id="B", code="DUPLICATE_ORDER", text="again"
    )


def test_replace_brings_the_new_terms() -> None:
    found = event(
        exec_type="Replaced", ord_status="PartiallyFilled", cl_ord_id="Y", orig_cl_ord_id="X", order_qty=12_000,
        ord_type="STOP", stop_px="9.10", cum_qty=10_000, leaves_qty=2_000,
    )  # fmt: skip
    assert found == OrderReplaced(
        instrument="I", client_order_id="Y", orig_client_order_id="X", broker_order_id="B", quantity=D(12_000),
        order_type=OrderType.STOP, price_stop=D("9.1"), cumulative=D(10_000), leaves=D(2_000),
    )  # fmt: skip


def test_elected_stop() -> None:
    assert isinstance(event(exec_type="Triggered", ord_status="New"), OrderTriggered)


def refusal(**fields: Any) -> Event:
    given = {"msg": "OrderCancelReject", "cl_ord_id": "Y", "orig_cl_ord_id": "X", "ord_status": "Filled"}
    (found,) = events(report(given | fields))
    return found


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (0, RejectCode.TOO_LATE),
        (1, RejectCode.UNKNOWN_ORDER),
        (3, RejectCode.ALREADY_PENDING),
        (99, RejectCode.OTHER),
        (None, RejectCode.OTHER),
    ],
)
def test_refused_cancel(reason: int | None, code: RejectCode) -> None:
    found = refusal(cxl_rej_response_to="OrderCancelRequest", cxl_rej_reason=reason)
    assert isinstance(found, CancelRejected)
    assert (found.client_order_id, found.orig_client_order_id, found.code) == ("Y", "X", code)


def test_refused_replace() -> None:
    found = refusal(cxl_rej_response_to="OrderCancelReplaceRequest", cxl_rej_reason=0)
    assert isinstance(found, ReplaceRejected)
    assert found.status is ReportedStatus.FILLED


def test_refusal_that_does_not_say_of_what_is_refused() -> None:
    with pytest.raises(FrameRefused, match="cxl_rej_response_to"):
        refusal()
