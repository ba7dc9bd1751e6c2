"""Questions in SQL: recipes to run as they are in psql, and the checks that must find nothing.

A recipe is a file of this folder; its first comment is the question. Every recipe has the columns `account` and
`trading_day`, so that it can be narrowed from outside without touching its text.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import psycopg
from msgspec import Struct
from psycopg import sql

from eventlog import views
from oms.errors import UsageProblem
from oms.values import plain
from replay.audit.once import statement

TIMEOUT: Final = "SET LOCAL statement_timeout = '10min'"
QUICK: Final = (
    # Views over views are estimated as a handful of rows; a loop inside a loop over what they truly hold takes minutes,
    # and a merge meets all orders of a pipeline with all of its rows.
    "SET LOCAL enable_nestloop = off",
    "SET LOCAL enable_mergejoin = off",
    "SET LOCAL jit = off",
    "SET LOCAL work_mem = '64MB'",
)
Connection = psycopg.Connection[Any]


class Recipe(Struct, frozen=True):
    """A question. A check is one whose answer must be empty."""

    name: str
    question: str
    text: str
    is_check: bool


ACCOUNTS: Final = Recipe(
    "accounts",
    "Which accounts are there?",
    "SELECT account, trading_day FROM oms.account_head WHERE seq > 0 ORDER BY account",
    is_check=False,
)


class Answer(Struct, frozen=True):
    """What a recipe found: one value per column and row."""

    recipe: Recipe
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def is_good(self) -> bool:
        """Whether this is no bad news."""
        return not (self.recipe.is_check and self.rows)


def recipes() -> tuple[Recipe, ...]:
    """All recipes by name, then all checks."""
    found = [
        Recipe(path.name.removesuffix(".sql"), views.question(text), text, is_check=False)
        for path in (files("replay") / "audit").iterdir()
        if path.name.endswith(".sql")
        for text in (path.read_text(encoding="utf-8"),)
    ]
    checks = [
        Recipe(view.name, view.question, f"TABLE {view.name}", is_check=True)
        for view in views.definitions()
        if view.name.startswith(f"{views.CHECKS}.")
    ]
    return tuple(sorted((*found, *checks), key=lambda one: (one.is_check, one.name)))


def named(name: str) -> Recipe:
    """One recipe. Raises UsageProblem."""
    known = recipes()
    for recipe in known:
        if name in (recipe.name, recipe.name.removeprefix(f"{views.CHECKS}.")):
            return recipe
    raise UsageProblem(
        "OMS-A001",
        f"There is no audit recipe  {name}",
        why=f"there are {len(known)}: {', '.join(one.name for one in known[:6])}, ...",
        hint="python3 -m oms audit list",
    )


def ask(
    connection: Connection, recipe: Recipe, *, day: date | None = None, account: str | None = None
) -> Answer:
    """Run a recipe in a transaction that can only read, narrowed to a trading day and an account."""
    with connection.transaction():
        connection.execute("SET TRANSACTION READ ONLY")
        connection.execute(TIMEOUT)
        for setting in QUICK:
            connection.execute(setting)
        cursor = connection.execute(_narrowed(recipe, day, account))
        columns = tuple(column.name for column in cursor.description or ())
        return Answer(recipe, columns, tuple(cursor.fetchall()))


def as_objects(answer: Answer) -> Iterator[dict[str, Any]]:
    """The rows for a program: numbers as exact text, times in ISO form, bytes in hexadecimal."""
    for row in answer.rows:
        yield {name: as_plain(value) for name, value in zip(answer.columns, row, strict=True)}


def as_plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if isinstance(value, Decimal):
        return format(plain(value), "f") if value.is_finite() else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value


def _narrowed(recipe: Recipe, day: date | None, account: str | None) -> sql.Composed:
    """The question, with what it reads said once, or a selection from its answer. Every value is quoted by the driver.

    A check is asked of all accounts and its answer narrowed: some compare one account with another.
    """
    text = statement(recipe.text, None if recipe.is_check else account)
    tests = [sql.SQL("account = {}").format(sql.Literal(account))] if account is not None else []
    if day is not None:
        tests.append(sql.SQL("trading_day = {}").format(sql.Literal(day)))
    if recipe.is_check:
        # What concerns no account, as a privilege does, is bad news for each.
        tests = [sql.SQL("({} OR account IS NULL)").format(one) for one in tests]
    return text + sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(tests)) if tests else text
