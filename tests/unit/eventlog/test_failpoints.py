"""Failpoints: nothing while off, a real death at the wanted pass, and no death by a slip of the pen."""

import os
import signal
import subprocess
import sys

import pytest

from eventlog import failpoints
from eventlog.failpoints import BESIDE, POINTS, VARIABLE, Plan
from tests.checkout import PACKAGES, ROOT, python_files

THREE_PASSES = """
from eventlog import failpoints
for number in range(3):
    print(number, flush=True)
    failpoints.reach("append.stored")
    failpoints.reach("input.received")
"""


def passes(text: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    environment |= {"PYTHONPATH": str(ROOT)} | ({VARIABLE: text} if text is not None else {})
    return subprocess.run(
        [sys.executable, "-c", THREE_PASSES], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("text", "code", "printed"),
    [
        (None, 0, 3),
        ("", 0, 3),
        ("append.stored:1", -signal.SIGKILL, 1),
        ("append.stored:3", -signal.SIGKILL, 3),
        ("append.stored:4", 0, 3),
        ("command.sent:1", 0, 3),
    ],
)
def test_process_dies_at_the_wanted_pass(text: str | None, code: int, printed: int) -> None:
    done = passes(text)
    assert (done.returncode, len(done.stdout.split())) == (code, printed)


@pytest.mark.parametrize(
    "text", ["append.stored", "append.stored:", "append.stored:0", "append.stored:-1", "no:1"]
)
def test_wrong_plan_is_refused_before_anything_runs(text: str) -> None:
    done = passes(text)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "ValueError" in done.stderr


def test_nothing_is_armed_by_itself() -> None:
    assert not failpoints.is_armed()
    failpoints.reach("append.stored")


def test_counts_without_a_name() -> None:
    plan = Plan()
    plan.reach("append.stored")
    plan.reach("append.stored")
    assert plan.passed == {"append.stored": 2}


def test_every_point_stands_in_the_code_once() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in python_files(*PACKAGES))
    for name in (*POINTS, *BESIDE):
        assert text.count(f'failpoints.reach("{name}")') == 1, name
