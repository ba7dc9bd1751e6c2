"""Commands whose code belongs to a checkout and runs as a child process, never inside the program.

`oms test`, `bench`, `simulate`, `torture` and `requirements` live under `tests/`; a wheel has none of them.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from oms.cli.frame import finish_child, output_of
from oms.cli.output import Output
from oms.errors import UsageProblem

ROOT = Path(__file__).parents[2]


def command_of(
    name: str, module: str, *defaults: str, summary: str, prepare: Callable[[Output], None] | None = None
) -> typer.Typer:
    """The application of a pass-through command: `python -m module`, the defaults, then the user's words.

    `prepare` is called before.
    """
    app = typer.Typer(add_completion=False)

    @app.command(help=summary, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def run_child(context: typer.Context) -> int:
        output = output_of(context)
        if prepare is not None:
            prepare(output)
        return finish_child(output, run(name, module, [*defaults, *context.args], output), name)

    return app


def run(name: str, module: str, arguments: list[str], output: Output) -> int:
    """Run `python -m module arguments` in the checkout and return its exit code.

    Ctrl-C reaches the child as well; its exit code is waited for.
    """
    _require_checkout(name, module)
    environment = dict(os.environ)
    path = [str(ROOT), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    if output.options.database:
        environment["OMS_DATABASE_URL"] = output.options.database
    if not output.options.color:
        environment["NO_COLOR"] = "1"
    stdout = sys.stderr if output.options.json else None
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, stdout=stdout
    )
    while True:
        try:
            return _exit_code(child.wait())
        except KeyboardInterrupt:
            continue
        except SystemExit:
            child.terminate()
            child.wait()
            raise


def _exit_code(returned: int) -> int:
    """A shell's view of a child that a signal has ended: 128 + signal."""
    return 128 - returned if returned < 0 else returned


def _require_checkout(name: str, module: str) -> None:
    if not (ROOT / "tests").is_dir() or not (ROOT / "requirements.txt").is_file():
        raise UsageProblem(
            "OMS-U010",
            f"`oms {name}` belongs to a checkout",
            where=f"{ROOT} is an installed package",
            why="its code and its data are not part of the wheel",
            hint=f"git clone the repository, then python3 -m oms {name}",
        )
    if module.startswith("tests.") and not _exists(module):
        raise UsageProblem("OMS-U011", f"This checkout has no `{name}` yet", where=module.replace(".", "/"))


def _exists(module: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()
