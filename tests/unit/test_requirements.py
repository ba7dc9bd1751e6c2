"""Which test proves which rule: the table, the record of the last run, and the command that reads both."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oms.cli import COMMANDS, available
from oms.errors import UsageProblem
from tests import conftest, requirements
from tests.requirements import Ran, Record, Requirement, merged, read, summary, table, worst, write

ROWS = {"OD": 121, "C": 38, "OM": 67, "BB": 61, "CH": 121, "BT": 37}
HERE = "tests/unit/test_requirements.py"
FIRST, SECOND = f"{HERE}::test_first[a]", f"{HERE}::test_second"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of its own and a table of two rows."""
    rows = (Requirement("OD-001", "M", "T", "one rule"), Requirement("OD-002", "M", "T", "another"))
    monkeypatch.setattr(requirements, "table", lambda: rows)
    path = tmp_path / "record.json"
    monkeypatch.setattr(requirements, "RECORD", path)
    return path


def record(**tests: str) -> Record:
    """OD-001 with the outcome of `first`, OD-002 with that of `second`."""
    names = {"first": ("OD-001", FIRST), "second": ("OD-002", SECOND)}
    return Record({names[key][0]: {names[key][1]: outcome} for key, outcome in tests.items()}, is_whole=True)


def test_the_table_has_every_row_once_and_in_order() -> None:
    width = {prefix: 2 if prefix == "C" else 3 for prefix in ROWS}
    expected = [f"{prefix}-{n:0{width[prefix]}}" for prefix, rows in ROWS.items() for n in range(1, rows + 1)]
    assert [row.id for row in table()] == expected


def test_the_table_says_something_in_every_row() -> None:
    assert {row.kind for row in table()} == {"M", "P"}
    assert not [row.id for row in table() if not re.fullmatch("[TRSBCD](,[TRSBCD])*", row.verify)]
    assert not [row.id for row in table() if len(row.text) < 20 or not row.text.isprintable()]
    assert len({row.text for row in table()}) == len(table())


@pytest.mark.parametrize(("text", "known"), [
    ("OD-121", True), ("OD-122", False), ("OD-12", False), ("C-38", True), ("I17", True), ("F2", True), ("X-1", False),
])  # fmt: skip
def test_knows_the_ids_of_the_table_and_of_the_analysis(text: str, known: bool) -> None:
    assert requirements.is_known(text) is known


@pytest.mark.parametrize(("outcomes", "expected"), [
    ([], "missing"), (["passed", "skipped"], "passed"), (["passed", "failed"], "failed"), (["skipped"], "skipped"),
])  # fmt: skip
def test_one_failure_is_a_failure_and_a_skip_proves_nothing(outcomes: list[str], expected: str) -> None:
    assert worst(outcomes) == expected


def test_a_partial_run_changes_only_the_tests_it_ran() -> None:
    before = record(first="passed", second="passed")
    after = merged(before, {FIRST: Ran("failed", ("OD-001",))}, is_whole=False)
    assert after.outcomes == record(first="failed", second="passed").outcomes
    assert after.is_whole


def test_a_test_that_lost_its_marker_is_forgotten() -> None:
    after = merged(record(first="passed"), {FIRST: Ran("passed", ())}, is_whole=False)
    assert after.outcomes == {}


def test_a_whole_run_forgets_what_it_did_not_see() -> None:
    after = merged(
        record(first="passed", second="passed"), {FIRST: Ran("passed", ("OD-001",))}, is_whole=True
    )
    assert after.outcomes == record(first="passed").outcomes


def test_a_test_whose_process_died_keeps_its_ids_and_has_failed() -> None:
    after = merged(record(first="passed"), {FIRST: Ran("failed", None)}, is_whole=True)
    assert after.outcomes == record(first="failed").outcomes


def test_what_is_written_is_read_again(place: Path) -> None:
    write(record(first="passed"), place)
    assert read(place) == record(first="passed")
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_leaves_out_tests_whose_file_is_gone(place: Path) -> None:
    write(Record({"OD-001": {"tests/unit/test_of_yesterday.py::test_x": "passed"}}), place)
    assert read(place).outcomes == {"OD-001": {}}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 0}', '{"version": 1, "requirements": {"OD-001": 3}}']
)
def test_an_unreadable_record_asks_for_another_run(text: str, place: Path) -> None:
    place.write_text(text)
    with pytest.raises(UsageProblem, match="cannot be read") as problem:
        read(place)
    assert problem.value.hint == "python3 -m oms test"


def test_counts_covered_and_passed_rows(place: Path) -> None:
    found = summary("OD", requirements.table(), record(first="failed"))
    assert found == {"prefix": "OD", "rows": 2, "covered": 1, "passed": 0, "missing": ["OD-002"]}


