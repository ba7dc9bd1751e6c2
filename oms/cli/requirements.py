"""`oms requirements [--prefix OD]`: every rule, the tests that carry its id, and how they ended."""

import json
import tempfile
from pathlib import Path

import typer

from oms.cli.child import run
from oms.cli.frame import output_of

app = typer.Typer(add_completion=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def requirements(context: typer.Context) -> int:
    """List every rule with its tests and how they ended; exit code 1 unless each has passed.

    A rule has passed if one of its tests has, and none failed.

    --prefix ID takes the rows of one source only, as in --prefix OD. The suite has to be run first: oms test.
    """
    output = output_of(context)
    words = list(context.args)
    if output.options.quiet:
        words.append("--quiet")
    with tempfile.TemporaryDirectory(prefix="oms-requirements-") as folder:
        report = Path(folder) / "result.json"
        if output.options.json:
            words.append(f"--json={report}")
        code = run("requirements", "tests.requirements", words, output)
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"exit_code": code}
    output.finish(found, ok=code == 0)
    return code
