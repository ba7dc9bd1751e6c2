"""The words between a broker process and its clients: one JSON object per line, one answer per request."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from oms.brokers.simulated.book import EventText, event_of, event_text
from oms.brokers.simulated.dump import BookDump
from oms.brokers.simulated.floor import SOURCE
from oms.brokers.simulated.records import Reply
from oms.commands import Command
from oms.events.base import Stamped
from oms.values import Micros

MAX_LINE: Final = 64 * 1024 * 1024


class Start(Struct, frozen=True, tag=True):
    """This client takes the broker's answers from now on."""


class Stop(Struct, frozen=True, tag=True):
    """This client takes no more answers."""


class Send(Struct, frozen=True, tag=True):
    """A command; `now` None means the broker's present time."""

    command: Command
    now: Micros | None = None


class Query(Struct, frozen=True, tag=True):
    """Ask for open orders, executions and positions."""

    asked_at_seq: int
    whole: bool = True


class Feed(Struct, frozen=True, tag=True):
    """One market event."""

    event: EventText
    at: Micros


class Advance(Struct, frozen=True, tag=True):
    """Move time forward; the answer carries the replies due by then.

    The client's next request on the same connection proves that it has them. If the connection ends before
    that, the next client gets them again.
    """

    now: Micros


class NextDue(Struct, frozen=True, tag=True):
    """When something is due next; also serves to see whether the broker answers."""


class Bust(Struct, frozen=True, tag=True):
    """Take an execution back."""

    execution: str


class Correct(Struct, frozen=True, tag=True):
    """Restate an execution."""

    execution: str
    quantity: Decimal
    price: Decimal


class Dump(Struct, frozen=True, tag=True):
    """The whole book, for an auditor."""


class Shutdown(Struct, frozen=True, tag=True):
    """End the process."""


Request = Start | Stop | Send | Query | Feed | Advance | NextDue | Bust | Correct | Dump | Shutdown


class Message(Struct, frozen=True):
    """A reply on the wire."""

    due: Micros
    key: str
    event: EventText


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to any request. `error` says why it was not carried out.

    `live` are the instruments with orders that the market can execute. A quote or print for another one changes
    nothing but the broker's own picture of the market, so a client need not wait for the answer to it.
    """

    now: Micros
    next_due: Micros | None = None
    live: tuple[str, ...] = ()
    replies: tuple[Message, ...] = ()
    dump: BookDump | None = None
    error: str | None = None


_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode_request: Final = msgspec.json.Decoder(Request).decode
_decode_answer: Final = msgspec.json.Decoder(Answer).decode


def line(words: Request | Answer) -> bytes:
    """One request or answer as a line."""
    return _encode(words) + b"\n"


def request_of(text: bytes) -> Request:
    """Raises msgspec.ValidationError or msgspec.DecodeError for anything else than a request."""
    request: Request = _decode_request(text)
    return request


def answer_of(text: bytes) -> Answer:
    """Raises msgspec.ValidationError or msgspec.DecodeError for anything else than an answer."""
    return _decode_answer(text)


def message(reply: Reply) -> Message:
    """A reply as it travels."""
    return Message(reply.due, reply.key, event_text(reply.event))


def stamped(found: Message) -> Stamped:
    """A reply as the sink gets it."""
    return Stamped(
        event=event_of(found.event),
        logical_time=found.due,
        event_time=found.due,
        received_at=found.due,
        source=SOURCE,
        dedupe_key=found.key,
    )
