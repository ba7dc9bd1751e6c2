"""`oms backtest`: market data that nobody here wrote, through the same writer, log, policies and broker as live."""

import sys
import time as clock
from collections.abc import Iterator
from datetime import time
from decimal import Decimal, InvalidOperation, localcontext
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from eventlog.log import EventLog
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated import SimulatedBroker
from oms.cli import proof, report
from oms.cli.config import load
from oms.cli.database import open_log
from oms.cli.frame import output_of
from oms.cli.output import Output
from oms.errors import InputError, UsageProblem
from oms.events.base import Stamped
from oms.events.market import BarClosed, QuoteReported, TradePrinted
from oms.events.session import InstrumentDefined
from oms.fills import MODELS
from oms.fills.costs import Schedule
from oms.shell.embed import Oms
from oms.shell.sessions import Sessions
from oms.values import CONTEXT, SECOND, ZERO, Micros
from replay.importers import FORMATS, Options, open_format, synthetic

app = typer.Typer(add_completion=False)

FEES: Final = Schedule(per_share=Decimal("0.005"), minimum=Decimal(1))
EXAMPLE: Final = "examples.opening_range_breakout:OpeningRangeBreakout"
PEEK: Final = 200
"""Records looked at to tell whether a file has quotes of its own."""


class Market(Struct, frozen=True):
    """What a kind of data says about its instrument: smallest steps, calendar, key of the example's settings."""

    tick: str
    lot: str
    calendar: str | None
    settings: str


MARKETS: Final = {
    "csv": Market("0.01", "1", "XNYS", "csv"),
    "index-minute": Market("0.01", "1", "XNYS", "index-minute"),
    "lean": Market("0.01", "1", "XNYS", "lean"),
    "lean-crypto": Market("0.01", "0.001", None, "lean-crypto"),
    "binance-raw": Market("0.01", "0.001", None, "binance-raw"),
}


class Plan(Struct, frozen=True, kw_only=True):
    """A checked request for a backtest."""

    files: tuple[Path, ...]
    format: str
    market: str
    symbol: str
    fill_model: str
    strategy: str
    instrument: InstrumentDefined
    spread: Decimal
    calendar: str | None
    close_utc: time | None


@app.command()
def backtest(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Market data, in one format.")],
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")],  # noqa: A002
    symbol: Annotated[str, typer.Option(help="Our id of the instrument.")],
    profile: Annotated[str, typer.Option(help="Named configuration.")] = "default",
    fill_model: Annotated[str, typer.Option(help=f"One of {', '.join(sorted(MODELS))}.")] = "realistic",
    strategy: Annotated[str, typer.Option(help="module:Class with on_event(event, view).")] = EXAMPLE,
    market: Annotated[str, typer.Option(help="Conventions of lean files: equity or crypto.")] = "equity",
    session_close: Annotated[str, typer.Option(help="HH:MM[:SS] UTC, for a market that never closes.")] = "",
    tick: Annotated[str, typer.Option(help="Smallest price step.")] = "",
    lot: Annotated[str, typer.Option(help="Smallest quantity step.")] = "",
    spread: Annotated[str, typer.Option(help="Spread of quotes made from bars; default two ticks.")] = "",
) -> int:
    """Run a strategy over recorded market data, then decide everything again and compare."""
    output = output_of(context)
    started = clock.monotonic()
    plan = _plan(
        files=files,
        format_name=format,
        symbol=symbol,
        fill_model=fill_model,
        strategy=strategy,
        market=market,
        session_close=session_close,
        steps=(tick, lot, spread),
    )
    settings = load(output, {"profile": profile}).settings
    with localcontext(CONTEXT), open_log(output) as log:
        account = _account(log, symbol)
        counts = _run(output, log, account, plan, settings)
        must_be_flat = plan.calendar is not None or plan.close_utc is not None
        return _finish(output, log, account, counts, started, must_be_flat=must_be_flat)


def _plan(
    *,
    files: list[Path],
    format_name: str,
    symbol: str,
    fill_model: str,
    strategy: str,
    market: str,
    session_close: str,
    steps: tuple[str, str, str],
) -> Plan:
    _one_of("--format", format_name, FORMATS)
    _one_of("--fill-model", fill_model, MODELS)
    _one_of("--market", market, ("equity", "crypto"))
    found = MARKETS["lean-crypto" if (format_name, market) == ("lean", "crypto") else format_name]
    tick = _number("--tick", steps[0] or found.tick)
    return Plan(
        files=tuple(files),
        format=format_name,
        market=market,
        symbol=symbol,
        fill_model=fill_model,
        strategy=strategy,
        instrument=InstrumentDefined(
            instrument=symbol,
            symbol=symbol,
            currency="USD",
            tick=tick,
            lot=_number("--lot", steps[1] or found.lot),
            calendar=found.calendar,
        ),
        spread=_number("--spread", steps[2]) if steps[2] else tick * 2,
        calendar=found.calendar,
        close_utc=_time(session_close) if session_close else None,
    )


def _one_of(option: str, value: str, known: Any) -> None:
    if value not in known:
        raise UsageProblem(
            "OMS-U030", f"{option} {value} is not known", hint=f"one of {', '.join(sorted(known))}"
        )


