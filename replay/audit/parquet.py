"""The audit's questions to an archive: the same views and recipes, asked of Parquet files by DuckDB.

What DuckDB writes in another way is translated here, by a few rules over the text of any view; nothing is written
twice. It has no decimals of any length: numbers keep PLACES places, quotients are floating point. The chain and who may
do what are no questions for DuckDB: `oms verify --offline` computes the one, the other belongs to a database.
"""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from importlib import import_module
from typing import Any, Final

import msgspec

from eventlog import views
from eventlog.archive import Archive
from eventlog.envelope import shard_of
from eventlog.errors import ArchiveBroken, ExtraMissing
from oms.errors import DomainProblem, UsageProblem
from replay.audit import Answer, Recipe

PLACES: Final = 9
"""Places behind the point: with three factors 11 stay before it."""
NUMERIC: Final = f"DECIMAL(38, {PLACES})"
NOT_HERE: Final = {
    "oms.chain_check",
    "oms_check.i02_sealed_rows_are_unchanged",
    "oms_check.i03_chain_holds",
    "oms_check.i10_types_are_registered",
    "oms_check.i84_history_is_append_only",
}
SETUP: Final = (
    "SET TimeZone = 'UTC'",
    "SET default_null_order = 'postgres'",
    "CREATE SCHEMA oms",
    "CREATE SCHEMA oms_check",
    """CREATE TABLE oms.account_head (shard SMALLINT, account VARCHAR, seq BIGINT, chain BLOB, epoch BIGINT,
        logical_time TIMESTAMPTZ, trading_day DATE)""",
    "CREATE TABLE oms.archived_month (shard SMALLINT, account VARCHAR, last_seq BIGINT, chain BLOB)",
)
HEAD: Final = "INSERT INTO oms.account_head VALUES (?, ?, ?, ?, ?, make_timestamptz(?), ?)"
EVENTS: Final = "CREATE TABLE oms.event AS SELECT * REPLACE (body::JSON AS body) FROM read_parquet(?)"
NARROWED: Final = """SELECT * FROM ({}) AS answer
WHERE ($account::VARCHAR IS NULL OR account = $account) AND ($day::DATE IS NULL OR trading_day = $day)"""
OPERAND: Final = r"(\b[\w.]+|\([^()]*\))"
RULES: Final = (
    # In DuckDB an arrow binds no closer than a comparison.
    (re.compile(rf"{OPERAND} (->>?) ('[^']*')"), r"(\1 \2 \3)"),
    (re.compile(rf"{OPERAND} #(>>?) '\{{([\w,]+)\}}'"),
     lambda found: f"({found[1]} -{found[2]} '$.{found[3].replace(',', '.')}')"),
    (re.compile(rf"{OPERAND} \?\| array(\[[^]]*\])"), r"list_has_any(json_keys(\1), \2)"),
    (re.compile(rf"{OPERAND} \? ('[^']*')"), r"list_contains(json_keys(\1), \2)"),
    (re.compile(rf"{OPERAND} \? ([\w.]+)"), r"list_contains(CAST(\1 AS VARCHAR[]), \2)"),
    (re.compile(rf"jsonb_array_elements\({OPERAND}\) AS (\w+)"), r"unnest(CAST(\1 AS JSON[])) AS _\2 (\2)"),
    (re.compile(rf"jsonb_array_elements_text\({OPERAND}\) AS (\w+)"), r"unnest(CAST(\1 AS VARCHAR[])) AS _\2 (\2)"),
    (re.compile(rf"jsonb_array_elements_text\({OPERAND}\)::"), r"unnest(CAST(\1 AS VARCHAR[]))::"),
    (re.compile(r"\bjsonb_array_length\b"), "json_array_length"),
    (re.compile(r"::numeric\b"), f"::{NUMERIC}"),
)  # fmt: skip
# Of these a tenth place would be money, and be rounded away.
FINER: Final = """
SELECT account, seq FROM oms.event
WHERE regexp_matches(body::VARCHAR, '"(quantity|price|price_limit|price_stop|amount)": *"-?[0-9]+[.][0-9]{10,}"')
ORDER BY account, seq LIMIT 1
"""


def translated(text: str) -> str:
    """An SQL text as DuckDB takes it."""
    lines = (line.partition("--")[0] for line in text.splitlines())
    found = "\n".join(lines)
    for pattern, replacement in RULES:
        found = pattern.sub(replacement, found)
    return found


def answerable(wanted: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """Those of the recipes that an archive can answer."""
    return tuple(recipe for recipe in wanted if recipe.name not in NOT_HERE)


def opened(archive: Archive) -> Any:
    """A DuckDB connection that holds the rows of an archive and all views over them.

    Raises ArchiveBroken for a damaged file, ExtraMissing, DomainProblem for numbers that are finer than it can count.
    """
    try:
        duckdb = import_module("duckdb")
    except ImportError as error:
        raise ExtraMissing(f"the archive needs the packages of the extra `archive`: {error}") from error
    connection = duckdb.connect()
    for statement in SETUP:
        connection.execute(statement)
    paths = []
    for account in archive.accounts():
        archive.require_whole(account)
        paths += [str(path) for path in archive.files(account)]
        head = archive.head(account)
        assert head is not None, "an account of the archive has a file"
        values = [
            shard_of(account),
            account,
            head.seq,
            head.chain,
            head.epoch,
            head.logical_time,
            head.trading_day,
        ]
        connection.execute(HEAD, values)
    try:
        connection.execute(EVENTS, [paths])
    except duckdb.Error as error:
        raise ArchiveBroken(f"DuckDB cannot read the archive\n{error}", file=str(archive.place)) from error
    finer = connection.execute(FINER).fetchone()
    if finer is not None:
        raise DomainProblem(
            "OMS-V020",
            f"A number has more than {PLACES} places; DuckDB would round it",
            where=f"event {finer[1]} of {finer[0]}",
            hint="ask PostgreSQL: the same recipe without --archive",
        )
    for view in views.definitions():
        if view.name not in NOT_HERE:
            connection.execute(f"CREATE VIEW {view.name} AS {translated(view.text)}")
    return connection


def ask(connection: Any, recipe: Recipe, *, day: date | None = None, account: str | None = None) -> Answer:
    """Run a recipe, narrowed to a trading day and an account. Raises UsageProblem for what belongs to a database."""
    if recipe.name in NOT_HERE:
        raise UsageProblem(
            "OMS-A004",
            f"An archive cannot answer  {recipe.name}",
            hint="python3 -m oms verify --offline FOLDER  computes chain and links",
        )
    found = connection.execute(NARROWED.format(translated(recipe.text)), {"account": account, "day": day})
    columns = tuple(column[0] for column in found.description)
    is_json = [str(column[1]) == "JSON" for column in found.description]
    rows = tuple(
        tuple(_plain(value, is_json=one) for value, one in zip(row, is_json, strict=True))
        for row in found.fetchall()
    )
    return Answer(recipe, columns, rows)


def _plain(value: Any, *, is_json: bool) -> Any:
    """A value as PostgreSQL's driver would give it."""
    if value is None:
        return None
    if is_json:
        return msgspec.json.decode(value)
    return Decimal(repr(value)) if isinstance(value, float) else value
