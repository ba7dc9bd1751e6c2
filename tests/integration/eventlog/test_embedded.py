"""The embedded server: many processes, killed clients, killed servers, and places that cannot be used."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from eventlog import cluster, embedded
from eventlog.embedded import session, status
from eventlog.errors import StartFailed
from eventlog.processes import start_ticks
from tests import pg
from tests.checkout import ROOT

CLIENT = """
import sys
from eventlog.embedded import session
with session(sys.argv[1]) as conninfo:
    print("in", flush=True)
    sys.stdin.readline()
"""
_numbers = count(1)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory for the clusters of this module."""
    path = pg.home() / f"embedded-{os.getpid()}"
    path.mkdir(parents=True)
    yield path
    for data in path.glob("*/data"):
        embedded.stop(data)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def original(place: Path) -> Path:
    """A new cluster, stopped."""
    data = place / "original" / "data"
    with session(data):
        assert status(data).pid is not None
    return data


@pytest.fixture
def data(original: Path, place: Path) -> Iterator[Path]:
    """A stopped cluster of this test's own."""
    data = place / str(next(_numbers)) / "data"
    data.parent.mkdir()
    subprocess.run(["cp", "-a", str(original), str(data)], check=True)
    yield data
    if data.exists() and data.stat().st_mode & 0o777 == 0o700:
        embedded.stop(data)


