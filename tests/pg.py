"""PostgreSQL for tests: one embedded server per major version, a fresh database per use.

The servers of a checkout keep their files between test runs and run while any test run uses them, so that
a run costs a start, not a new cluster. A database is a copy of one that was migrated before.
"""

import atexit
import contextlib
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import count
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from eventlog import cluster, embedded, schema
from eventlog.processes import start_ticks
from tests.checkout import ROOT

SHAPING = (
    "migrations/**/*.py",
    "eventlog/views/**/*.sql",
    "eventlog/views/*.py",
    "eventlog/schema.py",
    "eventlog/cluster.py",
)
MAJOR = int(os.environ.get("OMS_TEST_POSTGRES", "18"))
"""The version on which everything runs that does not name one: 18 and 16 are supplied, others may be installed."""
MAJORS = (18, 16) if MAJOR == 18 else (MAJOR,)
"""The versions on which the contract of the log is tested."""
_numbers = count(1)
_exit = contextlib.ExitStack()
atexit.register(_exit.close)


def home() -> Path:
    """The directory of this checkout's test servers, which their account can enter."""
    root = cluster.ROOT_HOME if os.geteuid() == 0 else Path(tempfile.gettempdir()) / f"oms-{os.geteuid()}"
    return root / "tests" / sha256(os.fsencode(ROOT)).hexdigest()[:16]


@cache
def server(major: int = MAJOR) -> str:
    """The connection string of the server, started or joined at the first use."""
    conninfo = _exit.enter_context(embedded.session(home() / str(major) / "data", major))
    with psycopg.connect(conninfo, autocommit=True) as connection:
        _hurry(connection)
        _sweep(connection)
    return conninfo


@contextlib.contextmanager
def durable_database() -> Iterator[str]:
    """Yield the connection string of a new database on a server of its own that waits for the disk, as live."""
    with embedded.session(home() / f"durable{MAJOR}" / "data", MAJOR) as conninfo:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            _sweep(connection)
            _run(connection, f"CREATE DATABASE {name}")
            try:
                found = make_conninfo(conninfo, dbname=name)
                schema.upgrade(found)
                yield found
            finally:
                _run(connection, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def database(major: int = MAJOR) -> Iterator[str]:
    """Yield the connection string of a new database with the current schema; drop it afterwards."""
    with _database(major, _migrated(major)) as conninfo:
        yield conninfo


@contextlib.contextmanager
def copy_of(conninfo: str, major: int = MAJOR) -> Iterator[str]:
    """Yield the connection string of a copy of a database to which nobody is connected; drop it afterwards."""
    with _database(major, psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]) as found:
        yield found


@contextlib.contextmanager
def empty_database(major: int = MAJOR) -> Iterator[str]:
    """Yield the connection string of a new database without any schema; drop it afterwards."""
    with _database(major, "template1") as conninfo:
        yield conninfo


@contextlib.contextmanager
def _database(major: int, template: object) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server(major), autocommit=True) as connection:
        _run(connection, f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield make_conninfo(server(major), dbname=name)
        finally:
            _run(connection, f"DROP DATABASE {name} WITH (FORCE)")


@cache
def _migrated(major: int) -> str:
    """The name of a database with the current schema, made once for each state of the migrations."""
    digest = sha256()
    for path in sorted(path for pattern in SHAPING for path in ROOT.glob(pattern)):
        digest.update(path.read_bytes())
    name, building = f"migrated_{digest.hexdigest()[:16]}", f"test_{os.getpid()}_migrated"
    with psycopg.connect(server(major), autocommit=True) as connection:
        if name not in _databases(connection):
            _run(connection, f"CREATE DATABASE {building}")
            schema.upgrade(make_conninfo(server(major), dbname=building))
            # Another worker may have been quicker, or is at it this moment; what remains of ours is swept later.
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                _run(connection, f"ALTER DATABASE {building} RENAME TO {name}")
    return name


def _databases(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT datname FROM pg_database ORDER BY oid").fetchall()]


def _hurry(connection: psycopg.Connection) -> None:
    """Let this server trust the operating system: no test pulls the plug, and a killed server loses nothing."""
    for name in ("fsync", "full_page_writes"):
        _run(connection, f"ALTER SYSTEM SET {name} = off")
    _run(connection, "SELECT pg_reload_conf()")


def _sweep(connection: psycopg.Connection) -> None:
    """Drop what killed test runs left, and all but the newest migrated databases."""
    names = _databases(connection)
    old = [
        name for name in names if name.startswith("test_") and start_ticks(int(name.split("_")[1])) is None
    ]
    old += [name for name in names if name.startswith("migrated_")][:-3]
    for name in old:
        _run(connection, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _run(connection: psycopg.Connection, statement: str) -> None:
    connection.execute(statement.encode())
