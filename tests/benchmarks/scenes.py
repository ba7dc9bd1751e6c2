"""What is measured on: a day as the real writer logged it, that day many times over, and many open positions."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cache
from itertools import count
from typing import Any

from eventlog.envelope import Envelope, StepRecord
from eventlog.memory import MemoryLog
from oms.book import Book
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated import SimulatedBroker
from oms.cli import demo_tape
from oms.cli.demo import FEES, SEED
from oms.config import Settings, load_settings
from oms.events.base import Event, Stamped, decode
from oms.events.broker import (
    BrokerLinkChanged,
    BrokerLinkStatus,
    BrokerSnapshotReported,
    OrderAccepted,
    OrderFilled,
)
from oms.events.decisions import CancelRequested, OrderPlaced, ReplaceRequested
from oms.events.market import BarClosed, QuoteReported
from oms.events.operator import ConfigActivated
from oms.events.session import AccountOpened, InstrumentDefined, WriterStarted
from oms.events.strategy import EntryRequested
from oms.shell.opening import Identity, open_runner
from oms.shell.record import record, steps_of
from oms.shell.virtual import VirtualTime
from oms.step import StepResult
from oms.values import CONTEXT, MILLISECOND, SECOND, SIGN_OF_SIDE, Micros, PositionSide, Role, Side

DAY_ACCOUNT = "sim/sim/bench-days"
POSITIONS_ACCOUNT = "sim/sim/bench-positions"
DAY = demo_tape.DAY
DAY_US = 86_400 * SECOND
MINUTE = 60 * SECOND
BARS_BEFORE = 16
"""As many bars as the indicators need."""
BATCH_STEPS = 1000
"""How many steps are appended at once where nothing is timed."""
PRICE = Decimal(100)
TICK = Decimal("0.01")

_TIME = re.compile(r"\b1[67]\d{14}\b")
_DATE = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_ORDER_ID = re.compile(r"\bS[A-Z2-7]{16}\b")

Stepped = tuple[Stamped, StepResult]


@cache
def day() -> tuple[Envelope, ...]:
    """The rows of the demo's day, from a writer in virtual time on a log in memory."""
    log = MemoryLog()
    log.ensure_partitions(DAY, 2)
    who = Identity(log_id="bench", code="bench", dependencies="bench")
    with localcontext(CONTEXT):
        start = demo_tape.times()[0]
        runner = open_runner(log, DAY_ACCOUNT, Settings(), at=start, trading_day=DAY, who=who)
        settings = BrokerSettings(seed=SEED, fill_model="realistic", costs=FEES, script=demo_tape.SCRIPT)
        clock = VirtualTime(runner, SimulatedBroker(settings))
        clock.connect()
        for stamped in demo_tape.tape():
            clock.feed(stamped)
        clock.flush()
    return tuple(log.read(DAY_ACCOUNT))


def copies() -> Iterator[StepRecord]:
    """The steps of that day after day, without end, each decided anew; the order ids are those of its own place."""
    book, names = Book(), dict[str, str]()
    for number in count():
        for rows in steps_of(day()):
            if number and rows[0].pipeline is None and rows[0].type not in ("ClockAdvanced", "DayRolled"):
                # The opening of the account happens once.
                continue
            stamped = _copied(rows[0], number, names)
            with localcontext(CONTEXT):
                result = book.decide(stamped)
            book.commit()
            names.update(_renamed(rows, result))
            yield record(result, stamped)


def batches(steps: Iterator[StepRecord], events: int, size: int) -> Iterator[list[StepRecord]]:
    """Steps in batches of about `size` events, about `events` in all."""
    taken = 0
    while taken < events:
        batch: list[StepRecord] = []
        held = 0
        while held < size:
            batch.append(next(steps))
            held += len(batch[-1].events)
        taken += held
        yield batch


def _copied(row: Envelope, number: int, names: dict[str, str]) -> Stamped:
    """An input of the day, `number` days later and about the orders of that later day."""
    shift = number * DAY_US
    days = timedelta(days=number)

    def moved(text: str) -> str:
        text = _TIME.sub(lambda found: str(int(found[0]) + shift), text)
        text = _DATE.sub(lambda found: str(date.fromisoformat(found[0]) + days), text)
        return _ORDER_ID.sub(lambda found: names.get(found[0], found[0]), text)

    return Stamped(
        event=decode(row.type, row.version, moved(row.body)),
        logical_time=row.logical_time + shift,
        received_at=None if row.received_at is None else row.received_at + shift,
        source=row.source,
        dedupe_key=None if row.dedupe_key is None else f"{row.dedupe_key}:{number}",
    )