def _number(option: str, text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = ZERO
    if not value.is_finite() or value <= ZERO:
        raise UsageProblem("OMS-U031", f"{option} {text} is not a positive number", hint=f"{option} 0.01")
    return value


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise UsageProblem(
            "OMS-U032", f"--session-close {text} is no time", hint="--session-close 23:59"
        ) from None


def _account(log: EventLog, symbol: str) -> str:
    """A new account for each run: a backtest never continues another one."""
    clean = "".join(one if one.isalnum() else "-" for one in symbol.lower())
    prefix = f"sim/backtest/{clean}-"
    taken = [head.account[len(prefix) :] for head in log.heads() if head.account.startswith(prefix)]
    return f"{prefix}{max((int(one) for one in taken if one.isdigit()), default=0) + 1}"


def _strategy(plan: Plan) -> Any:
    """The strategy object; the example gets the settings of the data's format."""
    module_name, _, class_name = plan.strategy.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        cls = getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageProblem(
            "OMS-U033",
            f"--strategy {plan.strategy} cannot be loaded",
            why=str(error),
            hint="--strategy module:Class",
        ) from error
    if plan.strategy != EXAMPLE:
        return cls()
    key = MARKETS["lean-crypto" if (plan.format, plan.market) == ("lean", "crypto") else plan.format].settings
    return cls(import_module(module_name).SETTINGS[key])


class Counts(Struct):
    """What was fed."""

    bars: int = 0
    quotes: int = 0
    made: int = 0
    prints: int = 0


def _run(output: Output, log: EventLog, account: str, plan: Plan, settings: Any) -> Counts:
    market: Any = plan.market
    reading = open_format(plan.format, plan.files, plan.symbol, Options(market=market))
    records = iter(reading)
    head = list(islice(records, PEEK))
    if not head:
        raise InputError(
            "OMS-I010", "There are no records in the data", where=", ".join(map(str, plan.files))
        )
    bars_only = all(isinstance(one.event, BarClosed) for one in head)
    sessions = Sessions(plan.symbol, plan.calendar, settings.account.day_zone, plan.close_utc)
    start = _begins(head[0])
    broker = SimulatedBroker(BrokerSettings(seed=1, name="sim", fill_model=plan.fill_model, costs=FEES))
    counts = Counts()
    begun = clock.monotonic()
    with (
        Oms.open(
            settings, database=log, account=account, broker=broker, day=sessions.day_of(start), at=start
        ) as oms,
        output.progress("data") as advance,
    ):
        oms.define(plan.instrument)
        oms.attach(_strategy(plan))
        for stamped in chain(head, records):
            _feed(oms, log, plan, sessions, stamped, bars_only=bars_only, counts=counts)
            advance(1)
        _end(oms, sessions)
    said = (
        f"{reading.tally.rows} rows, {counts.bars} bars, {counts.quotes} quotes, {counts.made} made from bars"
    )
    output.step("data", said, clock.monotonic() - begun)
    return counts


def _begins(stamped: Stamped) -> Micros:
    event = stamped.event
    return event.open_at if isinstance(event, BarClosed) else stamped.logical_time


def _feed(
    oms: Oms,
    log: EventLog,
    plan: Plan,
    sessions: Sessions,
    stamped: Stamped,
    *,
    bars_only: bool,
    counts: Counts,
) -> None:
    event = stamped.event
    for opening in list(sessions.reach(_begins(stamped))):
        log.ensure_partitions(sessions.day_of(_begins(stamped)), 1)
        oms.feed(Stamped(event=opening, logical_time=_begins(stamped)))
    if isinstance(event, BarClosed):
        counts.bars += 1
        if bars_only or event.bid is not None or event.ask is not None:
            for quote in _path(oms, plan, event):
                counts.made += 1
                oms.feed(quote)
    counts.quotes += isinstance(event, QuoteReported)
    counts.prints += isinstance(event, TradePrinted)
    oms.feed(stamped)


def _path(oms: Oms, plan: Plan, bar: BarClosed) -> Iterator[Stamped]:
    adverse = synthetic.adverse_to(oms.view.position(plan.symbol))
    return synthetic.path(bar, adverse, plan.spread, SECOND, plan.instrument.tick)


def _end(oms: Oms, sessions: Sessions) -> None:
    """Let what is under way come to its end: to the session's close, or for a minute."""
    now = oms.view.now
    close = sessions.close_at
    oms.wait(max(now, close if close is not None and close > now else now) + 60 * SECOND)


def _finish(
    output: Output, log: EventLog, account: str, counts: Counts, started: float, *, must_be_flat: bool
) -> int:
    """Prove the run and report it. A session's close has to leave nothing open."""
    found = proof.prove(log, account)
    report.show(output, found.summary)
    proof.show(output, found)
    good = found.is_good and not (must_be_flat and found.summary.open_positions)
    output.finish(
        {
            "database": "postgresql",
            **report.as_dict(found.summary),
            "bars": counts.bars,
            "quotes": counts.quotes + counts.made,
            **proof.as_dict(found),
            "seconds": round(clock.monotonic() - started, 3),
        },
        ok=good,
    )
    return 0 if good else 1
