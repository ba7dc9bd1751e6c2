"""A client of a broker process: the simulated broker's interface over its socket.

When the connection is lost, commands that cannot have left are reported as not sent; one whose answer is
missing is reported as possibly sent. Every request tries once to connect where there is no connection.
"""

import os
import socket
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

import oms
from oms.brokers.base import Sink
from oms.brokers.simulated import MarketEvent, Settings, wire
from oms.brokers.simulated.book import event_text
from oms.brokers.simulated.dump import BookDump
from oms.brokers.simulated.floor import SOURCE
from oms.commands import Command
from oms.errors import EnvironmentProblem
from oms.events.base import Event, Stamped
from oms.events.broker import BrokerLinkChanged, BrokerLinkStatus, CommandFailed
from oms.events.market import QuoteReported, TradePrinted
from oms.values import Micros

ANSWER_TIMEOUT_SECONDS: Final = 10
SPAWN_TIMEOUT_SECONDS: Final = 20
_POLL_SECONDS: Final = 0.02
MAX_AHEAD: Final = 100
"""Market data that wait for the next request; so few answers find room in a socket, and nobody waits for anybody."""
_CHUNK: Final = 1 << 16


class LinkLost(EnvironmentProblem):
    """The broker process does not answer. `sent` False proves that the request never reached it."""

    def __init__(self, path: Path, why: str, *, sent: bool) -> None:
        super().__init__("BROKER-LINK-LOST", where=str(path), why=why, hint="start the broker process again")
        self.sent = sent


class RequestRefused(EnvironmentProblem):
    """The broker process could not carry out a request."""


