"""One simulated broker as a process of its own, behind a local socket (0600).

It outlives its clients and its own sudden death: what it answered is in its book. It knows nothing of the
product's log. `python -m oms.brokers.simulated.process --socket PATH --book FILE`.
"""

import argparse
import decimal
import os
import selectors
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from oms.brokers.simulated import RestatementRefused, Settings, SimulatedBroker, wire
from oms.brokers.simulated import script as scripts
from oms.brokers.simulated.book import event_of
from oms.brokers.simulated.records import Reply
from oms.errors import EnvironmentProblem, InputError, OmsError
from oms.events.base import UnknownEvent
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.session import InstrumentDefined, SessionOpened, VenueStatusChanged
from oms.fills import MODELS
from oms.values import CONTEXT

IDLE_SECONDS_DEFAULT: Final = 900
SEND_TIMEOUT_SECONDS: Final = 10
"""A client that takes no answer for so long is dropped; what it did not confirm is due again."""
_CHUNK: Final = 1 << 16
_MARKET_EVENTS: Final = (
    QuoteReported,
    TradePrinted,
    BarClosed,
    VenueStatusChanged,
    SessionOpened,
    InstrumentDefined,
)


class Client:
    """One connection: bytes that are not a whole line yet, and replies whose receipt is not proven yet."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.pending = b""
        self.in_hand: list[int] = []
        self.has_started = False


class Server:
    """Serves one broker to any number of connections, one request after the other."""

    def __init__(self, broker: SimulatedBroker, path: Path, idle_seconds: int) -> None:
        self._broker = broker
        self._path = path
        self._idle_seconds = idle_seconds
        self._is_asked_to_end = False
        self._clients: dict[int, Client] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def run(self) -> None:
        """Serve until asked to end, or until nobody was connected for the idle time."""
        last_busy = time.monotonic()
        while not self._is_asked_to_end:
            ready = self._selector.select(timeout=1)
            for key, _ in ready:
                self._accept() if key.fileobj is self._listener else self._read(self._clients[key.fd])
            if ready or self._clients:
                last_busy = time.monotonic()
            elif time.monotonic() - last_busy > self._idle_seconds:
                break
        for client in list(self._clients.values()):
            self._drop(client)
        self._selector.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(SEND_TIMEOUT_SECONDS)
        self._clients[connection.fileno()] = Client(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, client: Client) -> None:
        try:
            received = client.connection.recv(_CHUNK)
        except OSError:
            received = b""
        client.pending += received
        if not received or len(client.pending) > wire.MAX_LINE:
            self._drop(client)
            return
        *lines, client.pending = client.pending.split(b"\n")
        answers = [wire.line(self._answer(client, text)) for text in lines]
        try:
            client.connection.sendall(b"".join(answers))
        except OSError:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        """The connection is gone; what it was handed and did not confirm is due again."""
        self._broker.take_back(client.in_hand)
        if client.has_started:
            self._broker.stop()
        del self._clients[client.connection.fileno()]
        self._selector.unregister(client.connection)
        client.connection.close()

    def _answer(self, client: Client, text: bytes) -> wire.Answer:
        broker = self._broker
        broker.delivered(client.in_hand)
        client.in_hand = []
        replies: list[Reply] = []
        error = None
        try:
            request = wire.request_of(text)
            replies = self._obey(client, request)
        except (msgspec.MsgspecError, UnknownEvent, RestatementRefused) as problem:
            error = f"{type(problem).__name__}: {problem}"
            request = wire.NextDue()
        client.in_hand = [reply.n for reply in replies]
        return wire.Answer(
            now=broker.now,
            next_due=broker.next_due(),
            live=broker.live_instruments(),
            replies=tuple(map(wire.message, replies)),
            dump=broker.dump() if isinstance(request, wire.Dump) else None,
            error=error,
        )

    def _obey(self, client: Client, request: wire.Request) -> list[Reply]:
        """Carry out one request; the replies that its answer carries."""
        broker = self._broker
        match request:
            case wire.Start():
                self._start(client)
            case wire.Stop():
                client.has_started = False
                broker.stop()
            case wire.Send(command=command, now=now):
                broker.send_at(command, broker.now if now is None else now)
            case wire.Query(asked_at_seq=asked_at_seq, whole=whole):
                broker.query(asked_at_seq, whole=whole)
            case wire.Feed():
                self._feed(request)
            case wire.Advance(now=now):
                return broker.hand_out(now)
            case wire.Bust(execution=execution):
                broker.bust(execution)
            case wire.Correct(execution=execution, quantity=quantity, price=price):
                broker.correct(execution, quantity, price)
            case wire.Shutdown():
                self._is_asked_to_end = True
            case wire.NextDue() | wire.Dump():
                pass
            case _:
                assert_never(request)
        return []

    def _start(self, client: Client) -> None:
        """The newest client that starts is the one that counts."""
        for other in self._clients.values():
            other.has_started = False
        client.has_started = True
        self._broker.start(lambda _: None)

    def _feed(self, request: wire.Feed) -> None:
        event = event_of(request.event)
        if not isinstance(event, _MARKET_EVENTS):
            raise UnknownEvent(f"{request.event.name} as market data", request.event.version)
        self._broker.market(event, request.at)


def listen(path: Path) -> socket.socket:
    """A listening socket that only this user may open. A socket file that nobody serves is replaced."""
    if path.exists() and _is_abandoned(path):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as problem:
        listener.close()
        raise EnvironmentProblem(
            "BROKER-SOCKET", "cannot listen on this socket", where=str(path), why=str(problem)
        ) from None
    finally:
        os.umask(before)
    listener.listen()
    return listener


def _is_abandoned(path: Path) -> bool:
    """Whether a socket file is left over from a process that is gone."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings from the command line: a JSON text, then the single options over it."""
    settings = msgspec.json.decode(arguments.settings, type=Settings) if arguments.settings else Settings()
    given = {"seed": arguments.seed, "name": arguments.name, "fill_model": arguments.fill_model}
    if arguments.script is not None:
        given["script"] = _script(arguments.script)
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def _script(path: Path) -> scripts.Script:
    try:
        return scripts.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as problem:
        raise InputError(
            "BROKER-SCRIPT", "the script cannot be read", where=str(path), why=str(problem)
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oms.brokers.simulated.process", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--book", type=Path, required=True, help="the broker's own durable record")
    parser.add_argument("--seed", type=int, help="decides latencies and partial fills")
    parser.add_argument("--name", help="starts all ids; one name per account and book")
    parser.add_argument("--fill-model", choices=sorted(MODELS))
    parser.add_argument("--script", type=Path, help="scripted misbehaviour, JSON")
    parser.add_argument("--settings", help="all settings as one JSON text")
    parser.add_argument("--idle-seconds", type=int, default=IDLE_SECONDS_DEFAULT, help="end when left alone")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the process; returns its exit status."""
    arguments = _parser().parse_args(argv)
    decimal.setcontext(CONTEXT.copy())
    try:
        broker = SimulatedBroker(settings_of(arguments), arguments.book)
        Server(broker, arguments.socket, arguments.idle_seconds).run()
    except OmsError as problem:
        sys.stderr.write(problem.render() + "\n")
        return problem.exit_code
    broker.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
