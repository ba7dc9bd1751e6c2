"""The hash chain of an account: each row's link covers the row and, through the link before, all history.

The preimage of a link is a list of fields, each with its length in front as four bytes, big endian, and NULL
as length -1, so that no byte can slide from one field into the next. A field is what PostgreSQL's binary
format says (the functions int8send, date_send, timestamptz_send, textsend); the body is its `body::text`:

    format number (int2), previous link, shard (int2), account, then COLUMNS in this order

`recorded_at` is the database's own clock, unknown when the link is made, and stays outside.
"""

from datetime import date
from hashlib import sha256
from struct import Struct

from eventlog.envelope import Envelope, shard_of

FORMAT = 1
COLUMNS = (
    "seq", "trading_day", "cause_seq", "kind", "type", "version", "pipeline", "trade_no", "client_order_id",
    "broker_order_id", "reason", "event_time", "received_at", "logical_time", "source", "dedupe_key", "body",
)  # fmt: skip

# PostgreSQL counts days and microseconds from 2000-01-01.
EPOCH_ORDINAL = date(2000, 1, 1).toordinal()
EPOCH_US = 946_684_800_000_000

# Names and order ids come again and again.
_REMEMBERED = ("kind", "type", "pipeline", "client_order_id", "broker_order_id", "reason", "source")

NULL = b"\xff\xff\xff\xff"
_length = Struct(">i").pack
_int8 = Struct(">iq").pack
_int4 = Struct(">ii").pack
_int2 = Struct(">ih").pack
_START = Struct(">ihi").pack(2, FORMAT, 32)
_TEXTS_LIMIT = 8192
_texts: dict[str | None, bytes] = {}
_days: dict[date, bytes] = {}


def genesis(account: str) -> bytes:
    """The link before the first row."""
    return sha256(b"oms-chain-v1" + account.encode()).digest()


def account_piece(account: str) -> bytes:
    """The two fields that every row of an account shares: shard and account."""
    return _int2(2, shard_of(account)) + text_piece(account)


def link(previous: bytes, account: bytes, pieces: tuple[bytes, ...]) -> bytes:
    """The link of a row from the link before, `account_piece` and `row_pieces`."""
    return sha256(b"".join((_START, previous, account) + pieces)).digest()  # noqa: RUF005 - faster than unpacking


def text_piece(text: str | None) -> bytes:
    """A text field; texts that come again, as names and order ids do, are remembered."""
    piece = _texts.get(text)
    if piece is None:
        if len(_texts) >= _TEXTS_LIMIT:
            _texts.clear()
        piece = _texts[text] = fresh_text_piece(text)
    return piece


def fresh_text_piece(text: str | None) -> bytes:
    """A text field that hardly comes twice."""
    if text is None:
        return NULL
    data = text.encode()
    if b"\0" in data:
        raise ValueError("a text holds U+0000, which no database text can")
    return _length(len(data)) + data


def bytes_piece(data: bytes) -> bytes:
    """A field of bytes."""
    return _length(len(data)) + data


def seq_piece(seq: int) -> bytes:
    """A number of 64 bits."""
    return _int8(8, seq)


def small_piece(number: int) -> bytes:
    """A number of 16 bits."""
    return _int2(2, number)


def day_piece(day: date) -> bytes:
    """A calendar day."""
    piece = _days.get(day)
    if piece is None:
        if len(_days) >= _TEXTS_LIMIT:
            _days.clear()
        piece = _days[day] = _int4(4, day.toordinal() - EPOCH_ORDINAL)
    return piece


def row_pieces(row: Envelope) -> tuple[bytes, ...]:
    """The fields of COLUMNS. Raises struct.error or ValueError for what no column can hold."""
    # The busiest function of the log: it takes for granted that all its texts are known, and asks again if not.
    known, days = _texts, _days
    body, trade_no, key = row.body.encode(), row.trade_no, row.dedupe_key
    event_time, received_at = row.event_time, row.received_at
    while True:
        try:
            return (
                _int8(8, row.seq),
                days[row.trading_day],
                _int8(8, row.cause_seq),
                known[row.kind],
                known[row.type],
                _int2(2, row.version),
                known[row.pipeline],
                NULL if trade_no is None else _int4(4, trade_no),
                known[row.client_order_id],
                known[row.broker_order_id],
                known[row.reason],
                NULL if event_time is None else _int8(8, event_time - EPOCH_US),
                NULL if received_at is None else _int8(8, received_at - EPOCH_US),
                _int8(8, row.logical_time - EPOCH_US),
                known[row.source],
                NULL if key is None else fresh_text_piece(key),
                _length(len(body)) + body,
            )
        except KeyError:
            _remember(row)


def _remember(row: Envelope) -> None:
    """Make a row's day and the texts that come again known, all at once: none may go for another's sake."""
    if len(_texts) > _TEXTS_LIMIT - len(_REMEMBERED):
        _texts.clear()
    for name in _REMEMBERED:
        text_piece(getattr(row, name))
    day_piece(row.trading_day)
