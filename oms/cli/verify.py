"""`oms verify`: is the log what was appended, by two verifiers and by what was anchored outside the database?

Says for each account the first bad event and which guarantee broke, or how many events are not anchored yet. With
--offline an exported log or an archive is judged, with --proof the proof of one account's day: without a database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.cli.audit import day_of
from oms.cli.database import ArchiveOption, open_log, opened_database
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.cli.seal import AnchorOption, anchor_path
from oms.errors import DomainProblem, UsageProblem

if TYPE_CHECKING:
    from eventlog.anchor import Record
    from eventlog.errors import ArchiveBroken
    from eventlog.judge import Verdict
    from eventlog.log import EventLog
    from eventlog.seal import Connection, Seal

app = typer.Typer(add_completion=False)


@app.command()
def verify(
    context: typer.Context,
    day: Annotated[
        str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Only accounts with events on this day.")
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only this account.")] = None,
    offline: Annotated[
        Path | None,
        typer.Option(
            "--offline", metavar="EXPORT", help="An exported log or an archive instead of the database."
        ),
    ] = None,
    archive: ArchiveOption = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", metavar="FILE", help="Check a proof of `oms prove` and nothing else."),
    ] = None,
    trust: Annotated[
        str | None, typer.Option("--trust", metavar="HEX", help="Believe signatures of this public key only.")
    ] = None,
    anchor: AnchorOption = None,
) -> int:
    """Verify logs against their chains and the anchor, or check a proof."""
    output = output_of(context)
    if proof is not None:
        return _proof(output, proof, trust)
    from eventlog.anchor import AnchorBroken, FileAnchor, records
    from eventlog.errors import ArchiveBroken

    try:
        anchored = records(FileAnchor(anchor_path(anchor)), trust)
    except AnchorBroken as error:
        raise DomainProblem(
            "OMS-S004",
            str(error),
            where=str(anchor_path(anchor)),
            hint="use a copy of the anchor from elsewhere",
        ) from error
    results: list[dict[str, Any]] = []
    with _opened(output, offline, archive) as (log, connection):
        missing = _missing(log, connection, anchored, account)
        results += [_result(output, one) for one in missing]
        for name in _accounts(log, connection, account, day):
            try:
                found = list(_judged(log, connection, name, anchored))
            except ArchiveBroken as error:
                found = [_damaged(name, error)]
            results += [_result(output, one) for one in found]
    good = all(one["intact"] for one in results)
    output.finish({"accounts": results, "anchor_records": len(anchored)}, ok=good)
    return 0 if good else 1


@contextmanager
def _opened(
    output: Output, offline: Path | None, archive: Path | None
) -> Iterator[tuple["EventLog", "Connection | None"]]:
    if offline is None:
        with open_log(output, archive=archive) as log, opened_database(output) as connection:
            yield log, connection
        return
    from oms.cli.files import opened_file

    if not offline.exists():
        raise UsageProblem("OMS-S005", f"There is no file  {offline}", hint="oms replay --export FILE")
    with opened_file(output, offline) as exported:
        yield exported, None


def _accounts(
    log: "EventLog", connection: "Connection | None", account: str | None, day: str | None
) -> list[str]:
    names = [head.account for head in log.heads() if head.seq or log.last_seq(head.account)]
    if account is not None and account not in names:
        raise UsageProblem(
            "OMS-S006", f"There is no account  {account}", hint="python3 -m oms audit run writers"
        )
    wanted = day_of(day)
    if wanted is not None and connection is not None:
        query = (
            "SELECT account FROM oms.event WHERE trading_day = %(day)s "
            "UNION SELECT account FROM oms.day_seal WHERE trading_day = %(day)s"
        )
        with_rows = {row[0] for row in connection.execute(query, {"day": wanted}).fetchall()}
        names = [name for name in names if name in with_rows]
    return [name for name in names if account in (None, name)]


def _missing(
    log: "EventLog", connection: "Connection | None", anchored: "list[Record]", account: str | None
) -> "list[Verdict]":
    """Accounts that were anchored and are gone altogether."""
    from eventlog.judge import Verdict

    if connection is None:
        return []
    there = {head.account for head in log.heads()}
    told = {one.account for record in anchored for one in record.heads}
    told |= {one.account for record in anchored for one in record.seals}
    gone = [name for name in sorted(told - there) if account in (None, name)]
    return [
        Verdict(account=name, rows=0, broken="rolled-back database", first_bad_seq=1, what="anchor")
        for name in gone
    ]


def _judged(
    log: "EventLog", connection: "Connection | None", account: str, anchored: "list[Record]"
) -> "Iterator[Verdict]":
    from msgspec.structs import replace

    from eventlog.judge import heads_of, judge
    from eventlog.postgres import PostgresLog
    from replay.archive import ArchiveLog

    heads = heads_of(anchored, account)
    if isinstance(log, ArchiveLog):
        # What was anchored later is in later months.
        heads = [one for one in heads if one.seq <= log.last_seq(account)]
    found = judge(log, account, heads)
    archived = log.archived_until(account) if isinstance(log, PostgresLog) else 0
    is_here = found.first_bad_seq is None or found.first_bad_seq > archived
    if connection is not None and found.what != "anchor" and is_here:
        by_sql = connection.execute(
            "SELECT first_bad_seq, what FROM oms.chain_check JOIN oms.account_head USING (shard, account) "
            "WHERE account = %s",
            (account,),
        ).fetchone()
        if by_sql != (found.first_bad_seq, found.what):
            yield replace(found, broken="changed byte", what=f"the verifiers differ: SQL says {by_sql}")
            return
    yield found
    if connection is not None and found.intact:
        yield from _seals(log, connection, account, anchored, found)


def _damaged(account: str, error: "ArchiveBroken") -> "Verdict":
    from eventlog.judge import Verdict

    what = " ".join(f"{error.details.get('file', '')}: {error}".split())
    return Verdict(account=account, rows=0, broken="changed byte", first_bad_seq=1, what=what)


def _seals(
    log: "EventLog", connection: "Connection", account: str, anchored: "list[Record]", found: "Verdict"
) -> "Iterator[Verdict]":
    """Anchored seals against the rows and against the seals that the database has."""
    from datetime import date

    from msgspec.structs import replace

    from eventlog.seal import agree, facts, stored_seals

    told = {one.day: one for record in reversed(anchored) for one in record.seals if one.account == account}
    for one in told.values():
        day = date.fromisoformat(one.day)
        stored = {item.account: item for item in stored_seals(connection, day)}
        now = _measured(log, connection, one)
        if facts(now) != facts(one):
            yield replace(
                found,
                broken="changed byte",
                first_bad_seq=one.first_seq,
                what=f"seal of {one.day}: recording times",
            )
        elif account not in stored or not agree(stored[account], one):
            yield replace(
                found,
                broken="rewritten tail",
                first_bad_seq=one.first_seq,
                what=f"{one.day} was sealed again",
            )


def _measured(log: "EventLog", connection: "Connection", seal: "Seal") -> "Seal":
    """The seal that the rows of its day give now, in the database or in the archive."""
    from datetime import date

    from eventlog.postgres import PostgresLog
    from eventlog.seal import measure
    from oms.shell.archives import Folder
    from replay.archive import measured

    day = date.fromisoformat(seal.day)
    assert isinstance(log, PostgresLog), "seals are compared where there is a database"
    if seal.last_seq > log.archived_until(seal.account):
        return measure(connection, seal.account, day)
    assert isinstance(log.archive, Folder), "the rows were read from there"
    made = measured(log.archive.opened(), seal.account, day.replace(day=1))
    return next(one for one in made if one.day == seal.day)


def _result(output: Output, found: "Verdict") -> dict[str, Any]:
    import msgspec

    if found.intact:
        said = f"intact, {found.rows} events, {found.unanchored} of them not anchored yet"
    else:
        said = f"{(found.broken or '').upper()} at event {found.first_bad_seq} ({found.what})"
    output.step("log", f"{found.account}: {said}")
    return {**msgspec.to_builtins(found), "intact": found.intact}


def _proof(output: Output, path: Path, trust: str | None) -> int:
    import msgspec

    from eventlog.anchor import AnchorBroken, Proof, check_proof

    try:
        proof = msgspec.json.decode(path.read_bytes(), type=Proof, strict=True)
        check_proof(proof, trust)
    except OSError as error:
        raise UsageProblem(
            "OMS-S007", "The proof cannot be read", where=str(path), why=error.strerror
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise DomainProblem("OMS-S008", "This is no proof", where=str(path), why=str(error)) from error
    except AnchorBroken as error:
        raise DomainProblem("OMS-S009", "The proof does not hold", where=str(path), why=str(error)) from error
    seal, record = proof.seal, proof.record
    output.step(
        "proven",
        f"{seal.account}, {seal.day}: events {seal.first_seq} to {seal.last_seq}, last link {seal.chain[:16]}",
    )
    output.step("signed", f"record {record['number']} of {record['at']} by {record['key']}")
    if trust is None:
        output.step("", "compare that key with the one you know, or name it with --trust")
    output.finish(
        {"proven": True, "seal": msgspec.to_builtins(seal), "root": record["root"], "key": record["key"]}
    )
    return 0
