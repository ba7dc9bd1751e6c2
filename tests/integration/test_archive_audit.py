"""Every question of the audit gets the same answer from Parquet files by DuckDB as from the log by PostgreSQL."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventlog.archive import COLUMNS, Archive, Kept, Part, part_path, write_part
from eventlog.chain import EPOCH_US, genesis
from eventlog.postgres import PostgresLog
from oms.cli import main
from replay import audit
from replay.audit import parquet
from tests import pg
from tests.integration.audit_stories import (
    LOWERED,
    SECOND,
    STORY,
    lowered_count,
    received_stop,
    second_ids,
    story,
    tell,
)
from tests.integration.test_audit import BUSY, FORGERIES, RECEIVED, SCRIPT
from tests.unit.replay.days import DAY, trading_day

MONTH = date(2026, 3, 1)
CLOSE = Decimal("0.000000001")


@dataclass
class World:
    """A database and the archive of all that is in it."""

    conninfo: str
    folder: Path
    duck: Any

    def by_postgres(self, name: str, **narrowed: Any) -> audit.Answer:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return audit.ask(connection, audit.named(name), **narrowed)

    def by_duckdb(self, name: str, **narrowed: Any) -> audit.Answer:
        return parquet.ask(self.duck, audit.named(name), **narrowed)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("archive")
    with pg.database() as conninfo, closing(PostgresLog(conninfo)) as log:
        with trading_day(names=("AAPL", "MSFT"), log=log, seed=1, script=SCRIPT, account=BUSY) as day:
            day.walk(240)
            day.restart()
            day.walk(80)
            day.silence(15)
        tell(log, STORY, story())
        tell(log, RECEIVED, received_stop())
        tell(log, SECOND, second_ids())
        tell(log, LOWERED, lowered_count())
        for account in (BUSY, STORY, RECEIVED, SECOND, LOWERED):
            keep(log, conninfo, account, folder)
        with parquet.opened(Archive(folder)) as duck:
            yield World(conninfo, folder, duck)


def keep(log: PostgresLog, conninfo: str, account: str, folder: Path) -> None:
    """The file of an account's whole log, as an export writes it, without the seals that it would want."""
    with psycopg.connect(conninfo) as connection:
        recorded = dict(
            connection.execute(
                "SELECT seq, (extract(epoch FROM recorded_at) * 1000000)::bigint FROM oms.event WHERE account = %s",
                (account,),
            ).fetchall()
        )
    rows = [
        Kept(one.envelope, one.chain, one.raw, recorded[one.envelope.seq]) for one in log.read_stored(account)
    ]
    last, head = rows[-1], log.head(account)
    assert head is not None
    part = Part(
        account=account, month="2026-03", first_seq=1, last_seq=head.seq, before=genesis(account).hex(),
        first_chain=rows[0].chain.hex(), chain=last.chain.hex(), logical_time=last.envelope.logical_time,
        trading_day=str(last.envelope.trading_day), epoch=head.epoch,
    )  # fmt: skip
    assert last.envelope.logical_time > EPOCH_US
    write_part(part_path(folder, account, MONTH), part, rows)


def same(one: Any, other: Any) -> bool:
    """Equal; numbers up to the places that DuckDB has for a quotient."""
    if isinstance(one, Decimal | int) and isinstance(other, Decimal | int) and not isinstance(one, bool):
        return abs(one - other) <= CLOSE * max(1, abs(one))
    return bool(one == other)


RECIPES = [one.name for one in parquet.answerable(audit.recipes())]


@pytest.mark.parametrize("name", RECIPES)
def test_an_answer_is_the_same_from_the_archive(world: World, name: str) -> None:
    expected, found = world.by_postgres(name), world.by_duckdb(name)
    assert found.columns == expected.columns
    if expected.recipe.is_check:
        # Checks are not ordered.
        rows, others = sorted(expected.rows, key=str), sorted(found.rows, key=str)
    else:
        rows, others = list(expected.rows), list(found.rows)
    assert len(others) == len(rows)
    for row, other in zip(rows, others, strict=True):
        assert all(map(same, row, other)), (row, other)


