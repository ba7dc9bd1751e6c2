"""The pure core: one fill, one step, and whether a thousand open positions make it slower."""

import random
from collections.abc import Iterator, Sequence
from decimal import localcontext
from functools import partial
from statistics import median
from time import process_time_ns

from oms.book import Book
from oms.events.base import Event, Stamped
from oms.events.broker import BrokerSnapshotReported, OrderFilled, PositionLine
from oms.shell.record import stamped_of
from oms.state.fold import fold
from oms.state.pipeline import Pipeline
from oms.values import CONTEXT, MILLISECOND, Micros
from tests.benchmarks import scenes
from tests.benchmarks.measuring import US, clock_cost_ns, in_turns, medians, percentile
from tests.benchmarks.rows import Row, Scale, Target

FOLDS_PER_BLOCK = 20
FEW = 10
STEPS_PER_BLOCK = 20
"""A block of about a millisecond: longer ones hardly ever escape what else the machine does."""
Fill = tuple[Pipeline, Event, Micros, int]


def group(scale: Scale) -> Iterator[Row]:
    """All rows of the core."""
    with localcontext(CONTEXT):
        inputs = [stamped_of(row) for row in scenes.day() if row.kind == "I"]
        yield fold_row(inputs, scale.passes)
        yield from step_rows(inputs, scale.passes)
        yield from position_rows(scale.positions, scale.rounds)
        yield look_row(scale.positions, scale.passes)


def fold_row(inputs: Sequence[Stamped], passes: int) -> Row:
    """The fold of a fill into order, lot and position: the median of all fills of the day."""
    fills = _fills(inputs)
    taken = medians([[_folded_us(fill) for fill in fills] for _ in range(passes)])
    return Row(
        name="fold of one fill",
        value=median(taken),
        unit="us",
        target=Target(must=8, aim=3),
        note=f"CPU time; median of {len(fills)} fills, each the median of {passes} passes",
    )


def _fills(inputs: Sequence[Stamped]) -> list[Fill]:
    book, found = Book(), list[Fill]()
    for stamped in inputs:
        event = stamped.event
        if isinstance(event, OrderFilled):
            place = book.pipelines[event.instrument], event, stamped.logical_time, book.account.seq + 1
            found.append(place)
        book.decide(stamped)
        book.commit()
    return found


def _folded_us(fill: Fill) -> float:
    begun = process_time_ns()
    for _ in range(FOLDS_PER_BLOCK):
        fold(*fill)
    return (process_time_ns() - begun) / FOLDS_PER_BLOCK / US


def step_rows(inputs: Sequence[Stamped], passes: int) -> Iterator[Row]:
    """The whole step of each input of a day, and of those that meet a live trade."""
    cost = clock_cost_ns()
    live: list[bool] = []
    taken = medians([_pass_us(inputs, live, cost) for _ in range(passes)])
    with_trade = [us for us, is_live in zip(taken, live, strict=False) if is_live]
    said = f"CPU time; {len(inputs)} inputs of the demo's day, each the median of {passes} passes"
    target, tail = Target(must=40, aim=15), Target(must=150, aim=60)
    yield Row(name="step, median", value=median(taken), unit="us", target=target, note=said)
    yield Row(name="step, p99", value=percentile(taken, 0.99), unit="us", target=tail, note=said)
    yield Row(
        name="step with a live trade, median",
        value=median(with_trade),
        unit="us",
        target=target,
        note=f"{len(with_trade)} inputs to an instrument with an open trade",
    )


def _pass_us(inputs: Sequence[Stamped], live: list[bool], cost: float) -> list[float]:
    book, taken, is_first = Book(), list[float](), not live
    for stamped in inputs:
        if is_first:
            pipeline = book.pipelines.get(getattr(stamped.event, "instrument", ""))
            live.append(pipeline is not None and bool(pipeline.open_trades))
        begun = process_time_ns()
        book.decide(stamped)
        book.commit()
        taken.append(max(0.0, process_time_ns() - begun - cost) / US)
    return taken


def position_rows(positions: int, rounds: int) -> Iterator[Row]:
    """The same inputs with many and with few open positions, in turns."""
    crowd, names = scenes.many(positions)
    few, same = scenes.many(FEW)
    chance = random.Random(7)
    nearby = [same[number % FEW] for number in range(STEPS_PER_BLOCK)]

    def near() -> None:
        _busy(crowd, nearby)

    def anywhere() -> None:
        _busy(crowd, chance.sample(names, STEPS_PER_BLOCK))

    limits = (
        ("same pipelines busy", near, Target(must=1.15, aim=1.05, of="ratio")),
        ("random over all", anywhere, Target(must=1.8, aim=1.5, of="ratio")),
    )
    for what, many, target in limits:
        seconds, reference = in_turns(many, partial(_busy, few, nearby), rounds, process_time_ns)
        yield Row(
            name=f"step, {positions} open positions, {what}",
            value=seconds / STEPS_PER_BLOCK * 1e6,
            unit="us",
            reference=reference / STEPS_PER_BLOCK * 1e6,
            target=target,
            note=f"CPU time; reference: {FEW} open positions; median of {rounds} rounds of {STEPS_PER_BLOCK} steps",
        )


def look_row(positions: int, rounds: int) -> Row:
    """What the broker's books cost where they agree with the log, and what a quote costs beside them."""
    book, names = scenes.many(positions)
    held = tuple(PositionLine(instrument=name, quantity=book.pipelines[name].position) for name in names)
    listed = [one for name in names for one in book.pipelines[name].orders.values() if one.is_live]
    open_orders = tuple(one.wire_id for one in listed)

    def look() -> None:
        event = BrokerSnapshotReported(
            asked_at_seq=book.account.seq, complete=True, positions=held, open_orders=open_orders
        )
        _, result = scenes.take(book, event)
        assert len(result.events) == 1, "the books agree"

    seconds, reference = in_turns(look, partial(_busy, book, names), rounds, process_time_ns)
    return Row(
        name=f"look at the broker's books, {positions} open positions",
        value=seconds / positions * 1e6,
        unit="us/position",
        reference=reference / positions * 1e6,
        target=Target(must=100, aim=50),
        note=f"CPU time; one step every protection.books_every_ms; reference: a quote or bar each; median of {rounds}",
    )


def _busy(book: Book, names: Sequence[str]) -> None:
    """A quote and a bar in turn for each name: nothing has to happen, and everything is asked."""
    for number, name in enumerate(names):
        at = book.account.now + MILLISECOND
        event: Event = scenes.quote(name, at) if number // FEW % 2 else scenes.bar(name, at)
        book.decide(Stamped(event=event, logical_time=at))
        book.commit()
