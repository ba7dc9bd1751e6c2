"""The broker as a process of its own: it outlives its clients' sudden death and its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from oms.brokers.simulated import Misbehave, Settings, When
from oms.brokers.simulated.process import main
from oms.brokers.simulated.remote import LinkLost, RemoteSimulatedBroker, RequestRefused, spawn
from oms.brokers.simulated.script import FillOnly, encode
from oms.errors import EnvironmentProblem
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, CommandFailed, OrderFilled
from oms.values import SECOND, Side
from tests.unit.brokers.simulated_desk import T0, Desk, names

BUY, SELL = Side.BUY, Side.SELL
SETTINGS = Settings(fill_model="perfect", name="it")


class Place:
    """Where one broker lives; `spawn` may be called again after its death."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="b"))
        self.socket = self.folder / "s"
        self.book = self.folder / "book"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.brokers: list[RemoteSimulatedBroker] = []

    def spawn(self, settings: Settings = SETTINGS) -> subprocess.Popen[bytes]:
        process = spawn(self.socket, self.book, settings, idle_seconds=60)
        self.processes.append(process)
        return process

    def desk(self) -> Desk:
        return Desk(self.broker())

    def broker(self) -> RemoteSimulatedBroker:
        self.brokers.append(RemoteSimulatedBroker(self.socket))
        return self.brokers[-1]

    def kill(self) -> None:
        self.processes[-1].send_signal(signal.SIGKILL)
        self.processes[-1].wait()

    def close(self) -> None:
        for broker in self.brokers:
            broker.close()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.folder)


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def working_desk(place: Place) -> Desk:
    desk = place.desk().define().quote("99.99", "100.01")
    desk.settle()
    desk.place("filled", BUY, 10).place("open", SELL, 10, stop="95").settle()
    return desk


def test_only_this_user_may_connect(place: Place) -> None:
    place.spawn()
    assert place.socket.stat().st_mode & 0o777 == 0o600


def test_survives_its_own_sudden_death(place: Place) -> None:
    place.spawn()
    desk = working_desk(place)
    desk.place("under way", BUY, 3)
    before = desk.broker.dump()
    assert before.positions == {"ACME": Decimal(10)}
    place.kill()
    place.spawn()
    assert desk.broker.dump() == before
    heard = desk.settle()
    assert "OrderFilled" in names(heard), "what was under way arrives after all"
    assert desk.fills("under way") == [("3", "100.01")]


@pytest.mark.parametrize("requests", [3, 8, 21])
def test_what_was_heard_is_in_the_book_after_a_kill_in_traffic(place: Place, requests: int) -> None:
    """Killed at any moment, the broker keeps every execution that it has told anybody."""
    process = place.spawn()
    desk = place.desk().define().quote("99.99", "100.01")
    stopped = threading.Event()

    def kill_in_traffic() -> None:
        while not stopped.is_set() and desk.seq < requests:
            time.sleep(0.0005)
        process.kill()

    killer = threading.Thread(target=kill_in_traffic)
    killer.start()
    for number in range(60):
        desk.place(f"a{number}", BUY, 1)
        desk.now += 3_000
        desk.broker.advance(desk.now)
    stopped.set()
    killer.join()
    process.wait()
    told = {fill.execution: fill for fill in desk.of(OrderFilled)}
    failed = {event.client_order_id: event.sent for event in desk.of(CommandFailed)}
    assert failed, "it died with commands still to come"
    place.spawn()
    desk.broker.query(1)
    desk.settle()
    dump = desk.broker.dump()
    assert told.keys() <= {done.execution for done in dump.executions}
    assert all(told.get(fill.execution, fill) == fill for fill in desk.of(OrderFilled))
    known = {order.client_order_id for order in dump.orders}
    assert known.isdisjoint(name for name, sent in failed.items() if not sent)
    assert known | failed.keys() == {f"a{number}" for number in range(60)}


def test_reports_the_lost_link_once_and_its_return(place: Place) -> None:
    place.spawn()
    desk = working_desk(place)
    place.kill()
    desk.place("lost", BUY, 1).place("lost too", BUY, 1)
    desk.settle()
    assert [(event.client_order_id, event.sent) for event in desk.of(CommandFailed)] == [
        ("lost", False),
        ("lost too", False),
    ]
    place.spawn()
    desk.settle()
    statuses = [event.status for event in desk.of(BrokerLinkChanged)]
    assert statuses == [
        BrokerLinkStatus.CONNECTED,
        BrokerLinkStatus.DISCONNECTED,
        BrokerLinkStatus.CONNECTED,
    ]
    assert [order.wire_ids for order in desk.broker.dump().orders] == [("filled",), ("open",)]


def test_a_command_without_an_answer_may_have_been_sent(place: Place) -> None:
    """Whoever takes the line and then hangs up leaves the outcome unknown."""

    def answer_twice_then_hang_up() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile() as lines:
            for _ in range(2):
                lines.readline()
                connection.sendall(b'{"now":0}\n')
            lines.readline()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place.socket))
    listener.listen()
    thread = threading.Thread(target=answer_twice_then_hang_up)
    thread.start()
    desk = place.desk()
    desk.place("unknown", BUY, 1)
    thread.join(10)
    listener.close()
    desk.settle()
    assert [event.sent for event in desk.of(CommandFailed)] == [True]


