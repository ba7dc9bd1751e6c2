"""The frame of the command line: options, exit codes, and errors for people and for programs."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from oms import cli
from oms.cli import COMMANDS, Command, frame
from oms.cli.frame import LOG_PROBLEMS, output_of, run, split
from oms.cli.output import Output
from oms.errors import DomainProblem, EnvironmentProblem, UsageProblem
from tests.checkout import ROOT

Run = Callable[..., int]


@pytest.fixture
def run_body(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a function as the body of the command `probe`."""

    def run_with(body: Callable[[Output], int | None], *words: str) -> int:
        app = typer.Typer()

        @app.command()
        def probe(context: typer.Context) -> int | None:
            return body(output_of(context))

        module = type(sys)("probe")
        module.app = app  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "oms.cli.probe", module)
        monkeypatch.setitem(COMMANDS, "probe", Command("oms.cli.probe", "a probe"))
        monkeypatch.setattr(frame, "available", lambda: COMMANDS)
        return run([*words, "probe"])

    return run_with


def failing(error: BaseException) -> Callable[[Output], int | None]:
    def body(_output: Output) -> int | None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DomainProblem("OMS-T001", "bad news"), 1),
        (UsageProblem("OMS-T002", "what?"), 2),
        (EnvironmentProblem("OMS-T003", "no database"), 3),
        (ZeroDivisionError("by zero"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_error_has_its_exit_code(
    run_body: Run, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    assert run_body(failing(error)) == code
    heard = capsys.readouterr()
    assert heard.out == ""
    assert "Traceback" not in heard.err


def test_a_defect_offers_its_traceback(run_body: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run_body(failing(ZeroDivisionError("by zero")))
    assert "--debug for the traceback" in capsys.readouterr().err
    run_body(failing(ZeroDivisionError("by zero")), "--debug")
    assert "Traceback" in capsys.readouterr().err


def test_json_is_one_object_on_the_last_line(run_body: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def body(output: Output) -> int:
        output.step("session", "done", 1.5)
        output.table(["a", "b"], [[1, 2]])
        output.finish({"orders": 3})
        output.finish({"orders": 4})
        return 1

    assert run_body(body, "--json") == 1
    heard = capsys.readouterr()
    assert json.loads(heard.out) == {"ok": True, "orders": 3}
    assert "session" in heard.err


def test_json_holds_the_error_too(run_body: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run_body(failing(DomainProblem("OMS-T001", "bad news", hint="look")), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "error": {"code": "OMS-T001", "what": "bad news", "try": "look"},
    }


def test_quiet_prints_nothing(run_body: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def body(output: Output) -> None:
        output.step("session", "done")
        output.table(["a"], [[1]])
        with output.progress("events", 2) as advance:
            advance(2)

    assert run_body(body, "--quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_an_error_of_the_log_is_no_defect(run_body: Run, capsys: pytest.CaptureFixture[str]) -> None:
    from eventlog.errors import DatabaseAway, LogCorrupt

    assert run_body(failing(DatabaseAway())) == 3
    assert run_body(failing(LogCorrupt("seq 3 is missing", account="a/b/c"))) == 1
    assert "account a/b/c" in capsys.readouterr().err


def test_every_error_of_the_log_that_is_named_exists() -> None:
    from eventlog import errors
    from oms.events import base

    assert [name for name in LOG_PROBLEMS if not hasattr(errors, name) and not hasattr(base, name)] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--json", "db", "status"], ("db", ["status"])),
        (["db", "status", "--json"], ("db", ["status"])),
        (["db", "--config", "a.toml", "status"], ("db", ["status"])),
        (["db", "--config=a.toml", "status", "--", "--json"], ("db", ["status", "--", "--json"])),
        (["test", "-x", "--quiet", "--json"], ("test", ["-x", "--quiet"])),
        (["test", "--", "--json"], ("test", ["--json"])),
    ],
)
def test_global_options_stand_anywhere(words: list[str], expected: tuple[str, list[str]]) -> None:
    name, rest, options = split(words)
    assert (name, rest) == expected
    assert options.json == ("--json" in words and "--" not in words)
    assert options.config == ("a.toml" if "a.toml" in " ".join(words) else None)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--jsn", "db"], "--json"),
        (["dbb"], "python3 -m oms db"),
        (["--json"], "--help"),
        (["db", "--config"], "--help"),
        (["db", "statu"], "db --help"),
        (["db", "status", "--bogus"], "db status --help"),
        (["db"], "db --help"),
    ],
)
def test_a_wrong_command_line_is_told_what_to_type(
    capsys: pytest.CaptureFixture[str], words: list[str], hint: str
) -> None:
    assert run(words) == 2
    heard = capsys.readouterr().err
    assert heard.startswith("OMS-U00")
    assert hint in heard


@pytest.mark.parametrize("name", cli.available())
def test_every_offered_command_explains_itself(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert run([name, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_the_frame_leaves_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(["db", "--help"])
    assert signal.getsignal(signal.SIGTERM) == before


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from oms.cli import main; main(['--help']);"
        "print(sorted({'rich', 'typer', 'pydantic', 'psycopg'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
