"""`oms demo`: one synthetic exchange day through the real path, then the proof that it can be repeated.

Writer, Postgres log, outbox and a broker in a process of its own. A demo that was interrupted, by kill -9 too,
goes on where it was: the broker lived on or comes back from its own book, the log says the rest.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

import typer

from eventlog.envelope import Head
from eventlog.errors import LeaseHeld
from eventlog.log import EventLog
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated.remote import RemoteSimulatedBroker, spawn
from oms.cli import demo_tape, proof, report
from oms.cli.config import load
from oms.cli.database import open_log
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import DomainProblem, EnvironmentProblem
from oms.events.base import Stamped
from oms.events.broker import OrderAccepted, OrderFilled
from oms.events.decisions import OrderPlaced
from oms.fills.costs import Schedule
from oms.shell.opening import open_runner
from oms.shell.places import run_dir
from oms.shell.record import event_of
from oms.shell.runner import Runner
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.values import CONTEXT, Micros, Role

app = typer.Typer(add_completion=False)

PREFIX: Final = "sim/sim/demo-"
SEED: Final = 7
FEES: Final = Schedule(per_share=Decimal("0.005"), minimum=Decimal(1))
SILENT_STOCK: Final = "GOOG"


@app.command()
def demo(context: typer.Context) -> int:
    """Run a whole synthetic trading day, decide it again from the log, and compare."""
    output = output_of(context)
    started = time.monotonic()
    with open_log(output) as log, localcontext(CONTEXT):
        log.ensure_partitions(demo_tape.DAY, 2)
        runner, resumed = _writer(output, log)
        with _broker(output, runner) as broker:
            digest_live = _run(output, runner, broker, _logged(log, runner) if resumed else None)
        log.release(runner.head)
        return _prove(output, log, runner.head.account, digest_live, started)


def _writer(output: Output, log: EventLog) -> tuple[Runner, bool]:
    """The writer of an unfinished demo that nobody else runs, or of a new one; and whether it goes on."""
    settings = load(output).settings
    start = demo_tape.times()[0]
    mine = {head.account: head for head in log.heads() if _number(head.account) is not None}
    unfinished = [name for name, head in mine.items() if _is_unfinished(head)]
    newest = max((_number(name) or 0 for name in mine), default=0)
    for account in (*unfinished, f"{PREFIX}{newest + 1}"):
        try:
            runner = open_runner(log, account, settings, at=start, trading_day=demo_tape.DAY)
        except LeaseHeld:
            continue
        return runner, account in mine and mine[account].seq > 0
    raise DomainProblem("OMS-M001", "Another demo took the same account just now", hint="start it again")


def _number(account: str) -> int | None:
    digits = account.removeprefix(PREFIX)
    return int(digits) if account.startswith(PREFIX) and digits.isdigit() else None


def _is_unfinished(head: Head) -> bool:
    return head.trading_day is None or head.trading_day <= demo_tape.DAY


@contextmanager
def _broker(output: Output, runner: Runner) -> Iterator[RemoteSimulatedBroker]:
    """The broker process of this log: the one that lives, or one started from its own book.

    The log's random id is part of its name, so that a reset database never meets the book of another one.
    """
    name = f"{runner.head.account.rpartition('/')[2]}-{runner.published.account.log_id[:8]}"
    place = run_dir("brokers")
    path = place / f"{name}.socket"
    settings = BrokerSettings(
        seed=SEED, name=f"sim-{name}", fill_model="realistic", costs=FEES, script=demo_tape.SCRIPT
    )
    with output.timed("broker") as say:
        broker, found = _reach(path, place / f"{name}.book", settings)
        say(f"simulated, own process, {'still running' if found else 'started'}")
    try:
        yield broker
        broker.shutdown()
    finally:
        broker.close()


def _reach(path: Path, book: Path, settings: BrokerSettings) -> tuple[RemoteSimulatedBroker, bool]:
    if path.exists():
        broker = RemoteSimulatedBroker(path)
        try:
            broker.dump()
        except EnvironmentProblem:
            broker.close()
        else:
            return broker, True
    spawn(path, book, settings)
    return RemoteSimulatedBroker(path), False


def _run(output: Output, runner: Runner, broker: RemoteSimulatedBroker, logged: frozenset[str] | None) -> str:
    start = demo_tape.times()[0]
    account = runner.head.account
    clock = VirtualTime(runner, broker)
    clock.connect()
    begun = time.monotonic()
    records = list(demo_tape.tape())
    seen_by_broker, done_until = broker.now, runner.now
    with output.progress("session", len(records)) as advance:
        for count, record in enumerate(records, 1):
            if logged is None or _is_missing(record, done_until, logged):
                clock.feed(
                    record, broker_sees=record.logical_time > seen_by_broker or record.logical_time <= start
                )
            if count % 500 == 0:
                advance(500)
    clock.flush()
    state = runner.published
    taken = "resumed " if logged is not None else ""
    output.step(
        "session",
        f"{taken}{demo_tape.DAY} XNYS, {account}, {runner.head.seq} events",
        time.monotonic() - begun,
    )
    return digest(state.account, state.pipelines)


def _logged(log: EventLog, runner: Runner) -> frozenset[str]:
    """The keys of what the log has."""
    return frozenset(row.dedupe_key for row in log.read(runner.head.account) if row.dedupe_key is not None)


def _is_missing(record: Stamped, done_until: Micros, logged: frozenset[str]) -> bool:
    """What the log may not have: a message of the broker may stand in it for a later time than a lost record."""
    if record.dedupe_key is None:
        return record.logical_time >= done_until
    return record.dedupe_key not in logged


def _prove(output: Output, log: EventLog, account: str, digest_live: str, started: float) -> int:
    found = proof.prove(log, account, digest_live)
    expected = naked_expected(log, account)
    report.show(output, found.summary)
    proof.show(output, found)
    seconds = time.monotonic() - started
    output.message("")
    output.step("done", f"{account} is finished; the next demo takes a new account", seconds)
    good = found.is_good and found.summary.open_positions == 0
    output.finish(
        {
            "database": "postgresql",
            **report.as_dict(found.summary),
            "naked_seconds_expected": float(expected),
            **proof.as_dict(found),
            "seconds": round(seconds, 3),
        },
        ok=good,
    )
    return 0 if good else 1


def naked_expected(log: EventLog, account: str) -> Decimal:
    """What the script must cost in seconds: from the silent stock's first fill to the first stop the broker takes.

    Read off the rows, without the fold: the invariant check that measures naked time has no part in it.
    """
    filled: Micros | None = None
    stops: set[str] = set()
    for row in log.read(account):
        if row.pipeline != SILENT_STOCK:
            continue
        event = event_of(row)
        if isinstance(event, OrderPlaced) and event.role is Role.STOP:
            stops.add(event.client_order_id)
        elif isinstance(event, OrderFilled) and filled is None:
            filled = row.logical_time
        elif isinstance(event, OrderAccepted) and event.client_order_id in stops and filled is not None:
            return Decimal(row.logical_time - filled).scaleb(-6)
    return Decimal(0)
