"""The log on the embedded PostgreSQL: one durable step, ingest, recovery and verification, each against its limit."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from decimal import localcontext
from itertools import count
from statistics import median
from typing import Any

import psycopg
from msgspec.structs import replace
from psycopg import pq

from eventlog.batch import prepare
from eventlog.chain import COLUMNS
from eventlog.envelope import Envelope, Head, StepRecord
from eventlog.postgres import PostgresLog
from eventlog.processes import owner_text
from oms.book import Book
from oms.events.base import Stamped
from oms.events.broker import OrderFilled
from oms.events.decisions import OrderPlaced, StopMoved
from oms.shell.record import event_of, record
from oms.shell.recovery import recover
from oms.step import Recorded, StepResult
from oms.values import CONTEXT
from replay.verify import verify
from tests import pg
from tests.benchmarks import memory, scenes
from tests.benchmarks.measuring import in_turns, seconds
from tests.benchmarks.rows import Row, Scale, Target

BATCH_EVENTS = 1000
STEP_ACCOUNT = "sim/sim/bench-steps"
LIMITS = (
    "CREATE SCHEMA bench",
    "CREATE TABLE bench.smallest (id int PRIMARY KEY, number bigint NOT NULL)",
    "INSERT INTO bench.smallest VALUES (1, 0)",
    "CREATE TABLE bench.event (LIKE oms.event INCLUDING ALL)",
)
SMALLEST = b"UPDATE bench.smallest SET number = number + 1 WHERE id = 1"
WIRE_COLUMNS = ("shard", "account", *COLUMNS, "chain")


def group(scale: Scale) -> Iterator[Row]:
    """All rows that need a database. It lives in a folder of this process and is gone afterwards."""
    with ExitStack() as stack:
        conninfo = stack.enter_context(pg.durable_database())
        limits = stack.enter_context(psycopg.connect(conninfo, autocommit=True))
        for statement in LIMITS:
            limits.execute(statement.encode())
        log = PostgresLog(conninfo)
        stack.callback(log.close)
        log.ensure_partitions(scenes.DAY, 6)
        yield commit_row(log, limits, scale.commits)
        yield ingest_row(log, limits, scale.events)
        limits.execute("VACUUM (ANALYZE) oms.event")
        yield from recovery_rows(log, scale.replays)
        yield verification_row(log, scale.verified, scale.replays)
        yield from memory.group(log, conninfo, scale)


def commit_row(log: PostgresLog, limits: psycopg.Connection[Any], commits: int) -> Row:
    """From a decided step to its durability: rows, bodies, chain, one statement; the limit is one smallest commit."""
    head = log.acquire(STEP_ACCOUNT, owner_text())
    steps = _bracket_steps()
    limits.pgconn.prepare(b"smallest", SMALLEST)

    def append() -> None:
        nonlocal head
        result, stamped = prepared[0]
        head = log.append(head, [record(result, stamped)])

    def smallest() -> None:
        done = limits.pgconn.exec_prepared(b"smallest", [], None, pq.Format.BINARY)
        assert done.status == pq.ExecStatus.COMMAND_OK, done.error_message

    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(commits):
        prepared = [next(steps)]
        both = ((append, 0), (smallest, 1))
        for work, index in both if number % 2 else both[::-1]:
            taken[index].append(seconds(work))
    return Row(
        name="durable step, p50",
        value=median(taken[0]) * 1e6,
        unit="us",
        reference=median(taken[1]) * 1e6,
        target=Target(must=2.0, aim=1.5, of="ratio"),
        note=f"1 input, 3 decisions, 2 commands; reference: update of one row; {commits} of each in turns, wall time",
    )


def _bracket_steps() -> Iterator[tuple[StepResult, Stamped]]:
    """A fill, the stop it moves, the stop and a target it places: the same step at place after place."""
    book = Book()
    for _ in scenes.opening(book, STEP_ACCOUNT):
        pass
    filled = (step for step in scenes.open_position(book, "S") if isinstance(step[0].event, OrderFilled))
    stamped, result = next(filled)
    moved = [one for one in result.events if isinstance(one.event, StopMoved)][:1]
    placed = [one for one in result.events if isinstance(one.event, OrderPlaced)][:2]
    events = [one.event for one in (result.events[0], *moved, *placed)]
    assert len(events) == 4, "a first fill moves the stop and places the orders of the bracket"
    for first in count(1, len(events)):
        rows = tuple(Recorded(first + place, event, "S") for place, event in enumerate(events))
        commands = tuple(
            replace(one, seq=first + place) for place, one in enumerate(result.commands[:2], start=2)
        )
        step = StepResult(result.account, {}, rows, commands, ())
        yield step, replace(stamped, dedupe_key=f"fill:{first}")


def ingest_row(log: PostgresLog, limits: psycopg.Connection[Any], events: int) -> Row:
    """Append a long log in batches, each followed or preceded by a plain COPY of the same rows."""
    head = log.acquire(scenes.DAY_ACCOUNT, owner_text())
    taken: tuple[list[float], list[float]] = ([], [])
    for number, batch in enumerate(scenes.batches(scenes.copies(), events, BATCH_EVENTS)):
        block, place = copy_block(head, batch), [head]

        def append(batch: list[StepRecord] = batch, place: list[Head] = place) -> None:
            place[0] = log.append(place[0], batch)

        def copy(block: bytes = block) -> None:
            with limits.cursor().copy(f"COPY bench.event ({', '.join(WIRE_COLUMNS)}) FROM STDIN") as into:
                into.write(block)

        both = ((append, 0), (copy, 1))
        size = sum(len(step.events) for step in batch)
        for work, index in both if number % 2 else both[::-1]:
            taken[index].append(size / seconds(work))
        head = place[0]
    return Row(
        name=f"durable ingest, batches of {BATCH_EVENTS}",
        value=median(taken[0]),
        unit="events/s",
        reference=median(taken[1]),
        target=Target(must=0.5, aim=0.7, better="higher", of="ratio"),
        note="one connection, checks and chain included; reference: COPY of finished text into the same columns",
    )


def copy_block(head: Head, batch: Sequence[StepRecord]) -> bytes:
    """The rows of a batch as COPY takes them, with their links."""
    done = prepare(head, batch)
    rows = zip(done.rows, done.links, strict=True)
    return "".join(_copy_line(head.account, row, link) for row, link in rows).encode()


def _copy_line(account: str, row: Envelope, link: bytes) -> str:
    values = [1, account, *(getattr(row, name) for name in COLUMNS), "\\x" + link.hex()]
    return "\t".join(map(_copy_field, WIRE_COLUMNS, values)) + "\n"


def _copy_field(name: str, value: Any) -> str:
    if value is None:
        return "\\N"
    if name.endswith(("_time", "_at")):
        return f"{date.fromordinal(719_163 + value // 86_400_000_000)} {_clock(value % 86_400_000_000)}+00"
    return str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _clock(us: int) -> str:
    rest, micros = divmod(us, 1_000_000)
    minutes, second = divmod(rest, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{micros:06d}"


def recovery_rows(log: PostgresLog, rounds: int) -> Iterator[Row]:
    """Fold the log from the database, in turns with decoding and folding the same rows from memory."""
    rows = list(log.read(scenes.DAY_ACCOUNT))

    def from_memory() -> Book:
        book = Book()
        for row in rows:
            book.fold(event_of(row), row.logical_time, row.seq, row.pipeline)
        return book

    with localcontext(CONTEXT):
        taken, limit = in_turns(lambda: recover(log, scenes.DAY_ACCOUNT), from_memory, rounds, best=True)
    value, reference = len(rows) / taken, len(rows) / limit
    for name, target in (
        ("recovery from PostgreSQL", Target(must=100_000, aim=250_000, better="higher")),
        ("recovery against decoding and folding", Target(must=0.5, aim=0.7, better="higher", of="ratio")),
    ):
        yield Row(
            name=name,
            value=value,
            unit="events/s",
            reference=reference,
            target=target,
            note=f"{len(rows)} events, best of {rounds} rounds, wall time; reference: the same rows in memory",
        )


def verification_row(log: PostgresLog, until: int, rounds: int) -> Row:
    """Decide the log again and compare every row. Other guests of the machine only ever add time: the best counts."""
    rates = []
    for _ in range(rounds):
        found = verify(log, scenes.DAY_ACCOUNT, until)
        assert found.is_identical, found.why
        rates.append(found.events / found.seconds)
    return Row(
        name="verification from PostgreSQL",
        value=max(rates),
        unit="events/s",
        target=Target(must=25_000, aim=60_000, better="higher"),
        note=f"the first {until} events, best of {rounds}, wall time",
    )