@pytest.fixture
def clients(data: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to be started by `join`, ended with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for client in started:
        client.kill()
        client.communicate()


def join(clients: list[subprocess.Popen[str]], data: Path, number: int = 1) -> list[subprocess.Popen[str]]:
    """Start so many processes at once and return them when all are in a session."""
    command = [sys.executable, "-c", CLIENT, str(data)]
    new = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    clients += new
    for client in new:
        assert client.stdout is not None
        assert client.stdout.readline() == "in\n"
    return new


def leave(client: subprocess.Popen[str]) -> None:
    client.communicate("done\n", timeout=120)
    assert client.returncode == 0


def server_pid(data: Path) -> int:
    pid = status(data).pid
    assert pid is not None
    return pid


def note(conninfo: str, text: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", (text,))


def notes(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY 1").fetchall()]


def wait_until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_death(pid: int) -> None:
    wait_until(lambda: start_ticks(pid) is None)


def account() -> cluster.Account:
    return cluster.locate(None, 18).account


# Life


def test_server_is_durable_private_and_in_utc(data: Path) -> None:
    expected = {
        "listen_addresses": "", "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
        "data_checksums": "on", "TimeZone": "UTC", "server_encoding": "UTF8",
    }  # fmt: skip
    with session(data) as conninfo, psycopg.connect(conninfo) as connection:
        for name, value in expected.items():
            assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
        assert connection.execute("SELECT 'É' = lower('é') COLLATE \"default\", upper('é')").fetchone() == (
            False,
            "É",
        )
    assert (data.parent / "data.socket").stat().st_mode & 0o777 == 0o700
    assert data.stat().st_mode & 0o777 == 0o700


def test_looking_at_a_server_does_not_keep_it(data: Path) -> None:
    with session(data) as conninfo:
        # What has only looked may live on in the server for a moment; here it does for good.
        looking = psycopg.connect(conninfo, application_name="oms-probe")
        assert status(data).sessions == 1
    assert status(data).pid is None
    looking.close()


def test_sessions_of_one_process_share_the_server(data: Path) -> None:
    with session(data) as outer:
        first = server_pid(data)
        with session(data) as inner:
            assert server_pid(data) == first
            note(inner, "inner")
        assert server_pid(data) == first
        assert notes(outer) == ["inner"]
    assert status(data).pid is None


def test_many_processes_share_one_server_until_the_last_leaves(
    data: Path, clients: list[subprocess.Popen[str]]
) -> None:
    join(clients, data, 4)
    pid = server_pid(data)
    assert status(data).sessions == 4
    for client in clients:
        assert server_pid(data) == pid
        leave(client)
    assert status(data).pid is None
    assert start_ticks(pid) is None


def test_connection_left_open_does_not_keep_the_server(data: Path) -> None:
    with session(data) as conninfo:
        connection = psycopg.connect(conninfo)
        pid = server_pid(data)
    assert start_ticks(pid) is None
    connection.close()


def test_killed_client_leaves_a_server_that_the_next_adopts(
    data: Path, clients: list[subprocess.Popen[str]]
) -> None:
    client = join(clients, data)[0]
    pid = server_pid(data)
    client.kill()
    client.wait()
    assert server_pid(data) == pid
    with session(data) as conninfo:
        assert server_pid(data) == pid
        note(conninfo, "adopted")
    assert status(data).pid is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_terminated_client_stops_the_server(
    data: Path, clients: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    client = join(clients, data)[0]
    pid = server_pid(data)
    client.send_signal(number)
    client.communicate(timeout=120)
    assert client.returncode != 0
    assert start_ticks(pid) is None


def test_killed_server_is_started_again_with_its_data(
    data: Path, clients: list[subprocess.Popen[str]]
) -> None:
    starter = join(clients, data)[0]
    for text in ("first", "second"):
        with session(data) as conninfo:
            note(conninfo, text)
            pid = server_pid(data)
            os.kill(pid, signal.SIGKILL)
            with session(data) as again:
                assert server_pid(data) != pid
                assert text in notes(again)
    leave(starter)
    with session(data) as conninfo:
        assert notes(conninfo) == ["first", "second"]


def test_stale_pid_file_is_left_to_the_server(data: Path) -> None:
    file = data / "postmaster.pid"
    file.write_text(f"4194305\n{data}\n1700000000\n5432\n{data}.socket\n\n")
    os.chown(file, account().uid, account().gid)
    with session(data):
        assert server_pid(data) != 4194305


def test_foreign_process_under_the_recorded_pid_is_named(data: Path) -> None:
    foreign = subprocess.Popen(["sleep", "600"], **cluster.identity(account()))
    try:
        file = data / "postmaster.pid"
        text = f"{foreign.pid}\n{data}\n1700000000\n5432\n{data}.socket\n\n"
        file.write_text(text)
        os.chown(file, account().uid, account().gid)
        with pytest.raises(StartFailed, match=rf"process {foreign.pid} \(sleep 600\)"), session(data):
            pass
        assert file.read_text() == text
        assert foreign.poll() is None
        file.unlink()
    finally:
        foreign.kill()
        foreign.wait()


# Places


def test_path_too_long_for_a_socket_still_works(original: Path, place: Path) -> None:
    data = place / ("x" * 120) / "data"
    data.parent.mkdir()
    subprocess.run(["cp", "-a", str(original), str(data)], check=True)
    with session(data) as conninfo:
        note(conninfo, "far")
        assert len(status(data).socket) < 107
    embedded.reset(data)


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o701])
def test_open_data_directory_is_refused_and_not_changed(data: Path, mode: int) -> None:
    data.chmod(mode)
    with pytest.raises(StartFailed, match=f"chmod 0700 {data}"), session(data):
        pass
    assert data.stat().st_mode & 0o777 == mode
    data.chmod(0o700)


def test_foreign_files_are_refused_and_not_changed(place: Path) -> None:
    data = place / "foreign" / "data"
    data.mkdir(parents=True, mode=0o700)
    os.chown(data, account().uid, account().gid)
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(StartFailed, match="holds other files"), session(data):
        pass
    with pytest.raises(StartFailed, match="nothing is deleted"):
        embedded.reset(data)
    assert (data / "thesis.txt").read_text() == "years of work"


def test_directory_of_somebody_else_is_refused(place: Path) -> None:
    data = Path("/etc")
    if os.geteuid() == 0:
        data = place / "somebody" / "data"
        data.mkdir(parents=True, mode=0o700)
    with pytest.raises(StartFailed, match=r"belongs to user id 0|cannot open the lock file"), session(data):
        pass


def test_closed_parent_is_refused_and_not_opened(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir()
    closed.chmod(0o700 if os.geteuid() == 0 else 0o500)
    with pytest.raises(StartFailed, match=str(closed)), session(closed / "data"):
        pass
    assert closed.stat().st_mode & 0o077 == 0
    assert list(closed.iterdir()) == []
    closed.chmod(0o700)


def test_other_major_version_is_refused(data: Path) -> None:
    with pytest.raises(StartFailed, match="made by PostgreSQL 18, this program starts 16"), session(data, 16):
        pass
    with pytest.raises(StartFailed, match="PostgreSQL 17 is not supplied"), session(data, 17):
        pass


def test_failed_start_quotes_the_log(data: Path) -> None:
    with (data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with (
        pytest.raises(StartFailed, match='unrecognized configuration parameter "no_such_setting"'),
        session(data),
    ):
        pass


def test_slow_start_is_given_up_and_can_be_joined_later(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits before its first act, so that however slow this process is, it cannot have answered."""
    programs = cluster.programs_dir(cluster.locate(data, 18))
    slow = data.with_name("slow")
    slow.mkdir(mode=0o755)
    (slow / "postgres").write_text(f'#!/bin/sh\nkill -STOP $$\nexec "{programs}/postgres" "$@"\n')
    (slow / "postgres").chmod(0o755)
    launch, launched = embedded._launch, []

    def launch_slowly(place: cluster.Cluster) -> subprocess.Popen[bytes]:
        launched.append(launch(place))
        return launched[-1]

    with monkeypatch.context() as patched:
        patched.setattr(cluster, "programs_dir", lambda place: slow)
        patched.setattr(embedded, "_launch", launch_slowly)
        with (
            pytest.raises(StartFailed, match="did not answer within 0 s"),
            session(data, start_timeout_s=0.0),
        ):
            pass
    (process,) = launched
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: status(data).pid is not None)
    with session(data) as conninfo:
        note(conninfo, "late")
        assert status(data).pid == process.pid


# Commands


def test_status_does_not_start_anything(data: Path) -> None:
    found = status(data)
    assert (found.pid, found.version, found.sessions) == (None, "18", None)
    assert found.data_dir == str(data)
    missing = status(data.with_name("missing"))
    assert (missing.pid, missing.version) == (None, None)
    assert not data.with_name("missing.lock").exists()


def test_stop_ends_the_server_under_its_sessions(data: Path, clients: list[subprocess.Popen[str]]) -> None:
    client = join(clients, data)[0]
    found = embedded.stop(data)
    assert found.pid is not None
    assert found.age_s is not None
    assert found.sessions == 1
    wait_for_death(found.pid)
    assert embedded.stop(data).pid is None
    leave(client)


def test_reset_deletes_the_data_and_a_new_start_is_empty(data: Path) -> None:
    data.with_name("data.new").mkdir()  # As a killed initdb leaves it.
    data.with_name("data.new").joinpath("PG_VERSION").write_text("18")
    with session(data) as conninfo:
        note(conninfo, "old")
        assert embedded.reset(data).pid is not None
    assert not data.exists()
    assert [path.name for path in data.parent.iterdir()] == ["data.lock"]
    assert embedded.reset(data).version is None
    data.with_name("data.new").mkdir()
    with session(data) as conninfo, psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT to_regclass('note')").fetchone() == (None,)
