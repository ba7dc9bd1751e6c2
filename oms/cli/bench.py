"""`oms bench [--quick] [--no-fail]`: measurements against the published targets."""

import json
import tempfile
from pathlib import Path

import typer

from oms.cli.child import run
from oms.cli.frame import output_of

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> int:
    """Measure speed and memory and compare them with the targets; exit code 1 if one that must be met is missed.

    --quick takes under a minute on a calm machine and leaves out the cold start; --no-fail always ends with 0.
    """
    output = output_of(context)
    with tempfile.TemporaryDirectory(prefix="oms-bench-") as folder:
        report = Path(folder) / "rows.json"
        words = [*context.args, f"--json={report}"] if output.options.json else context.args
        code = run("bench", "tests.benchmarks", words, output)
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    output.finish({**found, "exit_code": code}, ok=code == 0)
    return code
