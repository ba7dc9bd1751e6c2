"""`oms replay`: rebuild a day from its log, look at any instant of it, prove that it can be decided again.

DAY is a trading day of the account, FILE a log that `--export` wrote, or a folder of `oms archive`. Times are UTC.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.cli import whatif
from oms.cli.child import run as run_child
from oms.cli.database import ArchiveOption, driver_url, open_log
from oms.cli.files import opened_file
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import UsageProblem

if TYPE_CHECKING:
    from eventlog.log import EventLog
    from eventlog.verify import ChainReport
    from replay.accounts import Chosen
    from replay.rebuild import CachedFold
    from replay.verify import Divergence, Verification

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="[DAY|FILE]", help="YYYY-MM-DD, an exported log, or an archive.")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Default: the account written last.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="SEQ|TIME", help="Event number, HH:MM[:SS] or ISO time, UTC."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Decide everything again and compare.")] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the log to a file.")
    ] = None,
    other: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="Decide again under these settings, to where both part."),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="With --with: every field and setting that differs.")
    ] = False,
    archive: ArchiveOption = None,
) -> int:
    """Rebuild a day and show its state at the end or at any instant, verify it, or ask what if."""
    output = output_of(context)
    if diff and other is None:
        raise UsageProblem("OMS-R013", "--diff compares two profiles", hint="add --with other.toml")
    with opened(output, what, account, archive) as (log, chosen):
        last = _place(log, chosen, what, until)
        if export is not None:
            return _export(output, log, chosen, last, export)
        if other is not None:
            settings = whatif.settings_of(other)
            found = whatif.compare(output, log, chosen, last, settings)
            whatif.show(output, found, with_fields=diff)
            output.finish(whatif.result(found))
            return 0
        return _verify(output, log, chosen, last) if verify else _show(output, log, chosen, last)


@contextmanager
def opened(
    output: Output, what: str | None, account: str | None, archive: Path | None = None
) -> Iterator[tuple["EventLog", "Chosen"]]:
    """The log that a command line means, a database or files, and the account in it."""
    from replay.accounts import choose
    from replay.moments import day_of

    with ExitStack() as stack:
        log: EventLog
        if what is not None and day_of(what) is None:
            if not Path(what).exists():
                hint = "python3 -m oms replay 2026-03-09, or the path of an exported log"
                raise UsageProblem("OMS-R011", f"Neither a day nor a file  {what}", hint=hint)
            path = stack.enter_context(_played(output, Path(what)))
            log = stack.enter_context(opened_file(output, path))
            chosen = choose(log, account)
            output.step("file", f"{what}, {chosen.head.seq} events")
        else:
            log = stack.enter_context(open_log(output, archive=archive))
            chosen = choose(log, account, None if account else stack.enter_context(_conninfo(output)))
        output.step("account", str(chosen))
        yield log, chosen


@contextmanager
def _played(output: Output, path: Path) -> Iterator[Path]:
    """The log of a golden session, which is played for that; any other file as it is."""
    if path.is_dir():
        yield path
        return
    with path.open("rb") as file:
        is_session = path.suffix == ".txt" and not file.read(1).startswith(b"{")
    if not is_session:
        yield path
        return
    with TemporaryDirectory(prefix="oms-session-") as folder:
        log = Path(folder) / "log.jsonl"
        if run_child("replay", "tests.golden", [str(path.resolve()), str(log)], output) != 0:
            raise UsageProblem("OMS-R014", "The session cannot be played", where=str(path))
        yield log


@contextmanager
def _conninfo(output: Output) -> Iterator[str]:
    """Where the log of this command line is; an embedded server is shared with the log that is open already."""
    from eventlog import embedded

    if output.options.database:
        yield driver_url(output.options.database)
    else:
        with embedded.session() as conninfo:
            yield conninfo


def _place(log: "EventLog", chosen: "Chosen", what: str | None, until: str | None) -> int:
    """The last event that is wanted."""
    from replay.moments import day_of, parse_place
    from replay.timetravel import place

    named: date | None = day_of(what) if what is not None else None
    seq, at = parse_place(until, named or chosen.head.trading_day) if until is not None else (None, None)
    return place(log, chosen.head.account, seq=seq, time=at, day=named)


def _show(output: Output, log: "EventLog", chosen: "Chosen", last: int) -> int:
    import msgspec

    from oms.cli.situation import show
    from oms.state.digest import FOLD_VERSION, digest
    from replay.moments import shown_time
    from replay.rebuild import rebuild
    from replay.situation import situation

    started = time.monotonic()
    with output.progress("rebuild", last) as advance:
        book = rebuild(log, chosen.head.account, last, advance)
    found = situation(book.account, book.pipelines)
    seconds = time.monotonic() - started
    output.step(
        "rebuilt", f"{found.trading_day}, event {last} of {chosen.head.seq}, {shown_time(found.at)}", seconds
    )
    show(output, found)
    state: dict[str, Any] = msgspec.to_builtins(found, str_keys=True)
    output.finish(
        {
            "events": last,
            "at_utc": shown_time(found.at),
            "digest": digest(book.account, book.pipelines),
            "fold_version": FOLD_VERSION,
            "state": state,
        }
    )
    return 0


def _export(output: Output, log: "EventLog", chosen: "Chosen", last: int, path: Path) -> int:
    from replay.export import export

    started = time.monotonic()
    with output.progress("export", last) as advance:
        try:
            rows = export(log, chosen.head.account, path, last, advance)
        except OSError as error:
            raise UsageProblem(
                "OMS-R012", "The file cannot be written", where=str(path), why=error.strerror
            ) from None
    output.step("exported", f"{rows} events to {path}", time.monotonic() - started)
    output.finish({"events": rows, "file": str(path), "account": chosen.head.account})
    return 0


def _verify(output: Output, log: "EventLog", chosen: "Chosen", last: int) -> int:
    from eventlog.verify import verify_chain
    from replay.verify import verify

    account = chosen.head.account
    chain = verify_chain(log, account)
    with output.progress("verify", last) as advance:
        found = verify(log, account, last, advance)
    folded = _folded(log, found)
    cached = _cached(log, found) if folded is not None else None
    good = found.is_identical and chain.intact and folded == found.digest
    good = good and (cached is None or cached.is_right)
    _report(output, found, chain, folded)
    if cached is not None:
        said = "is the fold" if cached.is_right else "IS NOT THE FOLD: delete it before the next start"
        output.step("snapshot", f"at event {cached.seq} {said}")
    result = _result(found, chain, folded) | {
        "snapshot_seq": cached.seq if cached is not None else None,
        "snapshot_is_right": cached.is_right if cached is not None else None,
    }
    output.finish(result, ok=good)
    return 0 if good else 1


def _folded(log: "EventLog", found: "Verification") -> str | None:
    """The digest of the fold up to where verification came; None where the log cannot be folded that far."""
    from eventlog.errors import LogError
    from oms.events.base import UnknownEvent
    from oms.state.digest import digest
    from replay.rebuild import rebuild

    try:
        book = rebuild(log, found.account, found.until)
    except (LogError, UnknownEvent):
        return None
    return digest(book.account, book.pipelines)


def _cached(log: "EventLog", found: "Verification") -> "CachedFold | None":
    from replay.rebuild import cached_fold

    return cached_fold(log, found.account, found.until)


def _report(output: Output, found: "Verification", chain: "ChainReport", folded: str | None) -> None:
    if found.is_identical:
        said = f"identical: {found.events} events, {found.decisions} decisions made again, byte for byte"
    else:
        said = f"{found.result.upper().replace('_', ' ')} after {found.events} equal events"
    output.step("verified", said, found.seconds)
    output.step("", f"{found.events_per_second} events/s")
    if found.first_divergence is not None:
        _show_divergence(output, found.first_divergence)
    elif not found.is_identical:
        output.step("at", f"event {found.at_seq}: {found.why}")
    _show_programs(output, found)
    intact = f"intact, {chain.rows} rows"
    output.step("chain", intact if chain.intact else f"BROKEN at event {chain.first_bad_seq}: {chain.what}")
    same = "decided again == folded" if folded == found.digest else "decided again != folded"
    output.step("state", f"{same}, digest {found.digest[:16]}")


def _show_divergence(output: Output, found: "Divergence") -> None:
    output.step("first at", f"event {found.seq}")
    output.step("input", f"{found.input} {found.input_type} {found.input_body}")
    for side, row in (("logged", found.logged), ("now", found.regenerated)):
        output.step(side, f"{row.seq} {row.type}" if row is not None else "no such event")
    output.message("")
    output.table(
        ["field", "logged", "decided now"],
        [[one.field, one.logged, one.regenerated] for one in found.differences],
    )


def _show_programs(output: Output, found: "Verification") -> None:
    """Say whether another program wrote the log: the likely cause of a difference, and worth knowing without one."""
    from oms.shell.versions import code_version

    now = code_version()
    others = [code[:12] for code in found.codes if code != now]
    if others:
        output.step("program", f"the log was written by {', '.join(others)}, this is {now[:12]}")


def _result(found: "Verification", chain: "ChainReport", folded: str | None) -> dict[str, Any]:
    import msgspec

    divergence = found.first_divergence
    return {
        "verify": found.result,
        "account": found.account,
        "events": found.events,
        "decisions": found.decisions,
        "first_divergence": msgspec.to_builtins(divergence) if divergence is not None else None,
        "at_seq": found.at_seq,
        "why": found.why,
        "events_per_second": found.events_per_second,
        "chain": "intact" if chain.intact else "broken",
        "chain_first_bad_seq": chain.first_bad_seq,
        "digest": found.digest,
        "digest_folded": folded,
        "fold_version": found.fold_version,
    }
