"""One fault of PostgreSQL at a time, on a real server: how the log answers, and that the log ends right.

Each scenario ends with its rows read again: once each, in order, chain intact. It returns in words what happened;
an AssertionError tells what should have.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from msgspec.structs import replace

from eventlog import embedded
from eventlog.batch import Batch
from eventlog.envelope import Head, StepRecord
from eventlog.errors import DatabaseAway, Fenced, LeaseHeld, LogError, MissingPartition
from eventlog.postgres import PostgresLog
from eventlog.verify import verify_chain
from tests.contract.proxy import Cut, Proxy
from tests.contract.steps import step
from tests.torture import campaign, case
from tests.torture.day import DAY
from tests.torture.servers import KINDS, Server, server

Scenario = Callable[[Server], str]
CUTS: Final[tuple[Cut, ...]] = ("before the statement", "after the statement", "before the answer")
ROUNDS: Final = 20
FULL_MEGABYTES: Final = 200
OWNER: Final = "faults"


def day_under_kills(kills: int, pool: Executor, name: str = "torture-day") -> str:
    """A whole trading day with one writer process, while its server is killed again and again under it."""
    with server(name) as found:
        day = pool.submit(case.run, found.conninfo, "sim/sim/day", ())
        struck = 0
        log = PostgresLog(found.conninfo, patience_s=30)
        while not day.done() and struck < kills:
            time.sleep(0.1)
            head = log.head("sim/sim/day")
            # A writer tells of a wrong address at once; patience is for a server that it has met.
            if head is not None and head.seq and head.trading_day == DAY:
                found.strike(KINDS[struck % 2])
                struck += 1
                found.start()
        log.close()
        troubles = list(campaign.troubles([day.result()]))
    if troubles:
        return f"FAILED: after {struck} kills: {troubles}"
    return f"{struck} kills in the day, nothing lost, doubled or open"


def run(found: Server, only: str | None = None) -> dict[str, str]:
    """All scenarios, or one: what happened in each. One that went wrong begins with FAILED."""
    results: dict[str, str] = {}
    for scenario in SCENARIOS:
        name = scenario.__name__
        if only in (None, name):
            try:
                results[name] = scenario(found)
            except (AssertionError, pytest.fail.Exception, LogError, psycopg.Error, OSError) as problem:
                results[name] = f"FAILED: {type(problem).__name__}: {problem}"
    return results


def cut_lines(found: Server) -> str:
    """The line breaks before the statement, while it runs, or between COMMIT and its answer."""
    with tempfile.TemporaryDirectory() as place, _log(found) as direct:
        proxy = Proxy(found.conninfo, Path(place))
        log = PostgresLog(proxy.conninfo)
        head = _two_steps(log, log.acquire("sim/fault/cuts", OWNER))
        for number in range(ROUNDS * len(CUTS)):
            proxy.cut(CUTS[number % len(CUTS)])
            head = log.append(head, [_step(head)])
            assert proxy.was_cut.wait(30), "the line was cut"
        log.close()
        proxy.close()
        _ends_with(direct, head)
        return f"{proxy.cuts} cuts, each step stored once"


def serialization_failure(found: Server) -> str:
    """The session's default isolation is stricter than ours, and another transaction changed the head's row."""
    with _log(found) as log, found.connect() as other:
        head = _two_steps(log, log.acquire("sim/fault/serial", OWNER))
        log._connection.execute("SET default_transaction_isolation = 'repeatable read'")
        with other.transaction():
            other.execute("UPDATE oms.account_head SET seq = seq WHERE account = %s", (head.account,))
            waiting = _in_thread(lambda: log.append(head, [_step(head)]))
            _until_blocked(found, 1)
        _ends_with(log, waiting())
        assert log.met == ["40001"], log.met
        return "the append met 40001 and was run again"


def deadlines(found: Server) -> str:
    """Somebody holds the head: lock timeout, then a cancelled statement; afterwards the same steps are stored."""
    with _log(found) as log, found.connect() as other, found.connect() as killer:
        head = _two_steps(log, log.acquire("sim/fault/locks", OWNER))
        log._connection.execute("SET lock_timeout = '50ms'")
        with other.transaction():
            other.execute("SELECT 1 FROM oms.account_head WHERE account = %s FOR UPDATE", (head.account,))
            _refused(DatabaseAway, lambda: log.append(head, [_step(head)]), "55P03")
            log._connection.execute("SET lock_timeout = 0")
            waiting = _in_thread(lambda: log.append(head, [_step(head)]))
            _until_blocked(found, 1)
            killer.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )
            _until_blocked(found, 1)
        _ends_with(log, waiting())
        assert log.met == ["55P03"] * 3 + ["57014"], log.met
        return "55P03 told after three attempts, 57014 run again, stored once"


def too_many_connections(found: Server) -> str:
    """The writer loses its session, and others took every place."""
    with _log(found) as log:
        head = _two_steps(log, log.acquire("sim/fault/crowd", OWNER))
        pid = log._connection.info.backend_pid
        crowd: list[psycopg.Connection[Any]] = []
        try:
            with suppress(psycopg.OperationalError):
                while True:
                    crowd.append(found.connect())
            crowd[0].execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
            with suppress(psycopg.OperationalError):
                while True:
                    crowd.append(found.connect())
            waiting = _in_thread(lambda: log.append(head, [_step(head)]))
            time.sleep(0.3)
        finally:
            for one in crowd:
                one.close()
        _ends_with(log, waiting())
        assert log.met[:1] in (["57P01"], [None]), log.met
        return f"{len(crowd)} others, refused with 53300 until they left"


def missing_partition(found: Server) -> str:
    """A day without room is refused whole; made room for, the same steps are stored."""
    day = date(2031, 7, 1)
    with _log(found) as log:
        head = _two_steps(log, log.acquire("sim/fault/months", OWNER))
        steps = [_step(head, day=day)]
        _refused(MissingPartition, lambda: log.append(head, steps), "")
        _ends_with(log, head)
        log.ensure_partitions(day)
        _ends_with(log, log.append(head, steps))
        return "refused as MissingPartition, stored after ensure_partitions"


def clock_steps(found: Server) -> str:
    """The database's clock jumps a day on, and back: it costs the lease or the waiting, never the log."""
    with _log(found) as log, _log(found) as other, found.connect() as admin:
        account = "sim/fault/clock"
        head = _two_steps(log, log.acquire(account, OWNER))
        move = "UPDATE oms.account_lease SET expires_at = expires_at + %s::interval WHERE account = %s"
        admin.execute(move, ("-1 day", account))
        taken = other.acquire(account, "another")
        _refused(Fenced, lambda: log.append(head, [_step(head)]), "")
        _refused(Fenced, lambda: log.renew(head), "")
        taken = other.append(taken, [_step(taken)])
        admin.execute(move, ("1 day", account))
        _refused(LeaseHeld, lambda: log.acquire(account, OWNER), "")
        _ends_with(log, other.append(taken, [_step(taken)]))
        return "on: another took over, the old writer was fenced; back: only its owner may go on"


