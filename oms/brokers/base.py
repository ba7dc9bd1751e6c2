"""The broker protocol: every answer arrives through the sink, nothing is returned."""

from collections.abc import Callable
from typing import Protocol

from oms.commands import Command
from oms.events.base import Stamped

Sink = Callable[[Stamped], None]
"""Takes an input from the broker; may be called from the adapter's own thread; never blocks for long."""


class Broker(Protocol):
    """An adapter translates; it holds no policy and keeps no order state of its own."""

    def start(self, sink: Sink, checkpoint: str | None) -> None:
        """Connect and deliver: capabilities, link status, then whatever happens."""

    def send(self, command: Command) -> None:
        """Hand one durable command to the wire. Failures arrive as `CommandFailed` through the sink."""

    def query(self, asked_at_seq: int, *, whole: bool = True) -> None:
        """Ask for open orders, executions and positions; the answer ends with `BrokerSnapshotReported`.

        That one names the executions again, by the ids that `OrderFilled` had at first, so that two of them are known
        for two; none where the broker cannot list them all. Not `whole`: it is that report alone, the positions and
        which orders are open.
        """

    def stop(self) -> None:
        """Disconnect. Working orders stay working."""