def client_program(place: Place) -> str:
    return f"""
import os, signal
from pathlib import Path
from oms.brokers.simulated.remote import RemoteSimulatedBroker
from tests.unit.brokers.simulated_desk import *
desk = Desk(RemoteSimulatedBroker(Path({str(place.socket)!r})))
desk.define().quote("99.99", "100.01").settle()
desk.place("a", Side.BUY, 7)
def die(stamped):
    os.kill(os.getpid(), signal.SIGKILL)
desk.broker._sink = die
desk.broker.advance(desk.now + 1_000_000)
"""


def run_client(program: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False
    )


def test_replies_that_died_with_their_client_come_again(place: Place) -> None:
    place.spawn()
    done = run_client(client_program(place))
    assert done.returncode == -signal.SIGKILL, done.stderr
    desk = place.desk()
    desk.now = T0 + 5 * SECOND
    desk.settle()
    assert desk.fills() == [("7", "100.01")]
    assert len({s.dedupe_key for s in desk.heard}) == len(desk.heard)


def test_an_auditor_reads_the_book_without_the_product(place: Place) -> None:
    place.spawn()
    desk = working_desk(place)
    with socket.socket(socket.AF_UNIX) as auditor:
        auditor.connect(str(place.socket))
        auditor.sendall(b'{"type":"Dump"}\n')
        answer: Any = json.loads(auditor.makefile().readline())
    assert [order["wire_ids"] for order in answer["dump"]["orders"]] == [["filled"], ["open"]]
    assert answer["dump"]["positions"] == {"ACME": "10"}
    assert [done["quantity"] for done in answer["dump"]["executions"]] == ["10"]
    desk.place("after", BUY, 1).settle()
    assert desk.fills("after") == [("1", "100.01")], "the client was not disturbed"


def test_answers_nonsense_with_an_error_and_goes_on(place: Place) -> None:
    place.spawn()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place.socket))
        lines = client.makefile()
        for nonsense in (b"hello", b'{"type":"Nope"}', b'{"type":"Bust","execution":"x"}', b"[]"):
            client.sendall(nonsense + b"\n")
            assert json.loads(lines.readline())["error"]
    desk = working_desk(place)
    with pytest.raises(RequestRefused):
        desk.broker.bust("ghost")


def test_ends_when_asked(place: Place) -> None:
    process = place.spawn()
    place.desk().broker.shutdown()
    assert process.wait(20) == 0
    assert not place.socket.exists()


def test_ends_when_left_alone(place: Place) -> None:
    process = spawn(place.socket, place.book, SETTINGS, idle_seconds=0)
    place.processes.append(process)
    assert process.wait(20) == 0


def test_has_a_session_of_its_own(place: Place) -> None:
    process = place.spawn()
    assert os.getsid(process.pid) == process.pid
    assert psutil.Process(process.pid).is_running()


def test_refuses_a_socket_that_is_served(place: Place) -> None:
    place.spawn()
    with pytest.raises(EnvironmentProblem, match="BROKER-SOCKET-IN-USE"):
        spawn(place.socket, place.folder / "other", SETTINGS)
    assert main(["--socket", str(place.socket), "--book", str(place.folder / "other")]) == 3
    assert place.desk().broker.dump().orders == ()


def test_refuses_a_book_that_is_written(place: Place) -> None:
    place.spawn()
    with pytest.raises(EnvironmentProblem) as refused:
        spawn(place.folder / "t", place.book, SETTINGS)
    assert "BROKER-BOOK-IN-USE" in str(refused.value.why)


def test_takes_settings_from_the_command_line(place: Place) -> None:
    script = place.folder / "script.json"
    script.write_bytes(encode((Misbehave(when=When(nth=1), what=FillOnly(Decimal(2))),)))
    command = [sys.executable, "-m", "oms.brokers.simulated.process", "--socket", str(place.socket)]
    command += ["--book", str(place.book), "--seed", "5", "--fill-model", "perfect", "--script", str(script)]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2])
    place.processes.append(process)
    deadline = time.monotonic() + 20
    while not place.socket.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    desk = place.desk().define().quote("99.99", "100.01").place("a", BUY, 5)
    desk.settle()
    assert desk.fills() == [("2", "100.01")]
    assert desk.of(OrderFilled)[0].execution == "sim-5-X1"


def test_says_what_is_wrong_with_a_script(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    script = place.folder / "script.json"
    script.write_text('[{"what": {"type": "Nope"}}]')
    argv = ["--socket", str(place.socket), "--book", str(place.book), "--script", str(script)]
    assert main(argv) == 2
    assert "BROKER-SCRIPT" in capsys.readouterr().err


def test_nobody_there(place: Place) -> None:
    broker = place.broker()
    with pytest.raises(LinkLost):
        broker.dump()
    desk = Desk(broker)
    desk.settle()
    assert names([stamped.event for stamped in desk.heard]) == ["BrokerLinkChanged"]
    assert desk.heard[0].logical_time >= T0
