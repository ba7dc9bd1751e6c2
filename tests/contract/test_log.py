"""The contract of an event log: memory and PostgreSQL 16 and 18 have to give the same outcomes."""

from collections.abc import Callable
from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace

from eventlog.canon import canonical
from eventlog.chain import genesis
from eventlog.envelope import Head, InboxKey, Snapshot, StepRecord
from eventlog.errors import (
    DatabaseAway,
    DuplicateKey,
    Fenced,
    LeaseHeld,
    UnknownAccount,
    Unstorable,
)
from eventlog.log import EventLog
from eventlog.memory import MemoryLog
from eventlog.processes import owner_text, place
from eventlog.verify import verify_chain
from tests.contract.steps import DAY, batches, command, contents, refused, row, step, stream

Open = Callable[..., EventLog]


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


@pytest.mark.req("C-28")
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
    head = log.acquire(account, "first")
    with pytest.raises(LeaseHeld):
        log.acquire(account, "second")
    log.release(head)
    assert opened().acquire(account, "second").epoch == 2


def test_lease_belongs_to_the_epoch_not_to_the_owner(log: EventLog, account: str) -> None:
    old, new = log.acquire(account, "me"), log.acquire(account, "me")
    with pytest.raises(Fenced):
        log.renew(old)
    log.release(old)
    with pytest.raises(LeaseHeld):
        log.acquire(account, "another")
    log.renew(new)


def test_lease_that_was_given_back_is_not_renewed(log: EventLog, account: str) -> None:
    head = log.acquire(account, "me")
    log.release(head)
    with pytest.raises(Fenced):
        log.renew(head)


def test_owner_may_acquire_again(log: EventLog, account: str) -> None:
    assert [log.acquire(account, "me").epoch for _ in range(3)] == [1, 2, 3]


def test_renewing_a_lost_lease_is_fenced(opened: Open, log: EventLog, account: str) -> None:
    old = opened(lease_ttl_s=0.0)
    head = old.acquire(account, "old")
    old.renew(head)
    log.acquire(account, "new")
    with pytest.raises(Fenced):
        old.renew(head)
    with pytest.raises(Fenced):
        log.renew(replace(head, account="no/such/account"))


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
@pytest.mark.parametrize("is_own", [False, True])
def test_evidence_needs_frame_and_hash(
    log: EventLog, account: str, named: object, raw: bytes | None, is_own: bool
) -> None:
    body = canonical({} if named is None else {"raw_sha256": named})
    step = StepRecord((row(1, body=body),), raw=raw, is_own=is_own)
    refused(log, log.acquire(account, "me"), [step], Unstorable)


@pytest.mark.parametrize(("first", "second"), [
    ('{"a": "\\u0000"}', "{}"), ('{"a": "\ud800"}', "{}"), ("{}", '{"a": "\\u0000"}'), ("{}", '{"a": "\ud800"}'),
])  # fmt: skip
def test_an_encoder_of_our_own_answers_for_no_unstorable_text(
    log: EventLog, account: str, first: str, second: str
) -> None:
    rows = row(1, body=first), row(2, 1, body=second)
    refused(log, log.acquire(account, "me"), [StepRecord(rows, is_own=True)], Unstorable)


def test_a_backslash_before_u0000_is_no_nul(log: EventLog, account: str) -> None:
    rows = row(1), row(2, 1, body=canonical({"a": "\\u0000"}))
    log.append(log.acquire(account, "me"), [StepRecord(rows, is_own=True)])
    assert list(log.read(account)) == list(rows)


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
