"""Durable commands go to the wire: what reduces risk first, nothing stale, every failure an input.

Nothing is resent here. A command whose fate is unknown stays pending in the state, and the reconciliation policy
asks the broker; a command that provably did not leave comes back as `CommandFailed` and its owner decides anew.
Architecture 3 and 5.4; reliability I60..I62, I66.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from eventlog import failpoints
from oms import commands
from oms.commands import Command
from oms.errors import EnvironmentProblem
from oms.events.base import Event, Stamped
from oms.events.broker import CommandExpired, CommandFailed, CommandRefused
from oms.shell.gate import Gate
from oms.values import Micros


class Wire(Protocol):
    """The sending half of a broker."""

    def send_at(self, command: Command, now: Micros) -> None:
        """Hand a command to the wire."""


class Dispatcher:
    """Sends what was committed and the gate lets pass. `report` takes what the broker itself will not tell.

    `hold` raises when another writer may have the account: a process that slept since its commit must not send
    what its successor has asked for in vain, and decided anew (I13).
    """

    def __init__(
        self,
        wire: Wire,
        report: Callable[[Stamped], None],
        gate: Gate | None = None,
        hold: Callable[[], None] | None = None,
    ) -> None:
        self._wire = wire
        self._report = report
        self._gate = gate
        self._hold = hold

    def dispatch(self, released: Iterable[Command], now: Micros) -> None:
        """Send commands of durable decisions, lowest priority number first, each in log order."""
        for command in sorted(released, key=_order):
            failpoints.reach("command.claimed")
            valid_until = getattr(command, "valid_until", None)
            if valid_until is not None and commands.adds_risk(command) and now > valid_until:
                self._tell(
                    CommandExpired(
                        instrument=command.instrument,
                        client_order_id=command.client_order_id,
                        command_seq=command.seq,
                    ),
                    command,
                    now,
                )
                continue
            refusal = self._gate.check(command, now) if self._gate is not None else None
            if refusal is None:
                self._send(command, now)
            else:
                self._tell(
                    CommandRefused(
                        instrument=command.instrument,
                        client_order_id=command.client_order_id,
                        command_seq=command.seq,
                        limit=refusal[0],
                        text=refusal[1],
                    ),
                    command,
                    now,
                )

    def _send(self, command: Command, now: Micros) -> None:
        failpoints.reach("command.sending")
        if self._hold is not None:
            self._hold()
        try:
            self._wire.send_at(command, now)
            failpoints.reach("command.sent")
        except (OSError, EnvironmentProblem) as failure:
            # Whether it left is not known here: the safe reading is that it may have.
            event = CommandFailed(
                instrument=command.instrument,
                client_order_id=command.client_order_id,
                command_seq=command.seq,
                sent=True,
                text=str(failure),
            )
            self._tell(event, command, now)

    def _tell(self, event: Event, command: Command, now: Micros) -> None:
        key = f"{type(event).__name__}:{command.seq}"
        self._report(Stamped(event=event, logical_time=now, source="dispatcher", dedupe_key=key))


def _order(command: Command) -> tuple[int, int]:
    return commands.priority(command), command.seq
