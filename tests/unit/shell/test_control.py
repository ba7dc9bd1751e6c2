"""The control socket: private, bounded, one request and one answer, and clear about what is wrong."""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms.errors import DomainProblem, EnvironmentProblem, UsageProblem
from oms.events.operator import Act
from oms.shell import control, places
from oms.shell.control import (
    CONNECTIONS,
    LINE_LIMIT,
    NAME_LIMIT,
    REASON_LIMIT,
    SOCKET,
    Answer,
    ControlServer,
    NoAnswer,
    NotSent,
    Request,
    ask,
    listen,
    peer,
    read_request,
)

GOOD: dict[str, Any] = {
    "id": "1", "account": "a/b/c", "act": Act.KILL, "principal": "alice", "reason": "because", "level": 3,
}  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="o") as folder:
        yield Path(folder)


class Writer:
    """Answers like a writer, and remembers who asked what."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, str]] = []

    def __call__(self, request: Request, user: str) -> Answer:
        self.asked.append((request, user))
        if request.reason == "refuse":
            raise DomainProblem("OMS-O022", "No", why="it is so", hint="do not")
        return Answer(seq=len(self.asked), durable="log", effects=("KillLevelRaised",))


@pytest.fixture
def server(place: Path) -> Iterator[Writer]:
    writer = Writer()
    serving = ControlServer(place, "a/b/c", writer)
    yield writer
    serving.close()
    assert not (place / SOCKET).exists()


def test_one_request_and_its_answer(place: Path, server: Writer) -> None:
    answer = ask(place, read_request(GOOD))
    assert answer == Answer(seq=1, durable="log", effects=("KillLevelRaised",))
    (request, user) = server.asked[0]
    assert request == read_request(GOOD)
    assert user == control.user_name(os.geteuid())


def test_the_socket_is_this_users_alone(place: Path, server: Writer) -> None:
    assert (place / SOCKET).stat().st_mode & 0o777 == 0o600


def test_a_refusal_comes_back_as_it_was_said(place: Path, server: Writer) -> None:
    answer = ask(place, read_request(GOOD | {"reason": "refuse"}))
    assert (answer.exit_code, answer.code, answer.why, answer.hint) == (1, "OMS-O022", "it is so", "do not")


def test_another_account_is_not_ours(place: Path, server: Writer) -> None:
    answer = ask(place, read_request(GOOD | {"account": "x/y/z"}))
    assert (answer.exit_code, answer.code, server.asked) == (2, "OMS-O004", [])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": ""}, "a reason is required"),
        ({"reason": " \t"}, "control character"),
        ({"reason": "   "}, "a reason is required"),
        ({"reason": "x" * (REASON_LIMIT + 1)}, "reason: String should have at most 500"),
        ({"reason": "line\nline"}, "reason holds a control character"),
        ({"reason": "\x1b[2J"}, "reason holds a control character"),
        ({"reason": "\ud800"}, "reason"),
        ({"principal": ""}, "principal"),
        ({"principal": "x" * (NAME_LIMIT + 1)}, "principal"),
        ({"level": 0}, "KILL needs one"),
        ({"level": 5}, "level"),
        ({"level": True}, "level"),
        ({"act": Act.PAUSE}, "a level belongs to KILL"),
        ({"act": Act.CLOSE, "level": 0}, "name the instrument or the trade"),
        ({"act": Act.CLOSE, "level": 0, "trade_no": 0}, "trade_no"),
        ({"id": ""}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"id": "a b"}, "id"),
        ({"more": 1}, "more"),
        ({"act": "SELL"}, "act"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageProblem, match="OMS-O005") as refusal:
        read_request(GOOD | fields)
    assert said in (refusal.value.why or "")


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "x" * REASON_LIMIT},
        {"principal": "x" * NAME_LIMIT},
        {"id": "x" * 64},
        {"level": 1},
        {"level": 4},
        {"act": Act.CLOSE, "level": 0, "trade_no": 1},
        {"act": Act.CLOSE, "level": 0, "instrument": "A"},
        {"act": Act.CANCEL, "level": 0},
        {"reason": "größer als ≥ 3"},
    ],
)
def test_what_is_right_is_taken(fields: dict[str, Any]) -> None:
    request = read_request(GOOD | fields)
    assert read_request(request.model_dump_json().encode()) == request


def test_the_kernels_word_stands_beside_a_claimed_name() -> None:
    assert read_request(GOOD).event("alice").principal == "alice"
    assert read_request(GOOD).event("oms").principal == "alice (via oms)"
    assert read_request(GOOD | {"reason": " because "}).event("oms").reason == "because"


def talk(place: Path, data: bytes) -> dict[str, Any]:
    """Send bytes as they are; the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(place / SOCKET))
        connection.sendall(data)
        with connection.makefile("rb") as stream:
            found: dict[str, Any] = json.loads(stream.readline())
            return found


