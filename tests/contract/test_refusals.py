"""Refusals store nothing: what no database holds is told, and the log stays as it was."""

from datetime import date
from hashlib import sha256

import msgspec
import pytest

from eventlog.envelope import InboxKey, StepRecord
from eventlog.errors import (
    MissingPartition,
    Unstorable,
)
from eventlog.log import EventLog
from eventlog.verify import verify_chain
from tests.contract.steps import command, refused, row, step


@pytest.mark.parametrize("body", [
    '{"a":1}', '{"b": 1, "a": 2}', '{"aa": 1, "b": 2}', '{"a": 1, "a": 1}', '{"a": 1.5}', '{"a": 1e5}',
    '{"a": NaN}', '{"a": "\\u0000"}', '{"\\u0000": 1}', '{"a": "\\ud800"}', '{"a": "\\u0041"}', '{"a": "\ud800"}',
    '{"a": 9223372036854775808}', '{"a": -9223372036854775809}', '{"a": -0}', "[]", '"a"', "", "{", '{"a": 1} ',
    '{"a": "\\/"}', '{"a": ' * 101 + "1" + "}" * 101, '{"a": ' * 5000 + "1" + "}" * 5000,
])  # fmt: skip
@pytest.mark.parametrize("place_of", ["input", "decision", "command"])
def test_a_body_that_is_not_canonical_is_unstorable(
    log: EventLog, account: str, body: str, place_of: str
) -> None:
    one = step(1, decisions=1)
    if place_of == "command":
        one = StepRecord(one.events, outbox=(msgspec.structs.replace(command(2), body=body),))
    else:
        events = list(one.events)
        index = 0 if place_of == "input" else 1
        events[index] = msgspec.structs.replace(events[index], body=body)
        one = StepRecord(tuple(events))
    refused(log, log.acquire(account, "me"), [step(1), msgspec.structs.replace(one)][1:], Unstorable)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
@pytest.mark.parametrize(
    "column",
    ["type", "pipeline", "client_order_id", "broker_order_id", "reason", "source", "dedupe_key"],
)
def test_a_text_no_database_holds_is_unstorable(log: EventLog, account: str, column: str, text: str) -> None:
    refused(
        log,
        log.acquire(account, "me"),
        [StepRecord((msgspec.structs.replace(row(1), **{column: text}),))],
        Unstorable,
    )


@pytest.mark.parametrize(("column", "value"), [
    ("version", 32768), ("trade_no", 1 << 31), ("trade_no", -(1 << 31) - 1),
    ("logical_time", 253_402_300_800_000_000), ("event_time", 1 << 70), ("received_at", -62_135_596_800_000_001),
])  # fmt: skip
def test_a_number_beyond_its_column_is_unstorable(
    log: EventLog, account: str, column: str, value: int
) -> None:
    refused(
        log,
        log.acquire(account, "me"),
        [StepRecord((msgspec.structs.replace(row(1), **{column: value}),))],
        Unstorable,
    )


@pytest.mark.parametrize("key", ["x" * 1025, "a\0b", "\ud800"])
def test_an_inbox_key_no_index_holds_is_unstorable(log: EventLog, account: str, key: str) -> None:
    refused(
        log, log.acquire(account, "me"), [StepRecord((row(1),), InboxKey("broker", key, b"h"))], Unstorable
    )


def test_longest_keys_are_stored(log: EventLog, account: str) -> None:
    long = "".join(sha256(bytes([n])).hexdigest() for n in range(16))
    name = (account + "/" + long)[:256]
    key = InboxKey(long[::-1], long, b"h")
    assert log.append(log.acquire(name, "me"), [StepRecord((row(1),), key)]).seq == 1
    assert log.inbox(name, long[::-1], long) == (1, b"h")


@pytest.mark.parametrize("changes", [
    {"priority": 32768}, {"client_order_id": "a\0"}, {"pipeline": "\ud800"},
])  # fmt: skip
def test_a_command_no_outbox_holds_is_unstorable(
    log: EventLog, account: str, changes: dict[str, object]
) -> None:
    wrong = msgspec.structs.replace(command(2), **changes)
    one = StepRecord(step(1, decisions=1).events, outbox=(wrong,))
    refused(log, log.acquire(account, "me"), [one], Unstorable)


@pytest.mark.parametrize("config", ["a\0b", "\ud800"])
def test_a_configuration_no_database_holds_is_unstorable(log: EventLog, account: str, config: str) -> None:
    refused(log, log.acquire(account, "me"), [StepRecord((row(1),), config=config)], Unstorable)


@pytest.mark.req("OD-034")
def test_one_bad_step_refuses_the_whole_batch(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    refused(log, head, [step(1, key="k"), step(2, decisions=1), step(4, body='{"a":1}')], Unstorable)
    assert log.append(head, [step(1, key="k")]).seq == 1


@pytest.mark.parametrize("steps", [1, 20])
def test_a_day_without_partition_is_refused(log: EventLog, account: str, steps: int) -> None:
    head = log.acquire(account, "me")
    late = [step(seq, key=f"k{seq}", trading_day=date(1999, 12, 31)) for seq in range(1, steps + 1)]
    refused(log, head, late, MissingPartition)
    refused(
        log, head, [step(1), *(step(seq, trading_day=date(1999, 12, 31)) for seq in (2, 3))], MissingPartition
    )


def test_partitions_are_made_once_for_any_year(log: EventLog, account: str) -> None:
    year = 2012 + int(account.rpartition("/")[2])  # Tests share the store; each takes a year of its own.
    assert log.ensure_partitions(date(year, 11, 30), 3) == [
        f"event_{year}_11", f"event_{year}_12", f"event_{year + 1}_01",
    ]  # fmt: skip
    assert log.ensure_partitions(date(year, 11, 1), 3) == []
    head = log.acquire(account, "me")
    days = [date(year, 11, 30), date(year, 12, 1), date(year, 12, 31), date(year + 1, 1, 31)]
    log.append(head, [step(seq, trading_day=day) for seq, day in enumerate(days, start=1)])
    assert [event.trading_day for event in log.read(account)] == days


def test_the_calendar_has_a_first_and_a_last_month(log: EventLog, account: str) -> None:
    for day in (date(1, 1, 1), date(9999, 12, 31)):
        log.ensure_partitions(day)
    head = log.acquire(account, "me")
    log.append(head, [step(1, trading_day=date(1, 1, 1)), step(2, trading_day=date(9999, 12, 31))])
    assert verify_chain(log, account).intact
