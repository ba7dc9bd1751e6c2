"""`oms prove ACCOUNT DAY`: a proof of one account's sealed day that shows no other account and needs no database."""

from pathlib import Path
from typing import Annotated

import typer

from oms.cli.audit import day_of
from oms.cli.frame import output_of
from oms.cli.seal import AnchorOption, anchor_path
from oms.errors import DomainProblem, UsageProblem

app = typer.Typer(add_completion=False)


@app.command()
def prove(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="broker/environment/name")],
    day: Annotated[str, typer.Argument(metavar="DAY", help="YYYY-MM-DD")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to write the proof; default: proof.json."),
    ] = None,
    anchor: AnchorOption = None,
) -> int:
    """Write the seal, its path to the root, and the signed record to a file."""
    import msgspec

    from eventlog.anchor import FileAnchor, records
    from eventlog.anchor import prove as proof_of
    from eventlog.errors import LogError

    output = output_of(context)
    wanted = day_of(day)
    try:
        found = proof_of(records(FileAnchor(anchor_path(anchor))), account, str(wanted))
    except LogError as error:
        raise DomainProblem("OMS-S002", str(error), hint="python3 -m oms seal") from error
    path = out or Path("proof.json")
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    except OSError as error:
        raise UsageProblem(
            "OMS-S003", "The proof cannot be written", where=str(path), why=error.strerror
        ) from None
    output.step("proof", f"events {found.seal.first_seq} to {found.seal.last_seq} of {wanted}, in {path}")
    output.step("check", f"python3 -m oms verify --proof {path}")
    output.finish({"file": str(path), "root": found.record["root"], "seal": msgspec.to_builtins(found.seal)})
    return 0
