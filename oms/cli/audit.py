"""`oms audit list|run`: questions about the log, answered by SQL that works in psql as it is.

Names that begin with `oms_check.` are invariants; a row there is bad news and makes the exit code 1.
"""

import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.cli.database import opened_database
from oms.cli.extra import require_archive
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import UsageProblem

if TYPE_CHECKING:
    from datetime import date

    from replay.audit import Answer, Recipe

    Ask = Callable[[Recipe, date | None, str | None], Answer]
    Choose = Callable[[Sequence[Recipe]], tuple[Recipe, ...]]

ROWS_SHOWN = 40
WIDTH_SHOWN = 32

app = typer.Typer(add_completion=False, help="Ask the log in SQL.")


@app.command("list")
def list_recipes(context: typer.Context) -> None:
    """List every recipe and check with its question."""
    from replay.audit import recipes

    output = output_of(context)
    known = recipes()
    output.table(["name", "question"], [[one.name, one.question] for one in known])
    output.finish({"recipes": [{"name": one.name, "question": one.question} for one in known]})


@app.command()
def run(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A name of `oms audit list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Run every recipe and every check.")] = False,
    day: Annotated[
        str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Only this trading day.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only this account.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one recipe as CSV with a head line.")] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            "--archive", metavar="FOLDER", help="Ask the files of `oms archive` instead of the log."
        ),
    ] = None,
) -> int:
    """Run one recipe, or all of them and the checks, on the log or on an archive of it."""
    from replay.audit import as_objects

    output = output_of(context)
    wanted = _wanted(name, everything=everything, as_csv=as_csv)
    narrowed = day_of(day)
    answers = []
    with _asked(output, archive) as (ask, can_answer):
        if account is not None:
            _require(account, ask)
        for recipe in can_answer(wanted) if everything else wanted:
            started = time.monotonic()
            answer = ask(recipe, narrowed, account)
            answers.append(answer)
            if everything:
                _summary(output, answer, time.monotonic() - started)
    if as_csv:
        _print_csv(answers[0])
    elif not everything:
        _show(output, answers[0])
    good = all(answer.is_good for answer in answers)
    results = [{"name": one.recipe.name, "rows": list(as_objects(one))} for one in answers]
    output.finish({"results": results}, ok=good)
    return 0 if good else 1


def _require(account: str, ask: "Ask") -> None:
    """A name with a slip in it must not look like an account in which nothing happened. Raises UsageProblem."""
    from replay.accounts import no_account
    from replay.audit import ACCOUNTS

    known = [str(row[0]) for row in ask(ACCOUNTS, None, None).rows]
    if account not in known:
        raise no_account(account, known)


@contextmanager
def _asked(output: Output, archive: Path | None) -> "Iterator[tuple[Ask, Choose]]":
    """How to ask the log of this command line, or an archive, and which of all questions it can answer."""
    from replay import audit

    if archive is None:
        with opened_database(output) as connection:
            yield (
                (lambda recipe, day, account: audit.ask(connection, recipe, day=day, account=account)),
                tuple,
            )
        return
    require_archive(output)
    from eventlog.archive import Archive
    from replay.audit import parquet

    with closing(parquet.opened(Archive(archive))) as files:
        yield (
            (lambda recipe, day, account: parquet.ask(files, recipe, day=day, account=account)),
            parquet.answerable,
        )


def _wanted(name: str | None, *, everything: bool, as_csv: bool) -> "Sequence[Recipe]":
    from replay.audit import named, recipes

    if everything == (name is not None) or (everything and as_csv):
        raise UsageProblem(
            "OMS-A002",
            "Name one recipe, or say --all" if not as_csv else "CSV holds the rows of one recipe",
            hint="python3 -m oms audit run market_orders",
        )
    return recipes() if name is None else (named(name),)


def day_of(text: str | None) -> "date | None":
    """The day that an option names. Raises UsageProblem."""
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageProblem("OMS-A003", f"This is no day  {text}", hint="--day 2026-03-09") from None


def _summary(output: Output, answer: "Answer", seconds: float) -> None:
    mark = "" if answer.is_good else "  BROKEN"
    output.step(f"{len(answer.rows)} rows", f"{answer.recipe.name}{mark}", seconds)


def _show(output: Output, answer: "Answer") -> None:
    from replay.audit import as_plain

    output.message(f" {answer.recipe.question}")
    output.message("")
    cells = [[_cell(as_plain(value)) for value in row] for row in answer.rows[:ROWS_SHOWN]]
    output.table(answer.columns, cells)
    hidden = len(answer.rows) - len(cells)
    output.message(
        f" {len(answer.rows)} rows" + (f", {hidden} not shown (--csv or --json has all)" if hidden else "")
    )


def _cell(value: object) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= WIDTH_SHOWN else text[: WIDTH_SHOWN - 1] + "…"


def _print_csv(answer: "Answer") -> None:
    from replay.audit import as_plain

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([as_plain(value) for value in row])
