"""Published order state cases: the real fold passes them all, and the check notices what differs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from oms.cli import main
from oms.errors import InputError
from replay.cases import Cases, read_cases
from replay.conformance import run_cases
from tests.checkout import ROOT

PUBLISHED = ROOT.parent / "shared" / "cases" / "fix44_order_states.yaml"
FURTHER = Path(__file__).with_name("fix44_further_cases.yaml")

GOOD = """
cases:
- id: one
  steps:
  - {n: 1, dir: out, msg: NewOrderSingle, cl_ord_id: X, order_qty: 10}
  - {n: 2, dir: in, msg: ExecutionReport, cl_ord_id: X, exec_type: Trade, ord_status: PartiallyFilled, order_qty: 10, cum_qty: 4, leaves_qty: 6, last_qty: 4, expect: {base_state: PARTIAL_FILLED, cum_qty: 4}}
"""  # noqa: E501 - a step stands on one line, as in the files.


def published() -> Path:
    """The published cases. Without them the test is skipped, but not where everything has to run."""
    if not PUBLISHED.exists():
        assert os.environ.get("CI") != "true", f"no cases at {PUBLISHED}"
        pytest.skip(f"no cases at {PUBLISHED}")
    return PUBLISHED


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cases.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def cases_of(*steps: dict[str, Any]) -> Cases:
    order = {"n": 1, "dir": "out", "msg": "NewOrderSingle", "cl_ord_id": "X", "order_qty": 10}
    return Cases.model_validate({"cases": [{"id": "c", "steps": [order, *steps]}]})


def fill(**changed: Any) -> dict[str, Any]:
    return {
        "n": 2, "dir": "in", "msg": "ExecutionReport", "cl_ord_id": "X", "exec_type": "Trade",
        "ord_status": "PartiallyFilled", "cum_qty": 4, "leaves_qty": 6, "last_qty": 4,
    } | changed  # fmt: skip


@pytest.mark.req("OD-006", "OD-009", "C-02")
def test_every_published_case_passes() -> None:
    assert run_cases(read_cases(published())) == []


@pytest.mark.req("OD-006", "OD-010", "OD-013")
def test_every_further_case_passes() -> None:
    assert run_cases(read_cases(FURTHER)) == []


@pytest.mark.parametrize(
    ("step", "expected", "got"),
    [
        (fill(expect={"base_state": "FILLED"}), {"state": "FILLED"}, {"state": "PARTIAL_FILLED"}),
        (fill(expect={"base_state": None}), {"state": "none"}, {"state": "PARTIAL_FILLED"}),
        (fill(expect={"cum_qty": 5}), {"filled": "5"}, {"filled": "4"}),
        (fill(expect={"pending": "cancel"}), {"pending": "cancel"}, {"pending": "none"}),
        (fill(expect={"accepted": False}), {"change": "none"}, {"change": "some"}),
        (fill(late_fill=True), {"late_fill raised": "yes"}, {"late_fill raised": "no"}),
        (fill(expect={"alert": "odd"}), {"odd raised": "yes"}, {"odd raised": "no"}),
        (fill(cum_qty=5), {"gap_detected raised": "no"}, {"gap_detected raised": "yes"}),
        (fill(cum_qty=5, gap_detected=2), {"gap_detected": "2"}, {"gap_detected": "1"}),
        (fill(last_qty=12, overfill=3), {"overfill": "3"}, {"overfill": "2"}),
    ],
    ids=lambda one: ",".join(one) if "msg" not in one else "",
)
def test_what_differs_is_reported(
    step: dict[str, Any], expected: dict[str, str], got: dict[str, str]
) -> None:
    (failure,) = run_cases(cases_of(step))
    assert failure.as_dict() == {"id": "c", "step": 2, "expected": expected, "got": got}


def test_pending_flag_is_off_unless_named() -> None:
    cancel = {"n": 2, "dir": "out", "msg": "OrderCancelRequest", "cl_ord_id": "Y", "orig_cl_ord_id": "X"}
    step = fill(n=3, expect={"base_state": "PARTIAL_FILLED"})
    (failure,) = run_cases(cases_of(cancel, step))
    assert (failure.expected, failure.got) == ({"pending": "none"}, {"pending": "cancel"})


def test_message_that_cannot_be_read_changes_nothing() -> None:
    assert run_cases(cases_of(fill(last_qty=0, expect={"base_state": "NEW", "accepted": False}))) == []


def test_silence_asks_and_decides_nothing() -> None:
    silence = {"n": 2, "dir": "none", "expect": {"base_state": None}}
    answer = fill(
        n=3, exec_type="New", ord_status="New", cum_qty=0, last_qty=0, expect={"base_state": "SUBMITTED"}
    )
    assert run_cases(cases_of(silence, answer)) == []


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_command_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "fix44", str(written(tmp_path, GOOD)), "--json"]) == 0
    assert last_line(capsys) == {"ok": True, "cases": 1, "passed": 1, "failed": []}


def test_command_fails_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GOOD.replace("{base_state: PARTIAL_FILLED", "{base_state: FILLED"))
    assert main(["conformance", "fix44", str(path)]) == 1
    assert "one   2     state  FILLED    PARTIAL_FILLED" in capsys.readouterr().out
    assert main(["--json", "conformance", "fix44", str(path)]) == 1
    found = last_line(capsys)
    assert (found["ok"], found["passed"]) == (False, 0)
    assert found["failed"] == [
        {"id": "one", "step": 2, "expected": {"state": "FILLED"}, "got": {"state": "PARTIAL_FILLED"}}
    ]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("cases: [", 1, "expected the node content"),
        ("", None, "valid"),
        ("cases: []\n", 1, "cases"),
        (GOOD.replace("order_qty: 10}", "order_qty: ten}"), 5, "is not a number"),
        (GOOD.replace("order_qty: 10}", "order_qty: -1}"), 5, "is negative"),
        (GOOD.replace("order_qty: 10}", "order_qty: .nan}"), 5, "is not a number"),
        (GOOD.replace("n: 1", "n: true"), 5, "n:"),
        (GOOD.replace("cl_ord_id: X, order_qty: 10}", "cl_ordid: X}"), 5, "cl_ordid"),
        (GOOD.replace("cl_ord_id: X, order_qty: 10}", "order_qty: 10}"), 5, "cl_ord_id is missing"),
        (GOOD.replace("exec_type: Trade", "exec_type: Traded"), 6, "exec_type"),
        (GOOD.replace("base_state: PARTIAL_FILLED", "base_state: PARTIAL"), 6, "is not one of"),
        (GOOD.replace("base_state", "state"), 6, "state"),
        (GOOD.replace("dir: in", "dir: out"), 6, "does not go with"),
        (GOOD.replace("n: 2, ", "n: 2, n: 3, "), 6, "stands there twice"),
        (GOOD.replace("id: one", "id: &a one").replace("X, order_qty: 10}", "*a, order_qty: 10}"), 5, "alias"),
        (GOOD + GOOD.replace("\ncases:\n", ""), None, "case one stands there twice"),
        (GOOD.replace("id: one", "id: !!python/name:os.system one"), 3, "could not determine a constructor"),
        ("[" * 5000, None, "nested too deeply"),
    ],
)  # fmt: skip
def test_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int | None, why: str) -> None:
    with pytest.raises(InputError) as refused:
        read_cases(written(tmp_path, text))
    assert why in (refused.value.why or "")
    if line is not None:
        assert (refused.value.where or "").endswith(f"cases.yaml line {line}")


def test_missing_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "fix44", str(tmp_path / "none.yaml"), "--json"]) == 2
    assert last_line(capsys)["error"]["why"] == "no such file or directory"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_bytes(b"cases: \xff")
    with pytest.raises(InputError, match="cannot be read"):
        read_cases(path)


def test_exact_fractions_stay_exact(tmp_path: Path) -> None:
    text = GOOD.replace(
        "cum_qty: 4, leaves_qty: 6, last_qty: 4", "cum_qty: 0.1, leaves_qty: 9.9, last_qty: 0.1"
    )
    assert run_cases(read_cases(written(tmp_path, text.replace("cum_qty: 4}", "cum_qty: 0.1}")))) == []


def test_further_cases_have_their_own_ids() -> None:
    mine = {case.id for case in read_cases(FURTHER).cases}
    theirs = {case["id"] for case in yaml.safe_load(published().read_text(encoding="utf-8"))["cases"]}
    assert not mine & theirs
