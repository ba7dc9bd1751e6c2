"""The question of `oms/docs.md`: which degradation periods does a log hold?"""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from eventlog.postgres import PostgresLog
from tests import pg
from tests.checkout import ROOT
from tests.given import Story, given
from tests.golden.test_golden import INPUTS, read
from tests.unit.policies.sending import FILLS, abandoned, asked, cycle, only
from tests.unit.replay.stories import log_of


def recipe() -> str:
    text = (ROOT / "oms" / "docs.md").read_text(encoding="utf-8")
    (found,) = (
        one for one in re.findall(r"```sql\n(.*?)```", text, re.DOTALL) if "DegradationEntered" in one
    )
    return str(found)


def periods(story: Story) -> list[dict[str, Any]]:
    with pg.database() as conninfo:
        log = PostgresLog(conninfo)
        try:
            log_of(story, log)
        finally:
            log.close()
        with psycopg.connect(conninfo, row_factory=dict_row) as connection:
            return connection.execute(recipe()).fetchall()  # type: ignore[call-overload, no-any-return]


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
