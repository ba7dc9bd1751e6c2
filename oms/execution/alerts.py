"""What is said of an input that was odd or could not be used. Alerts are decisions: verified like any other."""

from typing import Final

from oms.events import broker, decisions
from oms.state.order import Anomaly
from oms.values import Severity

SEVERITY: Final = {
    "late_fill": Severity.CRITICAL,
    "overfill": Severity.CRITICAL,
    "wrong_side": Severity.CRITICAL,
    "canceled_unasked": Severity.CRITICAL,
    "fill_overlap": Severity.CRITICAL,
    "reinstated": Severity.CRITICAL,
}


def of_evidence(event: broker.DuplicateConflict | broker.UnparsedFrame) -> decisions.Alerted:
    """Something came that the fold cannot use. It is kept; a person has to look, and the broker be compared."""
    if isinstance(event, broker.UnparsedFrame):
        code, text = "unparsed_frame", f"{event.origin}: {event.error}"
    else:
        code = "duplicate_conflict"
        text = f"{event.conflict_key} of {event.conflict_source} came again unlike row {event.first_seq}"
    return decisions.Alerted(severity=Severity.CRITICAL, code=code, text=text, policy="step")


def of_anomaly(name: str, anomaly: Anomaly) -> decisions.Alerted:
    """What was odd about an input, as an alert."""
    return decisions.Alerted(
        severity=SEVERITY.get(anomaly.code, Severity.WARNING),
        code=anomaly.code,
        text=anomaly.text,
        instrument=name,
        trade_no=anomaly.trade_no,
        client_order_id=anomaly.client_order_id,
        quantity=anomaly.quantity,
        policy="step",
    )
