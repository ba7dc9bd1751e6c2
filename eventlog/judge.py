"""What happened to a log: which guarantee broke first, and where, by the chain and by what was anchored.

The chain alone finds a changed byte, a deleted row and swapped rows. A tail that was cut or written anew with its
links, and a database set back to an older copy, are found up to the last anchored head; beyond it nothing is proven.
"""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from eventlog.anchor import AnchoredHead, Record
from eventlog.chain import account_piece, genesis, link, row_pieces
from eventlog.errors import LogCorrupt
from eventlog.log import EventLog, StoredRow
from eventlog.verify import ChainReport, verify_chain

Broken = Literal[
    "changed byte",
    "deleted row",
    "swapped rows",
    "cut tail",
    "rewritten tail",
    "rolled-back database",
    "head",
]
SWAP_REACH: Final = 100_000
"""How many rows are looked at for the one that was put in the place of another."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What is known of an account's log.

    `first_bad_seq` is the first row that is not what was appended; of a rewritten tail the first after the last
    anchored head that still fits. `anchored_seq` is the last anchored head that fits; `unanchored` the rows after it.
    """

    account: str
    rows: int
    broken: Broken | None = None
    first_bad_seq: int | None = None
    what: str | None = None
    anchored_seq: int = 0
    unanchored: int = 0

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None


def heads_of(records: Iterable[Record], account: str) -> list[AnchoredHead]:
    """Everything that was anchored of an account's links, oldest first: heads, and the ends of sealed days."""
    found = {
        (one.seq, one.chain, one.epoch)
        for record in records
        for one in record.heads
        if one.account == account
    }
    found |= {
        (one.last_seq, one.chain, 0) for record in records for one in record.seals if one.account == account
    }
    return [AnchoredHead(account, *one) for one in sorted(found)]


def judge(log: EventLog, account: str, anchored: Iterable[AnchoredHead] = ()) -> Verdict:
    """Verify the chain of an account and compare it with what was anchored. Raises UnknownAccount."""
    report = verify_chain(log, account)
    head = log.head(account)
    assert head is not None
    end = log.last_seq(account)
    fits, misfit = _compared(log, account, list(anchored), end)
    base = {"account": account, "rows": report.rows, "anchored_seq": fits, "unanchored": max(end - fits, 0)}
    if not report.intact:
        broken = _named(log, report, end, head.seq)
        return Verdict(broken=broken, first_bad_seq=report.first_bad_seq, what=report.what, **base)  # type: ignore[arg-type]
    if misfit is None:
        return Verdict(**base)  # type: ignore[arg-type]
    if misfit.seq <= end:
        return Verdict(broken="rewritten tail", first_bad_seq=fits + 1, what="anchor", **base)  # type: ignore[arg-type]
    older: Broken = "rolled-back database" if head.epoch < misfit.epoch else "cut tail"
    return Verdict(broken=older, first_bad_seq=end + 1, what="anchor", **base)  # type: ignore[arg-type]


def _compared(
    log: EventLog, account: str, anchored: list[AnchoredHead], end: int
) -> tuple[int, AnchoredHead | None]:
    """(the last anchored seq that fits, the first head that does not)."""
    fits = 0
    for one in sorted(anchored, key=lambda item: (item.seq, -item.epoch)):
        if one.seq > end or _link_at(log, account, one.seq) != one.chain:
            beyond = [item for item in anchored if item.seq > end]
            # Rows that are missing may have been lost with the database's own memory of its last writer.
            worst = max(beyond, key=lambda item: item.epoch, default=one)
            return fits, worst if one.seq > end else one
        fits = one.seq
    return fits, None


def _link_at(log: EventLog, account: str, seq: int) -> str | None:
    try:
        return next((row.chain.hex() for row in log.read_stored(account, seq - 1, seq)), None)
    except LogCorrupt:
        return None


def _named(log: EventLog, report: ChainReport, end: int, head_seq: int) -> Broken:
    seq = report.first_bad_seq
    assert seq is not None
    if report.what == "row":
        return "cut tail" if seq > end else "deleted row"
    if report.what == "head":
        return "cut tail" if head_seq > end else "head"
    if report.what == "link" and _is_swapped(log, report.account, seq):
        return "swapped rows"
    return "changed byte"


def _is_swapped(log: EventLog, account: str, seq: int) -> bool:
    """Whether the row that belongs at `seq` stands further on, under another number."""
    before = genesis(account)
    if seq > 1:
        before = next(row.chain for row in log.read_stored(account, seq - 2, seq - 1))
    own = account_piece(account)
    try:
        return any(_belongs(row, seq, before, own) for row in log.read_stored(account, seq, seq + SWAP_REACH))
    except LogCorrupt:
        return False


def _belongs(row: StoredRow, seq: int, before: bytes, own: bytes) -> bool:
    """Whether the row's link is right if the row stood at `seq`."""
    envelope = row.envelope
    cause = seq if envelope.kind == "I" else envelope.cause_seq
    return any(
        link(before, own, row_pieces(replace(envelope, seq=seq, cause_seq=one))) == row.chain
        for one in {cause, envelope.cause_seq}
    )
