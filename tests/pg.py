"""PostgreSQL for tests: one embedded server per major version and test run, a fresh database per use."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from eventlog import cluster, embedded, schema
from eventlog.processes import start_ticks

_numbers = count(1)
_exit = contextlib.ExitStack()
atexit.register(_exit.close)


@cache
def home() -> Path:
    """A directory for the servers of this process that their account can enter; gone at its end."""
    root = Path(tempfile.gettempdir()) / f"oms-tests-{os.geteuid()}"
    if os.geteuid() == 0:
        root = cluster.ROOT_HOME / "tests"
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    _sweep(root)
    mine = root / str(os.getpid())
    mine.mkdir(mode=0o755, exist_ok=True)
    # The first callback is the last to run: after every server has stopped.
    _exit.callback(shutil.rmtree, mine, ignore_errors=True)
    return mine


def _sweep(root: Path) -> None:
    """Remove what test runs left that were killed."""
    for old in root.iterdir():
        if old.name.isdecimal() and start_ticks(int(old.name)) is None:
            for data in old.glob("*/data"):
                with contextlib.suppress(Exception):
                    embedded.reset(data)
            shutil.rmtree(old, ignore_errors=True)


@cache
def server(major: int = 18) -> str:
    """The connection string of this process's server, started at the first use."""
    return _exit.enter_context(embedded.session(home() / str(major) / "data", major))


@contextlib.contextmanager
def database(major: int = 18) -> Iterator[str]:
    """Yield the connection string of a new database with the current schema; drop it afterwards."""
    with empty_database(major) as conninfo:
        schema.upgrade(conninfo)
        yield conninfo


@contextlib.contextmanager
def empty_database(major: int = 18) -> Iterator[str]:
    """Yield the connection string of a new database without any schema; drop it afterwards."""
    conninfo = server(major)
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield make_conninfo(conninfo, dbname=name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
