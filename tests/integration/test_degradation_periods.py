"""Which degradation periods does a log hold? Asked as `oms/docs.md` does, and by the recipe of the audit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from eventlog.postgres import PostgresLog
from oms.events.broker import CancelCause, OrderAccepted, OrderCanceled
from oms.events.decisions import DegradationEntered, DegradationLeft
from oms.events.operator import Act
from replay import audit
from tests import builders, pg
from tests.builders import act, entry, settings
from tests.checkout import ROOT
from tests.given import Story, given, wait
from tests.golden.test_golden import INPUTS, read
from tests.unit.policies.sending import FILLS, RATE, RATIO, TIGHT, abandoned, asked, cycle, only
from tests.unit.replay.stories import log_of


def recipe() -> str:
    text = (ROOT / "oms" / "docs.md").read_text(encoding="utf-8")
    (found,) = (
        one for one in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if "DegradationEntered" in one
    )
    return str(found)


@contextmanager
def stored(story: Story) -> Iterator[str]:
    """The connection string of a database with the log of a story."""
    with pg.database() as conninfo:
        log = PostgresLog(conninfo)
        try:
            log_of(story, log)
        finally:
            log.close()
        yield conninfo


def periods(story: Story) -> list[dict[str, Any]]:
    with stored(story) as conninfo, psycopg.connect(conninfo, row_factory=dict_row) as connection:
        return connection.execute(recipe()).fetchall()  # type: ignore[call-overload, no-any-return]


def audited(story: Story) -> list[dict[str, Any]]:
    """What the recipe of the audit answers."""
    with stored(story) as conninfo, psycopg.connect(conninfo, autocommit=True) as connection:
        answer = audit.ask(connection, audit.named("degradation"))
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def played(path: Path) -> Story:
    story = given()
    for _, text, _expected in read(path):
        name, *args = text.split()
        story.take(INPUTS[name](args))
    return story


@pytest.mark.req("OD-062", "OD-063")
def test_lists_a_period_with_both_ends() -> None:
    (found,) = periods(played(ROOT / "tests" / "golden" / "degradation.txt"))
    assert (found["metric"], found["pipeline"]) == ("cancel_replace_rate", "ACME")
    assert (found["entered_value"], found["left_value"]) == (Decimal(6), Decimal(2))
    assert found["reason"] == "recovered"
    # It began with the sixth request, 30 s after the open, and ended when that left the window.
    assert found["lasted"] == timedelta(minutes=30)


@pytest.mark.req("OD-062")
def test_lists_several_periods_and_one_that_has_not_ended() -> None:
    bad = [abandoned] * 5
    story = given(*bad, cycle(1), *bad, asked(4), asked(4), settings=only(fill_rate_attempts=5))
    found = [(one["metric"], one["reason"], one["lasted"] is None) for one in periods(story)]
    assert found == [(FILLS, "next strategy cycle", False), (FILLS, None, True)]


Period = tuple[int, str, Decimal, int | None, str | None, Decimal | None]
"""(from, metric, value, until, why it ended, value then)"""


def decided(story: Story) -> list[Period]:
    """Every period by the decisions themselves."""
    told = [(one.seq, one.event) for result in story.results for one in result.events]
    found: list[Period] = []
    for seq, event in told:
        if isinstance(event, DegradationEntered):
            ends: Iterator[tuple[int | None, str | None, Decimal | None]] = (
                (at, gone.reason, gone.value)
                for at, gone in told
                if at > seq
                and isinstance(gone, DegradationLeft)
                and (gone.instrument, gone.metric) == (event.instrument, event.metric)
            )
            found.append((seq, event.metric, event.value, *next(ends, (None, None, None))))
    return found


OTHER = "OTHER"


def abandoned_elsewhere(story: Story) -> None:
    """An entry in another instrument that nobody fills."""
    if OTHER not in story.book.pipelines:
        for event in (builders.instrument(OTHER), builders.session(OTHER)):
            story.step(event)
        story.step(builders.quote("99.99", "100.01", at=story.now, name=OTHER))
    story.step(entry(intent=f"o{story.book.account.seq}", name=OTHER))
    own = max(story.book.pipelines[OTHER].orders)
    story.step(OrderAccepted(instrument=OTHER, client_order_id=own))
    story.step(act(Act.CANCEL, instrument=OTHER, client_order_id=own))
    story.step(OrderCanceled(instrument=OTHER, client_order_id=own, cause=CancelCause.REQUESTED))


@pytest.mark.req("OD-062")
def test_periods_of_two_instruments_and_of_two_metrics_are_kept_apart() -> None:
    """All three have begun when one of them ends."""
    story = given(
        asked(4),
        asked(4),
        abandoned_elsewhere,
        cycle(1),
        settings=settings(degradation__fill_rate_attempts=1),
    )
    expected = [("ACME", FILLS, "next strategy cycle"), ("ACME", RATE, None), (OTHER, FILLS, None)]
    assert [(one["pipeline"], one["metric"], one["reason_left"]) for one in audited(story)] == expected
    assert [(one["pipeline"], one["metric"], one["reason"]) for one in periods(story)] == expected


@pytest.mark.req("OD-062", "OD-063")
def test_the_audit_lists_every_period_and_the_open_one() -> None:
    bad = [abandoned] * 5
    story = given(*bad, cycle(1), *bad, cycle(2), abandoned, cycle(3), wait(3601), TIGHT, cycle(4), *bad)
    found = audited(story)
    names = ("from_seq", "metric", "value_entered", "until_seq", "reason_left", "value_left")
    assert [tuple(one[name] for name in names) for one in found] == decided(story)
    assert [(one["metric"], one["reason_left"]) for one in found] == [
        (FILLS, "next strategy cycle"),
        (RATE, "recovered"),
        (FILLS, "next strategy cycle"),
        (RATIO, "recovered"),
        (FILLS, None),
    ]
