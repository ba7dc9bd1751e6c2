"""`python -m tests.benchmarks [--quick] [--json] [--no-fail]`: measure, print a table, compare with the targets."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oms.cli.output import Options, Output
from tests.benchmarks.rows import COLUMNS, FULL, QUICK, Group, Row, Scale, cells, summary, text_of


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 1 if a target that must be met is missed."""
    arguments = _parser().parse_args(words)
    output = Output(Options(json=arguments.json is not None))
    before = os.getloadavg()
    rows = measured(groups(), QUICK if arguments.quick else FULL, output)
    machine = {**_machine(), "load_before": before, "load_after": os.getloadavg(), "quick": arguments.quick}
    show(output, rows, machine)
    report = summary(rows, machine)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report), encoding="utf-8")
    elif arguments.json is not None:
        output.finish(report, ok=not report["missed"])
    return 1 if report["missed"] and not arguments.no_fail else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms bench", allow_abbrev=False, description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="under a minute on a calm machine; no cold start"
    )
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 although a target is missed")
    parser.add_argument(
        "--json",
        nargs="?",
        const="",
        metavar="FILE",
        help="the rows as one JSON object: the last line of stdout, or the whole of FILE",
    )
    return parser


def groups() -> tuple[Group, ...]:
    """What is measured, in this order."""
    from tests.benchmarks import core, database, starts

    return core.group, database.group, starts.group


def measured(chosen: Sequence[Group], scale: Scale, output: Output) -> list[Row]:
    """All rows of these groups; each is told as soon as it is there."""
    rows: list[Row] = []
    for group in chosen:
        begun = time.monotonic()
        for row in group(scale):
            ratio = f", {text_of(row.ratio)}x" if row.ratio is not None else ""
            output.step(
                "bench", f"{row.name}: {text_of(row.value)} {row.unit}{ratio}", time.monotonic() - begun
            )
            rows.append(row)
            begun = time.monotonic()
    return rows


def show(output: Output, rows: Sequence[Row], machine: dict[str, Any]) -> None:
    """Print the table, what its figures mean, and what was missed."""
    output.message("")
    output.table(COLUMNS, [cells(row) for row in rows])
    output.message("")
    for row in rows:
        if row.note:
            output.message(f" {row.name}: {row.note}")
    load = ", ".join(f"{one:.1f}" for one in (machine["load_before"][0], machine["load_after"][0]))
    output.message(
        f"\n {machine['cpus']} processors, load before and after {load}; Python {machine['python']}"
    )
    missed = [row.name for row in rows if not row.holds]
    output.message(f" missed: {', '.join(missed)}" if missed else " every target is met")


def _machine() -> dict[str, Any]:
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


if __name__ == "__main__":
    sys.exit(main())