def restart_into_recovery(found: Server) -> str:
    """A writer that comes while the server replays its log waits for it."""
    with _log(found) as log:
        head = log.acquire("sim/fault/recovery", OWNER)
        for _ in range(300):
            head = log.append(head, [_step(head)])
        found.strike("kill -9")
        starting = _in_thread(found.start)
        # Children outlive their postmaster for a moment, and may store one more step.
        while not log.met:
            head = log.append(head, [_step(head)])
        starting()
        _ends_with(log, head)
        return "the append waited for the end of recovery and was stored once"


def standby(found: Server) -> str:
    """The address leads to a read-only standby, which is then promoted without the newest rows."""
    data = _beside(found, "standby") / "data"
    with _log(found) as log:
        head = _two_steps(log, log.acquire("sim/fault/standby", OWNER))
        _copy(found, data)
        ahead = log.append(head, [_step(head)])
        with embedded.session(data) as conninfo:
            late = PostgresLog(conninfo, patience_s=0.2)
            _refused(DatabaseAway, lambda: late.append(head, [_step(head)]), "25006")
            _refused(DatabaseAway, lambda: late.acquire(head.account, OWNER), "25006")
            _ends_with(late, head)
            late._connection.execute("SELECT pg_promote()")
            _refused(Fenced, lambda: late.append(ahead, [_step(ahead)]), "")
            late.close()
        embedded.reset(data)
        _ends_with(log, ahead)
        return "read-only: told as away; promoted without the tail: the writer is fenced"


