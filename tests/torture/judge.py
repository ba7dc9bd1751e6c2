"""What must hold after the deaths: the log, the state and the broker's own book are compared from outside.

The broker process lived on and never read our log; the notes of acknowledged heads were written by the dead.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from eventlog.envelope import Envelope
from eventlog.log import EventLog
from eventlog.verify import verify_chain
from oms.brokers.simulated.dump import BookDump
from oms.events.broker import ExecutionCorrected, OrderFilled
from oms.events.decisions import CancelRequested, EntryAbandoned, OrderPlaced, ReplaceRequested
from oms.shell.record import event_of
from oms.shell.recovery import recover
from oms.shell.snapshots import opened, resume
from oms.state.digest import FOLD_VERSION, digest
from oms.values import ZERO, Role
from replay.verify import verify
from tests.raw_audit import audit


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found. `lost`, `duplicates` and `other` tell it in words; `traded` is what can be compared.

    `given_up` are instruments whose entry was abandoned.
    `unanswered` counts requests without an answer to orders that are over: they can change nothing any more.
    """

    lost: tuple[str, ...]
    duplicates: tuple[str, ...]
    other: tuple[str, ...]
    naked: dict[str, Decimal]
    traded: dict[str, str]
    events: int
    writers: int
    unanswered: int
    given_up: tuple[str, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """Everything that must not be."""
        return (*self.lost, *self.duplicates, *self.other)


class Evidence(Struct, frozen=True, kw_only=True):
    """What a case left behind. `placed` counts how often each id reached the broker's door."""

    log: EventLog
    account: str
    book: BookDump
    placed: Counter[str]
    acknowledged: list[tuple[int, str]]
    live: str
    wanted: dict[str, Decimal]
    inputs: tuple[str, ...]


def judge(evidence: Evidence) -> Verdict:
    """Compare everything with everything."""
    log, account, book = evidence.log, evidence.account, evidence.book
    rows = list(log.read(account))
    found = audit(account, map(asdict, rows))
    trades = defaultdict(Decimal)
    for trade in found["trades"]:
        trades[trade["instrument"]] += Decimal(trade["naked_seconds"])
    return Verdict(
        lost=tuple(_lost(evidence, rows)),
        duplicates=tuple(_duplicates(evidence, rows)),
        other=(*found["findings"], *_unproven(evidence), *_unfinished(evidence, found["positions"])),
        naked=dict(trades),
        traded=_traded(book),
        events=len(rows),
        writers=sum(row.type == "WriterStarted" for row in rows),
        unanswered=_unanswered(evidence),
        given_up=tuple(_given_up(rows)),
    )


def _lost(evidence: Evidence, rows: list[Envelope]) -> Iterator[str]:
    """What was acknowledged to the writer, or executed at the broker, and is not in the log."""
    chains = {
        stored.envelope.seq: stored.chain.hex() for stored in evidence.log.read_stored(evidence.account)
    }
    for seq, chain in evidence.acknowledged:
        if seq and chains.get(seq) != chain:
            yield f"row {seq} was acknowledged and is {'another' if seq in chains else 'gone'}"
    logged = Counter(row.dedupe_key for row in rows)
    for name in evidence.inputs:
        if logged[name] != 1:
            yield f"the input {name} is logged {logged[name]} times"
    booked: dict[str, Decimal] = {}
    for row in rows:
        event = event_of(row)
        if isinstance(event, OrderFilled | ExecutionCorrected):
            booked[event.execution] = event.quantity
    theirs = {one.execution: one.quantity for one in evidence.book.executions}
    for name in sorted(booked.keys() | theirs.keys()):
        if booked.get(name) != theirs.get(name):
            yield f"execution {name}: the broker has {theirs.get(name)}, the log {booked.get(name)}"


def _duplicates(evidence: Evidence, rows: list[Envelope]) -> Iterator[str]:
    """More than one effective order for one intent, or an order that no durable decision stands behind."""
    decided: set[str] = set()
    entries: dict[str, str] = {}
    for row in rows:
        event = event_of(row)
        if isinstance(event, OrderPlaced):
            decided.add(event.client_order_id)
            if event.role is Role.ENTRY:
                entries[event.client_order_id] = event.instrument
        elif isinstance(event, ReplaceRequested | CancelRequested):
            decided.add(event.wire_id)
    for name, times in sorted(evidence.placed.items()):
        if times > 1:
            yield f"order {name} was sent {times} times"
        if name not in decided:
            yield f"order {name} was sent and never decided"
    entered: dict[str, Decimal] = defaultdict(Decimal)
    for order in evidence.book.orders:
        if order.wire_ids[0] in entries:
            entered[order.instrument] += order.cumulative
    for name, quantity in sorted(entered.items()):
        if quantity > evidence.wanted[name]:
            yield f"{name}: {quantity} were entered for an intent of {evidence.wanted[name]}"


def _unproven(evidence: Evidence) -> Iterator[str]:
    """Chain, decisions made again, and the state of the last writer against the log's."""
    chain = verify_chain(evidence.log, evidence.account)
    if not chain.intact:
        yield f"the chain is broken at {chain.first_bad_seq}: {chain.what}"
    again = verify(evidence.log, evidence.account)
    if again.result != "identical":
        yield f"deciding again is {again.result}: {again.first_divergence or again.why}"
    book = recover(evidence.log, evidence.account)
    folded = digest(book.account, book.pipelines)
    if folded != evidence.live:
        yield f"the writer's state {evidence.live[:16]} is not the log's {folded[:16]}"
    cached = evidence.log.snapshot(evidence.account, FOLD_VERSION)
    if cached is None:
        return
    then = recover(evidence.log, evidence.account, cached.seq)
    if opened(cached) is None or digest(then.account, then.pipelines) != cached.digest.hex():
        yield f"the snapshot at {cached.seq} is not the fold"
    resumed = resume(evidence.log, evidence.account)
    if resumed.snapshot_seq != cached.seq or digest(resumed.book.account, resumed.book.pipelines) != folded:
        yield f"the state from the snapshot at {cached.seq} on is not the log's"


def _unfinished(evidence: Evidence, positions: dict[str, str]) -> Iterator[str]:
    """After the day nothing is open, pending or different from the broker's books."""
    ours = {name: Decimal(held) for name, held in positions.items() if Decimal(held) != ZERO}
    if ours != evidence.book.positions:
        yield f"positions: the broker holds {evidence.book.positions}, the raw rows say {ours}"
    for name, held in evidence.book.positions.items():
        yield f"{name}: {held} are still held after the forced close"
    for order in evidence.book.orders:
        if order.is_live:
            yield f"{order.instrument}: order {order.client_order_id} ({order.role}) is still live"
    book = recover(evidence.log, evidence.account)
    for name, pipeline in book.pipelines.items():
        pending = [one.client_order_id for one in pipeline.orders.values() if one.pending and one.is_live]
        if pipeline.open_trades or pending:
            yield f"{name}: trades {pipeline.open_trades} are open, orders {pending} unanswered"
        if pipeline.safe_mode:
            yield f"{name} is in safe mode: {pipeline.safe_mode}"


def _given_up(rows: list[Envelope]) -> Iterator[str]:
    for row in rows:
        event = event_of(row)
        if isinstance(event, EntryAbandoned):
            yield event.instrument


def _unanswered(evidence: Evidence) -> int:
    book = recover(evidence.log, evidence.account)
    return sum(len(one.pending) for pipeline in book.pipelines.values() for one in pipeline.orders.values())


def _traded(book: BookDump) -> dict[str, str]:
    """What was traded in all, by instrument and side."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for one in book.executions:
        found[f"{one.instrument} {one.side.value}"] += one.quantity
    return {name: str(quantity) for name, quantity in sorted(found.items())}


def arrivals(book: Path) -> list[tuple[str, str]]:
    """(type, wire id) of every command that came to the broker's door, in order, by the book's own lines."""
    found: list[tuple[str, str]] = []
    for line in book.read_text(encoding="utf-8").splitlines():
        for fact in json.loads(line.partition(" ")[2]).get("facts", ()):
            command = fact.get("item", {}).get("command")
            if command is not None:
                found.append((command["type"], command["client_order_id"]))
    return found


def placements(book: Path) -> Counter[str]:
    """How often each client id came to the broker with a new order."""
    return Counter(name for kind, name in arrivals(book) if kind == "PlaceOrder")


def acknowledged(notes: Path) -> list[tuple[int, str]]:
    """The (seq, link) of every head that a writer was told is durable. A torn last line was never told."""
    lines = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
    return [(int(words[0]), words[1]) for words in lines if len(words) == 2 and len(words[1]) == 64]
