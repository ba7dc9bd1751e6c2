"""Retention: a sealed month goes to files, the files are read back and proven, and only then does the month go.

What proves a file is what proves the log: the chain from its first row to the seal's link, raw frames and
configurations by the hashes that rows name, recording times by the seals, and the fold of everything up to there by
the state digest of the last seal. Each step may be repeated; whoever was killed in between runs the command again.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from struct import Struct as Packing
from typing import Final, NamedTuple

import msgspec

from eventlog import failpoints, retention
from eventlog.archive import Archive, Kept, Part, part_path, sum_path, write_part
from eventlog.chain import EPOCH_US, genesis
from eventlog.envelope import Envelope, Head
from eventlog.errors import ArchiveBroken, UnknownAccount
from eventlog.log import EventLog
from eventlog.retention import Connection, Range
from eventlog.seal import Seal, facts, stored_seals
from eventlog.verify import verify_chain
from oms.errors import DomainProblem
from oms.shell.snapshots import cached, newest_usable
from oms.state.digest import FOLD_VERSION, digest
from replay.readonly import ReadOnlyLog
from replay.rebuild import rebuild

Progress = Callable[[int], None]
PROGRESS_ROWS: Final = 4096
_pair = Packing(">qq").pack


class ArchiveLog(ReadOnlyLog):
    """The files of an archive as an EventLog, to be verified, folded and asked without a database."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive.place)
        self.archive = archive

    def close(self) -> None:
        """Close the files."""
        self.archive.close()

    def heads(self) -> list[Head]:
        """Where the files of each account end, sorted by account id."""
        return [head for name in self.archive.accounts() if (head := self.head(name)) is not None]

    def head(self, account: str) -> Head | None:
        """Where the files of one account end, or None."""
        return self.archive.head(account)

    def read(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Envelope]:
        """Rows with after < seq <= until in seq order. Raises UnknownAccount, ArchiveBroken."""
        return (row.envelope for row in self.read_stored(account, after, until))

    def read_stored(self, account: str, after: int = 0, until: int | None = None) -> Iterator[Kept]:
        """As `read`, with links and raw frames."""
        head = self.head(account)
        if head is None:
            raise UnknownAccount(f"there is no account {account} in the archive {self.archive.place}")
        return self.archive.read(account, after, head.seq if until is None else min(until, head.seq))

    def raw_frame(self, account: str, seq: int) -> bytes | None:
        """The broker's exact bytes behind an input."""
        row = next(self.read_stored(account, seq - 1, seq), None)
        return row.raw if row is not None else None

    def config(self, config_sha256: str) -> str | None:
        """The configuration text of this name."""
        return self.archive.config(config_sha256)

    def last_seq(self, account: str) -> int:
        """The seq of the last row."""
        head = self.head(account)
        return head.seq if head is not None else 0


class Exported(NamedTuple):
    """What an export came to."""

    range: Range
    path: Path
    size: int
    is_new: bool


def require_sealed(connection: Connection, month: date, account: str | None = None) -> None:
    """Refuse a month of which a day has no seal yet. Raises DomainProblem."""
    waiting = [one for one in retention.unsealed(connection, month) if account in (None, one.account)]
    if not waiting:
        return
    told = [
        f"{one.account}: {one.day} is not over, no later day has begun there" if one.is_open
        else f"{one.account}: {one.day} is over and has no seal"
        for one in waiting
    ]  # fmt: skip
    more = [f"and {len(told) - 3} more"] if len(told) > 3 else []
    only_open = all(one.is_open for one in waiting)
    raise DomainProblem(
        "OMS-V001",
        f"{month:%Y-%m} is not sealed; nothing was exported",
        where=f"{len(waiting)} days of accounts",
        why="\n".join([*told[:3], *more]),
        hint="wait until every account has begun a later day, then  python3 -m oms seal" if only_open
        else "python3 -m oms seal",
    )  # fmt: skip


def export(
    conninfo: str, connection: Connection, log: EventLog, one: Range, month: date, folder: Path,
    progress: Progress | None = None,
) -> Exported:  # fmt: skip
    """Write the file of an account's month, or find it written. Raises DomainProblem if another one lies there."""
    path = part_path(folder, one.account, month)
    part = _part(connection, log, one, month)
    # A file without its checksum was not finished.
    if path.exists() and sum_path(path).exists():
        found = Archive(path).parts(one.account)
        if not found or _same(found[0]) != _same(part):
            raise DomainProblem(
                "OMS-V002",
                f"Another file of {month:%Y-%m} lies in the archive; nothing was written or detached",
                where=str(path),
                why="it does not hold the rows that the log has of this month",
                hint="export to another folder, or move that file away and run this again",
            )
        return Exported(one, path, path.stat().st_size, is_new=False)
    write_part(path, part, _counted(retention.rows(conninfo, one), progress))
    failpoints.reach("archive.written")
    return Exported(one, path, path.stat().st_size, is_new=True)


