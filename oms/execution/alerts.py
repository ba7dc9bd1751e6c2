"""What is said of an input that was odd or could not be used. Alerts are decisions: verified like any other."""

from typing import Final

from oms.events import broker, decisions, session, strategy
from oms.events.base import Event
from oms.state.order import Anomaly, Verdict
from oms.values import Severity

SEVERITY: Final = {
    "late_fill": Severity.CRITICAL,
    "overfill": Severity.CRITICAL,
    "wrong_side": Severity.CRITICAL,
    "canceled_unasked": Severity.CRITICAL,
    "fill_overlap": Severity.CRITICAL,
    "reinstated": Severity.CRITICAL,
}
LOG_LINK: Final = {
    session.LogLinkStatus.AWAY: (Severity.CRITICAL, "log_away"),
    session.LogLinkStatus.BACK: (Severity.INFO, "log_back"),
    session.LogLinkStatus.UNWRITABLE: (Severity.EMERGENCY, "journal_unwritable"),
}


def of_account(event: Event) -> decisions.Alerted | None:
    """What an input of the whole account says that somebody has to know, or None."""
    match event:
        case broker.UnparsedFrame():
            # It is kept; a person has to look, and the broker be compared.
            found = Severity.CRITICAL, "unparsed_frame", f"{event.origin}: {event.error}"
        case broker.DuplicateConflict():
            text = f"{event.conflict_key} of {event.conflict_source} came again unlike row {event.first_seq}"
            found = Severity.CRITICAL, "duplicate_conflict", text
        case broker.BooksUnanswered():
            text = f"the broker has not answered {event.times} questions for its books; nothing is compared with them"
            found = Severity.CRITICAL, "books_unanswered", text
        case strategy.ListenerFailed():
            found = Severity.CRITICAL, "listener_failed", f"{event.listener}: {event.error}"
        case session.LogLinkChanged():
            found = *LOG_LINK[event.status], event.text
        case session.JournalSetAside():
            found = Severity.CRITICAL, "journal_set_aside", f"{event.file}: {event.text}"
        case _:
            return None
    return decisions.Alerted(severity=found[0], code=found[1], text=found[2], policy="step")


def of_anomaly(name: str, anomaly: Anomaly) -> decisions.Alerted | decisions.ExecutionJudged:
    """What was odd about an input, as an alert; what was judged of it, as just that."""
    if isinstance(anomaly, Verdict):
        return decisions.ExecutionJudged(
            instrument=name,
            trade_no=anomaly.trade_no,
            client_order_id=anomaly.client_order_id,
            execution=anomaly.execution,
            of=anomaly.of,
            counted=anomaly.counted,
            side=anomaly.side,
            quantity=anomaly.quantity,
            price=anomaly.price,
            policy="step",
        )
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
