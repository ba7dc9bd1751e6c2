"""Between events and rows: what a step becomes in the log, and what a row was as an input."""

import json
from collections.abc import Callable, Iterable
from datetime import date
from hashlib import sha256
from typing import Any

from eventlog.envelope import Envelope, InboxKey, OutboxRow, StepRecord
from oms import commands
from oms.commands import QueryOrder
from oms.events.base import Event, Stamped, UnknownEvent, body_text, decode, is_closed
from oms.events.operator import ConfigActivated
from oms.step import Recorded, StepResult, pipeline_of

_Columns = tuple[int | None, str | None, str | None, str | None]
_COLUMNS = ("trade_no", "client_order_id", "broker_order_id", "reason")
_readers: dict[type[Event], Callable[[Any], _Columns]] = {}


def _columns(event: Event) -> _Columns:
    """Values of the query columns of an event; an empty text is no value."""
    reader = _readers.get(type(event))
    if reader is None:
        reader = _readers[type(event)] = _reader(type(event))
    return reader(event)


def _reader(kind: type[Event]) -> Callable[[Any], _Columns]:
    trade_no, own_id, broker_id, reason = (name in kind.__struct_fields__ for name in _COLUMNS)
    return lambda one: (
        (one.trade_no or None) if trade_no else None,
        (one.client_order_id or None) if own_id else None,
        (one.broker_order_id or None) if broker_id else None,
        (one.reason or None) if reason else None,
    )


def envelope(recorded: Recorded, cause_seq: int, stamped: Stamped, trading_day: date) -> Envelope:
    """The row of one event of the step that `stamped` began."""
    event = recorded.event
    trade_no, client_order_id, broker_order_id, reason = _columns(event)
    # By place, which is a third faster: seq, cause_seq, kind, type, version, trading_day, logical_time, body, pipeline,
    # trade_no, client_order_id, broker_order_id, reason, then what only an input has.
    row = (
        recorded.seq, cause_seq, event.KIND, type(event).__name__, event.VERSION, trading_day, stamped.logical_time,
        body_text(event), recorded.pipeline, trade_no, client_order_id, broker_order_id, reason,
    )  # fmt: skip
    if recorded.seq != cause_seq:
        return Envelope(*row)
    return Envelope(*row, stamped.event_time, stamped.received_at, stamped.source, stamped.dedupe_key)


def record(result: StepResult, stamped: Stamped) -> StepRecord:
    """A step as the log stores it. Queries need no outbox: after a restart everything open is asked anyway."""
    day = result.account.trading_day
    assert day is not None, "the first event of a log names its trading day"
    cause = result.events[0].seq
    rows = tuple(envelope(one, cause, stamped, day) for one in result.events)
    names = {one.seq: one.pipeline for one in result.events}
    outbox = tuple(
        OutboxRow(
            seq=command.seq,
            priority=commands.priority(command),
            client_order_id=command.client_order_id,
            pipeline=names[command.seq] or command.instrument,
            body=commands.encode(command),
        )
        for command in result.commands
        if not isinstance(command, QueryOrder)
    )
    return StepRecord(
        events=rows,
        inbox=inbox_key(stamped, rows[0].body),
        outbox=outbox,
        outbox_done=tuple(dict.fromkeys(result.settled)),
        raw=stamped.raw,
        config=config_text(stamped.event),
        is_own=all(is_closed(type(one.event)) for one in result.events),
    )


def inbox_key(stamped: Stamped, body: str) -> InboxKey | None:
    """The once-only key of an input that has one. Bodies hold no send times, so the whole body is compared."""
    if stamped.source is None or stamped.dedupe_key is None:
        return None
    return InboxKey(stamped.source, stamped.dedupe_key, sha256(body.encode()).digest())


def config_text(event: Event) -> str | None:
    """The resolved configuration to keep under its hash (see `Settings.canonical_text`)."""
    if not isinstance(event, ConfigActivated):
        return None
    return json.dumps(event.settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def event_of(row: Envelope) -> Event:
    """The event behind a row. Raises UnknownEvent, which names the row."""
    try:
        return decode(row.type, row.version, row.body)
    except UnknownEvent as error:
        raise UnknownEvent(error.type_name, error.version, row.seq) from None


def stamped_of(row: Envelope) -> Stamped:
    """The input behind an input row, as it was stepped."""
    return Stamped(
        event=event_of(row),
        logical_time=row.logical_time,
        event_time=row.event_time,
        received_at=row.received_at,
        source=row.source,
        dedupe_key=row.dedupe_key,
    )


def addressed(event: Event) -> str | None:
    """The pipeline an input row belongs to."""
    return pipeline_of(event)


def steps_of(rows: Iterable[Envelope]) -> Iterable[list[Envelope]]:
    """Group rows into steps: an input and the decisions that name it as their cause."""
    step: list[Envelope] = []
    for row in rows:
        if step and row.cause_seq != step[0].seq:
            yield step
            step = []
        step.append(row)
    if step:
        yield step
