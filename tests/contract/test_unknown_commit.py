"""A line that breaks between COMMIT and its answer: the log finds out what happened and stores once."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from eventlog.envelope import Head, InboxKey, StepRecord
from eventlog.errors import DatabaseAway, Fenced
from eventlog.postgres import PostgresLog
from eventlog.verify import verify_chain
from tests.contract.proxy import Cut, Proxy
from tests.contract.steps import row, step, stream


@pytest.fixture
def proxy(conninfo: str, tmp_socket: Path) -> Iterator[Proxy]:
    """A line to the database that can be cut."""
    proxy = Proxy(conninfo, tmp_socket)
    yield proxy
    proxy.close()


@pytest.fixture
def log(proxy: Proxy, direct: PostgresLog) -> Iterator[PostgresLog]:
    """A log behind the line that can be cut; its lease runs out at once."""
    log = PostgresLog(proxy.conninfo, lease_ttl_s=0.0)
    yield log
    log.close()


def warm(log: PostgresLog, account: str) -> Head:
    """Append once, so that the next append of this shape is a single message."""
    return log.append(log.acquire(account, "me"), [step(1, decisions=1, key="first")])


def rows(log: PostgresLog, account: str) -> list[int]:
    return [event.seq for event in log.read(account)]


@pytest.mark.req("OD-034")
@pytest.mark.parametrize("how", ["before the statement", "before the answer"])
def test_cut_append_is_stored_once(
    log: PostgresLog, proxy: Proxy, direct: PostgresLog, account: str, how: Cut
) -> None:
    head = warm(log, account)
    proxy.cut(how)
    after = log.append(head, [step(3, decisions=1, key="second")])
    assert proxy.cuts == 1
    assert after == direct.head(account)
    assert rows(direct, account) == [1, 2, 3, 4]
    assert direct.inbox(account, "broker", "second") is not None
    assert log.append(after, [step(5)]).seq == 5
    assert verify_chain(direct, account).intact


def test_append_at_work_is_waited_for(
    log: PostgresLog, proxy: Proxy, direct: PostgresLog, conninfo: str, account: str
) -> None:
    head = warm(log, account)
    with psycopg.connect(conninfo) as blocker:
        # The statement has taken the head and waits for this key, until the blocker gives it up.
        blocker.execute(
            "INSERT INTO oms.inbox SELECT shard, account, 'broker', 'second', 99, '' FROM oms.account_head "
            "WHERE account = %s",
            (account,),
        )
        proxy.cut("after the statement")
        result: list[Head] = []
        thread = threading.Thread(target=lambda: result.append(log.append(head, [step(3, 1, key="second")])))
        thread.start()
        assert proxy.was_cut.wait(30)
        _wait_until_blocked(conninfo, 2)
        blocker.rollback()
        thread.join(30)
    assert result == [direct.head(account)]
    assert rows(direct, account) == [1, 2, 3, 4]


def _wait_until_blocked(conninfo: str, count: int) -> None:
    """Return when so many sessions of this database wait for a lock: the old append and the question."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(conninfo, autocommit=True) as watcher:
        for _ in range(3000):
            if watcher.execute(query).fetchone() == (count,):
                return
            watcher.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"there were never {count} waiting sessions")


@pytest.mark.parametrize("stored", [False, True])
def test_takeover_during_the_cut_is_fenced(
    log: PostgresLog, proxy: Proxy, direct: PostgresLog, account: str, stored: bool
) -> None:
    head = warm(log, account)
    proxy.cut("before the answer" if stored else "before the statement")
    original = log._connect

    def connect_after_takeover(patience_s: float) -> psycopg.Connection:
        log._connect = original  # type: ignore[method-assign]
        direct.acquire(account, "other")
        return original(patience_s)

    log._connect = connect_after_takeover  # type: ignore[method-assign]
    with pytest.raises(Fenced):
        log.append(head, [step(3, decisions=1, key="second")])
    assert rows(direct, account) == ([1, 2, 3, 4] if stored else [1, 2])


def test_lost_database_can_be_asked_again(
    conninfo: str, direct: PostgresLog, account: str, tmp_socket: Path
) -> None:
    proxy = Proxy(conninfo, tmp_socket)
    log = PostgresLog(proxy.conninfo, lease_ttl_s=0.0, patience_s=0.2)
    head = warm(log, account)
    proxy.close()
    steps = [step(3, decisions=1, key="second")]
    for _ in range(2):
        with pytest.raises(DatabaseAway):
            log.append(head, steps)
        with pytest.raises(DatabaseAway):
            log.heads()
    (tmp_socket / ".s.PGSQL.5432").unlink()
    again = Proxy(conninfo, tmp_socket)
    assert log.append(head, steps) == direct.head(account)
    assert log.append(head, steps) == direct.head(account)
    log.close()
    again.close()
    assert rows(direct, account) == [1, 2, 3, 4]


def test_terminated_session_reconnects(
    log: PostgresLog, direct: PostgresLog, conninfo: str, account: str
) -> None:
    head = warm(log, account)
    end_others = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with psycopg.connect(conninfo, autocommit=True) as killer:
        killer.execute(end_others)
        head = log.append(head, [step(3)])
        killer.execute(end_others)
        assert rows(log, account) == [1, 2, 3]
        killer.execute(end_others)
        assert log.acquire(account, "me").epoch > head.epoch


