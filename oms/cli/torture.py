"""`oms torture [--points all] [--pairs] [--json]`: kill and restart the real thing, and compare what is left."""

import json
import tempfile
from pathlib import Path

import typer

from oms.cli.child import run
from oms.cli.frame import output_of

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def torture(context: typer.Context) -> int:
    """Kill the writer (or the database) at named points, start it again, and look for what was lost or doubled.

    --points all|LIST, --pairs for every two in a row, --chains N for longer rows, --kill POINT:NTH for one case;
    --takeovers N lets two writers fight over an account; --postgres kills and hurts a server of its own.
    Exit code 1 if anything was found; each finding comes with the command that repeats it.
    """
    output = output_of(context)
    with tempfile.TemporaryDirectory(prefix="oms-torture-") as folder:
        report = Path(folder) / "report.json"
        words = [*context.args, f"--json={report}"] if output.options.json else context.args
        code = run("torture", "tests.torture", words, output)
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    output.finish({**found, "exit_code": code}, ok=code == 0)
    return code
