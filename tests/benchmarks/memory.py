"""What state weighs after a recovery, each figure from a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator

from eventlog.postgres import PostgresLog
from eventlog.processes import owner_text
from oms.book import Book
from oms.shell.record import record
from tests.benchmarks import scenes
from tests.benchmarks.rows import Row, Scale, Target
from tests.checkout import ROOT

KB = 1000
FEWER = 4
SHORT, LONG = 10_000, 100_000
Seen = dict[str, float]


def group(log: PostgresLog, conninfo: str, scale: Scale) -> Iterator[Row]:
    """All rows about memory."""
    fewer, all_of_them = _write_positions(log, scale.positions)
    traced = _probe(conninfo, scenes.POSITIONS_ACCOUNT, fewer, "traced")
    yield Row(
        name="memory per open order",
        value=traced["open_order_bytes"] / KB,
        unit="kB",
        target=Target(must=1.5, aim=0.8),
        note=f"tracemalloc: what dropping {traced['open_orders']:.0f} open orders and their index entries frees",
    )
    small = _probe(conninfo, scenes.POSITIONS_ACCOUNT, fewer, "resident")
    large = _probe(conninfo, scenes.POSITIONS_ACCOUNT, all_of_them, "resident")
    orders = large["open_orders"] - small["open_orders"]
    yield Row(
        name="whole state per open order",
        value=(large["resident_bytes"] - small["resident_bytes"]) / orders / KB,
        unit="kB",
        target=Target(must=4, aim=2),
        note=f"resident set with {large['open_orders']:.0f} open orders less that with {small['open_orders']:.0f}",
    )
    short = _probe(conninfo, scenes.DAY_ACCOUNT, SHORT, "replayed")
    long = _probe(conninfo, scenes.DAY_ACCOUNT, LONG, "replayed")
    yield Row(
        name="replay memory, ten times the log",
        value=long["peak_bytes"] / KB**2,
        unit="MB",
        reference=short["peak_bytes"] / KB**2,
        target=Target(must=1.2, aim=1.05, of="ratio"),
        note=f"peak resident set of verifying {LONG} events; reference: {SHORT} events",
    )


def _write_positions(log: PostgresLog, positions: int) -> tuple[int, int]:
    """Log the opening of many positions; the places in the log where a part and where all of them are open."""
    book, part = Book(), 0
    head = log.acquire(scenes.POSITIONS_ACCOUNT, owner_text())
    batch = [record(result, stamped) for stamped, result in scenes.opening(book)]
    for number in range(1, positions + 1):
        batch += [record(result, stamped) for stamped, result in scenes.open_position(book, f"S{number:05d}")]
        if len(batch) >= scenes.BATCH_STEPS or number == positions:
            head, batch = log.append(head, batch), []
        if number == max(1, positions // FEWER):
            part = book.account.seq
    return part, book.account.seq


def _probe(conninfo: str, account: str, until: int, what: str) -> Seen:
    """Ask a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.probe", conninfo, account, str(until), what]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seen: Seen = json.loads(done.stdout)
    return seen
