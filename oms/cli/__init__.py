"""The command line: `oms COMMAND`, one module per command, loaded only when it is typed.

Only the standard library is imported here, so that help is there at once, even before the packages are
installed. A command module holds a typer application called `app`; see `oms/cli/frame.py`.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A row of the command table. Arguments of a pass-through command belong to the program behind it."""

    module: str
    summary: str
    passes_through: bool = False
    app: str = "app"


COMMANDS = {
    "demo": Command("oms.cli.demo", "run a whole trading session, verify it, open the console"),
    "backtest": Command("oms.cli.backtest", "run a strategy over recorded bars"),
    "replay": Command("oms.cli.replay", "rebuild a day from its log, verify it, compare it"),
    "why": Command("oms.cli.why", "explain one event: its causes, its rule, its settings"),
    "kill": Command("oms.cli.operate", "stop trading in an account: flat, and nothing new", app="kill"),
    "flat": Command("oms.cli.operate", "close an account or an instrument at market", app="flat"),
    "pause": Command("oms.cli.operate", "take no entries until resume", app="pause"),
    "resume": Command("oms.cli.operate", "end a pause, or take back a kill level", app="resume"),
    "close": Command("oms.cli.operate", "close a trade or an instrument by limits", app="close"),
    "cancel": Command("oms.cli.operate", "cancel an order, or all working entries", app="cancel"),
    "conformance": Command("oms.cli.conformance", "check order states against published cases"),
    "config": Command("oms.cli.config", "show or check the settings and where each comes from"),
    "db": Command("oms.cli.database", "status, stop or reset of the embedded database; upgrade"),
    "audit": Command("oms.cli.audit", "ask the log in SQL: recipes, and checks that must find nothing"),
    "verify": Command("oms.cli.verify", "is the log what was appended? by chain, SQL and anchor"),
    "seal": Command("oms.cli.seal", "bind finished days and anchor them outside the database"),
    "archive": Command("oms.cli.archive", "move a sealed month into Parquet files, proven first"),
    "prove": Command("oms.cli.prove", "prove one account's sealed day without a database"),
    "test": Command("oms.cli.test", "run the test suite of this checkout (pytest)", passes_through=True),
    "bench": Command("oms.cli.bench", "measure speed and compare it with the targets", passes_through=True),
    "simulate": Command("oms.cli.simulate", "seeded simulation with faults, checked", passes_through=True),
    "torture": Command("oms.cli.torture", "kill and restart the real thing, checked", passes_through=True),
    "requirements": Command("oms.cli.requirements", "which test proves which rule", passes_through=True),
}
"""Name -> where it lives. A row whose module does not exist is not offered."""

GLOBAL_OPTIONS = (
    ("--json", "", "print one JSON object as the last line"),
    ("--quiet", "", "print nothing but errors and results asked for"),
    ("--config", "FILE", "settings file (default: oms.toml if it exists)"),
    ("--db", "URL", "PostgreSQL to use instead of the embedded one (or OMS_DATABASE_URL)"),
    ("--no-color", "", "no colours"),
    ("--debug", "", "show the traceback of an error"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return the exit code.

    0 good, 1 bad news about the domain, 2 usage or configuration, 3 environment, 4 internal error,
    130 interrupted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words in (["-h"], ["--help"], ["help"]):
        sys.stdout.write(help_text())
        return 0
    if words == ["--version"]:
        sys.stdout.write(f"oms {version()}\n")
        return 0
    from oms.cli.frame import run

    return run(words)


def available() -> dict[str, Command]:
    """The commands whose module is there: a wheel lacks none, a young checkout may."""
    from pathlib import Path

    here = {path.stem for path in Path(__file__).parent.glob("*.py")}
    return {name: row for name, row in COMMANDS.items() if row.module.rpartition(".")[2] in here}


def help_text() -> str:
    """What `oms --help` prints."""
    lines = ["Usage: python3 -m oms COMMAND [OPTIONS]", ""]
    lines += ["An event-sourced order management system: same log, same decisions, byte for byte.", ""]
    lines += ["Commands:", *(f"  {name:<16}{row.summary}" for name, row in available().items()), ""]
    lines += ["Options of every command:"]
    lines += [f"  {f'{flag} {value}'.rstrip():<16}{summary}" for flag, value, summary in GLOBAL_OPTIONS]
    lines += [
        "",
        "Exit codes: 0 good, 1 domain problem, 2 usage or configuration, 3 environment, 4 internal error.",
    ]
    lines += ["More about one command: python3 -m oms COMMAND --help"]
    return "\n".join(lines) + "\n"


def version() -> str:
    """The version of the checkout, or else of the installed package."""
    import tomllib
    from pathlib import Path

    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    from importlib.metadata import version as installed_version

    return installed_version("oms")
