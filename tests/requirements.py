"""`python -m tests.requirements [--prefix OD] [--json]`: which test proves which rule, and did it pass.

The rules are `tests/requirements.csv`. What the tests did is in a small file beside the tree that every run of
the suite brings up to date (`tests/conftest.py`); a part of the suite changes only the tests it ran.
"""

import argparse
import csv
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from oms.cli.output import Options, Output
from oms.errors import OmsError, UsageProblem
from tests.checkout import ROOT

TABLE = ROOT / "tests" / "requirements.csv"
RECORD = ROOT / ".pytest_requirements.json"
VERSION = 1
FIELDS = ["id", "class", "verify", "text"]
ELSEWHERE = re.compile(r"F\d{1,2}|I\d{2}")
"""Findings and invariants of the reliability analysis: markers may name them, the table has no rows for them."""
WORST_FIRST = ("failed", "passed", "skipped")
"""One failed test is a failure; a skipped one proves nothing, and takes nothing from one that passed."""


@dataclass(frozen=True)
class Requirement:
    """A row of the table: M is demanded, P planned; `verify` says how it is to be proven (T, R, S, B, C, D)."""

    id: str
    kind: str
    verify: str
    text: str

    @property
    def prefix(self) -> str:
        return self.id.partition("-")[0]


@dataclass(frozen=True)
class Record:
    """What the last run of every test said: requirement -> node id -> outcome."""

    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    is_whole: bool = False
    """Every test of the suite has been run since the record was begun."""


@dataclass(frozen=True)
class Ran:
    """One test in one run; `ids` is None if its process died before it could say."""

    outcome: str
    ids: tuple[str, ...] | None


@cache
def table() -> tuple[Requirement, ...]:
    """Every row in the order of the file."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return tuple(Requirement(*(row[name] for name in FIELDS)) for row in csv.DictReader(lines))


def is_known(text: str) -> bool:
    """Whether a marker may carry this id."""
    return ELSEWHERE.fullmatch(text) is not None or any(row.id == text for row in table())


def worst(outcomes: Iterable[str]) -> str:
    """One outcome for several; `missing` if there is none."""
    found = set(outcomes)
    return next((one for one in WORST_FIRST if one in found), "missing")


def merged(before: Record, ran: Mapping[str, Ran], *, is_whole: bool) -> Record:
    """The record after a run: a whole run replaces it, a partial one only the tests it ran."""
    kept: dict[str, dict[str, str]] = {}
    for row, tests in before.outcomes.items():
        for test, outcome in tests.items():
            if test not in ran and not is_whole:
                kept.setdefault(row, {})[test] = outcome
    for test, result in ran.items():
        ids = result.ids
        if ids is None:
            ids = tuple(row for row, tests in before.outcomes.items() if test in tests)
        for row in ids:
            kept.setdefault(row, {})[test] = result.outcome
    ordered = {row: dict(sorted(kept[row].items())) for row in sorted(kept)}
    return Record(ordered, is_whole or before.is_whole)


def read(path: Path) -> Record:
    """The record; tests whose file has gone are left out. Raises UsageProblem if there is none to read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']}")
        outcomes = {row: _present(tests) for row, tests in found["requirements"].items()}
        return Record(outcomes, bool(found["whole"]))
    except FileNotFoundError:
        raise _not_run("The test suite has not been run in this checkout yet", path, None) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_run("The record of the last test run cannot be read", path, repr(error)) from None


def _present(tests: dict[str, str]) -> dict[str, str]:
    return {test: outcome for test, outcome in tests.items() if (ROOT / test.partition("::")[0]).is_file()}


def _not_run(what: str, path: Path, why: str | None) -> UsageProblem:
    return UsageProblem("OMS-U050", what, where=path.name, why=why, hint="python3 -m oms test")


def write(record: Record, path: Path) -> None:
    """Replace the record in one move, so that nobody reads half of it."""
    body = {"version": VERSION, "whole": record.is_whole, "requirements": record.outcomes}
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def chosen(prefix: str | None) -> list[Requirement]:
    """The rows of a prefix, or all. Raises UsageProblem if no row has it."""
    rows = [row for row in table() if prefix is None or row.prefix == prefix]
    if not rows:
        known = ", ".join(dict.fromkeys(row.prefix for row in table()))
        raise UsageProblem(
            "OMS-U051", f"No requirement begins with {prefix}", hint=f"--prefix, one of {known}"
        )
    return rows


def summary(prefix: str | None, rows: Sequence[Requirement], record: Record) -> dict[str, Any]:
    """The result for a program: `covered` rows have a test, `passed` rows one that passed and none that failed."""
    results = {row.id: worst(record.outcomes.get(row.id, {}).values()) for row in rows}
    return {
        "prefix": prefix,
        "rows": len(rows),
        "covered": sum(result != "missing" for result in results.values()),
        "passed": sum(result == "passed" for result in results.values()),
        "missing": [row for row, result in results.items() if result == "missing"],
    }


def lines(rows: Sequence[Requirement], record: Record) -> Iterator[str]:
    """Each row and below it its tests, the cases of one test function on one line."""
    for row in rows:
        tests = record.outcomes.get(row.id, {})
        yield f" {row.id:<8}{worst(tests.values()):<9}{row.text}"
        functions: dict[str, list[str]] = {}
        for test, outcome in tests.items():
            functions.setdefault(test.partition("[")[0], []).append(outcome)
        for name, outcomes in functions.items():
            cases = f" ({len(outcomes)} cases)" if len(outcomes) > 1 else ""
            yield f"         {worst(outcomes):<9}{name}{cases}"


def show(output: Output, rows: Sequence[Requirement], record: Record) -> None:
    """Print the rows, their tests, and one line of sums per prefix."""
    for line in lines(rows, record):
        output.message(line)
    output.message("")
    for prefix in dict.fromkeys(row.prefix for row in rows):
        sums = summary(prefix, [row for row in rows if row.prefix == prefix], record)
        text = f"{sums['rows']} rows, {sums['covered']} covered, {sums['passed']} passed"
        output.step(prefix, text)
    if not record.is_whole:
        output.message("\n only parts of the suite have been run here; all of it: python3 -m oms test")


def main(words: Sequence[str] | None = None) -> int:
    """List the rules and their tests; 1 if one of them has no test or none that passed."""
    arguments = _parser().parse_args(words)
    output = Output(Options(json=arguments.json == "", quiet=arguments.quiet))
    try:
        rows, record = chosen(arguments.prefix), read(RECORD)
    except OmsError as problem:
        if arguments.json:
            _write_result(arguments.json, {"error": problem.as_dict()})
        output.problem(problem)
        return problem.exit_code
    show(output, rows, record)
    result = summary(arguments.prefix, rows, record)
    good = result["passed"] == result["rows"]
    if arguments.json:
        _write_result(arguments.json, result)
    else:
        output.finish(result, ok=good)
    return 0 if good else 1


def _write_result(path: str, result: dict[str, Any]) -> None:
    Path(path).write_text(json.dumps(result), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="oms requirements", allow_abbrev=False, description=__doc__)
    parser.add_argument("--prefix", help="only the rows whose id begins with it, as in OD")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the result asked for")
    parser.add_argument(
        "--json",
        nargs="?",
        const="",
        metavar="FILE",
        help="the sums as one JSON object: the last line of stdout, or the whole of FILE",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
