"""Logs that somebody rewrote: some rows changed, and the chain made good again."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from eventlog.canon import canonical
from eventlog.chain import account_piece, genesis, link, row_pieces
from eventlog.envelope import Envelope, Head
from eventlog.log import EventLog
from eventlog.memory import MemoryLog

Change = Callable[[Envelope], Envelope | None]


def forged(log: EventLog, account: str, change: Change) -> MemoryLog:
    """A copy of the log in which `change` had its way with every row (None leaves one out)."""
    copy = MemoryLog()
    copy.acquire(account, "forger:0")
    found = copy._accounts[account]
    previous = genesis(account)
    for stored in log.read_stored(account):
        row = change(stored.envelope)
        if row is None:
            continue
        previous = link(previous, account_piece(account), row_pieces(row))
        found.rows.append(row)
        found.links.append(previous)
        name = msgspec.json.decode(row.body).get("config_sha256")
        if row.type == "ConfigActivated" and (text := log.config(name)) is not None:
            copy._configs[name] = text
    last = found.rows[-1]
    found.head = Head(account, last.seq, previous, 1, last.logical_time, last.trading_day)
    return copy


def with_body(row: Envelope, **fields: object) -> Envelope:
    """The row with other values in its body, canonical again."""
    return replace(row, body=canonical({**msgspec.json.decode(row.body), **fields}))