def test_forgotten_statement_is_prepared_again(log: PostgresLog, account: str) -> None:
    head = warm(log, account)
    log._connection.execute("DEALLOCATE ALL")
    assert log.append(head, [step(3, decisions=1, key="second")]).seq == 4


def test_statements_of_which_some_are_forgotten(log: PostgresLog, account: str) -> None:
    head = warm(log, account)
    head = log.append(head, [step(3)])
    first = next(iter(log._prepared.values()))
    log._connection.execute(b"DEALLOCATE " + first)
    head = log.append(head, [step(4, decisions=1, key="second")])
    assert log.append(head, [step(6)]).seq == 6


def test_statement_that_another_client_of_the_session_prepared(log: PostgresLog, account: str) -> None:
    head = warm(log, account)
    log._prepared = {}
    assert log.append(head, [step(3, decisions=1, key="second")]).seq == 4


def test_names_of_statements_are_those_of_their_texts(direct: PostgresLog, account: str) -> None:
    head = direct.append(direct.acquire(account, "me"), [step(1)])
    direct.append(head, [step(2, decisions=1, key="k")])
    names = dict(direct._prepared)
    assert len(set(names.values())) == len(names) >= 2
    direct._prepared = {}
    direct._connection.execute("DEALLOCATE ALL")
    direct.append(direct.append(direct.acquire(account, "me"), [step(4, decisions=1, key="l")]), [step(6)])
    assert dict(direct._prepared) == names, "in whatever order they were prepared"


@pytest.mark.parametrize("theirs", [False, True])
def test_reading_survives_a_session_that_is_not_its_own(
    log: PostgresLog, account: str, *, theirs: bool
) -> None:
    head = warm(log, account)
    for _ in range(2):
        assert log.head(account) == head
        # Past psycopg, as a pooler gives the client another session.
        wire = log._connection.pgconn
        wire.exec_(b"DEALLOCATE ALL")
        if theirs:
            for number in range(20):
                wire.exec_(b"PREPARE _pg3_%d AS SELECT 1" % number)
        assert rows(log, account) == [1, 2]
        assert log.inbox(account, "broker", "first") is not None


@pytest.mark.parametrize("count", [1, 30])
def test_held_head_is_given_up_after_a_bound(
    direct: PostgresLog, conninfo: str, account: str, count: int
) -> None:
    head = warm(direct, account)
    direct._connection.execute("SET lock_timeout = '50ms'")
    with psycopg.connect(conninfo) as blocker:
        blocker.execute("SELECT 1 FROM oms.account_head WHERE account = %s FOR UPDATE", (account,))
        with pytest.raises(DatabaseAway, match="55P03"):
            direct.append(head, [step(seq) for seq in range(3, 3 + count)])
    assert direct.append(head, [step(3)]).seq == 3


def test_many_shapes_stay_within_the_prepared_bound(direct: PostgresLog, account: str) -> None:
    head = direct.acquire(account, "me")
    steps = list(stream(1, 400, seed=3))
    for one in steps:
        head = direct.append(head, [one])
    assert len(direct._prepared) <= 64 + 32  # The array forms come on top.
    assert verify_chain(direct, account).intact


@pytest.mark.req("C-28")
def test_serialised_writers_lose_cleanly(conninfo: str, direct: PostgresLog, account: str) -> None:
    """Ten threads append from the same head: one is stored, nine are fenced."""
    direct.acquire(account, "me")
    head = direct.head(account)
    assert head is not None
    outcomes: list[str] = []

    def race(number: int) -> None:
        log = PostgresLog(conninfo)
        try:
            log.append(
                head, [StepRecord((row(1, reason=str(number)),), InboxKey("broker", str(number), b""))]
            )
            outcomes.append("stored")
        except Fenced:
            outcomes.append("fenced")
        finally:
            log.close()

    threads = [threading.Thread(target=race, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["fenced"] * 9 + ["stored"]
    assert rows(direct, account) == [1]


def in_time(work: Callable[[], object]) -> list[BaseException]:
    """What a call raises; a call that does not come back fails the test instead of stopping it."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is the answer.
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for a server that hangs"
    return raised


@pytest.mark.req("I60")
def test_server_that_hangs_is_away(log: PostgresLog, proxy: Proxy, direct: PostgresLog, account: str) -> None:
    head = warm(log, account)
    log.patience_s = 0.2
    log.answer_within(0.2)
    proxy.hold()
    calls: list[Callable[[], object]] = [
        lambda: log.append(head, [step(3, decisions=1, key="second")]),
        lambda: log.append(head, [step(3)]),
        lambda: log.renew(head),
        lambda: log.head(account),
    ]
    for call in calls:
        (raised,) = in_time(call)
        assert isinstance(raised, DatabaseAway)
    assert rows(direct, account) == [1, 2]
    proxy.let_go()
    log.patience_s = 10.0
    log.answer_within(10.0)
    after = log.append(head, [step(3, decisions=1, key="second")])
    assert after == direct.head(account)
    assert rows(direct, account) == [1, 2, 3, 4], "once, though the first attempt may have arrived after all"


def test_large_batch_passes_a_bound(log: PostgresLog, account: str) -> None:
    log.answer_within(30.0)
    head = log.append(log.acquire(account, "me"), list(stream(1, 3000)))
    assert rows(log, account) == list(range(1, head.seq + 1))
