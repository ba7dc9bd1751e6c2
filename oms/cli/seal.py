"""`oms seal`: bind the days that are over, and let what binds them leave the database, signed.

Each account's range, last link and state digest go into a seal; the Merkle root over a day's seals, and the heads of
all accounts, go to the anchor. Keep anchor and key where whoever can change the database cannot.
"""

import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.cli.audit import day_of
from oms.cli.database import ArchiveOption, open_log, opened_database
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import UsageProblem
from oms.shell.places import run_dir

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from eventlog.anchor import FileAnchor
    from eventlog.log import EventLog
    from eventlog.postgres import PostgresLog
    from eventlog.seal import Connection, Seal

AnchorOption = Annotated[
    Path | None, typer.Option("--anchor", metavar="FILE", envvar="OMS_ANCHOR", help="The anchor file.")
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", envvar="OMS_ANCHOR_KEY", help="The signing key; made if missing."),
]

app = typer.Typer(add_completion=False)


@app.command()
def seal(
    context: typer.Context,
    day: Annotated[
        str | None,
        typer.Option("--day", metavar="YYYY-MM-DD", help="Only this day; default: all that are over."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="SECONDS", min=1, help="Go on anchoring the heads so often."),
    ] = None,
    anchor: AnchorOption = None,
    key: KeyOption = None,
    archive: ArchiveOption = None,
) -> int:
    """Seal days, anchor their root and the heads of all accounts."""
    from eventlog.anchor import FileAnchor, load_key, public_of, records

    output = output_of(context)
    place = FileAnchor(anchor_path(anchor))
    signer = load_key(key or run_dir("anchor") / "signing.key")
    records(place, public_of(signer))
    with open_log(output, archive=archive) as log, opened_database(output) as connection:
        roots = _seal_days(output, log, connection, day_of(day), place, signer)
        heads = _anchor_heads(output, log, place, signer)
        while every is not None:
            time.sleep(every)
            heads = _anchor_heads(output, log, place, signer)
    output.finish({"sealed": roots, "heads": heads, "anchor": str(place.path), "key": public_of(signer)})
    return 0


def anchor_path(given: Path | None) -> Path:
    """The anchor file of a command line; by default beside the embedded database's data, not in it."""
    return given or run_dir("anchor") / "anchor.jsonl"


def _seal_days(
    output: Output,
    log: "PostgresLog",
    connection: "Connection",
    day: date | None,
    place: "FileAnchor",
    signer: "Ed25519PrivateKey",
) -> list[dict[str, object]]:
    from eventlog.anchor import anchor_day, records
    from eventlog.seal import agree, open_days, save, stored_seals

    for account, one in open_days(connection, day):
        save(connection, _measured(log, connection, account, one))
    told = {(item.day, item.account): item for record in records(place) for item in record.seals}
    made: list[dict[str, object]] = []
    days = connection.execute("SELECT DISTINCT trading_day FROM oms.day_seal ORDER BY 1").fetchall()
    for (one,) in days if day is None else [(day,)]:
        stored = stored_seals(connection, one)
        # A day that was archived can be measured in the archive only, and was anchored before it left.
        here = [item for item in stored if item.last_seq > log.archived_until(item.account)]
        fresh = [item for item in here if (item.day, item.account) not in told]
        if not fresh:
            continue
        others = [told[item.day, item.account] for item in stored if (item.day, item.account) in told]
        seals = [_measured(log, connection, item.account, one) for item in fresh]
        if not all(map(agree, seals, fresh)):
            raise UsageProblem(
                "OMS-S001",
                f"A seal of {one} is not what its rows give now",
                why="rows or seals were changed; nothing was anchored",
                hint="python3 -m oms verify",
            )
        record = anchor_day(place, signer, str(one), [*others, *seals])
        output.step("sealed", f"{one}, {len(record.seals)} accounts, root {record.root[:16]}")
        made.append(
            {"day": str(one), "root": record.root, "accounts": len(record.seals), "record": record.number}
        )
    return made


def _measured(log: "EventLog", connection: "Connection", account: str, day: date) -> "Seal":
    """The seal of a day with the digest of the state at its end."""
    from msgspec.structs import replace

    from eventlog.seal import measure
    from oms.state.digest import FOLD_VERSION, digest
    from replay.rebuild import rebuild

    found = measure(connection, account, day)
    book = rebuild(log, account, found.last_seq)
    return replace(found, state=digest(book.account, book.pipelines), fold_version=FOLD_VERSION)


def _anchor_heads(output: Output, log: "EventLog", place: "FileAnchor", signer: "Ed25519PrivateKey") -> int:
    from eventlog.anchor import anchor_heads

    record = anchor_heads(place, signer, log.heads())
    output.step("anchored", f"{len(record.heads)} heads, record {record.number} of {place.path}")
    return record.number
