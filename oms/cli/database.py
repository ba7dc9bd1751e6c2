"""`oms db status|stop|reset|upgrade`, and the event log that every other command opens.

Without --db (or OMS_DATABASE_URL) the embedded PostgreSQL is used: it starts with the first command that
needs it and stops with the last.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.cli.extra import require_archive
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import DomainProblem, UsageProblem
from oms.shell.archives import earlier

if TYPE_CHECKING:
    from psycopg import Connection

    from eventlog.embedded import Status
    from eventlog.postgres import PostgresLog

ArchiveOption = Annotated[
    Path | None,
    typer.Option(
        "--archive", metavar="FOLDER", envvar="OMS_ARCHIVE", help="Where months are that left the log."
    ),
]

app = typer.Typer(add_completion=False, help="Look at, stop, delete the embedded database; upgrade any.")


@app.command()
def status(context: typer.Context) -> None:
    """Say where the embedded database is and who uses it; nothing is started."""
    from eventlog import embedded

    output = output_of(context)
    _refuse_other_database(output)
    found = embedded.status()
    _show(output, found)
    output.finish(_as_dict(found))


@app.command()
def stop(context: typer.Context) -> None:
    """Stop the embedded database, whoever uses it. Its data stays."""
    from eventlog import embedded

    output = output_of(context)
    _refuse_other_database(output)
    before = embedded.stop()
    _show(output, before)
    if before.pid:
        output.step("stopped", f"pid {before.pid}")
    output.finish({"stopped": before.pid is not None, "before": _as_dict(before)})


@app.command()
def reset(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; delete.")] = False,
) -> None:
    """Stop the embedded database and delete all of its logs for ever."""
    from eventlog import embedded

    output = output_of(context)
    _refuse_other_database(output)
    found = embedded.status()
    _show(output, found)
    if found.version is not None and not yes:
        _confirm(found.data_dir)
    before = embedded.reset()
    output.step("deleted", before.data_dir if before.version else "there was nothing")
    output.finish({"deleted": before.version is not None, "before": _as_dict(before)})


@app.command()
def upgrade(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run it all, say what it was, and take it back.")
    ] = False,
) -> None:
    """Bring the database of this command line to this program: tables, roles, views, months ahead, event types.

    Event rows are never touched, and all migrations are one transaction. Needs the owner's rights, not a writer's.
    """
    from eventlog import embedded, schema

    output = output_of(context)
    url = output.options.database
    with ExitStack() as stack:
        conninfo = driver_url(url) if url else stack.enter_context(embedded.session())
        plan = schema.rehearse(conninfo)
        for statement in plan.statements:
            output.step("would run" if dry_run else "runs", _first_line(statement))
        output.step("revision", f"{plan.found or 'none'} -> {schema.REVISION}, {plan.views} views made anew")
        result: dict[str, Any] = {"found": plan.found, "revision": schema.REVISION, "dry_run": dry_run}
        result |= {"statements": list(plan.statements), "views": plan.views}
        if not dry_run:
            result |= _brought_up(output, conninfo)
    output.finish(result)


def _brought_up(output: Output, conninfo: str) -> dict[str, Any]:
    from datetime import UTC, datetime

    from oms.shell.databases import bring_up

    months, types = bring_up(conninfo, datetime.now(UTC).date())
    output.step("months", ", ".join(months) or "there were enough")
    output.step("event types", f"{len(types)} registered" if types else "all known")
    return {"months": months, "event_types": [f"{one.type} {one.version}" for one in types]}


def _first_line(statement: str) -> str:
    first, *more = statement.strip().splitlines()
    return f"{first} ..." if more else first


@contextmanager
def open_log(
    output: Output, database: str | None = None, archive: Path | None = None
) -> Iterator["PostgresLog"]:
    """Yield the event log of this command line, migrated; print where it is.

    `database` (a PostgreSQL URL) goes before --db, which goes before the embedded server. Rows that left it are read
    from `archive`, or from the folder that OMS_ARCHIVE names.
    """
    from eventlog import embedded
    from eventlog.postgres import PostgresLog
    from oms.shell.databases import make_ready

    if archive is not None:
        require_archive(output)
    url = database or output.options.database
    started = time.monotonic()
    with ExitStack() as stack:
        conninfo = driver_url(url) if url else stack.enter_context(embedded.session())
        make_ready(conninfo)
        log = PostgresLog(conninfo, archive=earlier(archive))
        stack.callback(log.close)
        output.step("database", _described(conninfo, embedded_server=not url), time.monotonic() - started)
        yield log


@contextmanager
def opened_database(output: Output) -> Iterator["Connection[Any]"]:
    """Yield a plain connection to the database of this command line, migrated; for questions in SQL."""
    import psycopg

    from eventlog import embedded
    from eventlog.errors import DatabaseAway
    from oms.shell.databases import make_ready

    url = output.options.database
    with ExitStack() as stack:
        conninfo = driver_url(url) if url else stack.enter_context(embedded.session())
        make_ready(conninfo)
        try:
            connection = psycopg.connect(conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseAway(f"cannot connect to the database: {error}") from error
        with connection:
            yield connection


def address(connection: "Connection[Any]") -> str:
    """Where a connection leads, to open another one there."""
    from psycopg.conninfo import make_conninfo

    info = connection.info
    known = info.get_parameters() | ({"password": info.password} if info.password else {})
    return make_conninfo(**known)


def driver_url(url: str) -> str:
    """A URL as psycopg takes it; SQLAlchemy's spelling with the driver's name is understood too."""
    scheme, separator, rest = url.partition("://")
    base = scheme.partition("+")[0]
    if separator and base not in ("postgresql", "postgres"):
        raise UsageProblem(
            "OMS-U020",
            f"This is no PostgreSQL address  {scheme}://...",
            hint="--db postgresql://user@host/database",
        )
    return f"{base}://{rest}" if separator else url


def _described(conninfo: str, *, embedded_server: bool) -> str:
    import psycopg

    with psycopg.connect(conninfo) as connection:
        version = connection.info.server_version
        place = "embedded" if embedded_server else f"{connection.info.dbname} on {connection.info.host}"
    return f"PostgreSQL {version // 10000}.{version % 10000}, {place}"


def _refuse_other_database(output: Output) -> None:
    """These commands stop and delete; they never touch a database that is not ours alone."""
    if output.options.database:
        raise UsageProblem(
            "OMS-U021",
            "`oms db` looks after the embedded database only",
            where="--db or OMS_DATABASE_URL names another one",
            hint="leave that option or variable out, or use the tools of that database",
        )


def _confirm(data_dir: str) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageProblem("OMS-U022", "Nobody is there to confirm", hint="python3 -m oms db reset --yes")
    sys.stderr.write(f"All event logs in {data_dir} will be deleted for ever. Type  delete  to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "delete":
        raise DomainProblem("OMS-U023", "Not confirmed; nothing was deleted")


def _show(output: Output, found: "Status") -> None:
    state = "not running" if found.version else "not created yet"
    if found.pid:
        state = f"running, pid {found.pid}, {found.sessions} sessions, {_age(found.age_s)}"
    output.step("state", state)
    output.step("version", f"PostgreSQL {found.version}" if found.version else "none")
    output.step("data", found.data_dir)
    output.step("socket", found.socket)


def _age(seconds: float | None) -> str:
    minutes, rest = divmod(int(seconds or 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"up {hours} h {minutes} min" if hours else f"up {minutes} min {rest} s"


def _as_dict(found: "Status") -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__struct_fields__}