def loaded(connection: psycopg.Connection[Any], duck: Any) -> None:
    """Put the rows of a database into DuckDB, whatever was done to them."""
    import pyarrow as pa

    names = ", ".join(name for name in COLUMNS if name not in ("raw", "body"))
    rows = connection.execute(f"SELECT {names}, body::text AS body FROM oms.event").fetchall()  # type: ignore[arg-type]
    columns = [*names.split(", "), "body"]
    given = pa.table({name: [row[index] for row in rows] for index, name in enumerate(columns)})
    duck.register("given", given)
    types = duck.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'event'"
    )
    chosen = ", ".join(f'"{name}"::{kind} AS "{name}"' for name, kind in types.fetchall() if name != "raw")
    duck.execute(f"CREATE OR REPLACE TABLE oms.event AS SELECT {chosen} FROM given")
    duck.execute("DELETE FROM oms.account_head")
    for head in connection.execute("SELECT shard, account, seq, chain, epoch, logical_time, trading_day "
                                   "FROM oms.account_head").fetchall():  # fmt: skip
        duck.execute("INSERT INTO oms.account_head VALUES (?, ?, ?, ?, ?, ?, ?)", list(head))


@pytest.mark.parametrize("name", [name for name in FORGERIES if f"oms_check.{name}" in RECIPES])
def test_a_check_finds_in_the_archive_what_it_finds_in_the_log(world: World, name: str) -> None:
    recipe = audit.named(name)
    with psycopg.connect(world.conninfo) as connection, parquet.opened(Archive(world.folder)) as duck:
        for setting in audit.QUICK:
            connection.execute(setting)
        for statement in FORGERIES[name].format(busy=f"event.account = '{BUSY}'").split(";"):
            connection.execute(statement.encode())
        expected = connection.execute(f"TABLE {recipe.name}".encode()).fetchall()
        loaded(connection, duck)
        connection.rollback()
        found = parquet.ask(duck, recipe).rows
    assert expected
    assert len(found) == len(expected)
    for row, other in zip(sorted(expected, key=str), sorted(found, key=str), strict=True):
        assert all(map(same, row, other)), (row, other)


def test_all_but_what_belongs_to_a_database_is_answered() -> None:
    left_out = {one.name for one in audit.recipes()} - set(RECIPES)
    assert left_out == parquet.NOT_HERE - {"oms.chain_check"}
    assert len([name for name in RECIPES if not name.startswith("oms_check.")]) >= 23


def test_an_answer_is_narrowed(world: World) -> None:
    whole = world.by_duckdb("orders")
    some = world.by_duckdb("orders", account=STORY, day=DAY)
    assert some.rows == tuple(row for row in whole.rows if row[0] == STORY)
    assert world.by_duckdb("orders", day=date(2020, 1, 1)).rows == ()
    assert world.by_duckdb("orders", account="'; DROP TABLE oms.event; --").rows == ()


@pytest.fixture
def oms(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    # No database may be needed.
    monkeypatch.setenv("OMS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["audit", "run", *words, "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_the_command_asks_the_archive_without_a_database(world: World, oms: Any) -> None:
    code, said = oms("market_orders", "--archive", str(world.folder), "--account", BUSY)
    assert (code, len(said["results"][0]["rows"])) == (
        0,
        len(world.by_postgres("market_orders", account=BUSY).rows),
    )
    code, said = oms("--all", "--archive", str(world.folder), "--account", BUSY)
    assert (code, [one["name"] for one in said["results"]]) == (0, RECIPES)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("i03_chain_holds", "--archive", "{folder}"), "OMS-A004"),
        (("orders", "--archive", "{folder}/nowhere"), "OMS-D017"),
        (("orders", "--archive", "{folder}", "--day", "never"), "OMS-A003"),
    ],
)
def test_wrong_words_are_refused(world: World, oms: Any, words: tuple[str, ...], code: str) -> None:
    found, said = oms(*(word.format(folder=world.folder) for word in words))
    assert (found in (1, 2), said["error"]["code"]) == (True, code)


def test_a_damaged_file_is_not_asked(world: World, oms: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(world.folder, tmp_path / "copy")
    path = part_path(tmp_path / "copy", STORY, MONTH)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    found, said = oms("orders", "--archive", str(tmp_path / "copy"))
    assert (found, said["error"]["code"], said["error"]["in"]) == (1, "OMS-D017", f"file {path}")
