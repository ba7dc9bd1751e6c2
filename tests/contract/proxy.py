"""A unix socket between client and server that can cut the line at a chosen moment."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SOCKET = ".s.PGSQL.5432"
Cut = Literal["before the statement", "after the statement", "before the answer"]


class Proxy:
    """Forwards every connection; `cut` arms one fault for the next message of a client.

    "before the statement": it never reaches the server. "after the statement": it does, and the client's
    line is cut at once, while the server works. "before the answer": the server has answered, so it has
    committed, and the answer is dropped.
    """

    def __init__(self, conninfo: str, place: Path) -> None:
        self._server = f"{conninfo_to_dict(conninfo)['host']}/{SOCKET}"
        self.conninfo = make_conninfo(conninfo, host=str(place))
        self.cuts = 0
        self.was_cut = threading.Event()
        self._cut: Cut | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._unnoticed: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place / SOCKET))
        self._listener.listen()
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def cut(self, how: Cut) -> None:
        """Arm the fault; it happens once."""
        self.was_cut.clear()
        self._cut = how

    def notice(self) -> None:
        """Let the server see what was cut "after the statement", as its keepalive would on a real line."""
        for server in self._unnoticed:
            _drop(server)

    def hold(self) -> None:
        """Let nothing through in either direction, and say nothing: a server that hangs."""
        self._flows.clear()

    def let_go(self) -> None:
        """Let through what was held."""
        self._flows.set()

    def close(self) -> None:
        """Refuse new connections and drop the present ones."""
        # Threads that wait in accept() or recv() keep a closed socket alive: first wake them, then close.
        self._flows.set()
        _drop(self._listener)
        self._threads[0].join()
        for end in self._sockets:
            _drop(end)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._sockets):
            end.close()

    def _run(self, work: Callable[..., None], *ends: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=ends, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._sockets += [client, server]
            self._run(self._forward, client, server)
            self._run(self._answer, server, client)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        while data := self._received(client):
            if self._cut == "before the statement":
                self._note()
                _drop(client)
                break
            if self._cut == "after the statement":
                _send(server, data)
                self._note()
                _drop(client)
                self._unnoticed.append(server)
                return  # The server's end stays open: it must not notice.
            _send(server, data)
        _drop(server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        while data := self._received(server):
            if self._cut == "before the answer":
                self._note()
                break
            _send(client, data)
        _drop(client)

    def _received(self, end: socket.socket) -> bytes:
        data = _receive(end)
        self._flows.wait()
        return data

    def _note(self) -> None:
        self._cut = None
        self.cuts += 1
        self.was_cut.set()


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except OSError:
        return b""


def _send(end: socket.socket, data: bytes) -> None:
    try:
        end.sendall(data)
    except OSError:
        return


def _drop(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
