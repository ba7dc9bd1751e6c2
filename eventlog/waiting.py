"""A connection that gives a server up which does not answer: one that hangs is as away as one that refuses.

Neither keepalives nor the server's own timeouts help against a server that is stopped or starved: the line stands
and says nothing. Whoever must go on without it says how long an answer may take. Reliability P13, R13.
"""

import select
import time
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen

CONNECT_S: Final = 2
"""The shortest time that libpq gives a connection to be made."""

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
    deadline = time.monotonic() + answer_s
    wire.send_query_prepared(name, values, formats, pq.Format.BINARY)
    while wire.flush():
        _ready(wire, deadline, answer_s, writes=True)
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


def _ready(wire: pq.abc.PGconn, deadline: float, answer_s: float, *, writes: bool) -> None:
    left = max(deadline - time.monotonic(), 0.0)
    ends = [wire.socket]
    readable, writable, _ = select.select(ends, ends if writes else [], [], left)
    if readable or writable:
        if readable and writes:
            wire.consume_input()
        return
    wire.finish()
    raise _silent(answer_s)


def _silent(answer_s: float) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"the server did not answer within {answer_s} s")
