"""The embedded database: real PostgreSQL that starts with the first session and stops with the last.

Many processes may use one data directory. A lock file beside it serialises start and stop; who still uses
the server is read from the server itself, so a killed client leaves nothing to clean up: its server is
adopted by the next session. Only the unix socket listens.
"""

import contextlib
import fcntl
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from msgspec import Struct
from psycopg.conninfo import make_conninfo

from eventlog import cluster as places
from eventlog.cluster import Cluster
from eventlog.errors import StartFailed
from eventlog.processes import command_of, start_ticks, started_at

DATABASE = "oms"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
RETRY_DEAD_S = 10.0
POLL_S = 0.02
LOG_LIMIT_BYTES = 10_000_000
CLOCK_TOLERANCE_S = 3.0
SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "log_checkpoints": "off",
    "logging_collector": "off",
}
_STALE_LOCK = re.compile(r"lock file .* already exists|pre-existing shared memory block")
_PROBE = "oms-probe"
"""Names connections that only look. Such a one lives on in the server a little after it was closed here."""
_numbers = itertools.count(1)


class Status(Struct, frozen=True):
    """What is known about an embedded server. `age_s` and `sessions` are None when it does not run."""

    data_dir: str
    socket: str
    version: str | None
    pid: int | None = None
    age_s: float | None = None
    sessions: int | None = None


@contextlib.contextmanager
def session(
    data_dir: Path | str | None = None, major: int = 18, *, start_timeout_s: float = START_TIMEOUT_S
) -> Iterator[str]:
    """Start or join the server of `data_dir` and yield a connection string; the last one out stops it.

    Close your connections before leaving: those still open with the yielded string are cut.
    """
    cluster = places.prepare_places(places.locate(data_dir, major))
    name = f"oms-{os.getpid()}-{next(_numbers)}"
    with _terminate_as_exit():
        with _locked(cluster, start_timeout_s):
            _ensure_running(cluster, start_timeout_s)
            keeper = _connect(cluster, application_name=name)
            _ensure_database(keeper)
        try:
            yield _conninfo(cluster, dbname=DATABASE, application_name=name)
        finally:
            _leave(cluster, keeper, name)


def status(data_dir: Path | str | None = None, major: int = 18) -> Status:
    """Look at the server without starting or changing anything."""
    return _status(places.locate(data_dir, major))


def stop(data_dir: Path | str | None = None, major: int = 18) -> Status:
    """Stop the server, whoever uses it; return what ran before."""
    cluster = places.locate(data_dir, major)
    before = _status(cluster)
    if cluster.data.exists():
        with _locked(cluster, STOP_TIMEOUT_S):
            before = _status(cluster)
            _stop(cluster)
    return before


def reset(data_dir: Path | str | None = None, major: int = 18) -> Status:
    """Stop the server and delete its data for ever; return what was there."""
    before = stop(data_dir, major)
    cluster = places.locate(data_dir, major)
    if cluster.data.exists():
        with _locked(cluster, STOP_TIMEOUT_S):
            _stop(cluster)
            if any(cluster.data.iterdir()) and not (cluster.data / "PG_VERSION").exists():
                raise StartFailed(
                    f"{cluster.data} holds other files than a PostgreSQL cluster; nothing is deleted"
                )
            for path in (cluster.data, cluster.beside(".new"), cluster.socket_dir):
                shutil.rmtree(path, ignore_errors=path != cluster.data)
            cluster.beside(".log").unlink(missing_ok=True)
    return before


