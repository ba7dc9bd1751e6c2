"""A connection that gives a server up which does not answer: one that hangs is as away as one that refuses.

Neither keepalives nor the server's own timeouts help against a server that is stopped or starved: the line stands
and says nothing. Whoever must go on without it says how long an answer may take. Reliability P13, R13.
"""

import select
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

CONNECT_S: Final = 2
"""The shortest time that libpq gives a connection to be made."""

# Without these a peer that vanished would block a statement for hours.
NETWORK = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
           "tcp_user_timeout": 10_000}  # fmt: skip
SETTINGS = (
    "SET default_transaction_isolation = 'read committed'",
    "SET statement_timeout = '30s'",
    "SET lock_timeout = '5s'",
    # The statements are the same for every value; planning each time would cost more than running them.
    "SET plan_cache_mode = force_generic_plan",
    "SET jit = off",
    # A client that vanished keeps no lock for longer.
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 10000",
)
T = TypeVar("T")


class Connection(psycopg.Connection[Any]):
    """As psycopg's, and with `answer_s` no statement is waited for longer than that; then the line is closed."""

    answer_s: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Run what waits for the server. Raises OperationalError without a SQLSTATE when it does not answer."""
        if self.answer_s is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_s)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise _silent(self.answer_s) from None


def exec_prepared(
    wire: pq.abc.PGconn, name: bytes, values: list[bytes], answer_s: float | None
) -> pq.abc.PGresult:
    """Run a prepared statement in binary. Raises OperationalError without a SQLSTATE when there is no answer."""
    formats = [pq.Format.BINARY] * len(values)
    if answer_s is None:
        return wire.exec_prepared(name, values, formats, pq.Format.BINARY)
    deadline = _deadline(answer_s)
    wire.send_query_prepared(name, values, formats, pq.Format.BINARY)
    _flush(wire, answer_s)
    result: pq.abc.PGresult | None = None
    while True:
        while wire.is_busy():
            _ready(wire, deadline, answer_s, writes=False)
            wire.consume_input()
        found = wire.get_result()
        if found is None:
            assert result is not None, "a statement has a result"
            return result
        result = found


def exec_pipelined(
    wire: pq.abc.PGconn, statements: Iterable[tuple[bytes, list[bytes]]]
) -> list[pq.abc.PGresult]:
    """Run prepared statements in binary as one transaction, the server each as soon as it is there.

    Returns their results; if one failed nothing is stored. Raises OperationalError without a SQLSTATE when the line
    breaks. Where making a statement raises, the line is closed, and nothing of the others is stored.
    """
    wire.enter_pipeline_mode()
    try:
        for name, values in statements:
            wire.send_query_prepared(name, values, [pq.Format.BINARY] * len(values), pq.Format.BINARY)
            _flush(wire, None)
        wire.pipeline_sync()
        _flush(wire, None)
        found = list(_results(wire))
        wire.exit_pipeline_mode()
    except BaseException:
        wire.finish()
        raise
    return found


def _results(wire: pq.abc.PGconn) -> Iterator[pq.abc.PGresult]:
    """What the server says up to the end of the transaction."""
    while True:
        while wire.is_busy():
            _ready(wire, None, None, writes=False)
            wire.consume_input()
        result = wire.get_result()
        if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        if result is not None:
            yield result
        elif wire.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(wire.error_message.decode(errors="replace"))


def _deadline(answer_s: float | None) -> float | None:
    return None if answer_s is None else time.monotonic() + answer_s


def _flush(wire: pq.abc.PGconn, answer_s: float | None) -> None:
    """Put everything on the line, as far as the server takes it in time."""
    deadline = _deadline(answer_s)
    while wire.flush():
        _ready(wire, deadline, answer_s, writes=True)


def _ready(wire: pq.abc.PGconn, deadline: float | None, answer_s: float | None, *, writes: bool) -> None:
    left_ms = None if deadline is None else max(deadline - time.monotonic(), 0.0) * 1000
    # Not select(), which knows no descriptor beyond 1023.
    line = select.poll()
    line.register(wire.socket, select.POLLIN | (select.POLLOUT if writes else 0))
    events = line.poll(left_ms)
    if events:
        if writes and events[0][1] & select.POLLIN:
            wire.consume_input()
        return
    wire.finish()
    raise _silent(answer_s)


def _silent(answer_s: float | None) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"the server did not answer within {answer_s} s")
