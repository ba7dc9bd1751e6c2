"""Decisions that leave the process. A command is a plain reading of its decision and adds nothing."""

from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import Struct

from oms.values import Micros, OrderType, Role, Side, TimeInForce


class PlaceOrder(Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """Send a new order. `seq` is the decision's place in the log; an exit that
    `enlarges` may do that to what the account holds: it closes its own trade."""

    seq: int
    instrument: str
    client_order_id: str
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    valid_until: Micros | None = None
    reason: str = ""
    enlarges: bool = False


class ReplaceOrder(Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """Change a working order. `client_order_id` is the new wire id, `orig_client_order_id` the present one."""

    seq: int
    instrument: str
    client_order_id: str
    orig_client_order_id: str
    broker_order_id: str | None = None
    role: Role
    side: Side
    quantity: Decimal
    order_type: OrderType
    price_limit: Decimal | None = None
    price_stop: Decimal | None = None
    valid_until: Micros | None = None
    reason: str = ""


class CancelOrder(Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """Cancel a working order."""

    seq: int
    instrument: str
    client_order_id: str
    orig_client_order_id: str
    broker_order_id: str | None = None
    reason: str = ""


class QueryOrder(Struct, frozen=True, gc=False, kw_only=True, tag=True):
    """Ask what became of an order. `client_order_id` is the wire id asked for."""

    seq: int
    instrument: str
    client_order_id: str
    reason: str = ""


Command = PlaceOrder | ReplaceOrder | CancelOrder | QueryOrder

PRIORITY_PROTECT: Final = 0
"""Cancels, exits and stops: whatever reduces risk leaves first and is never throttled."""
PRIORITY_TARGET: Final = 1
PRIORITY_ENTRY: Final = 2
PRIORITY_QUERY: Final = 3

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)

_stored: Final[dict[type[Command], Callable[[Any], Struct]]] = {}
"""Each command in stored order."""


def encode(command: Command) -> str:
    """Canonical JSON text for the outbox and for a broker process: keys by (byte length, bytes), as the log has it."""
    convert = _stored.get(type(command))
    if convert is None:
        convert = _stored[type(command)] = _converter(type(command))
    return msgspec.json.format(_encoder.encode(convert(command)), indent=0).decode()


def _converter(cls: type[Command]) -> Callable[[Any], Struct]:
    """Compile `command -> the same data in a struct whose fields stand in stored order`; what is None is left out."""
    names = sorted(("type", *cls.__struct_fields__), key=lambda name: (len(name), name))
    target = msgspec.defstruct(
        cls.__name__, [(name, Any, None) for name in names], omit_defaults=True, gc=False
    )
    place, tag = names.index("type"), cls.__name__
    getter = attrgetter(*(name for name in names if name != "type"))

    def convert(command: Any) -> Struct:
        values = getter(command)
        return target(*values[:place], tag, *values[place:])

    return convert


def decode(text: str | bytes) -> Command:
    """The command behind an outbox row. Raises msgspec.ValidationError on anything else."""
    return _decoder.decode(text)


def priority(command: Command) -> int:
    """Place in the queue; lower leaves first (eventlog 3.6)."""
    if isinstance(command, CancelOrder):
        return PRIORITY_PROTECT
    if isinstance(command, QueryOrder):
        return PRIORITY_QUERY
    if command.role in (Role.STOP, Role.EXIT):
        return PRIORITY_PROTECT
    return PRIORITY_TARGET if command.role is Role.TARGET else PRIORITY_ENTRY


def reduces_only(command: PlaceOrder) -> bool:
    """Whether a broker that can (`native_reduce_only`) is to let the order close only what is held.

    An oversell is bought back without: another trade may hold as much as one has sold too much, so that the account is
    not short of it and the broker would refuse the repair for ever. So is a trade closed while another holds the
    opposite: of the two the account has only the difference.
    """
    return command.role is not Role.ENTRY and not command.enlarges


def adds_risk(command: Command) -> bool:
    """Whether the command can open or enlarge a position."""
    return isinstance(command, PlaceOrder | ReplaceOrder) and command.role is Role.ENTRY


_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS: Final = tuple(left + right for left in _ALPHABET for right in _ALPHABET)


def order_id(log_id: str, account: str, epoch: int, seq: int, leg: int = 0) -> str:
    """17 characters of A-Z and 2-7 from the place of a decision in the log (architecture 5.4).

    The first tells a simulated environment (S), paper (P) or live (L) apart; the rest are 80 bits of SHA-256.
    """
    environment = account.split("/", 2)[1] if "/" in account else "sim"
    bits = int(sha256(f"oid1|{log_id}|{account}|{epoch}|{seq}|{leg}".encode()).hexdigest()[:20], 16)
    pairs = _PAIRS
    # Spelt out: a loop over eight pairs would cost more than the hash.
    return (
        f"{environment[:1].upper()}{pairs[bits >> 70]}{pairs[bits >> 60 & 1023]}{pairs[bits >> 50 & 1023]}"
        f"{pairs[bits >> 40 & 1023]}{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}"
        f"{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
