"""`oms conformance fix44 FILE`: order states against published cases, through the real translation and fold."""

from pathlib import Path
from typing import Annotated

import typer

from oms.cli.frame import output_of

app = typer.Typer(add_completion=False, help="Check order states against published cases.")


@app.callback()
def conformance() -> None:
    """Check order states against published cases."""


@app.command()
def fix44(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Case file (YAML).")],
) -> int:
    """Run the cases of FILE and report every step that ends otherwise than expected."""
    from replay.cases import read_cases
    from replay.conformance import run_cases

    output = output_of(context)
    cases = read_cases(file)
    with output.progress("cases", len(cases.cases)) as advance:
        failures = run_cases(cases, advance)
    total = len(cases.cases)
    wrong = {failure.case for failure in failures}
    if failures:
        rows = [
            (one.case, one.step, what, one.expected[what], one.got[what])
            for one in failures
            for what in one.expected
        ]
        output.table(("case", "step", "what", "expected", "got"), rows)
    steps = sum(len(case.steps) for case in cases.cases)
    output.step("conformance", f"{total - len(wrong)} of {total} cases good, {steps} steps")
    output.finish(
        {"cases": total, "passed": total - len(wrong), "failed": [one.as_dict() for one in failures]},
        ok=not failures,
    )
    return 1 if failures else 0
