"""Inputs of the whole account that somebody has to know of: one alert each, with how loud, a stable code and a text."""

import pytest

from oms.events.base import Event
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, DuplicateConflict, UnparsedFrame
from oms.events.decisions import Alerted
from oms.events.session import JournalSetAside, LogLinkChanged, LogLinkStatus
from oms.values import Severity
from tests.given import given, like

CONFLICT = DuplicateConflict(first_seq=7, conflict_source="sim", conflict_key="fill:X1:0", text="other price")
ASIDE = JournalSetAside(file="old.journal", file_sha256="00", records=2, text="another writer went on")


@pytest.mark.parametrize(
    ("event", "severity", "code", "text"),
    [
        (
            UnparsedFrame(raw_sha256="00", error="no tag 35", origin="fix"),
            Severity.CRITICAL,
            "unparsed_frame",
            "fix: no tag 35",
        ),
        (CONFLICT, Severity.CRITICAL, "duplicate_conflict", "fill:X1:0 of sim came again unlike row 7"),
        (ASIDE, Severity.CRITICAL, "journal_set_aside", "old.journal: another writer went on"),
        (LogLinkChanged(status=LogLinkStatus.AWAY, text="refused"), Severity.CRITICAL, "log_away", "refused"),
        (LogLinkChanged(status=LogLinkStatus.BACK, text="2 steps"), Severity.INFO, "log_back", "2 steps"),
        (
            LogLinkChanged(status=LogLinkStatus.UNWRITABLE, text="disk full"),
            Severity.EMERGENCY,
            "journal_unwritable",
            "disk full",
        ),
    ],
)
def test_is_told_with_how_loud_and_why(event: Event, severity: Severity, code: str, text: str) -> None:
    given().when(event).then(like(Alerted, severity=severity, code=code, text=text, instrument=None))


def test_what_is_usual_is_told_to_nobody() -> None:
    given().when(BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED)).then()