@pytest.mark.parametrize(("tests", "code"), [
    ({"first": "passed", "second": "passed"}, 0),
    ({"first": "passed", "second": "failed"}, 1),
    ({"first": "passed", "second": "skipped"}, 1),
    ({"first": "passed"}, 1),
])  # fmt: skip
def test_the_exit_code_is_good_when_every_row_passed(
    tests: dict[str, str], code: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(record(**tests), place)
    assert requirements.main(["--prefix", "OD", "--json"]) == code
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert set(result) == {"ok", "prefix", "rows", "covered", "passed", "missing"}
    assert result["ok"] is (code == 0)
    assert FIRST.partition("[")[0] in told.err


def test_writes_the_same_to_a_file(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(record(first="passed"), place)
    requirements.main([f"--json={tmp_path / 'result'}", "--quiet"])
    assert json.loads((tmp_path / "result").read_text())["missing"] == ["OD-002"]
    assert capsys.readouterr().out == ""


def test_without_a_record_says_what_to_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert requirements.main(["--json"]) == 2
    told = capsys.readouterr()
    assert "python3 -m oms test" in told.err
    assert json.loads(told.out)["error"]["try"] == "python3 -m oms test"


def test_refuses_a_prefix_that_no_row_has(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(record(first="passed"), place)
    assert requirements.main(["--prefix", "XX"]) == 2
    assert "OD" in capsys.readouterr().err


def report(when: str, outcome: str, *ids: str) -> Any:
    return SimpleNamespace(
        nodeid=FIRST, when=when, outcome=outcome, user_properties=[("req", one) for one in ids]
    )


@pytest.mark.parametrize(("phases", "expected"), [
    ([("setup", "passed"), ("call", "passed"), ("teardown", "passed")], "passed"),
    ([("setup", "passed"), ("call", "failed"), ("teardown", "passed")], "failed"),
    ([("setup", "passed"), ("call", "passed"), ("teardown", "failed")], "failed"),
    ([("setup", "skipped"), ("teardown", "passed")], "skipped"),
])  # fmt: skip
def test_the_outcome_is_that_of_all_phases(phases: list[tuple[str, str]], expected: str) -> None:
    recorder = conftest.RequirementRecord()
    for when, outcome in phases:
        recorder.pytest_runtest_logreport(report(when, outcome, "OD-001", "I17"))
    assert recorder.ran == {FIRST: Ran(expected, ("OD-001", "I17"))}


def test_a_report_of_a_dead_worker_does_not_say_the_ids() -> None:
    recorder = conftest.RequirementRecord()
    recorder.pytest_runtest_logreport(report("???", "failed"))
    assert recorder.ran == {FIRST: Ran("failed", None)}


def test_a_worker_that_dies_after_the_set_up_has_said_the_ids() -> None:
    recorder = conftest.RequirementRecord()
    recorder.pytest_runtest_logreport(report("setup", "passed", "OD-001"))
    recorder.pytest_runtest_logreport(report("???", "failed"))
    assert recorder.ran == {FIRST: Ran("failed", ("OD-001",))}


def item(*markers: pytest.Mark) -> Any:
    return SimpleNamespace(nodeid=FIRST, user_properties=[], iter_markers=lambda _name: iter(markers))


def test_the_ids_of_all_markers_travel_with_the_test() -> None:
    one = item(pytest.mark.req("OD-001", "OD-002").mark, pytest.mark.req("OD-001", "I17").mark)
    conftest.pytest_collection_modifyitems([one])
    assert one.user_properties == [("req", "OD-001"), ("req", "OD-002"), ("req", "I17")]


@pytest.mark.parametrize("ids", [(), ("OD-122",), ("OD-001", "OD-002", "OD-003", "OD-004")])
def test_refuses_a_marker_that_cannot_be(ids: tuple[str, ...]) -> None:
    with pytest.raises(pytest.UsageError, match="requirement"):
        conftest.pytest_collection_modifyitems([item(pytest.mark.req(*ids).mark)])


def test_the_command_is_offered() -> None:
    assert COMMANDS["requirements"].passes_through
    assert "requirements" in available()


@pytest.mark.parametrize(("changes", "is_whole"), [
    ({}, True),
    ({"exitstatus": pytest.ExitCode.TESTS_FAILED}, True),
    ({"exitstatus": pytest.ExitCode.INTERRUPTED}, False),
    ({"keyword": "stop"}, False),
    ({"deselect": ["tests/unit"]}, False),
    ({"source": pytest.Config.ArgsSource.ARGS}, False),
    ({"shouldfail": "after one"}, False),
])  # fmt: skip
def test_a_run_is_whole_if_nothing_was_left_out(changes: dict[str, Any], is_whole: bool) -> None:
    told = {"exitstatus": pytest.ExitCode.OK, "source": pytest.Config.ArgsSource.TESTPATHS} | changes
    config = SimpleNamespace(args_source=told["source"], getoption=told.get)
    session: Any = SimpleNamespace(config=config, shouldstop=False, shouldfail=told.get("shouldfail", False))
    assert conftest.is_whole_run(session, told["exitstatus"]) is is_whole


def test_the_end_of_a_run_brings_the_record_up_to_date(place: Path) -> None:
    write(record(first="failed", second="passed"), place)
    recorder = conftest.RequirementRecord()
    session: Any = SimpleNamespace(
        config=SimpleNamespace(args_source=pytest.Config.ArgsSource.ARGS, getoption=lambda *_: None),
        shouldstop=False,
        shouldfail=False,
    )
    recorder.pytest_sessionfinish(session, pytest.ExitCode.OK)
    recorder.pytest_runtest_logreport(report("call", "passed", "OD-001"))
    recorder.pytest_sessionfinish(session, pytest.ExitCode.OK)
    assert read(place) == record(first="passed", second="passed")
