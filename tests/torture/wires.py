"""Deaths that no line of the product can bring about: with bytes on the wire and the answer not read."""

import os
import signal
import socket
from pathlib import Path
from typing import Final, cast

from psycopg import pq

from eventlog.batch import Batch
from eventlog.failpoints import Plan
from eventlog.postgres import PostgresLog
from eventlog.statements import append_parameters, shape_of
from oms.brokers.simulated import wire
from oms.brokers.simulated.remote import RemoteSimulatedBroker

APPEND_UNANSWERED: Final = "append.unanswered"
COMMAND_TORN: Final = "command.torn"
COMMAND_UNANSWERED: Final = "command.unanswered"
POINTS: Final = {
    APPEND_UNANSWERED: "the statement has left, its answer is not read",
    COMMAND_TORN: "half of a command's bytes are on the wire",
    COMMAND_UNANSWERED: "a command is on the wire, the broker's answer is not read",
}


class WirePlan(Plan):
    """A plan that also knows the points of this module."""

    def __init__(self, name: str = "", nth: int = 0) -> None:
        super().__init__(name if name not in POINTS else "", nth)
        self.name = name

    def strikes(self, name: str) -> bool:
        """Count one pass; whether it is the one."""
        self.passed[name] += 1
        return name == self.name and self.passed[name] == self.nth


class Log(PostgresLog):
    """The product's log; dies after a statement was sent and before its answer is read."""

    def __init__(self, conninfo: str, plan: Plan | None) -> None:
        self._plan = plan
        super().__init__(conninfo)

    def _store(self, batch: Batch) -> bool:
        shape = shape_of(batch)
        name = self._prepared.get(shape)
        if name is not None and isinstance(self._plan, WirePlan) and self._plan.strikes(APPEND_UNANSWERED):
            values = cast("list[bytes]", append_parameters(batch, shape))
            wire_of = self._usable().pgconn
            wire_of.send_query_prepared(name, values, [pq.Format.BINARY] * len(values), pq.Format.BINARY)
            while wire_of.flush():
                pass
            die()
        return super()._store(batch)


class Broker(RemoteSimulatedBroker):
    """The product's client of the broker process; dies with a command half or wholly on the wire."""

    def __init__(self, path: Path, plan: Plan | None) -> None:
        self._plan = plan
        super().__init__(path)

    def _exchange(self, request: wire.Request) -> wire.Answer:
        if isinstance(request, wire.Send) and isinstance(self._plan, WirePlan):
            torn, unanswered = self._plan.strikes(COMMAND_TORN), self._plan.strikes(COMMAND_UNANSWERED)
            if torn or unanswered:
                text = b"".join((*self._ahead, wire.line(request)))
                cast("socket.socket", self._socket).sendall(text[: -len(text) // 2] if torn else text)
                die()
        return super()._exchange(request)


def die() -> None:
    """As a failpoint does."""
    os.kill(os.getpid(), signal.SIGKILL)