def disk_full(found: Server) -> str:
    """A server on a small file system runs out of room, and gets it back."""
    if os.geteuid() != 0:
        return "left out: only root may mount a small file system"
    place = _beside(found, "full")
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    size = f"size={FULL_MEGABYTES}m,mode=755"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=False).returncode:
        return "left out: nothing may be mounted here"
    try:
        return _fill(place)
    finally:
        embedded.stop(place / "data")
        subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path) -> str:
    from eventlog import schema
    from tests.contract.steps import DAY

    with embedded.session(place / "data") as conninfo:
        schema.upgrade(conninfo)
        log = PostgresLog(conninfo, patience_s=0.5)
        log.ensure_partitions(DAY)
        head = _two_steps(log, log.acquire("sim/fault/full", OWNER))
        ballast = place / "ballast"
        _fill_up(ballast)
        stored, refused = 0, ""
        while not refused and stored < 100_000:
            steps = [_step(head, body='{"n": "' + "x" * 8000 + '"}')]
            try:
                head = log.append(head, steps)
                stored += 1
            except DatabaseAway as away:
                refused = str(away)
        assert refused, "the disk was full at some time"
        ballast.unlink()
        with embedded.session(place / "data"):  # Starts it again, had it to give up.
            patient = PostgresLog(conninfo, patience_s=30)
            head = patient.append(head, steps)
            _ends_with(patient, head)
            patient.close()
        log.close()
    return f"told as away after {stored} more steps ({refused[:60]}...), stored once there was room"


def _beside(found: Server, suffix: str) -> Path:
    """A place for another server, named after this one."""
    own = found.cluster.data.parent
    return own.with_name(f"{own.name}-{suffix}")


def _fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


SCENARIOS: Final[tuple[Scenario, ...]] = (
    cut_lines,
    serialization_failure,
    deadlines,
    too_many_connections,
    missing_partition,
    clock_steps,
    restart_into_recovery,
    standby,
    disk_full,
)


class Listening(PostgresLog):
    """Remembers the SQLSTATE of every append that failed; None for a line that broke."""

    def __init__(self, conninfo: str) -> None:
        self.met: list[str | None] = []
        super().__init__(conninfo, patience_s=30)

    def _store(self, batch: Batch) -> bool:
        try:
            return super()._store(batch)
        except psycopg.Error as error:
            self.met.append(error.sqlstate)
            raise


@contextmanager
def _log(found: Server) -> Iterator[Listening]:
    log = Listening(found.conninfo)
    try:
        yield log
    finally:
        log.close()


def _step(head: Head, *, day: date | None = None, body: str | None = None) -> StepRecord:
    one = step(head.seq + 1, 1, key=str(head.seq + 1))
    first, second = one.events
    if day is not None:
        first, second = replace(first, trading_day=day), replace(second, trading_day=day)
    return replace(one, events=(replace(first, body=body or first.body), second))


def _two_steps(log: PostgresLog, head: Head) -> Head:
    """Two appends, so that the statement is prepared."""
    return log.append(log.append(head, [_step(head)]), [_step(replace(head, seq=head.seq + 2))])


def _ends_with(log: PostgresLog, head: Head) -> None:
    """The log is what this head says: rows 1..seq once each, chain intact, the head itself."""
    assert log.head(head.account) == head, f"{log.head(head.account)} is not {head}"
    rows = [row.seq for row in log.read(head.account)]
    assert rows == list(range(1, head.seq + 1)), "rows are contiguous"
    assert verify_chain(log, head.account).intact, "the chain is intact"


def _refused(kind: type[LogError], work: Callable[[], object], words: str) -> None:
    with pytest.raises(kind, match=words or None):
        work()


def _in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Begin the work beside; the returned function waits for it and returns its result, or raises its error."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for.
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()

    def result() -> Any:
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    return result


def _until_blocked(found: Server, count: int) -> None:
    """Return when so many sessions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with found.connect() as watcher:
        for _ in range(3000):
            if watcher.execute(query).fetchone() == (count,):
                return
            time.sleep(0.005)
    raise AssertionError(f"there were never {count} waiting sessions")


def _copy(found: Server, data: Path) -> None:
    """A standby that has everything up to now and nothing later: the files of the server while it rests."""
    embedded.reset(data)
    embedded.stop(found.cluster.data)
    data.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(found.cluster.data, data, dirs_exist_ok=True, symlinks=True)
    (data / "standby.signal").touch()
    for path in (data, *data.rglob("*")):
        os.chown(path, found.cluster.account.uid, found.cluster.account.gid, follow_symlinks=False)
    found.start()
