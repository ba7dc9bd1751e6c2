"""The broker's book on disk: one line per accepted request, checksummed, durable before any answer leaves.

A line is sixteen hex digits of SHA-256 over the checksum before it and the text, a space, and the text. A
torn last line (no newline, or a checksum that does not fit) never happened and is cut off; a damaged line
with others behind it is an error.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from oms.brokers.simulated.ledger import Ledger
from oms.brokers.simulated.records import (
    Busted,
    Corrected,
    Delivered,
    Dropped,
    Executed,
    Fact,
    Fed,
    Happened,
    Held,
    LinkDown,
    LinkUp,
    Manner,
    Misbehaved,
    OrderRecorded,
    Planned,
    Reply,
    Scheduled,
    Seen,
)
from oms.errors import InputError
from oms.events import base
from oms.values import Micros

DIGITS: Final = 16
_GENESIS: Final = "0" * DIGITS


class BookProblem(InputError):
    """The broker's book cannot be used."""


class EventText(Struct, frozen=True):
    """An event with its type, so that it can be read back."""

    name: str
    version: int
    body: Raw


class ReplyText(Struct, frozen=True):
    """A reply with its event as text."""

    n: int
    due: Micros
    key: str
    event: EventText
    broker_order_id: str | None
    is_local: bool


class FedLine(Struct, frozen=True, tag="Fed"):
    event: EventText


class ScheduledLine(Struct, frozen=True, tag="Scheduled"):
    reply: ReplyText
    manner: Manner


class DroppedLine(Struct, frozen=True, tag="Dropped"):
    reply: ReplyText


class HeldLine(Struct, frozen=True, tag="Held"):
    reply: ReplyText


PlainFact = (
    Seen
    | Planned
    | Happened
    | OrderRecorded
    | Executed
    | Corrected
    | Busted
    | Delivered
    | LinkDown
    | LinkUp
    | Misbehaved
)
FactLine = PlainFact | FedLine | ScheduledLine | DroppedLine | HeldLine


class Opened(Struct, frozen=True, tag=True):
    """Whose book this is; its first line."""

    name: str
    seed: int


class Entry(Struct, frozen=True, tag=True):
    """What one request changed, and the broker's time after it."""

    now: Micros
    facts: tuple[FactLine, ...]


_decode: Final = msgspec.json.Decoder(Opened | Entry).decode
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Book:
    """A ledger and the file behind it. Without a path it lives in memory only."""

    def __init__(self, path: Path | None, name: str, seed: int) -> None:
        self.ledger = Ledger()
        self._tip = _GENESIS
        self._file: int | None = None
        self._written_now: Micros = 0
        if path is not None:
            self._open(path, Opened(name, seed))

    def commit(self) -> None:
        """Write what was recorded since the last commit and wait until it is on disk."""
        ledger = self.ledger
        if self._file is not None and ledger.unsaved:
            markets = [Seen(ledger.instruments[name]) for name in ledger.unsaved_markets]
            facts = tuple(_to_line(fact) for fact in (*markets, *ledger.unsaved))
            self._append(Entry(ledger.now, facts))
        if ledger.unsaved:
            ledger.unsaved_markets.clear()
            ledger.unsaved.clear()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self, path: Path, opened: Opened) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BookProblem(
                "BROKER-BOOK-IN-USE",
                "another broker writes this book",
                where=str(path),
                hint="end the other broker, or give this one another file",
            ) from None
        text = path.read_bytes()
        good = self._read(text, path, opened)
        if good < len(text):
            os.ftruncate(self._file, good)
        if good == 0:
            self._append(opened)
            _sync_directory(path)

    def _read(self, text: bytes, path: Path, opened: Opened) -> int:
        """Fold every whole line into the ledger; returns how many bytes they take."""
        good = 0
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            is_last = good + len(line) == len(text)
            checksum, body = line[:DIGITS].decode("ascii", "replace"), line[DIGITS + 1 : -1]
            if not line.endswith(b"\n") or checksum != _checksum(self._tip, body):
                if is_last:
                    break
                raise BookProblem(
                    "BROKER-BOOK-DAMAGED",
                    "a line of the broker's book does not fit its checksum",
                    where=f"{path}:{number}",
                    hint="restore the file from a copy, or give the broker a new book and a new name",
                )
            self._fold(_decode(body), path, opened)
            self._tip = checksum
            good += len(line)
        return good

    def _fold(self, entry: Opened | Entry, path: Path, opened: Opened) -> None:
        if isinstance(entry, Opened):
            if entry != opened:
                raise BookProblem(
                    "BROKER-BOOK-OTHER",
                    f"the book belongs to broker {entry.name} with seed {entry.seed}",
                    where=str(path),
                    hint="use the book's name and seed, or another file",
                )
            return
        self.ledger.now = entry.now
        for line in entry.facts:
            self.ledger.apply(_from_line(line))

    def _append(self, entry: Opened | Entry) -> None:
        assert self._file is not None
        body = _encode(entry)
        checksum = _checksum(self._tip, body)
        line = checksum.encode() + b" " + body + b"\n"
        written = os.write(self._file, line)
        if written != len(line):
            raise OSError(f"only {written} of {len(line)} bytes of the broker's book were written")
        os.fdatasync(self._file)
        self._tip = checksum


def _sync_directory(path: Path) -> None:
    """Make a new file's name durable."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _checksum(tip: str, body: bytes) -> str:
    return hashlib.sha256(tip.encode() + body).hexdigest()[:DIGITS]


def event_text(event: base.Event) -> EventText:
    """An event that can be read back."""
    return EventText(type(event).__name__, event.VERSION, Raw(base.body_text(event).encode()))


def event_of(text: EventText) -> base.Event:
    """The event behind its text."""
    return base.decode(text.name, text.version, bytes(text.body))


def _reply_text(reply: Reply) -> ReplyText:
    text = event_text(reply.event)
    return ReplyText(reply.n, reply.due, reply.key, text, reply.broker_order_id, reply.is_local)


def _reply_of(text: ReplyText) -> Reply:
    return Reply(text.n, text.due, text.key, event_of(text.event), text.broker_order_id, text.is_local)


_TO_LINE: Final[dict[type, Callable[[Any], FactLine]]] = {
    Fed: lambda fact: FedLine(event_text(fact.event)),
    Scheduled: lambda fact: ScheduledLine(_reply_text(fact.reply), fact.manner),
    Dropped: lambda fact: DroppedLine(_reply_text(fact.reply)),
    Held: lambda fact: HeldLine(_reply_text(fact.reply)),
}


def _to_line(fact: Fact) -> FactLine:
    convert = _TO_LINE.get(type(fact))
    return convert(fact) if convert else fact  # type: ignore[return-value]


def _from_line(line: FactLine) -> Fact:
    match line:
        case FedLine(event=event):
            return Fed(event_of(event))
        case ScheduledLine(reply=reply, manner=manner):
            return Scheduled(_reply_of(reply), manner)
        case DroppedLine(reply=reply):
            return Dropped(_reply_of(reply))
        case HeldLine(reply=reply):
            return Held(_reply_of(reply))
        case _:
            return line
