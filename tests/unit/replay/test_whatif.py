"""What another profile would have decided on a log, up to where both part."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from eventlog.memory import MemoryLog
from oms.cli import main
from oms.config import Settings
from oms.events.base import Stamped
from oms.shell.record import record
from oms.values import SECOND, Role
from replay.whatif import WhatIf, whatif
from tests.answers import ack, fill, replaced
from tests.builders import DAY, entry, settings
from tests.checkout import ROOT
from tests.given import Story, given, quote, wait
from tests.golden.test_golden import FILES, INPUTS, begun, changes, read
from tests.unit.replay.days import ACCOUNT, ladder_day
from tests.unit.replay.stories import log_of

TIGHT = quote("100.01", "100.07")


def compared(story: Story, other: Settings, until: int | None = None) -> WhatIf:
    return whatif(log_of(story), story.book.account.account, other, until)


def worked() -> Story:
    """An entry in its second cycle."""
    story = given(TIGHT, entry(), ack(Role.ENTRY), wait(5), replaced(Role.ENTRY), wait(5))
    return story.given(replaced(Role.ENTRY), fill(Role.ENTRY))


def test_the_same_profile_decides_the_same() -> None:
    story = worked()
    found = compared(story, settings())
    assert (found.parting, found.changed, found.unproven) == (None, (), None)
    assert found.events == story.book.account.seq


def test_the_same_profile_decides_a_whole_day_with_restarts_the_same() -> None:
    day = ladder_day()
    found = whatif(day.log, ACCOUNT, Settings())
    assert (found.parting, found.unproven) == (None, None)
    assert found.decisions > 20


def test_says_which_field_differs_and_which_setting_the_rule_reads() -> None:
    found = compared(worked(), settings(stop__limit_offset_pct="0.002", trail__atr_length=5))
    parting = found.parting
    assert parting is not None
    assert (parting.policy, parting.input_type) == ("protective_stop", "OrderFilled")
    assert [(one.field, one.logged, one.regenerated) for one in parting.differences] == [
        ("body.price_limit", "98.9", "98.8")
    ]
    assert [(one.name, one.logged, one.other) for one in parting.read] == [
        ("stop.limit_offset_pct", "0.001", "0.002")
    ]
    assert [one.name for one in found.changed] == ["stop.limit_offset_pct", "trail.atr_length"]


def test_a_deadline_of_the_other_profile_comes_before_the_next_input() -> None:
    parting = compared(worked(), settings(entry__reprice_interval_ms=3000)).parting
    assert parting is not None
    assert (parting.input, parting.input_type, parting.logged) == (None, "ClockAdvanced", None)
    assert parting.other is not None
    assert (parting.other.type, parting.policy) == ("ReplaceRequested", "entry")
    assert [one.name for one in parting.read] == ["entry.reprice_interval_ms"]


def test_a_deadline_that_the_other_profile_does_not_have_parts_as_well() -> None:
    parting = compared(worked(), settings(entry__reprice_interval_ms=7000)).parting
    assert parting is not None
    assert parting.logged is not None
    assert (parting.logged.type, parting.other) == ("ReplaceRequested", None)
    assert [one.name for one in parting.read] == ["entry.reprice_interval_ms"]


def test_a_rule_that_is_switched_off_parts() -> None:
    parting = compared(worked(), settings(policies__enabled={"targets": 0})).parting
    assert parting is not None
    assert (parting.policy, parting.other) == ("targets", None)
    assert [one.name for one in parting.read] == ["policies.enabled"]


def test_a_writer_that_was_late_is_no_parting() -> None:
    story = given(TIGHT, entry(), ack(Role.ENTRY))
    story.now += 5 * SECOND + 1234
    story.clock()
    story.given(replaced(Role.ENTRY), wait(5))
    assert compared(story, settings()).parting is None


def test_nothing_is_said_of_what_comes_after_the_wanted_place() -> None:
    story = worked()
    parting = compared(story, settings(stop__limit_offset_pct="0.002")).parting
    assert parting is not None
    assert parting.input is not None
    found = compared(story, settings(stop__limit_offset_pct="0.002"), parting.input - 1)
    assert (found.parting, found.events) == (None, parting.input - 1)


def test_tells_a_log_that_this_program_would_have_decided_otherwise() -> None:
    story = given(TIGHT, entry(), ack(Role.ENTRY), wait(5))
    log, records = MemoryLog(), []
    log.ensure_partitions(DAY, 1)
    for result in story.results:
        step = record(result, Stamped(event=result.events[0].event, logical_time=result.account.now))
        rows = [
            replace(row, body=row.body.replace("cycle 1", "cycle 7")) if row.kind == "D" else row
            for row in step.events
        ]
        records.append(replace(step, events=tuple(rows)))
    account = story.book.account.account
    log.append(log.acquire(account, "forger"), records)
    found = whatif(log, account, settings())
    assert found.parting is not None
    assert found.parting.input == found.unproven == story.results[-1].events[0].seq


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_golden_session_can_be_asked(path: Path) -> None:
    story, chosen = begun(path), changes(path)
    for _, text, _expected in read(path):
        name, *args = text.split()
        story.take(INPUTS[name](args))
    assert compared(story, settings(**chosen)).parting is None
    parting = compared(story, settings(**chosen, entry__valid_for_ms=1000)).parting
    assert parting is not None
    assert [one.name for one in parting.read] == ["entry.valid_for_ms"]


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Path:
    path = tmp_path / "other.toml"
    path.write_text("[entry]\nreprice_interval_ms = 3000\n[gate]\nmessages_per_second = 40\n")
    return path


SESSION = ROOT / "tests" / "golden" / "entry_abandoned.txt"


def test_the_command_prints_where_two_profiles_part_and_why(
    other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(SESSION), "--with", str(other), "--diff"]) == 0
    out = capsys.readouterr().out
    assert "part at      2026-03-09 13:30:03.000 UTC, ACME, by rule entry" in out
    assert "entry.reprice_interval_ms is 5000 in the log and 3000 in the other profile" in out
    assert "gate.messages_per_second   50      40" in out


def test_the_command_answers_a_program(other: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "replay", str(SESSION), "--with", str(other)]) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["same"] is False
    assert found["parting"]["read"][0]["name"] == "entry.reprice_interval_ms"


def test_the_command_says_that_nothing_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "same.toml"
    path.write_text("[gate]\nmessages_per_second = 40\n")
    assert main(["replay", str(SESSION), "--with", str(path)]) == 0
    assert "both profiles decide the same" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--diff"], ["--with", "no_such_file.toml"]])
def test_the_command_refuses_half_a_question(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(SESSION), *words]) == 2
    assert capsys.readouterr().err


def test_a_session_that_cannot_be_played_is_refused_with_its_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("quote 99 101\nentre long\n")
    assert main(["replay", str(path)]) == 2
    err = capfd.readouterr().err
    assert "wrong.txt line 2, entre long" in err
    assert "OMS-R014" in err
