"""A PostgreSQL server of its own that waits for the disk, and dies under load: what it acknowledged stays.

Several writers append without a pause while the server is killed again and again. Each keeps the head it was told
of with every append; in the end every one of these heads must stand in the log, and every step once.
"""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
from msgspec import Struct

from eventlog import cluster, embedded, schema
from eventlog.batch import Batch
from eventlog.envelope import Head
from eventlog.errors import DatabaseAway
from eventlog.postgres import PostgresLog
from eventlog.verify import verify_chain
from tests import pg
from tests.contract.steps import DAY, step

START_SECONDS: Final = 60.0
KINDS: Final = ("kill -9", "immediate stop", "kill -9 of a backend")
DECISIONS: Final = 3
WRITERS: Final = 4
STEPS: Final = 10
"""One append: so many steps of one input and its decisions."""


class Server:
    """An embedded server on a data directory of its own, with the means to hurt it."""

    def __init__(self, data: Path) -> None:
        self.cluster = cluster.locate(data, 18)
        self.conninfo = ""

    def start(self) -> None:
        """Start it, or wait until it has recovered."""
        with embedded._locked(self.cluster, START_SECONDS):
            embedded._ensure_running(self.cluster, START_SECONDS)

    def pid(self) -> int:
        """The postmaster."""
        pid, _ = embedded._recorded(self.cluster)
        assert pid is not None, "the server runs"
        return pid

    def strike(self, kind: str) -> None:
        """Let it die: without warning, in a hurry, or because one of its children was killed."""
        if kind == "kill -9":
            os.kill(self.pid(), signal.SIGKILL)
        elif kind == "immediate stop":
            os.kill(self.pid(), signal.SIGQUIT)
        else:
            query = (
                "SELECT pid FROM pg_stat_activity WHERE query LIKE 'WITH head%' AND pid <> pg_backend_pid()"
            )
            with suppress(psycopg.Error, ProcessLookupError), self.connect() as connection:
                row = connection.execute(query).fetchone()
                if row is not None:
                    os.kill(row[0], signal.SIGKILL)

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection of an administrator."""
        return psycopg.connect(self.conninfo, autocommit=True)


@contextmanager
def server(name: str) -> Iterator[Server]:
    """A server with an empty, migrated log; it is gone afterwards."""
    data = pg.home() / name / "data"
    embedded.reset(data)
    with embedded.session(data) as conninfo:
        schema.upgrade(conninfo)
        found = Server(data)
        found.conninfo = conninfo
        log = PostgresLog(conninfo)
        log.ensure_partitions(DAY)
        log.close()
        yield found
    embedded.reset(data)


class Tally(Struct):
    """What one writer knows: every head it was told of, and how doubtful appends ended."""

    acknowledged: list[tuple[int, bytes]]
    events: int = 0
    stored: int = 0
    not_stored: int = 0
    away: int = 0
    failure: str = ""


class DoubtfulLog(PostgresLog):
    """Counts how each append with an unknown outcome was resolved."""

    def __init__(self, conninfo: str, tally: Tally) -> None:
        self._tally = tally
        super().__init__(conninfo, patience_s=START_SECONDS)

    def _was_committed(self, batch: Batch, deadline: float) -> bool:
        stored = super()._was_committed(batch, deadline)
        if stored:
            self._tally.stored += 1
        else:
            self._tally.not_stored += 1
        return stored


class Load:
    """Writers in threads, each with an account and a log of its own."""

    def __init__(self, conninfo: str, writers: int) -> None:
        self.accounts = [f"sim/load/{number}" for number in range(writers)]
        self.tallies = [Tally([]) for _ in self.accounts]
        self._conninfo = conninfo
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(account, tally))
            for account, tally in zip(self.accounts, self.tallies, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def events(self) -> int:
        """Acknowledged so far."""
        return sum(tally.events for tally in self.tallies)

    def finish(self) -> None:
        """Let every writer end after its present append."""
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _guarded(self, account: str, tally: Tally) -> None:
        try:
            self._write(account, tally)
        except Exception as failure:  # noqa: BLE001 - told in the report, where it makes the run fail.
            tally.failure = f"{account}: {type(failure).__name__}: {failure}"

    def _write(self, account: str, tally: Tally) -> None:
        log = DoubtfulLog(self._conninfo, tally)
        head = log.acquire(account, "load")
        while not self._ends.is_set():
            head = self._append(log, head, tally)
            tally.acknowledged.append((head.seq, head.chain))
            tally.events += STEPS * (1 + DECISIONS)
        log.close()

    def _append(self, log: PostgresLog, head: Head, tally: Tally) -> Head:
        first = head.seq + 1
        starts = range(first, first + STEPS * (1 + DECISIONS), 1 + DECISIONS)
        steps = [step(seq, DECISIONS, key=f"{seq}") for seq in starts]
        while True:
            try:
                return log.append(head, steps)
            except DatabaseAway:
                tally.away += 1


def kill_under_load(
    kills: int,
    events: int,
    *,
    name: str = "torture-load",
    seed: int = 1,
    told: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Kill the server `kills` times under load, at least `events` acknowledged in all; what was found."""
    random, struck = Random(seed), Counter[str]()
    with server(name) as found:
        load = Load(found.conninfo, WRITERS)
        for number in range(kills):
            _wait_for(load, events * (number + 1) // kills)
            time.sleep(random.uniform(0.0, 0.02))
            kind = KINDS[number % len(KINDS)]
            found.strike(kind)
            struck[kind] += 1
            found.start()
            if told is not None and number % 25 == 24:
                told(f"{number + 1} kills, {load.events} events acknowledged")
        _wait_for(load, events)
        load.finish()
        return {**_figures(load, struck), **_judged(found.conninfo, load)}


def _wait_for(load: Load, events: int) -> None:
    deadline = time.monotonic() + 120
    while load.events < events and time.monotonic() < deadline and not any(t.failure for t in load.tallies):
        time.sleep(0.002)


def _figures(load: Load, struck: "Counter[str]") -> dict[str, Any]:
    stored, not_stored = (sum(getattr(t, name) for t in load.tallies) for name in ("stored", "not_stored"))
    return {
        "server_kills": sum(struck.values()),
        "by_kind": dict(struck),
        "acknowledged": load.events,
        "unknown_commits": stored + not_stored,
        "resolved_stored": stored,
        "resolved_not_stored": not_stored,
        "away": sum(tally.away for tally in load.tallies),
    }


def _judged(conninfo: str, load: Load) -> dict[str, Any]:
    """Heads that were acknowledged and are not there; steps that are there twice or were never appended."""
    log, lost, failures = PostgresLog(conninfo), 0, [tally.failure for tally in load.tallies if tally.failure]
    for account, tally in zip(load.accounts, load.tallies, strict=True):
        links = {stored.envelope.seq: stored.chain for stored in log.read_stored(account)}
        lost += sum(links.get(seq) != chain for seq, chain in tally.acknowledged)
        if tally.acknowledged and len(links) != tally.acknowledged[-1][0]:
            failures.append(f"{account}: {len(links)} rows, {tally.acknowledged[-1][0]} were acknowledged")
        report = verify_chain(log, account)
        if not report.intact:
            failures.append(f"{account}: broken at {report.first_bad_seq}: {report.what}")
    log.close()
    return {"lost": lost, "failures": failures}
