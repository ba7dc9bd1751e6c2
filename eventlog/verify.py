"""Whether a log is still what was appended: every row, link, raw frame and configuration.

The view `oms.chain_check` says the same with SQL alone. A chain cannot show that somebody rewrote all of it
from some row to the end; seals that left the database can.
"""

from hashlib import sha256
from typing import Literal

import msgspec

from eventlog.chain import account_piece, genesis, link, row_pieces
from eventlog.errors import LogCorrupt, UnknownAccount
from eventlog.log import EventLog, StoredRow

What = Literal["row", "link", "raw frame", "configuration", "head"]
CONFIG_EVENT = "ConfigActivated"
_NAMES = ('"raw_sha256"', '"config_sha256"')


class ChainReport(msgspec.Struct, frozen=True):
    """What a verification found. `rows` is the number of rows found good from the start.

    `what` tells what is wrong at `first_bad_seq`: the `row` is missing or stands twice, its `link` does not
    fit its content, its `raw frame` or `configuration` is not the one its body names, or the `head`
    contradicts the last row.
    """

    account: str
    intact: bool
    rows: int
    first_bad_seq: int | None = None
    what: What | None = None


def verify_chain(log: EventLog, account: str) -> ChainReport:
    """Read the whole log of an account and compute it again. Raises UnknownAccount."""
    head = log.head(account)
    if head is None:
        raise UnknownAccount(f"there is no account {account} in this log; heads() lists those there are")
    own, previous, rows = account_piece(account), genesis(account), 0
    try:
        for stored in log.read_stored(account, 0, head.seq):
            if link(previous, own, row_pieces(stored.envelope)) != stored.chain:
                return ChainReport(account, False, rows, stored.envelope.seq, "link")
            what = _wrong_evidence(log, stored)
            if what:
                return ChainReport(account, False, rows, stored.envelope.seq, what)
            previous = stored.chain
            rows += 1
    except LogCorrupt as error:
        seq = error.details["seq"]
        assert isinstance(seq, int)
        return ChainReport(
            account, False, rows, seq, "link" if error.details.get("what") == "link" else "row"
        )
    beyond = _row_beyond_head(log, account)
    if beyond is not None:
        return ChainReport(account, False, rows, beyond, "head")
    if previous != head.chain:
        return ChainReport(account, False, rows, head.seq, "head")
    return ChainReport(account, True, rows)


def _wrong_evidence(log: EventLog, stored: StoredRow) -> What | None:
    row = stored.envelope
    named = stored.raw is not None or any(name in row.body for name in _NAMES)
    if not named:
        return None
    body = msgspec.json.decode(row.body)
    expected = body.get("raw_sha256") if row.kind == "I" else None
    if expected != (None if stored.raw is None else sha256(stored.raw).hexdigest()):
        return "raw frame"
    name = body.get("config_sha256")
    if row.type == CONFIG_EVENT and name is not None:
        text = log.config(str(name))
        if text is None or sha256(text.encode()).hexdigest() != name:
            return "configuration"
    return None


def _row_beyond_head(log: EventLog, account: str) -> int | None:
    # The last row is asked for before the head, so that a writer at work cannot look like a forger.
    last = log.last_seq(account)
    head = log.head(account)
    known = head.seq if head else 0
    return known + 1 if last > known else None
