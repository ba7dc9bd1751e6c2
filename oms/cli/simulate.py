"""`oms simulate [--seeds N] [--start S] [--days D] [--log memory|postgres] [--jobs J]`: seeded days with faults."""

import json
import tempfile
from pathlib import Path

import typer

from oms.cli.child import run
from oms.cli.frame import output_of

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def simulate(context: typer.Context) -> int:
    """Play seeded trading days with faults against an independent broker; exit code 1 if an invariant is violated.

    --trace tells one seed as a story; --plan FILE plays a kept plan; --shrink reduces the first failing one.
    """
    output = output_of(context)
    with tempfile.TemporaryDirectory(prefix="oms-simulate-") as folder:
        report = Path(folder) / "report.json"
        words = [*context.args, f"--json={report}"] if output.options.json else context.args
        code = run("simulate", "tests.simulation", words, output)
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    output.finish({**found, "exit_code": code}, ok=code == 0)
    return code
