"""A large append travels in parts and is still one: all of it is stored, once, or nothing."""

import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from eventlog import parts
from eventlog.batch import Batch, prepare
from eventlog.envelope import Head, StepRecord
from eventlog.errors import DuplicateKey, Fenced, LogError, MissingPartition, Unstorable
from eventlog.log import EventLog
from eventlog.parts import PART_ROWS, Parts
from eventlog.postgres import PostgresLog
from eventlog.verify import verify_chain
from tests.contract.conftest import Open
from tests.contract.proxy import Cut, Proxy
from tests.contract.steps import command, refused, row, step, stream

LONG = 4 * PART_ROWS
"""Rows of an append in several parts."""


def long_append(first: int = 1) -> list[StepRecord]:
    return list(stream(first, LONG))


def stored(log: EventLog, account: str) -> list[int]:
    return [event.seq for event in log.read(account)]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (lambda seq: step(seq, key="first"), DuplicateKey),
        (lambda seq: step(seq, body='{"a":1}'), Unstorable),
        (lambda seq: step(seq, key="k" * 1030), Unstorable),
        (lambda seq: step(seq + 1), ValueError),
        (lambda seq: step(seq, trading_day=date(1999, 12, 31)), MissingPartition),
    ],
    ids=["a key again", "unstorable", "fits no index", "misnumbered", "no partition"],
)
def test_what_the_last_part_cannot_store_refuses_all_of_them(
    log: EventLog, account: str, last: Callable[[int], StepRecord], error: type[LogError]
) -> None:
    head = log.append(log.acquire(account, "me"), [step(1, key="first")])
    refused(log, head, [*long_append(2), last(2 + LONG)], error)
    assert log.append(head, long_append(2)).seq == 1 + LONG
    assert verify_chain(log, account).intact


def test_stale_head_stores_no_part(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1)])
    log.append(head, [step(2)])
    refused(log, head, long_append(2), Fenced)


def test_taken_over_writer_stores_no_part(opened: Open, log: EventLog, account: str) -> None:
    head = log.append(opened(0.0).acquire(account, "me"), [step(1)])
    log.acquire(account, "another")
    refused(log, head, long_append(2), Fenced)


def test_repeating_all_parts_is_recognised(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1)])
    after = log.append(head, long_append(2))
    assert log.append(head, long_append(2)) == after
    assert stored(log, account) == list(range(1, 2 + LONG))


def test_outcome_in_a_later_part_leaves_no_command(log: EventLog, account: str) -> None:
    sent = StepRecord(step(1, decisions=2).events, outbox=(command(2), command(3)))
    filler = [step(seq) for seq in range(4, 4 + LONG)]
    done = StepRecord((row(4 + LONG),), outbox_done=(2,))
    log.append(log.acquire(account, "me"), [sent, *filler, done])
    assert [item.seq for item in log.outbox(account)] == [3]


@pytest.mark.parametrize("rows", [1, PART_ROWS, 2 * PART_ROWS - 1, 2 * PART_ROWS, LONG + 1])
def test_parts_are_whole_steps_in_order(rows: int) -> None:
    steps = list(stream(1, rows))
    found = Parts(Head("a", 0, bytes(32), 1), steps)
    assert [one for part in found.steps for one in part] == steps
    assert (len(found.steps) > 1) == (rows >= 2 * PART_ROWS)
    assert found.after.seq == rows


@pytest.mark.parametrize("how", ["before the statement", "after the statement", "before the answer"])
def test_line_that_is_cut_in_a_part_stores_them_once(
    direct: PostgresLog, conninfo: str, account: str, tmp_socket: Path, how: Cut
) -> None:
    """Where only the first of them has reached the server, it keeps the head locked until it sees the line cut."""
    proxy = Proxy(conninfo, tmp_socket)
    log = PostgresLog(proxy.conninfo, lease_ttl_s=0.0)
    seen = threading.Timer(1.0, proxy.notice)
    try:
        head = log.append(log.acquire(account, "me"), long_append())
        proxy.cut(how)
        seen.start()
        after = log.append(head, long_append(1 + LONG))
    finally:
        seen.cancel()
        log.close()
        proxy.close()
    assert proxy.cuts == 1
    assert after == direct.head(account)
    assert stored(direct, account) == list(range(1, 1 + 2 * LONG))
    assert verify_chain(direct, account).intact


def test_server_process_that_dies_between_parts_stores_them_once(
    direct: PostgresLog, conninfo: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = direct.append(direct.acquire(account, "me"), long_append())
    victim = direct._connection.info.backend_pid
    left = [3]

    def prepare_and_strike(before: Head, steps: list[StepRecord]) -> Batch:
        left[0] -= 1
        if left[0] == 0:
            with psycopg.connect(conninfo, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", (victim,))
        return prepare(before, steps)

    monkeypatch.setattr(parts, "prepare", prepare_and_strike)
    after = direct.append(head, long_append(1 + LONG))
    assert left[0] <= 0
    assert direct._connection.info.backend_pid != victim
    assert after == direct.head(account)
    assert stored(direct, account) == list(range(1, 1 + 2 * LONG))


def test_foreign_chain_stores_no_part(log: EventLog, account: str) -> None:
    head = log.append(log.acquire(account, "me"), [step(1)])
    refused(log, replace(head, chain=bytes(32)), long_append(2), Fenced)


def test_parts_that_fit_the_head_wait_for_those_before_them(log: EventLog, account: str) -> None:
    """The first part is stored already, with another grouping: the others alone would be half of what was asked."""
    before = log.append(log.acquire(account, "me"), [step(1)])
    steps = long_append(2)
    first = Parts(before, steps).steps[0]
    log.append(before, first)
    refused(log, before, steps, Fenced)


def test_whole_append_of_a_live_writer_is_one_statement() -> None:
    """One that froze between parts would keep the head locked from whoever takes over."""
    assert len(Parts(Head("a", 0, bytes(32), 1), long_append(), is_whole=True).steps) == 1
