"""Operators reach a running writer: a real process, a broker process, real Postgres up, down and back."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from eventlog import embedded
from eventlog.postgres import PostgresLog
from eventlog.schema import ensure_partitions, upgrade
from eventlog.verify import verify_chain
from oms.brokers.simulated import Settings
from oms.brokers.simulated.remote import RemoteSimulatedBroker, spawn
from oms.shell.databases import MONTHS_AHEAD
from oms.shell.kill_file import KILL_FILE
from oms.shell.places import VARIABLE, writer_dir
from replay.verify import verify
from tests import builders, pg
from tests.checkout import ROOT
from tests.integration.live_writer import ACCOUNT

PATIENCE_S = 180
_numbers = count(1)


class Writer:
    """A writer process and what it says."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.lines: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self.heard: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def until(self, **wanted: Any) -> None:
        """Wait until it says so."""
        while True:
            try:
                said = self.lines.get(timeout=PATIENCE_S)
            except Empty:
                self.process.kill()
                raise AssertionError(f"never said {wanted}: {self.heard[-5:]} {self.rest()}") from None
            self.heard.append(said)
            if all(said.get(name) == value for name, value in wanted.items()):
                return

    def rest(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()[-3000:]

    def end(self) -> None:
        """Let it close in its own time."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(PATIENCE_S) == 0, self.rest()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Server:
    """A private server that the tests of this file may stop and start."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._data = pg.home() / f"operators-{os.getpid()}" / "data"
        stack.callback(shutil.rmtree, self._data.parent, ignore_errors=True)
        self.start()

    def start(self) -> None:
        self.conninfo = self._stack.enter_context(embedded.session(self._data))

    def stop(self) -> None:
        embedded.stop(self._data)

    def database(self) -> str:
        """The address of a new database."""
        name = f"operators_{next(_numbers)}"
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        found = make_conninfo(self.conninfo, dbname=name)
        upgrade(found)
        with psycopg.connect(found, autocommit=True) as connection:
            ensure_partitions(connection, builders.DAY, MONTHS_AHEAD)
        return found


class Desk:
    """A database, a broker, a place: everything that outlives a writer."""

    def __init__(self, stack: ExitStack, server: Server) -> None:
        self._stack = stack
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="o"))
        stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = os.environ | {VARIABLE: str(self.folder), "PYTHONPATH": str(ROOT)}
        os.environ[VARIABLE] = str(self.folder)
        stack.callback(os.environ.pop, VARIABLE)
        self.place = writer_dir(ACCOUNT)
        self.socket = self.folder / "broker"
        self.started = 0
        self.conninfo = server.database()
        broker = spawn(self.socket, self.folder / "book", Settings(fill_model="perfect", name="op"))
        stack.callback(broker.wait)
        stack.callback(broker.kill)

    def writer(self, *options: str) -> Writer:
        self.started += 60
        login = make_conninfo(self.conninfo, user="oms_writer")
        command = [sys.executable, "-m", "tests.integration.live_writer", login, str(self.socket)]
        found = Writer([*command, str(self.place), str(self.started), *options], self.environment)
        self._stack.callback(found.kill)
        return found

    def oms(self, *words: str, person: str = "alice") -> tuple[int, dict[str, Any]]:
        """Run a command of an operator; (exit code, its JSON)."""
        command = [sys.executable, "-m", "oms", *words, "--account", ACCOUNT, "--as", person, "--json"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    @contextmanager
    def log(self) -> Iterator[PostgresLog]:
        log = PostgresLog(self.conninfo)
        try:
            yield log
        finally:
            log.close()

    def types(self) -> list[str]:
        with self.log() as log:
            return [row.type for row in log.read(ACCOUNT)]

    def proven(self) -> list[str]:
        """The log is whole and decides the same again; broker and log agree that nothing is held."""
        with self.log() as log:
            assert verify_chain(log, ACCOUNT).intact
            found = verify(log, ACCOUNT)
            assert found.is_identical, found.why
            rows = list(log.read(ACCOUNT))
        broker = RemoteSimulatedBroker(self.socket)
        try:
            book = broker.dump()
        finally:
            broker.close()
        assert not any(book.positions.values()), book.positions
        keys = [(row.source, row.dedupe_key) for row in rows if row.dedupe_key is not None]
        assert len(keys) == len(set(keys)), "an input stands twice"
        return [row.type for row in rows]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(stack)


@pytest.fixture
def desk(server: Server) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(stack, server)


KILL = ("kill", "--reason", "the strategy is mad")


@pytest.mark.req("OD-020", "OD-024", "OM-010")
def test_kill_from_another_process_ends_flat(desk: Desk) -> None:
    writer = desk.writer("--enter")
    writer.until(position="100", protected=True)
    code, said = desk.oms(*KILL)
    assert (code, said["durable"], said["kill_level"]) == (0, "log", 3)
    writer.until(position="0", kill_level=3, live=0)
    code, again = desk.oms(*KILL)
    assert (code, again["effects"], again["open"]) == (0, [], {})
    writer.end()
    names = desk.proven()
    assert names.count("OperatorCommanded") == 2
    assert names.count("KillLevelRaised") == 1


def test_kill_while_the_database_is_away(desk: Desk) -> None:
    writer = desk.writer("--enter")
    writer.until(position="100", protected=True)
    desk.server.stop()
    code, said = desk.oms(*KILL)
    assert (code, said["durable"]) == (0, "journal")
    writer.until(position="0", kill_level=3, live=0)
    desk.server.start()
    writer.until(alert="log_back")
    writer.end()
    names = desk.proven()
    assert names.count("KillLevelRaised") == 1
    assert not list(desk.place.glob("*.journal"))


@pytest.mark.parametrize("durable", ["log", "journal"])
def test_sudden_death_right_after_the_act(desk: Desk, durable: str) -> None:
    writer = desk.writer("--enter")
    writer.until(position="100", protected=True)
    if durable == "journal":
        desk.server.stop()
    code, said = desk.oms(*KILL)
    writer.kill()
    assert (code, said["durable"]) == (0, durable)
    assert len(list(desk.place.glob("*.journal"))) == (durable == "journal")
    if durable == "journal":
        desk.server.start()
    again = desk.writer()
    again.until(position="0", kill_level=3, live=0)
    again.end()
    names = desk.proven()
    assert names.count("OperatorCommanded") == 1


def test_a_kill_file_works_without_socket_and_database(desk: Desk) -> None:
    writer = desk.writer("--enter")
    writer.until(position="100", protected=True)
    desk.server.stop()
    (desk.place / KILL_FILE).write_text("somebody \x1b[31mshouted\n")
    writer.until(position="0", kill_level=3, live=0)
    desk.server.start()
    writer.until(alert="log_back")
    writer.end()
    # The file still lies there; the next writer has taken it before.
    again = desk.writer()
    again.until(kill_level=3)
    again.end()
    assert desk.proven().count("OperatorCommanded") == 1


def test_two_acts_at_once_and_a_stale_socket(desk: Desk) -> None:
    first = desk.writer()
    first.until(position="0")
    first.kill()
    code, said = desk.oms(*KILL)
    assert (code, said["error"]["code"]) == (3, "OMS-O001")
    writer = desk.writer("--enter")
    writer.until(position="100", protected=True)
    results: list[tuple[int, dict[str, Any]]] = []
    acts = [KILL, ("flat", "--reason", "I agree")]
    threads = [threading.Thread(target=lambda act=act: results.append(desk.oms(*act))) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [code for code, _ in results] == [0, 0]
    writer.until(position="0", kill_level=3, live=0)
    writer.end()
    names = desk.proven()
    assert (names.count("OperatorCommanded"), names.count("KillLevelRaised")) == (2, 1)


def test_the_same_act_sent_again_counts_once(desk: Desk) -> None:
    writer = desk.writer()
    writer.until(position="0")
    act = ("pause", "--reason", "lunch", "--id", "once-1")
    assert [desk.oms(*act)[1]["repeated"] for _ in range(2)] == [False, True]
    assert desk.oms("close", "--reason", "why not", "--trade", "9")[0] == 1
    answer = desk.oms("close", "--reason", "why not", "--instrument", builders.NAME)
    assert answer[0] == 1, answer
    assert desk.oms("kill", "--reason", "x" * 501)[0] == 2
    assert desk.oms("resume", "--reason", "back")[1]["paused"] is False
    writer.end()
    assert desk.proven().count("PauseChanged") == 2
