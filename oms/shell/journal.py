"""The emergency journal: a local file that keeps steps while the database of the log is away.

One record is one whole step, exactly as the log is going to store it: the input that caused it, its decisions, the
command, and the place in the log with the chain link behind it. So what leaves the process on the word of the
journal has the id and the evidence that it will have in the log, and taking the journal in is appending, never
deciding again. Architecture 10, F6; reliability I60, C19, C20.

A record is one line: length (8 hex digits), SHA-256 (64), the JSON text. A tail that was torn by a crash is told
by either; nothing left on its word, because a record is on the disk before its command goes out.
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.batch import prepare
from eventlog.envelope import Head, StepRecord

FORMAT: Final = 1
LIMIT_BYTES: Final = 64 << 20
"""A journal that has grown so far takes nothing more: the disk belongs to others too."""

_HEAD_BYTES: Final = 8 + 1 + 64 + 1


class Mark(Struct, frozen=True):
    """A place in an account's log: the row and the chain link that ends there."""

    seq: int
    chain: bytes


class Record(Struct, frozen=True):
    """One step between two places of the log, written in `epoch`."""

    account: str
    epoch: int
    before: Mark
    after: Mark
    step: StepRecord
    format: int = FORMAT


class Contents(Struct, frozen=True):
    """What a journal holds: the records up to the first that cannot be read, and the bytes from there on."""

    records: tuple[Record, ...]
    unread: int


class JournalFull(OSError):
    """The emergency journal has reached its limit."""


class Journal:
    """One file of one account. Not for several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._unwritten: list[Record] = []
        self._size = 0

    def write(self, records: Sequence[Record]) -> None:
        """Make records durable, after those that could not be written before. Raises OSError; none is forgotten."""
        self._unwritten += records
        data = b"".join(map(_line, self._unwritten))
        if self._descriptor is None:
            self._descriptor = self._open()
        if self._size + len(data) > LIMIT_BYTES:
            raise JournalFull(f"the emergency journal would exceed {LIMIT_BYTES} bytes")
        # Half a record that an earlier failure left must not stand in front of a whole one.
        os.ftruncate(self._descriptor, self._size)
        _write_all(self._descriptor, data)
        os.fsync(self._descriptor)
        self._size += len(data)
        self._unwritten = []

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        self._size = os.fstat(descriptor).st_size
        _sync_directory(self.path.parent)
        return descriptor

    def read(self) -> Contents:
        """What is on the disk; empty without a file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Contents((), 0)
        return parse(data)

    def clear(self) -> None:
        """Forget everything: the log has it."""
        self._close()
        self._unwritten = []
        if self.path.exists():
            self.path.unlink()
            _sync_directory(self.path.parent)

    def set_aside(self) -> Path | None:
        """Keep the file as evidence under another name and begin anew; None without a file."""
        self._close()
        self._unwritten = []
        if not self.path.exists():
            return None
        digest = sha256(self.path.read_bytes()).hexdigest()
        kept = self.path.with_name(f"{self.path.name}.{digest[:16]}.evidence")
        self.path.rename(kept)
        _sync_directory(self.path.parent)
        return kept

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._size = 0


def records_of(head: Head, steps: Sequence[StepRecord]) -> list[Record]:
    """The records of the steps that follow `head`. Raises Unstorable, as the log would."""
    records: list[Record] = []
    for step in steps:
        after = prepare(head, [step]).after
        marks = Mark(head.seq, head.chain), Mark(after.seq, after.chain)
        # What comes back from a file is checked like anything from outside.
        records.append(Record(head.account, head.epoch, *marks, replace(step, is_own=False)))
        head = after
    return records


def parse(data: bytes) -> Contents:
    """Read records until the first that is not whole, not of this format, or does not follow the one before it."""
    records: list[Record] = []
    at = 0
    while at < len(data):
        found = _record(data, at)
        if found is None or (records and found[0].before != records[-1].after):
            break
        record, at = found
        records.append(record)
    return Contents(tuple(records), len(data) - at)


def _line(record: Record) -> bytes:
    text = _encode(record)
    return b"%08x %s %s\n" % (len(text), sha256(text).hexdigest().encode(), text)


def _record(data: bytes, at: int) -> tuple[Record, int] | None:
    start = at + _HEAD_BYTES
    try:
        length = int(data[at : at + 8], 16)
    except ValueError:
        return None
    text, end = data[start : start + length], start + length + 1
    if data[end - 1 : end] != b"\n" or data[at + 9 : start - 1] != sha256(text).hexdigest().encode():
        return None
    try:
        record = _decode(text)
    except msgspec.MsgspecError:
        return None
    return (record, end) if record.format == FORMAT else None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Record).decode
