"""Scripted misbehaviour: which order, and what goes wrong with it. Same script and inputs, same mishaps.

A script is a tuple of `Misbehave`. Faults of the venue change what happens; faults of the line change what
the client hears of it. `Disconnect` concerns the line as a whole and ignores `when`.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec import Struct

from oms.commands import PlaceOrder
from oms.values import Role


class When(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The orders concerned: by role, by instrument, the nth such order placed (from 1); None means all."""

    role: Role | None = None
    instrument: str | None = None
    nth: int | None = None


class Reject(Struct, frozen=True, tag=True):
    """The order is rejected."""

    code: str = "REFUSED"
    text: str = "refused by script"


class RejectReplace(Struct, frozen=True, tag=True):
    """Every replace of the order is rejected."""

    text: str = "refused by script"


class FillOnly(Struct, frozen=True, tag=True):
    """No more than `quantity` of the order executes; the rest stays."""

    quantity: Decimal


class FillAfterCancel(Struct, frozen=True, tag=True):
    """`quantity` (None: all that was left) executes `delay_ms` after the cancel was confirmed."""

    quantity: Decimal | None = None
    delay_ms: int = 50


class NoFillAfterTrigger(Struct, frozen=True, tag=True):
    """The stop triggers and then nothing executes: the market is gone beyond its limit."""


class LoseCancelRace(Struct, frozen=True, tag=True):
    """The order executes in full just before its cancel arrives."""


class CancelUnasked(Struct, frozen=True, tag=True):
    """The broker cancels the order by itself."""

    after_ms: int = 1000


class Drop(Struct, frozen=True, tag=True):
    """The order's messages of this type never reach the client (`nth` from 1; None: all)."""

    message: str = "OrderAccepted"
    nth: int | None = None


class Delay(Struct, frozen=True, tag=True):
    """The order's messages of this type come later, behind messages that were sent after them."""

    ms: int
    message: str = "OrderAccepted"
    nth: int | None = None


class Repeat(Struct, frozen=True, tag=True):
    """The order's messages of this type come twice, under the same key."""

    message: str = "OrderFilled"
    nth: int | None = None
    after_ms: int = 1


class Swap(Struct, frozen=True, tag=True):
    """The message comes right after the order's next one. Without a next one it never comes."""

    message: str = "OrderAccepted"
    nth: int | None = None


class Disconnect(Struct, frozen=True, tag=True):
    """The link drops with the nth message; what falls due meanwhile waits, or is lost.

    `for_ms` None: down until the next start.
    """

    after_messages: int
    for_ms: int | None = None
    loses_messages: bool = False


Fault = (
    Reject
    | RejectReplace
    | FillOnly
    | FillAfterCancel
    | NoFillAfterTrigger
    | LoseCancelRace
    | CancelUnasked
    | Drop
    | Delay
    | Repeat
    | Swap
    | Disconnect
)


class Misbehave(Struct, frozen=True, kw_only=True):
    """One line of a script."""

    what: Fault
    when: When = When()


Script = tuple[Misbehave, ...]

_decoder = msgspec.json.Decoder(Script)


def decode(text: str | bytes) -> Script:
    """A script from JSON: [{"when": {"role": "STOP", "nth": 1}, "what": {"type": "Reject"}}, ...]."""
    return _decoder.decode(text)


def encode(script: Script) -> bytes:
    """The JSON text of a script."""
    return msgspec.json.encode(script)


def concerns(when: When, command: PlaceOrder) -> bool:
    """Whether role and instrument match; `nth` is counted by the caller."""
    return when.role in (None, command.role) and when.instrument in (None, command.instrument)


def faults_of(script: Script, command: PlaceOrder, earlier: Sequence[int]) -> tuple[int, ...]:
    """Places in the script that apply to a new order; `earlier[i]` orders matched line i before it."""
    return tuple(
        index
        for index, line in enumerate(script)
        if not isinstance(line.what, Disconnect)
        and concerns(line.when, command)
        and line.when.nth in (None, earlier[index] + 1)
    )
