"""How an operator reaches a running writer: one request and one answer over a local socket of this user alone.

The socket is 0600 in a directory of 0700, and the kernel says who is at the other end. An act is answered when it
is durable: in the log, or in the emergency journal while the database is away. The id of a request makes it safe to
send again. Architecture 3, "Operators reach a running writer"; reliability O04, I74, I76.
"""

import contextlib
import os
import pwd
import socket
import struct
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from oms.errors import EnvironmentProblem, OmsError, UsageProblem
from oms.events.operator import Act, OperatorCommanded

SOCKET: Final = "control.socket"
REASON_LIMIT: Final = 500
NAME_LIMIT: Final = 64
LINE_LIMIT: Final = 16 << 10
READ_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
CONNECTIONS: Final = 8
PATH_LIMIT: Final = 107

Name = Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]


class Request(BaseModel):
    """What an operator asks for. `principal` is who says so; `id` makes a repetition harmless."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,64}$")]
    account: Annotated[str, Field(min_length=1, max_length=256)]
    act: Act
    principal: Name
    reason: Annotated[str, Field(max_length=REASON_LIMIT)]
    level: Annotated[int, Field(ge=0, le=4)] = 0
    instrument: Name | None = None
    trade_no: Annotated[int, Field(ge=1, le=1 << 53)] | None = None
    client_order_id: Name | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> "Request":
        for name in ("principal", "reason", "instrument", "client_order_id"):
            text = getattr(self, name)
            if text is not None and any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
                raise ValueError(f"{name} holds a control character")
        if not self.reason.strip():
            raise ValueError("a reason is required; it stands in the log for ever")
        if (self.level > 0) is not (self.act is Act.KILL):
            raise ValueError("a level belongs to KILL, and KILL needs one from 1 to 4")
        if self.act is Act.CLOSE and self.instrument is None and self.trade_no is None:
            raise ValueError("name the instrument or the trade to close")
        return self

    def event(self, user: str) -> OperatorCommanded:
        """The input it becomes; `user` is the account of the operating system at the other end."""
        principal = self.principal if self.principal == user else f"{self.principal} (via {user})"
        return OperatorCommanded(
            act=self.act,
            principal=principal,
            reason=self.reason.strip(),
            level=self.level,
            instrument=self.instrument,
            trade_no=self.trade_no,
            client_order_id=self.client_order_id,
        )


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of it. `durable` says where the act is kept; `effects` are the decisions of its step.

    An error has `code`, `what`, `why` and `hint`, and `exit_code` other than 0.
    """

    exit_code: int = 0
    seq: int | None = None
    durable: str = ""
    repeated: bool = False
    effects: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    kill_level: int = 0
    paused: bool = False
    open: dict[str, str] = {}
    code: str = ""
    what: str = ""
    why: str = ""
    hint: str = ""


Submit = Callable[[Request, str], Answer]
"""Make the act durable and say what came of it; called from a thread of the server."""


class ControlServer:
    """Listens until `close`. Every connection is one request, in a thread of its own, a few at a time."""

    def __init__(self, place: Path, account: str, submit: Submit) -> None:
        self._path = place / SOCKET
        self._account = account
        self._submit = submit
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._listener = listen(self._path)
        self._inode = self._path.stat().st_ino
        self._thread = threading.Thread(target=self._accept, name="oms-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and take the socket away, unless somebody else has put theirs there."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._free.acquire()
            threading.Thread(target=self._serve, args=(connection,), name="oms-operator", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(READ_SECONDS)
                connection.sendall(msgspec.json.encode(self._answer(connection)) + b"\n")
        except OSError:
            return  # The operator has left; what was durable stays so.
        finally:
            self._free.release()

    def _answer(self, connection: socket.socket) -> Answer:
        try:
            user = peer(connection)
            request = read_request(_read_line(connection))
            if request.account != self._account:
                raise UsageProblem("OMS-O004", f"This writer writes {self._account}, not {request.account}")
            return self._submit(request, user)
        except OmsError as problem:
            return refused(problem)


def refused(problem: OmsError) -> Answer:
    """An error as an answer."""
    return Answer(
        exit_code=problem.exit_code,
        code=problem.code,
        what=problem.what,
        why=problem.why or "",
        hint=problem.hint or "",
    )


def read_request(given: bytes | dict[str, Any]) -> Request:
    """The request of a line, or of plain data. Raises UsageProblem that names every field which is wrong."""
    try:
        return Request.model_validate_json(given) if isinstance(given, bytes) else Request(**given)
    except ValidationError as error:
        found = [
            ": ".join([*map(str, one["loc"]), one["msg"].removeprefix("Value error, ")])
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise UsageProblem("OMS-O005", "This act cannot be taken", why="\n".join(found)) from None


def peer(connection: socket.socket) -> str:
    """The user at the other end, by the kernel's word. Raises UsageProblem for anybody but this user and root."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", data)
    if uid not in (os.geteuid(), 0):
        raise UsageProblem("OMS-O006", f"User {user_name(uid)} may not operate this writer")
    return user_name(uid)


def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def listen(path: Path) -> socket.socket:
    """A listening socket that only this user may open. One that nobody serves any more is replaced."""
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise EnvironmentProblem(
            "OMS-O012",
            "The path of the control socket is too long for the operating system",
            where=str(path),
            hint="name a shorter place with OMS_RUN_DIR",
        )
    if path.is_socket() and _is_abandoned(path):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen()
    except OSError as problem:
        listener.close()
        raise EnvironmentProblem(
            "OMS-O013",
            "The control socket cannot be opened",
            where=str(path),
            why=str(problem),
            hint="stop the other writer, or name another place with OMS_RUN_DIR",
        ) from problem
    finally:
        os.umask(before)
    return listener


def _is_abandoned(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False


class NotSent(Exception):
    """No writer listens; nothing was sent."""


class NoAnswer(Exception):
    """The request was sent and nothing came back: the act may have been taken."""


def ask(place: Path, request: Request, timeout: float = ANSWER_SECONDS + READ_SECONDS) -> Answer:
    """Send a request to the writer of `place`. Raises NotSent or NoAnswer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(place / SOCKET))
        except OSError as problem:
            raise NotSent(str(problem)) from problem
        try:
            connection.sendall(request.model_dump_json().encode() + b"\n")
            return msgspec.json.decode(_read_line(connection), type=Answer)
        except (OSError, msgspec.MsgspecError, UsageProblem) as problem:
            raise NoAnswer(str(problem)) from problem


def _read_line(connection: socket.socket) -> bytes:
    data = b""
    while b"\n" not in data:
        received = connection.recv(LINE_LIMIT)
        data += received
        if not received or len(data) > LINE_LIMIT:
            raise UsageProblem("OMS-O007", f"A message is one line of at most {LINE_LIMIT} bytes")
    return data.partition(b"\n")[0]
