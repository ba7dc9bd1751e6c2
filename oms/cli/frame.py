"""What surrounds every command: global options, errors in one shape, exit codes.

A command module defines `app = typer.Typer()`, or the table names its application. One command without a
callback is called directly
(`oms demo`), several become sub-commands (`oms db status`). Each gets its `Output` with
`output_of(context)`, and returns its exit code if that is not 0.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import FrameType

import typer
from typer.exceptions import TyperException

from oms.cli import COMMANDS, GLOBAL_OPTIONS, Command, available
from oms.cli.output import Options, Output
from oms.errors import DomainProblem, EnvironmentProblem, InternalProblem, OmsError, UsageProblem

INTERRUPTED = 130
TERMINATED = 143
OURS_BEHIND_PASS_THROUGH = ("--json", "--db", "--no-color")
_TAKES_VALUE = {flag: bool(value) for flag, value, _ in GLOBAL_OPTIONS}

LOG_PROBLEMS: dict[str, tuple[type[OmsError], str, str]] = {
    "DatabaseAway": (
        EnvironmentProblem,
        "OMS-D001",
        "start the database, or check --db",
    ),
    "StartFailed": (EnvironmentProblem, "OMS-D002", "python3 -m oms db status"),
    "DatabaseNewer": (EnvironmentProblem, "OMS-D004", "install the newer program; nothing was changed"),
    "LeaseHeld": (DomainProblem, "OMS-D005", "stop the other writer, or wait until its lease ends"),
    "Fenced": (DomainProblem, "OMS-D006", "another writer took over; start again if that was not meant"),
    "LogCorrupt": (DomainProblem, "OMS-D007", "stop trading on this log and restore a backup beside it"),
    "UnknownAccount": (DomainProblem, "OMS-D008", "check the account id, broker/environment/name, and --db"),
    "UnknownEvent": (
        DomainProblem,
        "OMS-D011",
        "read this log with the program that wrote it, or a newer one; nothing was skipped",
    ),
    "Archived": (
        UsageProblem,
        "OMS-D015",
        "say where the archive is: --archive FOLDER, or OMS_ARCHIVE=FOLDER",
    ),
    "ExtraMissing": (
        EnvironmentProblem,
        "OMS-D016",
        "python3 -m oms verify --archive FOLDER  installs them in a checkout; elsewhere  pip install 'oms[archive]'",
    ),
    "ArchiveBroken": (
        DomainProblem,
        "OMS-D017",
        "use a copy of the archive from elsewhere; nothing was changed",
    ),
    "NotDetached": (DomainProblem, "OMS-D018", "run the same command again; as oms_archiver if rights lack"),
    "LogError": (EnvironmentProblem, "OMS-D010", "python3 -m oms db status"),
    "MissingPartition": (
        EnvironmentProblem,
        "OMS-D009",
        "python3 -m oms db upgrade, with a login that may make tables",
    ),
}
"""Error of the event log or of what it holds -> kind, code, advice. The rest are defects."""


def run(words: list[str]) -> int:
    """Run the command line `words` and return its exit code."""
    output = Output(Options())
    try:
        name, rest, options = split(words)
        output = Output(options)
        with _termination_as_exit():
            return _invoke(name, rest, output)
    except KeyboardInterrupt:
        output.message("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has left; python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the outermost frame turns every error into an answer.
        return _report(error, output)


def split(words: list[str]) -> tuple[str, list[str], Options]:
    """(command, its own arguments, global options).

    Global options may stand anywhere before `--`. Behind a pass-through command only those are taken that the
    program behind it does not know.
    """
    found: dict[str, str | bool] = {}
    name: str | None = None
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.partition("=")
        passes_through = name is not None and COMMANDS[name].passes_through
        if word == "--":
            rest += queue if passes_through else [word, *queue]
            break
        ours = OURS_BEHIND_PASS_THROUGH if passes_through else _TAKES_VALUE
        if flag in ours and not (equals and not _TAKES_VALUE[flag]):
            found[flag] = _option_value(flag, value if equals else None, queue)
        elif name is None:
            name = _command_name(word)
        else:
            rest.append(word)
    if name is None:
        raise UsageProblem("OMS-U001", "No command was given", hint="python3 -m oms --help")
    return name, rest, _options(found)


def _option_value(flag: str, attached: str | None, queue: list[str]) -> str | bool:
    if not _TAKES_VALUE[flag]:
        return True
    value = attached if attached is not None else (queue.pop(0) if queue else "")
    if not value:
        raise UsageProblem("OMS-U002", f"Option {flag} needs a value", hint="python3 -m oms --help")
    return value


def _options(found: dict[str, str | bool]) -> Options:
    return Options(
        json="--json" in found,
        quiet="--quiet" in found,
        config=str(found["--config"]) if "--config" in found else None,
        database=str(found.get("--db", "")) or os.environ.get("OMS_DATABASE_URL") or None,
        color="--no-color" not in found and "NO_COLOR" not in os.environ,
        debug="--debug" in found,
    )


def _command_name(word: str) -> str:
    known = available()
    if word in known:
        return word
    what = "Unknown option" if word.startswith("-") else "Unknown command"
    names = [flag for flag, _, _ in GLOBAL_OPTIONS] if word.startswith("-") else list(known)
    near = get_close_matches(word, names, n=1)
    hint = f"python3 -m oms {near[0]}" if near else "python3 -m oms --help"
    raise UsageProblem("OMS-U003", f"{what}  {word}", hint=hint)


def _invoke(name: str, rest: list[str], output: Output) -> int:
    row: Command = COMMANDS[name]
    app: typer.Typer = getattr(import_module(row.module), row.app)
    app.info.epilog = app.info.epilog or "Options of every command: " + ", ".join(_TAKES_VALUE)
    command = typer.main.get_command(app)
    command.epilog = app.info.epilog
    if row.passes_through and rest != ["--help"]:
        rest = ["--", *rest]
    result: object = command.main(rest, prog_name=f"oms {name}", standalone_mode=False, obj=output)
    return result if isinstance(result, int) else 0


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind the stack meanwhile, so that what was opened is closed."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(error: Exception, output: Output) -> int:
    problem = _as_problem(error)
    if output.options.debug:
        traceback.print_exception(error)
    output.problem(problem)
    return problem.exit_code


def _as_problem(error: Exception) -> OmsError:
    if isinstance(error, OmsError):
        return error
    if isinstance(error, TyperException):
        return UsageProblem("OMS-U004", error.format_message(), hint=_usage_hint(error))
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in LOG_PROBLEMS), None)
    if kind is not None and type(error).__module__.startswith(("eventlog", "oms.events")):
        problem, code, hint = LOG_PROBLEMS[kind]
        details = getattr(error, "details", {})
        where = ", ".join(f"{name} {value}" for name, value in details.items()) or None
        what, _, why = (str(error) or kind).partition("\n")
        return problem(code, what, where=where, why=why or None, hint=hint)
    return InternalProblem(
        "OMS-X001",
        "The program failed; this is a defect",
        where=_place(error),
        why=f"{type(error).__name__}: {error}".strip(),
        hint="--debug for the traceback",
    )


def _usage_hint(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    return f"python3 -m {context.command_path} --help" if context else "python3 -m oms --help"


def _place(error: Exception) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)} line {frames[-1].lineno}" if frames else None


def finish_child(output: Output, code: int, name: str) -> int:
    """The exit code of a child program, with the JSON line that --json promises."""
    output.finish({"command": name, "exit_code": code}, ok=code == 0)
    return code


def output_of(context: typer.Context) -> Output:
    """The output helper of the running command."""
    output = context.find_object(Output)
    assert output is not None, "commands run inside oms.cli.frame.run"
    return output
