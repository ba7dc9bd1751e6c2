"""Cached folds: a start reads the newest one and folds only what came after it.

A snapshot is a hint, never a source of truth. It is used only if it is whole, was made by this very program, has the
digest that it says, and stands at a row whose link is the log's own; otherwise an older one, and at last the whole
fold. A live writer saves one when nothing waits and enough has happened since the last one, and one when it closes.
So they are bounded by the log, and a state whose digest would hold a running writer up is cached at its close only.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import localcontext
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from eventlog.envelope import Head, Snapshot
from eventlog.errors import LogError
from eventlog.log import EventLog
from oms.book import Book
from oms.config import Settings
from oms.errors import ConfigError
from oms.shell.recovery import fold_rows
from oms.shell.runner import Published, Runner
from oms.shell.versions import code_version
from oms.state.account import Account
from oms.state.digest import FOLD_VERSION, digest
from oms.state.pipeline import Pipeline
from oms.values import CONTEXT

EVENTS_APART: Final = 5000
"""So many events at least between two snapshots of a writer."""
ATTEMPTS: Final = 3
"""So many snapshots are looked at before the whole log is folded."""
RUNNING_BYTES: Final = 256 << 10
"""A larger state is not cached while its writer runs: some 40 busy instruments, a fiftieth of a second."""
CLOSING_BYTES: Final = 64 << 20
"""A larger state is never cached."""
_SEAL: Final = sha256().digest_size


class Content(Struct, frozen=True, array_like=True):
    """What a body holds behind its own SHA-256: the program that folded, and the state."""

    code: str
    account: Account
    pipelines: dict[str, Pipeline]


class Resumed(NamedTuple):
    """The state at the end of the log, and the row of the snapshot that it began with; 0 for none."""

    book: Book
    snapshot_seq: int


def resume(log: EventLog, account: str) -> Resumed:
    """The same book as `recovery.recover`, from the newest usable snapshot on. Raises what reading the log raises."""
    for snapshot, content in _usable(log, account, None):
        book = Book(content.account, content.pipelines)
        return Resumed(fold_rows(book, log.read(account, snapshot.seq)), snapshot.seq)
    return Resumed(fold_rows(Book(), log.read(account)), 0)


def newest_usable(log: EventLog, account: str, until: int | None = None) -> Snapshot | None:
    """The snapshot that a start at row `until` (default: the end) would begin with, if there is one."""
    return next((snapshot for snapshot, _ in _usable(log, account, until)), None)


def taken(head: Head, state: Published) -> Snapshot:
    """The published state as a snapshot; `head` is the end of the log that it is the fold of."""
    return _sealed(head, state, packed(state))


def cached(head: Head, book: Book) -> Snapshot:
    """A book that was folded up to `head` as a snapshot."""
    return taken(head, Published(book.account, book.pipelines))


def packed(state: Published) -> bytes:
    """The state in bytes, dicts in their own order and numbers in the form that they have."""
    return msgspec.msgpack.encode(
        Content(code_version(), state.account, dict(state.pipelines)), enc_hook=_encoded
    )


def _sealed(head: Head, state: Published, body: bytes) -> Snapshot:
    assert state.account.seq == head.seq, "a snapshot holds what is published"
    known = bytes.fromhex(_digest(state.account, state.pipelines))
    return Snapshot(head.account, head.seq, head.chain, FOLD_VERSION, known, sha256(body).digest() + body)


def opened(snapshot: Snapshot) -> Content | None:
    """What the snapshot holds, or None if it is not to be used: damaged, of another program, or not what it says."""
    seal, body = snapshot.body[:_SEAL], snapshot.body[_SEAL:]
    if sha256(body).digest() != seal or _code(body) != code_version():
        return None
    try:
        content = msgspec.msgpack.decode(body, type=Content, dec_hook=_decoded)
    except (msgspec.MsgspecError, ConfigError):
        return None
    account = content.account
    if (account.account, account.seq) != (snapshot.account, snapshot.seq):
        return None
    return content if _digest(account, content.pipelines) == snapshot.digest.hex() else None


class Keeper:
    """Saves snapshots of a running writer, on its thread, when it has nothing else to do."""

    def __init__(self, log: EventLog, runner: Runner) -> None:
        self._log = log
        self._runner = runner
        self._last = runner.snapshot_seq

    def save_if_due(self) -> None:
        """Save one if enough has happened since the last one."""
        if self._runner.head.seq - self._last >= EVENTS_APART:
            self._save(RUNNING_BYTES)

    def save_last(self) -> None:
        """Save one because nothing more will happen, if anything has."""
        if self._runner.head.seq > self._last:
            self._save(CLOSING_BYTES)

    def _save(self, largest: int) -> None:
        """Failing to do so loses nothing, so it is not tried again at once."""
        head, state = self._runner.head, self._runner.published
        if self._runner.is_away:
            return
        self._last = head.seq
        body = packed(state)
        if len(body) > largest:
            return
        # Whatever ails the log shows at the next append, where it is acted on.
        with suppress(LogError):
            self._log.save_snapshot(_sealed(head, state, body))


def _usable(log: EventLog, account: str, until: int | None) -> Iterator[tuple[Snapshot, Content]]:
    """Newest first."""
    for _ in range(ATTEMPTS):
        snapshot = log.snapshot(account, FOLD_VERSION, until)
        if snapshot is None:
            return
        content = opened(snapshot)
        if content is not None:
            yield snapshot, content
        until = snapshot.seq - 1


def _digest(account: Account, pipelines: Mapping[str, Pipeline]) -> str:
    # Another context would round long numbers away.
    with localcontext(CONTEXT):
        return digest(account, pipelines)


def _code(body: bytes) -> str | None:
    """The program that made it, read before anything whose shape only that program knows."""
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.decode(body, type=list[msgspec.Raw])[0], type=str)
    except (msgspec.MsgspecError, IndexError):
        return None


def _encoded(value: Any) -> str:
    if isinstance(value, Settings):
        return value.canonical_text()
    raise NotImplementedError(f"a state cannot hold a {type(value).__name__}")


def _decoded(kind: type, value: Any) -> Any:
    if kind is Settings:
        return Settings.from_log(value)
    raise NotImplementedError(f"a state cannot hold a {kind.__name__}")
