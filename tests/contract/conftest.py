"""The stores that have to keep the contract of the event log."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from eventlog.postgres import PostgresLog
from tests import pg
from tests.contract.steps import DAY

_numbers = itertools.count(1)
Open = Callable[..., EventLog]


@pytest.fixture(scope="module", params=["memory", *(f"postgres{major}" for major in pg.MAJORS)])
def store(request: pytest.FixtureRequest) -> Iterator[str | MemoryLog]:
    """One store per kind and module: a log in memory, or the connection string of a fresh database."""
    if request.param == "memory":
        yield MemoryLog()
        return
    with pg.database(int(request.param.removeprefix("postgres"))) as conninfo:
        yield conninfo


@pytest.fixture(scope="module", params=pg.MAJORS)
def conninfo(request: pytest.FixtureRequest) -> Iterator[str]:
    """The connection string of a fresh database, for what only a server can show."""
    with pg.database(request.param) as conninfo:
        yield conninfo


@pytest.fixture
def direct(conninfo: str) -> Iterator[PostgresLog]:
    """A log on the fresh database whose line nobody cuts."""
    log = PostgresLog(conninfo)
    log.ensure_partitions(DAY)
    yield log
    log.close()


@pytest.fixture
def opened(store: str | MemoryLog) -> Iterator[Open]:
    """Open one more log on the store, closed at the end of the test."""
    logs: list[PostgresLog] = []

    def open_log(lease_ttl_s: float = 10.0) -> EventLog:
        if isinstance(store, MemoryLog):
            store._lease_ttl_s = lease_ttl_s
            return store
        logs.append(PostgresLog(store, lease_ttl_s=lease_ttl_s))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


@pytest.fixture
def tmp_socket() -> Iterator[Path]:
    """A folder whose name is short enough for a socket; pytest's own would be too long."""
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


@pytest.fixture
def log(opened: Open) -> EventLog:
    """A log with room for the days of the test steps."""
    log = opened()
    log.ensure_partitions(DAY)
    return log


@pytest.fixture
def account() -> str:
    """An account that no other test uses."""
    return f"sim/test/{next(_numbers)}"