class RemoteSimulatedBroker:
    """A simulated broker in another process. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._unread = b""
        self._sink: Sink | None = None
        self._now: Micros = 0
        self._due: Micros | None = None
        self._live: tuple[str, ...] | None = None
        self._ahead: list[bytes] = []
        self._own: list[Event] = []
        self._was_linked = False

    @property
    def now(self) -> Micros:
        """The broker's virtual time as last heard."""
        return self._now

    def start(self, sink: Sink, checkpoint: str | None = None) -> None:
        """Connect. Capabilities and link status come with the first `advance`."""
        self._sink = sink
        self._was_linked = True
        if self._socket is None:
            self._ask_quietly(wire.NextDue())
        else:
            self._ask_quietly(wire.Start())

    def stop(self) -> None:
        """Disconnect. Orders stay working; replies wait for the next start."""
        if self._socket is not None:
            self._ask_quietly(wire.Stop())
        self._sink = None
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._live = None
        self._ahead = []
        self._unread = b""

    def send(self, command: Command) -> None:
        """Send a command at the broker's present virtual time."""
        self._send(wire.Send(command))

    def send_at(self, command: Command, now: Micros) -> None:
        """Send a command; it reaches the broker after the latency."""
        self._send(wire.Send(command, now))

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for open orders, executions and positions. Without a connection no answer comes."""
        self._ask_quietly(wire.Query(asked_at_seq, whole))

    def market(self, event: MarketEvent, at: Micros) -> None:
        """Hand on market data. What comes while there is no connection is lost to the broker."""
        self._now = max(self._now, at)
        feed = wire.Feed(event_text(event), at)
        if self._is_unwatched(event):
            # A system call for each would cost more than all else; it leaves in front of the next request.
            self._ahead.append(wire.line(feed))
        else:
            self._ask_quietly(feed)

    def advance(self, now: Micros) -> None:
        """Move time forward and deliver every reply due by then."""
        self._now = max(self._now, now)
        answer = self._ask_quietly(wire.Advance(now)) if self._sink else None
        own, self._own = self._own, []
        replies = answer.replies if answer else ()
        for stamped in [*map(self._stamped, own), *map(wire.stamped, replies)]:
            if self._sink is not None:
                self._sink(stamped)

    def next_due(self) -> Micros | None:
        """When `advance` has something to do next; None also while the link is lost."""
        if self._own:
            return self._now or None
        if self._socket is not None:
            # In virtual time nothing happens at the broker between two requests; the last answer still holds.
            return self._due
        answer = self._ask_quietly(wire.NextDue())
        if answer is None:
            return self._now or None if self._own else None
        return answer.next_due

    def bust(self, execution: str) -> None:
        """Take an execution back. Raises RequestRefused for one that does not exist."""
        self._ask(wire.Bust(execution))

    def correct(self, execution: str, quantity: Decimal, price: Decimal) -> None:
        """Restate an execution. Raises RequestRefused for one that does not exist."""
        self._ask(wire.Correct(execution, quantity, price))

    def dump(self) -> BookDump:
        """The whole book. Raises LinkLost when the broker does not answer."""
        found = self._ask(wire.Dump()).dump
        assert found is not None, "the answer to a dump carries one"
        return found

    def shutdown(self) -> None:
        """End the broker process. Raises LinkLost when it does not answer."""
        self._ask(wire.Shutdown())
        self.close()

    def _is_unwatched(self, event: MarketEvent) -> bool:
        """Whether no order at the broker waits for this quote or print, so that nothing can follow from it."""
        return (
            self._live is not None
            and isinstance(event, QuoteReported | TradePrinted)
            and event.instrument not in self._live
            and len(self._ahead) < MAX_AHEAD
        )

    def _send(self, request: wire.Send) -> None:
        command = request.command
        try:
            self._ask(request)
        except LinkLost as lost:
            self._report(
                CommandFailed(
                    instrument=command.instrument,
                    client_order_id=command.client_order_id,
                    command_seq=command.seq,
                    sent=lost.sent,
                    text=lost.why or "",
                )
            )

    def _ask_quietly(self, request: wire.Request) -> wire.Answer | None:
        """The answer, or None when the link is lost; that is reported through the sink."""
        try:
            return self._ask(request)
        except LinkLost:
            return None

    def _ask(self, request: wire.Request) -> wire.Answer:
        """One request, one answer. A request that provably did not leave gets one new connection."""
        had_connection = self._socket is not None
        try:
            return self._ask_once(request)
        except LinkLost as lost:
            if lost.sent or not had_connection:
                raise
        return self._ask_once(request)

    def _ask_once(self, request: wire.Request) -> wire.Answer:
        """A new connection begins with `Start` where there is a sink."""
        try:
            if self._socket is None:
                self._connect()
                if self._sink is not None and not isinstance(request, wire.Start):
                    self._exchange(wire.Start())
        except LinkLost as lost:
            self._lose(lost.why or "")
            raise LinkLost(self._path, lost.why or "", sent=False) from None
        try:
            answer = self._exchange(request)
        except LinkLost as lost:
            self._lose(lost.why or "")
            raise
        self._was_linked = True
        self._take(answer)
        return answer

    def _take(self, answer: wire.Answer) -> None:
        self._now = max(self._now, answer.now)
        self._due = answer.next_due
        self._live = answer.live
        if answer.error is not None:
            raise RequestRefused("BROKER-REQUEST-REFUSED", where=str(self._path), why=answer.error)

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWER_TIMEOUT_SECONDS)
        try:
            connection.connect(str(self._path))
        except OSError as problem:
            connection.close()
            raise LinkLost(self._path, str(problem), sent=False) from None
        self._socket = connection
        self._unread = b""
        self._ahead = []

    def _exchange(self, request: wire.Request) -> wire.Answer:
        """A line that did not leave in whole is never read; one that left may have been obeyed."""
        assert self._socket is not None
        ahead, self._ahead = self._ahead, []
        try:
            self._socket.sendall(b"".join((*ahead, wire.line(request))))
        except OSError as problem:
            raise LinkLost(self._path, str(problem), sent=False) from None
        try:
            for _ in ahead:
                self._take(wire.answer_of(self._read_line()))
            return wire.answer_of(self._read_line())
        except (OSError, msgspec.MsgspecError) as problem:
            raise LinkLost(self._path, str(problem), sent=True) from None

    def _read_line(self) -> bytes:
        assert self._socket is not None
        chunks = [self._unread]
        while b"\n" not in chunks[-1]:
            received = self._socket.recv(_CHUNK)
            if not received:
                raise ConnectionResetError("the broker closed the connection")
            chunks.append(received)
        text, _, self._unread = b"".join(chunks).partition(b"\n")
        return text

    def _lose(self, why: str) -> None:
        self.close()
        if self._was_linked and self._sink is not None:
            self._report(BrokerLinkChanged(status=BrokerLinkStatus.DISCONNECTED, text=why))
        self._was_linked = False

    def _report(self, event: Event) -> None:
        """Something that only this end of the link knows; it comes with the next `advance`."""
        self._own.append(event)

    def _stamped(self, event: Event) -> Stamped:
        now = self._now
        return Stamped(event=event, logical_time=now, event_time=now, received_at=now, source=SOURCE)


def spawn(
    path: Path, book: Path, settings: Settings, *, idle_seconds: int = 900, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a broker process of its own session and wait until it answers.

    Raises EnvironmentProblem when it ends or stays silent. What it prints goes to `log`, beside the socket by
    default.
    """
    if _answers(path):
        raise EnvironmentProblem("BROKER-SOCKET-IN-USE", "another broker listens there", where=str(path))
    log = log or path.with_name(path.name + ".log")
    text = msgspec.json.encode(settings).decode()
    command = [sys.executable, "-m", "oms.brokers.simulated.process", "--socket", str(path)]
    command += ["--book", str(book), "--settings", text, "--idle-seconds", str(idle_seconds)]
    root = str(Path(oms.__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
    _wait_until_it_answers(process, path, log)
    return process


def _wait_until_it_answers(process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
    deadline = time.monotonic() + SPAWN_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if _answers(path):
            return
        time.sleep(_POLL_SECONDS)
    process.kill()
    process.wait()
    raise EnvironmentProblem(
        "BROKER-SPAWN", "the broker process did not start", where=str(log), why=log.read_text()[-2000:]
    )


def _answers(path: Path) -> bool:
    broker = RemoteSimulatedBroker(path)
    try:
        broker.dump()
    except LinkLost:
        return False
    finally:
        broker.close()
    return True
