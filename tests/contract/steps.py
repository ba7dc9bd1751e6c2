"""Steps of every kind for the log's contract: a few readable ones and a long varied stream."""

from collections.abc import Iterator, Sequence
from datetime import date
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from eventlog.canon import canonical
from eventlog.envelope import Envelope, Head, InboxKey, OutboxRow, StepRecord
from eventlog.log import EventLog

DAY = date(2024, 3, 5)
NOON_US = 1_709_640_000_000_000
TEXTS = (
    "EUR/USD",
    "a",
    "",
    "Grüße",
    "東京",
    "🙂",
    'it\'s "quoted"',
    "back\\slash",
    "line\nbreak\ttab",
    "\x7f\x1f",
)


def row(seq: int, cause: int | None = None, **changes: Any) -> Envelope:
    """One plain row; an input unless `cause` names another row."""
    first = cause is None or cause == seq
    fields: dict[str, Any] = {
        "seq": seq,
        "cause_seq": seq if cause is None else cause,
        "kind": "I" if first else "D",
        "type": "QuoteReceived" if first else "OrderPlaced",
        "version": 1,
        "trading_day": DAY,
        "logical_time": NOON_US + seq,
        "body": canonical({"n": seq}),
    }
    return Envelope(**{**fields, **changes})


def step(seq: int, decisions: int = 0, key: str | None = None, **changes: Any) -> StepRecord:
    """An input with so many decisions; `key` makes it a once-only input of the source "broker"."""
    inbox = None
    if key is not None:
        inbox = InboxKey("broker", key, sha256(key.encode()).digest())
        changes = {"source": "broker", "dedupe_key": key, **changes}
    rows = (row(seq, **changes), *(row(seq + n, seq) for n in range(1, decisions + 1)))
    return StepRecord(rows, inbox=inbox)


def command(seq: int, priority: int = 50) -> OutboxRow:
    """A command of the decision `seq`."""
    return OutboxRow(seq, priority, f"P{seq:016d}", "eq:AAPL", canonical({"side": "BUY"}))


def stream(first: int, rows: int, seed: int = 7) -> Iterator[StepRecord]:
    """Varied steps from row `first` on: every column null and filled, every kind of text, all side tables."""
    random = Random(seed)
    seq, open_commands = first, list[int]()
    while seq < first + rows:
        decisions = min(random.choice((0, 0, 1, 3, 9)), first + rows - seq - 1)
        yield _varied(random, seq, decisions, open_commands)
        seq += 1 + decisions


def _varied(random: Random, seq: int, decisions: int, open_commands: list[int]) -> StepRecord:
    raw = random.randbytes(random.randrange(40)) if random.random() < 0.3 else None
    config = f"limit = {seq}" if random.random() < 0.05 else None
    body: dict[str, object] = {
        "n": seq,
        "text": random.choice(TEXTS),
        "list": [1, None, True, {"b": 1, "aa": -1}],
    }
    kind = random.choice(("QuoteReceived", "OrderFilled"))
    if raw is not None:
        body["raw_sha256"] = sha256(raw).hexdigest()
    if config is not None:
        body["config_sha256"], kind = sha256(config.encode()).hexdigest(), "ConfigActivated"
    keyed = random.random() < 0.5
    inbox = InboxKey("broker", f"{seq}:1", random.randbytes(32)) if keyed else None
    rows = [_varied_row(random, seq, seq, type=kind, body=canonical(body))]
    rows += [_varied_row(random, seq + n, seq) for n in range(1, decisions + 1)]
    outbox = tuple(
        command(seq + n, random.randrange(99)) for n in range(1, decisions + 1) if random.random() < 0.6
    )
    done = tuple(open_commands.pop(0) for _ in range(random.randrange(3)) if open_commands)
    open_commands.extend(item.seq for item in outbox)
    return StepRecord(tuple(rows), inbox, outbox, done, raw, config)


def _varied_row(random: Random, seq: int, cause: int, **changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "version": random.choice((1, 2, 32767)),
        "logical_time": NOON_US + seq * 1_000_003,
        "body": canonical(
            {random.choice(TEXTS): random.choice(TEXTS), "n": random.randrange(-(1 << 63), 1 << 63)}
        ),
        "pipeline": random.choice((None, "eq:AAPL", "fx:東京")),
        "trade_no": random.choice((None, 0, 1, (1 << 31) - 1)),
        "client_order_id": random.choice((None, f"P{seq // 7:016d}")),
        "broker_order_id": random.choice((None, "", f"b-{seq // 5}")),
        "reason": random.choice((None, "FORCED_CLOSE", "Grüße")),
        "event_time": random.choice((None, NOON_US - seq, -1)),
        "received_at": random.choice((None, NOON_US)),
        "source": random.choice((None, "broker")),
        "dedupe_key": random.choice((None, f"{seq}:1")),
    }
    return row(seq, cause, **{**fields, **changes})


def batches(steps: list[StepRecord], size: int) -> list[list[StepRecord]]:
    """The steps in appends of `size`."""
    return [steps[start : start + size] for start in range(0, len(steps), size)]


def contents(log: EventLog, account: str) -> dict[str, object]:
    """Everything an account has stored, for comparison."""
    rows = list(log.read(account))
    return {
        "rows": rows,
        "links": [(stored.chain, stored.raw) for stored in log.read_stored(account)],
        "inbox": [log.inbox(account, "broker", f"{row.seq}:1") for row in rows],
        "outbox": log.outbox(account),
        "head": log.head(account),
    }


def refused(log: EventLog, head: Head, steps: Sequence[StepRecord], error: type[Exception]) -> Exception:
    """Append and expect a refusal that stores nothing."""
    before = contents(log, head.account)
    with pytest.raises(error) as caught:
        log.append(head, steps)
    assert contents(log, head.account) == before
    return caught.value
