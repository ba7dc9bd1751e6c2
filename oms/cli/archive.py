"""`oms archive`: a sealed month goes to Parquet, is read back and proven, and only then leaves the database.

MONTH is YYYY-MM. Whatever interrupts it, the same command goes on: files that are there and right are kept, and a
month that is detached already is only looked at.
"""

import re
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.cli.database import address, open_log, opened_database
from oms.cli.extra import require_archive
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import DomainProblem, UsageProblem

if TYPE_CHECKING:
    from eventlog.postgres import PostgresLog
    from eventlog.retention import Connection, Range
    from replay.archive import Exported

app = typer.Typer(add_completion=False)


@app.command()
def archive(
    context: typer.Context,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="YYYY-MM, sealed by `oms seal`.")],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FOLDER", envvar="OMS_ARCHIVE", help="The archive; made if missing."),
    ],
    account: Annotated[
        str | None, typer.Option("--account", help="Export only this account, and detach nothing.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Export and prove, and detach nothing.")] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Delete the table of the detached month, which frees its space.")
    ] = False,
) -> int:
    """Export a sealed month, read it back, prove it, and detach it from the log."""
    from eventlog import retention
    from replay.archive import keep_snapshots, require_sealed

    output = output_of(context)
    wanted = _month(month)
    if drop and (keep or account is not None):
        raise UsageProblem(
            "OMS-V010", "--drop deletes what was detached; --keep and --account detach nothing"
        )
    require_archive(output)
    with open_log(output, archive=to) as log, opened_database(output) as connection:
        there = retention.ranges(connection, wanted)
        if not there:
            return _already(output, connection, wanted, to, drop=drop)
        chosen = [one for one in there if account in (None, one.account)]
        if not chosen:
            raise UsageProblem("OMS-V011", f"{month} has no events of  {account}", hint="leave --account out")
        require_sealed(connection, wanted, account)
        detaching = not keep and account is None
        if detaching:
            _require_earliest(connection, there, wanted)
        exported = [_exported(output, connection, log, one, wanted, to) for one in chosen]
        states = _proven(output, connection, log, exported, wanted, to)
        if detaching:
            made = keep_snapshots(
                log, [one.account for one in there], {one.account: one.last_seq for one in there}
            )
            if made:
                output.step("snapshot", f"of {', '.join(made)}: a start needs no archive")
            retention.detach(connection, wanted, there)
            output.step("detached", f"{month}, {sum(one.rows for one in there)} events left the log")
        dropped = detaching and drop and retention.drop(connection, wanted)
        _tell_table(output, month, detached=detaching, dropped=dropped)
    output.finish(_result(month, to, exported, states) | {"detached": detaching, "dropped": dropped})
    return 0


def _month(text: str) -> date:
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", text)
    if found is None or found[1] == "0000":
        raise UsageProblem(
            "OMS-V012", f"This is no month  {text}", hint="python3 -m oms archive 2026-03 --to FOLDER"
        )
    return date(int(found[1]), int(found[2]), 1)


def _require_earliest(connection: "Connection", there: "list[Range]", month: date) -> None:
    """Months leave in their order, so that what stays is one piece."""
    from eventlog.retention import archived_before

    for one in there:
        left = archived_before(connection, one.account, month)
        if one.first_seq != left + 1:
            raise DomainProblem(
                "OMS-V004",
                f"An earlier month than {month:%Y-%m} is still in the database; nothing was exported",
                where=one.account,
                why=f"events {left + 1} to {one.first_seq - 1} stand before it",
                hint="archive the earlier month first, or export alone with --keep",
            )


def _exported(
    output: Output, connection: "Connection", log: "PostgresLog", one: "Range", month: date, to: Path
) -> "Exported":
    from replay.archive import export

    started = time.monotonic()
    with output.progress("export", one.rows) as advance:
        try:
            found = export(address(connection), connection, log, one, month, to, advance)
        except OSError as error:
            raise UsageProblem(
                "OMS-V013",
                "The archive cannot be written; nothing was detached",
                where=str(error.filename or to),
                why=error.strerror,
            ) from None
    what = "exported" if found.is_new else "there already"
    per_event = found.size / one.rows
    output.step(what, f"{one.account}: {one.rows} events, {per_event:.1f} B each", time.monotonic() - started)
    return found


def _proven(
    output: Output,
    connection: "Connection",
    log: "PostgresLog",
    exported: "list[Exported]",
    month: date,
    to: Path,
) -> dict[str, str]:
    from eventlog import failpoints
    from eventlog.archive import Archive
    from replay.archive import prove

    files = Archive(to)
    states = {}
    for one in exported:
        started = time.monotonic()
        account = one.range.account
        states[account] = prove(connection, log, files, one.range, month)
        said = f"{account}: link {one.range.chain.hex()[:16]}, state {states[account][:16]}"
        output.step("proven", said, time.monotonic() - started)
    failpoints.reach("archive.checked")
    return states


def _already(output: Output, connection: "Connection", month: date, to: Path, *, drop: bool) -> int:
    """A month that has no rows in the log: archived before, or never there."""
    from eventlog import retention
    from eventlog.archive import Archive
    from replay.archive import prove_archived

    left = retention.archived(connection, month)
    if not left:
        raise DomainProblem(
            "OMS-V005",
            f"There is nothing to archive of {month:%Y-%m}",
            why="no event of the log has a trading day in it",
            hint="python3 -m oms audit run clocks  shows the days that there are",
        )
    files = Archive(to)
    for account, first, last, link in left:
        prove_archived(connection, files, account, month, (first, last, link))
        output.step("archived", f"{account}: events {first} to {last}, proven again")
    dropped = drop and retention.drop(connection, month)
    _tell_table(output, f"{month:%Y-%m}", detached=True, dropped=dropped)
    output.finish({"month": f"{month:%Y-%m}", "folder": str(to), "detached": True, "dropped": dropped,
                   "accounts": [{"account": account, "first_seq": first, "last_seq": last, "chain": link}
                                for account, first, last, link in left]})  # fmt: skip
    return 0


def _tell_table(output: Output, month: str, *, detached: bool, dropped: bool) -> None:
    if dropped:
        output.step("dropped", f"the table of {month}; its space is free")
    elif detached:
        output.step(
            "", f"its table stands apart: --drop deletes it (python3 -m oms archive {month} --drop ...)"
        )


def _result(month: str, to: Path, exported: "list[Exported]", states: dict[str, str]) -> dict[str, Any]:
    return {
        "month": month,
        "folder": str(to),
        "accounts": [
            {
                "account": one.range.account,
                "file": str(one.path),
                "events": one.range.rows,
                "first_seq": one.range.first_seq,
                "last_seq": one.range.last_seq,
                "chain": one.range.chain.hex(),
                "state": states[one.range.account],
                "bytes": one.size,
                "bytes_per_event": round(one.size / one.range.rows, 1),
            }
            for one in exported
        ],
    }
