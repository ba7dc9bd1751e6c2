"""`oms demo`: one synthetic exchange day through the real path, then the proof that it can be repeated.

Writer, Postgres log, outbox and a broker in a process of its own. A demo that was interrupted, by kill -9 too,
goes on where it was: the broker lived on or comes back from its own book, the log says the rest.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Final

import typer

from eventlog.log import EventLog
from eventlog.verify import verify_chain
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated.remote import RemoteSimulatedBroker, spawn
from oms.cli import demo_tape, report
from oms.cli.config import load
from oms.cli.database import open_log
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.events.base import Stamped
from oms.events.broker import OrderAccepted, OrderFilled
from oms.fills.costs import Schedule
from oms.shell.opening import open_runner
from oms.shell.places import run_dir
from oms.shell.record import event_of
from oms.shell.recovery import recover
from oms.shell.runner import Runner
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.values import CONTEXT, Micros
from replay.summary import Summary, summarize
from replay.verify import verify

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
        account, resumed = _account(log)
        log.ensure_partitions(demo_tape.DAY, 2)
        with _broker(output, account) as broker:
            digest_live = _run(output, log, account, broker, resumed=resumed)
        return _prove(output, log, account, digest_live, started)


def _account(log: EventLog) -> tuple[str, bool]:
    """The unfinished demo there is, or the next new one; and whether it is a resumption."""
    mine = [head for head in log.heads() if head.account.startswith(PREFIX) and head.account[len(PREFIX) :].isdigit()]
    for head in mine:
        if head.trading_day is None or head.trading_day <= demo_tape.DAY:
            return head.account, head.seq > 0
    newest = max((int(head.account[len(PREFIX) :]) for head in mine), default=0)
    return f"{PREFIX}{newest + 1}", False


@contextmanager
def _broker(output: Output, account: str) -> Iterator[RemoteSimulatedBroker]:
    """The broker process of this account: the one that lives, or one started from its own book."""
    name = account.rpartition("/")[2]
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
        except Exception:  # Whatever is wrong with it, a process that does not answer is not there.
            broker.close()
        else:
            return broker, True
    spawn(path, book, settings)
    return RemoteSimulatedBroker(path), False


def _run(output: Output, log: EventLog, account: str, broker: RemoteSimulatedBroker, *, resumed: bool) -> str:
    start, opened, _ = demo_tape.times()
    settings = load(output).settings
    runner = open_runner(log, account, settings, at=start, trading_day=demo_tape.DAY)
    clock = VirtualTime(runner, broker)
    clock.connect()
    begun = time.monotonic()
    records = list(demo_tape.tape())
    seen_by_broker, done_until = broker.now, runner.now
    with output.progress("session", len(records)) as advance:
        for count, record in enumerate(records, 1):
            if not resumed or _is_ahead(record, done_until, opened):
                clock.feed(record, broker_sees=record.logical_time > seen_by_broker or record.logical_time <= start)
            if count % 500 == 0:
                advance(500)
    clock.flush()
    state = runner.published
    taken = "resumed " if resumed else ""
    output.step("session", f"{taken}{demo_tape.DAY} XNYS, {account}, {runner.head.seq} events", time.monotonic() - begun)
    _close(log, account, runner)
    return digest(state.account, state.pipelines)


def _is_ahead(record: Stamped, done_until: Micros, opened: Micros) -> bool:
    """What the log may not have yet. At the border records come again and their keys drop them."""
    return record.logical_time >= done_until or record.logical_time < opened


def _close(log: EventLog, account: str, runner: Runner) -> None:
    from eventlog.processes import owner_text

    log.release(account, owner_text())
    assert runner.head.account == account


def _prove(output: Output, log: EventLog, account: str, digest_live: str, started: float) -> int:
    begun = time.monotonic()
    book = recover(log, account)
    digest_replayed = digest(book.account, book.pipelines)
    verification = verify(log, account)
    chain = verify_chain(log, account)
    took = time.monotonic() - begun
    summary = summarize(log, account)
    expected = naked_expected(log, account)
    report.show(output, summary)
    identical = verification.result == "identical" and digest_live == digest_replayed
    said = "every decision made again, byte for byte" if identical else f"DIVERGENT: {verification.first_divergence}"
    output.step("verified", said, took)
    output.step("chain", "intact" if chain.intact else f"BROKEN at {chain.first_bad_seq}: {chain.what}")
    output.step("state", f"live == replayed, digest {digest_replayed[:16]}" if identical else "live != replayed")
    output.step("", f"python3 -m oms replay --account {account} --verify        python3 -m oms why {_a_market_order(summary)}")
    good = identical and chain.intact and summary.open_positions == 0
    output.finish(
        {
            "database": "postgresql",
            **report.as_dict(summary),
            "naked_seconds_expected": expected,
            "chain": "intact" if chain.intact else "broken",
            "verify": verification.result,
            "digest_live": digest_live,
            "digest_replayed": digest_replayed,
            "seconds": round(time.monotonic() - started, 3),
        },
        ok=good,
    )
    return 0 if good else 1


def _a_market_order(summary: Summary) -> int:
    return summary.market_orders[0].seq if summary.market_orders else 1


def naked_expected(log: EventLog, account: str) -> Decimal:
    """What the script must cost: from the silent stock's first fill to the first stop the broker takes."""
    filled: Micros | None = None
    for row in log.read(account):
        if row.pipeline != SILENT_STOCK or row.kind != "I":
            continue
        event: Any = event_of(row)
        if filled is None and isinstance(event, OrderFilled):
            filled = row.logical_time
        elif filled is not None and isinstance(event, OrderAccepted):
            return Decimal(row.logical_time - filled).scaleb(-6)
    return Decimal(0)
