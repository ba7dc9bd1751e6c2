"""The contract of an event log: memory and PostgreSQL 16 and 18 have to give the same outcomes."""

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256

import msgspec
import pytest

from eventlog.canon import canonical
from eventlog.chain import genesis
from eventlog.envelope import Head, InboxKey, Snapshot, StepRecord
from eventlog.errors import (
    DatabaseAway,
    DuplicateKey,
    Fenced,
    LeaseHeld,
    MissingPartition,
    UnknownAccount,
    Unstorable,
)
from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from eventlog.processes import owner_text, place
from eventlog.verify import verify_chain
from tests.contract.steps import DAY, batches, command, row, step, stream

Open = Callable[..., EventLog]


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


# Order


def test_new_account_starts_at_its_genesis(log: EventLog, account: str) -> None:
    assert log.head(account) is None
    head = log.acquire(account, "me")
    assert head == Head(account, 0, genesis(account), 1)
    assert log.head(account) == head


def test_rows_come_back_as_they_were_given(log: EventLog, account: str) -> None:
    steps = list(stream(1, 200))
    log.append(log.acquire(account, "me"), steps)
    assert list(log.read(account)) == [event for one in steps for event in one.events]


def test_head_follows_every_append(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    for seq in (1, 3, 5):
        head = log.append(head, [step(seq, decisions=1)])
        assert head == log.head(account)
        assert (head.seq, head.trading_day) == (seq + 1, DAY)
    assert [event.seq for event in log.read(account)] == [1, 2, 3, 4, 5, 6]


def test_empty_batch_changes_nothing(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    assert log.append(head, []) == head


@pytest.mark.parametrize(("after", "until", "expected"), [
    (0, None, range(1, 21)), (5, None, range(6, 21)), (5, 9, range(6, 10)), (20, None, range(0)),
    (25, 30, range(0)), (0, 0, range(0)), (19, 99, range(20, 21)),
])  # fmt: skip
def test_read_gives_the_range(
    log: EventLog, account: str, after: int, until: int | None, expected: range
) -> None:
    log.append(log.acquire(account, "me"), list(stream(1, 20)))
    assert [event.seq for event in log.read(account, after, until)] == list(expected)
    assert [stored.envelope.seq for stored in log.read_stored(account, after, until)] == list(expected)


def test_long_log_reads_across_blocks(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    for start in range(1, 9001, 1000):
        head = log.append(head, [step(seq) for seq in range(start, start + 1000)])
    assert [event.seq for event in log.read(account)] == list(range(1, 9001))


def test_heads_are_sorted_by_account(log: EventLog, account: str) -> None:
    for name in ("/b", "/a", "/ä", "/Z"):
        log.acquire(account + name, "me")
    names = [head.account for head in log.heads()]
    assert names == sorted(names)
    assert {account + "/a", account + "/Z"} <= set(names)


@pytest.mark.parametrize("method", ["read", "read_stored"])
def test_reading_an_unknown_account_says_so(log: EventLog, method: str) -> None:
    with pytest.raises(UnknownAccount):
        getattr(log, method)("no/such/account")


def test_appending_to_an_unknown_account_says_so(log: EventLog) -> None:
    with pytest.raises(UnknownAccount):
        log.append(Head("no/such/account", 0, genesis("no/such/account"), 1), [step(1)])


@pytest.mark.parametrize("account", ["", "a\0b", "x" * 257])
def test_impossible_account_ids_are_misuse(log: EventLog, account: str) -> None:
    with pytest.raises(ValueError, match="account id"):
        log.acquire(account, "me")


@pytest.mark.parametrize("wrong", [
    StepRecord((row(2),)),
    StepRecord((row(1), row(3, 1))),
    StepRecord((row(1, kind="D"),)),
    StepRecord((row(1), row(2, 2))),
    StepRecord((row(1, cause=1), row(2, 1, kind="I"))),
    StepRecord(()),
    StepRecord((row(1), row(2, 1)), outbox=(command(1),)),
    StepRecord((row(1),), outbox=(command(2),)),
])  # fmt: skip
def test_misnumbered_steps_are_misuse(log: EventLog, account: str, wrong: StepRecord) -> None:
    refused(log, log.acquire(account, "me"), [wrong], ValueError)


# Once only


def test_inbox_key_is_stored_with_its_row(log: EventLog, account: str) -> None:
    assert log.append(log.acquire(account, "me"), [step(1, decisions=2), step(4, key="k")]).seq == 4
    assert log.inbox(account, "broker", "k") == (4, sha256(b"k").digest())
    assert log.inbox(account, "broker", "other") is None
    assert log.inbox(account, "other", "k") is None


def test_second_use_of_a_key_is_refused_whole(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1, key="k")])
    refused(log, head, [step(2), step(3, key="k"), step(4)], DuplicateKey)
    assert log.append(head, [step(2)]).seq == 2


def test_key_twice_in_one_batch_is_refused(log: EventLog, account: str) -> None:
    refused(log, log.acquire(account, "me"), [step(1, key="k"), step(2, key="k")], DuplicateKey)


def test_body_hash_tells_a_conflict_from_a_repeat(log: EventLog, account: str) -> None:
    first = StepRecord((row(1),), InboxKey("broker", "k", b"first"))
    head = log.append(log.acquire(account, "me"), [first])
    other = StepRecord((row(2),), InboxKey("broker", "k", b"other"))
    refused(log, head, [other], DuplicateKey)
    assert log.inbox(account, "broker", "k") == (1, b"first")


def test_same_key_in_two_accounts_is_no_duplicate(log: EventLog, account: str) -> None:
    for name in (account, account + "/second"):
        assert log.append(log.acquire(name, "me"), [step(1, key="k")]).seq == 1


# Refusals store nothing


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


# Fencing and leases


def test_taken_over_writer_is_fenced(opened: Open, log: EventLog, account: str) -> None:
    old = opened(lease_ttl_s=0.0)
    old_head = old.append(old.acquire(account, "old"), [step(1)])
    new_head = log.acquire(account, "new")
    assert new_head.epoch == old_head.epoch + 1
    refused(old, old_head, [step(2)], Fenced)
    assert log.append(new_head, [step(2)]).seq == 2
    refused(old, old_head, [step(2)], Fenced)


def test_an_identical_batch_of_an_older_epoch_is_fenced(opened: Open, log: EventLog, account: str) -> None:
    old = opened(lease_ttl_s=0.0)
    old_head = old.acquire(account, "old")
    log.append(log.acquire(account, "new"), [step(1)])
    refused(old, old_head, [step(1)], Fenced)


def test_stale_head_is_fenced(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    log.append(head, [step(1)])
    refused(log, head, [step(1, reason="other")], Fenced)


def test_repeating_the_last_batch_is_recognised(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    after = log.append(head, [step(1, key="k")])
    assert log.append(head, [step(1, key="k")]) == after
    assert [event.seq for event in log.read(account)] == [1]


def test_live_lease_names_its_owner(opened: Open, log: EventLog, account: str) -> None:
    log.acquire(account, "first owner")
    with pytest.raises(LeaseHeld, match="first owner"):
        opened().acquire(account, "second owner")


def test_released_lease_is_free_at_once(opened: Open, log: EventLog, account: str) -> None:
    log.acquire(account, "first")
    log.release(account, "second")
    with pytest.raises(LeaseHeld):
        log.acquire(account, "second")
    log.release(account, "first")
    assert opened().acquire(account, "second").epoch == 2


def test_owner_may_acquire_again(log: EventLog, account: str) -> None:
    assert [log.acquire(account, "me").epoch for _ in range(3)] == [1, 2, 3]


def test_renewing_a_lost_lease_is_fenced(opened: Open, log: EventLog, account: str) -> None:
    old = opened(lease_ttl_s=0.0)
    old.acquire(account, "old")
    old.renew(account, "old")
    log.acquire(account, "new")
    with pytest.raises(Fenced):
        old.renew(account, "old")
    with pytest.raises(Fenced):
        log.renew("no/such/account", "new")


def test_dead_owner_on_this_machine_loses_at_once(log: EventLog, account: str) -> None:
    log.acquire(account, f"{place()} pid 4194305 start 12345")
    assert log.acquire(account, owner_text()).epoch == 2
    with pytest.raises(LeaseHeld):
        log.acquire(account, "another")


def test_owner_elsewhere_is_never_presumed_dead(log: EventLog, account: str) -> None:
    log.acquire(account, "far.example boot 1 namespace 2 pid 4194305 start 12345")
    with pytest.raises(LeaseHeld):
        log.acquire(account, owner_text())


# Chain


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batch_size_leaves_no_trace(log: EventLog, account: str, size: int) -> None:
    steps = list(stream(1, 1500))
    expected = MemoryLog()
    expected.ensure_partitions(DAY)
    expected.append(expected.acquire(account, "me"), steps)
    head = log.acquire(account, "me")
    for batch in batches(steps, size):
        head = log.append(head, batch)
    assert contents(log, account) == contents(expected, account)
    assert verify_chain(log, account).intact


def test_chains_of_two_accounts_differ(log: EventLog, account: str) -> None:
    heads = [log.append(log.acquire(account + name, "me"), [step(1)]) for name in ("", "/b")]
    assert heads[0].chain != heads[1].chain


def test_foreign_chain_in_a_head_is_fenced(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1)])
    refused(log, msgspec.structs.replace(head, chain=bytes(32)), [step(2)], Fenced)


# Beside the rows


def test_commands_wait_until_their_outcome(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    sent = StepRecord(step(1, decisions=3).events, outbox=(command(2, 50), command(3, 5), command(4, 5)))
    head = log.append(head, [sent])
    assert [item.seq for item in log.outbox(account)] == [3, 4, 2]
    assert log.outbox(account)[0] == command(3, 5)
    head = log.append(head, [StepRecord((row(5),), outbox_done=(3, 2))])
    assert [item.seq for item in log.outbox(account)] == [4]
    log.append(head, [StepRecord((row(6),), outbox_done=(4, 99))])
    assert log.outbox(account) == []


def test_outcome_in_the_same_batch_leaves_no_command(log: EventLog, account: str) -> None:
    sent = StepRecord(step(1, decisions=2).events, outbox=(command(2), command(3)))
    log.append(log.acquire(account, "me"), [sent, StepRecord((row(4),), outbox_done=(2,))])
    assert [item.seq for item in log.outbox(account)] == [3]


def test_outbox_of_an_unknown_account_is_empty(log: EventLog) -> None:
    assert log.outbox("no/such/account") == []


def test_raw_frame_comes_back_byte_for_byte(log: EventLog, account: str) -> None:
    frame = bytes(range(256))
    body = canonical({"raw_sha256": sha256(frame).hexdigest()})
    log.append(log.acquire(account, "me"), [StepRecord((row(1, body=body),), raw=frame), step(2)])
    assert log.raw_frame(account, 1) == frame
    assert log.raw_frame(account, 2) is None
    assert [stored.raw for stored in log.read_stored(account)] == [frame, None]


@pytest.mark.parametrize(("named", "raw"), [
    (None, b"frame"), (sha256(b"frame").hexdigest(), None), (sha256(b"other").hexdigest(), b"frame"), (5, None),
])  # fmt: skip
def test_evidence_needs_frame_and_hash(log: EventLog, account: str, named: object, raw: bytes | None) -> None:
    body = canonical({} if named is None else {"raw_sha256": named})
    refused(log, log.acquire(account, "me"), [StepRecord((row(1, body=body),), raw=raw)], Unstorable)


def test_configuration_is_kept_under_its_hash(log: EventLog, account: str) -> None:
    text = f"account = '{account}'\nGrüße"
    name = sha256(text.encode()).hexdigest()
    assert log.config(name) is None
    head = log.acquire(account, "me")
    head = log.append(head, [StepRecord((row(1),), config=text), StepRecord((row(2),), config=text)])
    log.append(head, [StepRecord((row(3),), config=text)])
    assert log.config(name) == text


def test_newest_usable_snapshot_is_found(log: EventLog, account: str) -> None:
    head, saved = log.acquire(account, "me"), []
    for seq in (1, 2, 3):
        head = log.append(head, [step(seq)])
        saved.append(Snapshot(account, seq, head.chain, 4, bytes([seq]), b"state"))
        log.save_snapshot(saved[-1])
    log.save_snapshot(saved[-1])
    assert log.snapshot(account, 4) == saved[2]
    assert log.snapshot(account, 4, until=2) == saved[1]
    assert log.snapshot(account, 4, until=0) is None
    assert log.snapshot(account, 5) is None
    assert log.snapshot("no/such/account", 4) is None


def test_snapshot_of_another_history_is_passed_over(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1), step(2)])
    log.save_snapshot(Snapshot(account, 2, bytes(32), 4, b"d", b"state"))
    assert log.snapshot(account, 4) is None
    log.save_snapshot(Snapshot(account, head.seq + 1, head.chain, 4, b"d", b"state"))
    assert log.snapshot(account, 4) is None


def test_closed_log_says_so(store: object) -> None:
    log = MemoryLog() if isinstance(store, MemoryLog) else _postgres(store)
    log.close()
    with pytest.raises(DatabaseAway):
        log.heads()


def _postgres(conninfo: object) -> EventLog:
    from eventlog.postgres import PostgresLog

    return PostgresLog(str(conninfo))