@contextlib.contextmanager
def _terminate_as_exit() -> Iterator[None]:
    """Let SIGTERM leave the session in an orderly way, unless the program has its own plan for it."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _locked(cluster: Cluster, timeout_s: float) -> Iterator[None]:
    path = cluster.beside(".lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartFailed(f"cannot open the lock file {path}: {error.strerror}") from error
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartFailed(f"another process has held {path} for {timeout_s:.0f} s") from None
                time.sleep(POLL_S)
        yield
    finally:
        os.close(handle)


def _conninfo(cluster: Cluster, **more: str) -> str:
    return make_conninfo(
        host=str(cluster.socket_dir), port=5432, user=cluster.user, connect_timeout=10, **more
    )


def _connect(cluster: Cluster, **more: str) -> psycopg.Connection:
    return psycopg.connect(_conninfo(cluster, dbname="postgres", **more), autocommit=True)


def _ensure_database(connection: psycopg.Connection) -> None:
    found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
    if found is None:
        connection.execute(f"create database {DATABASE}")


def _answering_pid(cluster: Cluster) -> int | None:
    """The pid of the postmaster behind the socket, told by the kernel, once it answers a query."""
    try:
        with _connect(cluster, application_name=_PROBE) as connection:
            connection.execute("select 1")
            return _peer_pid(connection) or _recorded(cluster)[0]
    except psycopg.OperationalError:
        return None


def _peer_pid(connection: psycopg.Connection) -> int | None:
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(fileno=os.dup(connection.fileno())) as peer:
        return (
            int.from_bytes(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], "little") or None
        )


def _recorded(cluster: Cluster) -> tuple[int | None, float]:
    """(pid, start as seconds since 1970) as PostgreSQL wrote them; (None, 0) without a pid file."""
    try:
        lines = (cluster.data / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), float(lines[2])
    except (OSError, ValueError, IndexError):
        return None, 0.0


def _living_postmaster(cluster: Cluster) -> int | None:
    """The recorded pid if that very process still runs, answering or not. A zombie is dead."""
    pid, recorded = _recorded(cluster)
    if pid is None:
        return None
    started = started_at(pid)
    return pid if started and abs(started - recorded) < CLOCK_TOLERANCE_S else None


def _ensure_running(cluster: Cluster, timeout_s: float) -> None:
    if not places.is_initialised(cluster):
        places.initialise(cluster, places.programs_dir(cluster))
    if _answering_pid(cluster) is not None:
        return
    deadline = time.monotonic() + timeout_s
    if not _joined(cluster, deadline, timeout_s):
        _start(cluster, deadline, timeout_s)


def _joined(cluster: Cluster, deadline: float, timeout_s: float) -> bool:
    """Wait while a server of this cluster lives until it answers; False if there is none (any more)."""
    while _living_postmaster(cluster) is not None:
        # It recovers, starts or shuts down; its starter may have been killed or have given up meanwhile.
        if _answering_pid(cluster) is not None:
            return True
        _fail_after(cluster, deadline, timeout_s)
        time.sleep(POLL_S)
    return False


def _start(cluster: Cluster, deadline: float, timeout_s: float) -> None:
    places.prepare_socket_dir(cluster)
    places.add_access_rules(cluster.data, cluster.user)
    retry_until = time.monotonic() + RETRY_DEAD_S
    while True:
        offset = _trim_log(cluster)
        process = _launch(cluster)
        # Reap the server when it ends while we live, or nobody could start it again.
        threading.Thread(target=process.wait, daemon=True).start()
        while process.poll() is None:
            if _answering_pid(cluster) == process.pid:
                return
            _fail_after(cluster, deadline, timeout_s)
            time.sleep(POLL_S)
        if _joined(cluster, deadline, timeout_s):
            return
        tail = _log_tail(cluster, offset)
        holder = _recorded(cluster)[0]
        if not _STALE_LOCK.search(tail) or time.monotonic() > retry_until:
            raise StartFailed(f"PostgreSQL did not start in {cluster.data}. The end of its log:\n{tail}")
        if holder is not None and start_ticks(holder) is not None and _living_postmaster(cluster) is None:
            raise StartFailed(
                f"process {holder} ({command_of(holder)}) is not this cluster's server but has the number that "
                f"{cluster.data}/postmaster.pid names; end it, or remove that file if you are sure"
            )
        # The dead server is not reaped yet, or its last children still hold its memory.
        time.sleep(0.25)


def _launch(cluster: Cluster) -> subprocess.Popen[bytes]:
    command = [
        str(places.programs_dir(cluster) / "postgres"),
        "-D",
        str(cluster.data),
        "-k",
        str(cluster.socket_dir),
    ]
    command += [f"--{name}={value}" for name, value in SETTINGS.items()]
    with cluster.beside(".log").open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=places.environment(),
            start_new_session=True, umask=0o077, **places.identity(cluster.account),
        )  # fmt: skip


def _fail_after(cluster: Cluster, deadline: float, timeout_s: float) -> None:
    if time.monotonic() > deadline:
        raise StartFailed(
            f"PostgreSQL did not answer within {timeout_s:.0f} s in {cluster.data}; a long recovery needs a longer "
            f"start timeout. The end of its log:\n{_log_tail(cluster, 0)}"
        )


def _trim_log(cluster: Cluster) -> int:
    """Keep the log bounded; return where this start's lines begin."""
    log = cluster.beside(".log")
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_LIMIT_BYTES:
        os.replace(log, cluster.beside(".log.old"))
        return 0
    return size


def _log_tail(cluster: Cluster, offset: int) -> str:
    try:
        text = cluster.beside(".log").read_bytes()[offset:].decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-20:])


def _leave(cluster: Cluster, keeper: psycopg.Connection, name: str) -> None:
    with _locked(cluster, STOP_TIMEOUT_S):
        try:
            others = _count_sessions(keeper, name)
        except psycopg.Error:
            others = None  # The server is gone already.
        keeper.close()
        if others == 0:
            _stop(cluster)


def _count_sessions(connection: psycopg.Connection, name: str) -> int:
    query = """select count(*) from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> all(%s)"""
    row = connection.execute(query, ([name, _PROBE],)).fetchone()
    return int(row[0]) if row else 0


def _stop(cluster: Cluster) -> None:
    pid = _answering_pid(cluster) or _living_postmaster(cluster)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)  # PostgreSQL's fast shutdown: roll back, checkpoint, leave.
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while start_ticks(pid) is not None:
        if time.monotonic() > deadline:
            raise StartFailed(
                f"PostgreSQL (pid {pid}) in {cluster.data} did not stop within {STOP_TIMEOUT_S:.0f} s"
            )
        time.sleep(POLL_S)


def _status(cluster: Cluster) -> Status:
    try:
        major: str | None = (cluster.data / "PG_VERSION").read_text().strip()
    except OSError:
        major = None
    idle = Status(str(cluster.data), str(cluster.socket_dir), major)
    if major is None:
        return idle
    try:
        with _connect(cluster, application_name=_PROBE) as connection:
            row = connection.execute(
                "select current_setting('server_version'), extract(epoch from now() - pg_postmaster_start_time())"
            ).fetchone()
            pid = _peer_pid(connection) or _recorded(cluster)[0]
            sessions = _count_sessions(connection, "")
    except psycopg.OperationalError:
        return idle
    version, age = row or (major, 0)
    return Status(idle.data_dir, idle.socket, str(version), pid, float(age), sessions)
