"""A. Log, replay, determinism: what is stored, and that state and decisions follow from it."""

import json
from collections.abc import Iterator

from eventlog.chain import genesis
from oms.book import Book
from oms.events.base import DECISION, INPUT, body_text
from oms.events.broker import OrderFilled
from oms.shell.recovery import recover
from oms.state.digest import digest
from replay.verify import verify
from tests.simulation.checks.base import END, Scene, check

ACCOUNT = "sim/sim/seed"
RARELY = 10
"""One seed in so many decides everything again from the log."""


@check("I01")
def rows_are_gapless(scene: Scene) -> Iterator[str]:
    """seq = 1..n without gap or repeat, and the step's input comes first."""
    assert scene.committed is not None
    events = scene.committed.result.events
    last = scene.own("I01", [events[0].seq - 1])
    expected = last[0] + 1
    boots = scene.memory.get("boots", 0)
    if scene.memory.get("I01 boot") != boots:
        # Steps of the opening were durable before anybody watched.
        scene.memory["I01 boot"] = boots
        expected = max(events[0].seq, expected)
    for one in events:
        if one.seq != expected:
            yield f"row {one.seq} follows row {expected - 1}"
        expected = one.seq + 1
    last[0] = events[-1].seq
    if events[0].event.KIND != INPUT or any(one.event.KIND != DECISION for one in events[1:]):
        yield "a step is one input and then decisions"


@check("I11", on=(OrderFilled,))
def broker_events_are_ours_or_typed(scene: Scene) -> Iterator[str]:
    """Every fill maps to an order: one of ours, or an external record."""
    event = scene.input
    if isinstance(event, OrderFilled):
        pipeline = scene.pipelines.get(event.instrument)
        order = pipeline.find(event.client_order_id, event.broker_order_id) if pipeline is not None else None
        if order is None and not any("unknown" in str(getattr(one, "code", "")) for one in scene.events[1:]):
            yield f"execution {event.execution} belongs to nothing and nobody was told"


@check("I79")
def time_never_goes_back(scene: Scene) -> Iterator[str]:
    """Decisions are ordered by seq; logical time never falls."""
    last = scene.own("I79", [0])
    if scene.now < last[0]:
        yield f"logical time went back by {last[0] - scene.now} us"
    last[0] = scene.now


@check("I04", END)
def memory_is_the_fold_of_the_log(scene: Scene) -> Iterator[str]:
    """Incremental state = fold from zero, by digest."""
    world = scene.world
    if world.runner is None:
        return
    ours = digest(world.runner.published.account, world.runner.published.pipelines)
    book: Book = recover(world.store, world.runner.head.account)
    if digest(book.account, book.pipelines) != ours:
        yield "the state in memory is not the fold of the log"


@check("I06", END)
def decisions_follow_from_the_log(scene: Scene) -> Iterator[str]:
    """Decided again from the logged inputs, every decision is the logged one."""
    world = scene.world
    if world.plan.seed % RARELY or world.runner is None:
        return
    found = verify(world.store, world.runner.head.account)
    if not found.is_identical:
        yield f"{found.result}: {found.why}"


@check("I03", END)
def chain_holds(scene: Scene) -> Iterator[str]:
    """The chain computed again is the stored one."""
    from eventlog.chain import account_piece, link, row_pieces

    world = scene.world
    if world.runner is None:
        return
    account = world.runner.head.account
    piece, previous = account_piece(account), genesis(account)
    for stored in world.store.read_stored(account):
        previous = link(previous, piece, row_pieces(stored.envelope))
        if previous != stored.chain:
            yield f"row {stored.envelope.seq} is not what was linked"
            return


@check("I02")
def some_rows_are_remembered(scene: Scene) -> Iterator[str]:
    """(Bookkeeping) the text of a row now and then, to be compared at the end."""
    assert scene.committed is not None
    first = scene.committed.result.events[0]
    if first.seq % 16 == 0:
        scene.own("I02", {})[first.seq] = body_text(first.event)
    yield from ()


@check("I02", END)
def rows_never_change(scene: Scene) -> Iterator[str]:
    """What is stored under a seq is what was stored."""
    world = scene.world
    if world.runner is None:
        return
    kept = scene.own("I02", {})
    for row in world.store.read(world.runner.head.account):
        if row.seq in kept and row.body != kept[row.seq]:
            yield f"row {row.seq} was {kept[row.seq]} and is {row.body}"


@check("I13", END)
def one_writer_after_the_other(scene: Scene) -> Iterator[str]:
    """Epochs in the log only rise, and so do the rows they wrote."""
    world = scene.world
    last = 0
    for row in world.store.read(ACCOUNT):
        if row.type == "WriterStarted":
            epoch = int(json.loads(row.body)["epoch"])
            if epoch <= last:
                yield f"row {row.seq}: epoch {epoch} after {last}"
            last = epoch