def _renamed(rows: list[Envelope], result: StepResult) -> Iterator[tuple[str, str]]:
    """(order id of the day, order id of the copy) of every request that both made in this step."""
    for row, recorded in zip(rows, result.events, strict=False):
        old, new = decode(row.type, row.version, row.body), recorded.event
        if isinstance(old, OrderPlaced) and isinstance(new, OrderPlaced):
            yield old.client_order_id, new.client_order_id
        elif isinstance(old, CancelRequested | ReplaceRequested) and type(old) is type(new):
            yield old.wire_id, new.wire_id


def opening(book: Book, account: str = POSITIONS_ACCOUNT) -> Iterator[Stepped]:
    """The first inputs of an account whose caps let any number of positions be opened."""
    caps = dict.fromkeys(
        ("risk.max_gross_exposure", "risk.daily_loss_limit", "account.day_capital"), "100000000"
    )
    settings = load_settings(arguments=caps).settings
    events: list[Event] = [
        AccountOpened(account=account, log_id="bench", currency="USD", trading_day=DAY),
        WriterStarted(epoch=1, code="bench", python="3", dependencies="bench"),
        ConfigActivated(config_sha256=settings.sha256, profile=settings.profile, settings=settings.body()),
        BrokerLinkChanged(status=BrokerLinkStatus.CONNECTED),
        BrokerSnapshotReported(complete=True, asked_at_seq=3),
    ]
    start = demo_tape.times()[1]
    for event in events:
        yield take(book, event, start)


def open_position(book: Book, name: str) -> Iterator[Stepped]:
    """Define an instrument, enter it, and let the broker accept every order of its bracket."""
    definition = InstrumentDefined(instrument=name, symbol=name, currency="USD", tick=TICK, lot=Decimal(1))
    yield take(book, definition)
    for number in range(BARS_BEFORE):
        yield take(book, bar(name, demo_tape.times()[1] - (BARS_BEFORE - number) * MINUTE))
    yield take(book, quote(name, book.account.now))
    request = EntryRequested(
        instrument=name,
        strategy="bench",
        intent_id=name,
        side=PositionSide.LONG,
        quantity=Decimal(100),
        ideal=PRICE,
        zone_max=PRICE + TICK,
        stop=PRICE - 2,
        key_level=PRICE + 4,
    )
    placed = [request_step := take(book, request)]
    yield request_step
    while placed:
        for event in _answers(placed.pop(0)[1]):
            step = take(book, event)
            placed.append(step)
            yield step


def _answers(result: StepResult) -> Iterator[Event]:
    """What a broker says that accepts everything and fills what opens a position at once."""
    for recorded in result.events:
        order = recorded.event
        if not isinstance(order, OrderPlaced):
            continue
        own, broker_id = order.client_order_id, f"broker-{recorded.seq}"
        yield OrderAccepted(instrument=order.instrument, client_order_id=own, broker_order_id=broker_id)
        if order.role is Role.ENTRY:
            yield OrderFilled(
                instrument=order.instrument,
                execution=f"execution-{recorded.seq}",
                client_order_id=own,
                broker_order_id=broker_id,
                side=order.side,
                quantity=order.quantity,
                price=PRICE,
                cumulative=order.quantity,
                leaves=order.quantity - order.quantity,
            )


def take(book: Book, event: Event, at: Micros | None = None) -> Stepped:
    """Step one input a millisecond after the one before, and keep it."""
    at = book.account.now + MILLISECOND if at is None else at
    key = f"{book.account.seq + 1}"
    stamped = Stamped(event=event, logical_time=at, received_at=at, source="bench", dedupe_key=key)
    with localcontext(CONTEXT):
        result = book.decide(stamped)
    book.commit()
    return stamped, result


def quote(name: str, at: Micros) -> QuoteReported:
    """A quote at which nothing has to happen."""
    return QuoteReported(instrument=name, bid=PRICE - TICK, ask=PRICE + TICK, received_at=at)


def bar(name: str, end_at: Micros) -> BarClosed:
    """A bar in which nothing has to happen; bars that do not end later than the one before are ignored."""
    spread: Any = 10 * TICK
    return BarClosed(
        instrument=name,
        open_at=end_at - MINUTE,
        end_at=end_at,
        open=PRICE,
        high=PRICE + spread,
        low=PRICE - spread,
        close=PRICE,
        volume=Decimal(1000),
    )


def many(positions: int) -> tuple[Book, list[str]]:
    """A book with this many open positions, and their names."""
    book = Book()
    names = [f"S{number:05d}" for number in range(positions)]
    for _ in opening(book):
        pass
    for name in names:
        for _ in open_position(book, name):
            pass
    assert all(book.pipelines[name].position == 100 * SIGN_OF_SIDE[Side.BUY] for name in names)
    return book, names