@pytest.mark.parametrize("data", [b"\n", b"{}\n", b"nonsense\n", b"\xff\xfe\n", b"[" * 5000 + b"\n"])
def test_a_line_that_is_no_request_is_refused(place: Path, server: Writer, data: bytes) -> None:
    assert talk(place, data)["code"] == "OMS-O005"


def test_a_line_without_end_is_refused(place: Path, server: Writer) -> None:
    assert talk(place, b"x" * (LINE_LIMIT + 1))["code"] == "OMS-O007"


def test_who_hangs_or_leaves_holds_up_nobody(place: Path, server: Writer) -> None:
    hanging = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS - 1)]
    try:
        for one in hanging:
            one.connect(str(place / SOCKET))
        assert ask(place, read_request(GOOD)).seq == 1
    finally:
        for one in hanging:
            one.close()


def test_a_socket_that_nobody_serves_is_replaced(place: Path) -> None:
    listen(place / SOCKET).close()
    with pytest.raises(NotSent):
        ask(place, read_request(GOOD))
    serving = ControlServer(place, "a/b/c", Writer())
    assert ask(place, read_request(GOOD)).seq == 1
    serving.close()


def test_a_socket_that_is_served_is_left_alone(place: Path, server: Writer) -> None:
    with pytest.raises(EnvironmentProblem, match="OMS-O013"):
        ControlServer(place, "a/b/c", Writer())
    assert ask(place, read_request(GOOD)).seq == 1


def test_a_file_that_is_no_socket_is_left_alone(place: Path) -> None:
    (place / SOCKET).write_text("mine")
    with pytest.raises(EnvironmentProblem, match="OMS-O013"):
        listen(place / SOCKET)
    assert (place / SOCKET).read_text() == "mine"


def test_a_path_too_long_for_a_socket_is_told() -> None:
    with pytest.raises(EnvironmentProblem, match="OMS-O012"):
        listen(Path("/tmp") / ("x" * 120))


def test_without_an_answer_the_act_may_have_been_taken(place: Path) -> None:
    listener = listen(place / SOCKET)

    def leave() -> None:
        connection, _ = listener.accept()
        connection.recv(LINE_LIMIT)
        connection.close()

    thread = threading.Thread(target=leave)
    thread.start()
    with pytest.raises(NoAnswer):
        ask(place, read_request(GOOD))
    thread.join()
    listener.close()


class Stranger:
    """A connection from another user."""

    def getsockopt(self, *_: int) -> bytes:
        import struct

        return struct.pack("3i", 1, os.geteuid() + 4711, 0)


def test_a_stranger_is_refused() -> None:
    with pytest.raises(UsageProblem, match="OMS-O006"):
        peer(Stranger())  # type: ignore[arg-type]


# --- places ---------------------------------------------------------------------------------------------------


def test_a_place_is_private_and_names_its_account(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.VARIABLE, str(place))
    assert places.known_accounts() == {}
    found = places.make_private(places.writer_dir("a/b/c"), "a/b/c")
    assert found.stat().st_mode & 0o777 == 0o700
    assert places.known_accounts() == {"a/b/c": found}
    assert places.writer_dir("a/b/c") == found
    assert places.writer_dir("a-b/c") != found, "accounts that look alike keep apart"


@pytest.mark.parametrize("mode", [0o750, 0o701])
def test_a_place_that_others_may_enter_is_refused(place: Path, mode: int) -> None:
    (place / "w").mkdir()
    (place / "w").chmod(mode)
    with pytest.raises(EnvironmentProblem, match="OMS-O010"):
        places.make_private(place / "w", "a/b/c")


def test_a_place_that_cannot_be_made_is_told(place: Path) -> None:
    (place / "w").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="OMS-O01"):
        places.make_private(place / "w" / "x", "a/b/c")