def prove(connection: Connection, log: EventLog, archive: Archive, one: Range, month: date) -> str:
    """Read everything up to the end of the month back; return the state's digest. Raises DomainProblem.

    Chain, frames, configurations and seals must be those of the database, the fold that of the last seal.
    """
    last = prove_archived(
        connection, archive, one.account, month, (one.first_seq, one.last_seq, one.chain.hex())
    )
    found = _state(ArchiveLog(archive), one)
    expected = last.state if last.fold_version == FOLD_VERSION else _state(log, one)
    if found != expected:
        why = f"it folds to the state {found[:16]}, the log to {expected[:16]}"
        raise _unproven(archive, one.account, why)
    return found


def prove_archived(
    connection: Connection, archive: Archive, account: str, month: date, noted: tuple[int, int, str]
) -> Seal:
    """Prove chain, evidence and seals of a month by what the database keeps of it; return its last seal.

    `noted` is its first and last number and its last link. Raises DomainProblem.
    """
    first, last, link = noted
    report = verify_chain(ArchiveLog(archive), account)
    if not report.intact:
        raise _unproven(archive, account, f"event {report.first_bad_seq}: {report.what}")
    part = next((one for one in archive.parts(account) if one.month == f"{month:%Y-%m}"), None)
    if (
        part is None
        or (part.first_seq, part.last_seq) != (first, last)
        or _link(archive, account, last) != link
    ):
        raise _unproven(
            archive, account, f"it does not hold events {first} to {last} with the link of the log"
        )
    days = retention.sealed_days(connection, account, month)
    seals = [seal for day in days for seal in stored_seals(connection, day) if seal.account == account]
    made = measured(archive, account, month)
    if not seals or [facts(seal) for seal in seals] != [facts(seal) for seal in made]:
        raise _unproven(
            archive, account, "its days have other ranges, links or recording times than their seals"
        )
    return seals[-1]


def measured(archive: Archive, account: str, month: date) -> list[Seal]:
    """The seals that the rows of a file give, day by day."""
    seals: list[Seal] = []
    for index, part in enumerate(archive.parts(account)):
        if part.month != f"{month:%Y-%m}":
            continue
        hashed = sha256()
        for row in archive.of_part(account, index):
            day, seq, link = str(row.envelope.trading_day), row.envelope.seq, row.chain.hex()
            if not seals or seals[-1].day != day:
                hashed = sha256()
                seals.append(
                    Seal(account=account, day=day, first_seq=seq, last_seq=seq, chain=link, recorded="")
                )
            hashed.update(_pair(seq, row.recorded_at - EPOCH_US))
            seals[-1] = msgspec.structs.replace(
                seals[-1], last_seq=seq, chain=link, recorded=hashed.hexdigest()
            )
    return seals


def keep_snapshots(log: EventLog, accounts: Sequence[str], boundaries: dict[str, int]) -> list[str]:
    """Cache the fold of every account that would otherwise begin in a month that leaves; return their names."""
    made = []
    for account in accounts:
        newest = newest_usable(log, account)
        if newest is None or newest.seq <= boundaries[account]:
            head = log.head(account)
            assert head is not None, "the account has rows"
            log.save_snapshot(cached(head, rebuild(log, account, head.seq)))
            made.append(account)
    return made


def _part(connection: Connection, log: EventLog, one: Range, month: date) -> Part:
    first = one.first_seq
    before = genesis(one.account) if first == 1 else retention.link_before(connection, one.account, first)
    if before is None:
        raise ArchiveBroken(
            f"account {one.account}: row {first - 1}, which the month follows from, is missing"
        )
    names = retention.named_configs(connection, one)
    texts = {name: log.config(name) for name in names}
    last = next(log.read(one.account, one.last_seq - 1, one.last_seq))
    return Part(
        account=one.account, month=f"{month:%Y-%m}", first_seq=first, last_seq=one.last_seq, before=before.hex(),
        first_chain=one.first_chain.hex(), chain=one.chain.hex(), logical_time=last.logical_time,
        trading_day=str(last.trading_day), epoch=one.epoch,
        configs={name: text for name, text in texts.items() if text is not None},
    )  # fmt: skip


def _same(part: Part) -> Part:
    """What two files of the same rows say alike: the writer may have changed between them."""
    return msgspec.structs.replace(part, epoch=0)


def _state(log: EventLog, one: Range) -> str:
    book = rebuild(log, one.account, one.last_seq)
    return digest(book.account, book.pipelines)


def _link(archive: Archive, account: str, seq: int) -> str | None:
    row = next(archive.read(account, seq - 1, seq), None)
    return row.chain.hex() if row is not None else None


def _unproven(archive: Archive, account: str, why: str) -> DomainProblem:
    return DomainProblem(
        "OMS-V003",
        "The archive does not prove what the log has; nothing was detached",
        where=f"{account} in {archive.place}",
        why=why,
        hint="python3 -m oms verify  tells whether the log is sound; then move the file away and run this again",
    )


def _counted(rows: Iterator[Kept], progress: Progress | None) -> Iterator[Kept]:
    for number, row in enumerate(rows, start=1):
        yield row
        if progress is not None and number % PROGRESS_ROWS == 0:
            progress(PROGRESS_ROWS)
