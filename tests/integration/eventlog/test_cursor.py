"""A cursor reader sees every event once and in order; a reader of a global number, in the same test, does not."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from eventlog.cursor import CursorReader
from eventlog.envelope import Head
from eventlog.errors import LogCorrupt
from eventlog.postgres import PostgresLog
from eventlog.reading import Stored
from eventlog.schema import ensure_partitions
from tests import pg
from tests.contract.steps import DAY, step

PREFIX = "sim/cursor/"
Connection = psycopg.Connection[Any]


@pytest.fixture(params=pg.MAJORS)
def conninfo(request: pytest.FixtureRequest) -> Iterator[str]:
    with pg.database(request.param) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            ensure_partitions(connection, DAY)
            connection.execute("CREATE TABLE naive (id bigserial PRIMARY KEY, account text, seq bigint)")
            connection.execute("CREATE TABLE output (account text, seq bigint, number bigserial)")
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO oms_reader")
            connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO oms_reader")
        yield conninfo


class Writer:
    """One account, and appends that are open until they are ended one way or the other."""

    def __init__(self, conninfo: str, account: str) -> None:
        self.log = PostgresLog(conninfo)
        self.head: Head = self.log.acquire(account, "test")
        self.next = self.head
        self.account = account

    def begin(self, decisions: int) -> None:
        self._tell(b"BEGIN")
        self.next = self.log.append(self.head, [step(self.head.seq + 1, decisions)])
        for seq in range(self.head.seq + 1, self.next.seq + 1):
            self.log._connection.execute(
                "INSERT INTO naive (account, seq) VALUES (%s, %s)", (self.account, seq)
            )

    def end(self, *, commit: bool) -> None:
        self._tell(b"COMMIT" if commit else b"ROLLBACK")
        self.head = self.next if commit else self.head

    def _tell(self, statement: bytes) -> None:
        # Behind psycopg's back, which has the server forget prepared statements after a rollback.
        self.log._connection.pgconn.exec_(statement)


class NaiveReader:
    """Asks for what has a higher number than the last one it saw, as readers of a sequence do."""

    def __init__(self, conninfo: str) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)
        self.last = 0
        self.seen: list[tuple[str, int]] = []

    def poll(self) -> None:
        query = "SELECT id, account, seq FROM naive WHERE id > %s ORDER BY id"
        for number, account, seq in self._connection.execute(query, (self.last,)).fetchall():
            self.last = number
            self.seen.append((account, seq))

    def close(self) -> None:
        self._connection.close()


def into_output(connection: Connection, account: str, rows: Sequence[Stored]) -> None:
    """The output of a reader: a table of its own."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO output (account, seq) VALUES (%s, %s)", [(account, one.envelope.seq) for one in rows]
        )


def output_of(conninfo: str) -> dict[str, list[int]]:
    found = defaultdict(list)
    with psycopg.connect(conninfo) as connection:
        for account, seq in connection.execute("SELECT account, seq FROM output ORDER BY number").fetchall():
            found[account].append(seq)
    return dict(found)


def whole(writers: Sequence[Writer]) -> dict[str, list[int]]:
    return {one.account: list(range(1, one.head.seq + 1)) for one in writers if one.head.seq}


@pytest.mark.parametrize("seed", range(3))
def test_cursor_reader_misses_nothing_where_a_naive_one_does(conninfo: str, seed: int) -> None:
    """Six transactions are open at a time and end in any order, a tenth of them by a rollback."""
    chance = Random(seed)
    writers = [Writer(conninfo, f"{PREFIX}{number}") for number in range(6)]
    with (
        closing(NaiveReader(conninfo)) as naive,
        closing(CursorReader(conninfo, "r", into_output)) as reader,
    ):
        for _ in range(40):
            for one in chance.sample(writers, len(writers)):
                one.begin(chance.randrange(3))
            for one in chance.sample(writers, len(writers)):
                one.end(commit=chance.random() >= 0.1)
                naive.poll()
                reader.advance_all()
        places = {place.account: place.seq for place in reader.places()}
    for one in writers:
        one.log.close()
    committed = whole(writers)
    assert output_of(conninfo) == committed
    assert places == {account: len(seqs) for account, seqs in committed.items()}
    total = sum(map(len, committed.values()))
    assert len(set(naive.seen)) == len(naive.seen) < total * 0.9, "the test is too weak if this one sees all"


def test_readers_and_writers_at_once(conninfo: str) -> None:
    """Threads write and roll back; two readers of one name fail now and then after they have written."""
    ended = threading.Event()

    def write(number: int) -> Writer:
        chance, one = Random(number), Writer(conninfo, f"{PREFIX}{number}")
        for _ in range(60):
            one.begin(chance.randrange(3))
            one.end(commit=chance.random() >= 0.1)
        one.log.close()
        return one

    def read(number: int) -> int:
        chance, failures = Random(number), 0

        def take(connection: Connection, account: str, rows: Sequence[Stored]) -> None:
            into_output(connection, account, rows)
            if chance.random() < 0.2:
                raise InterruptedError

        with closing(CursorReader(conninfo, "r", take, block_rows=7)) as reader:
            while True:
                was_ended = ended.is_set()
                try:
                    taken = reader.advance_all()
                except InterruptedError:
                    failures += 1
                else:
                    if was_ended and not taken:
                        return failures

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read, number) for number in range(2)]
        try:
            writers = list(pool.map(write, range(4)))
        finally:
            ended.set()
        assert sum(one.result() for one in readers) > 0
    assert output_of(conninfo) == whole(writers)


def test_an_open_transaction_elsewhere_delays_nobody(conninfo: str) -> None:
    with (
        psycopg.connect(conninfo) as idle,
        closing(CursorReader(conninfo, "r", into_output)) as reader,
    ):
        idle.execute("INSERT INTO naive (account, seq) VALUES ('idle', 1)")
        one = Writer(conninfo, f"{PREFIX}1")
        one.begin(2)
        one.end(commit=True)
        one.log.close()
        assert reader.advance(one.account) == 3
        assert reader.advance(one.account) == 0


@pytest.mark.parametrize(("forgery", "seq", "told"), [
    ("UPDATE oms.event SET reason = 'x' WHERE account = %s AND seq = 5", 5, "does not follow"),
    ("UPDATE oms.event SET chain = decode(repeat('ab', 32), 'hex') WHERE account = %s AND seq = 4", 4, "follow"),
    ("DELETE FROM oms.event WHERE account = %s AND seq = 5", 5, "5"),
    ("UPDATE oms.account_head SET seq = 2 WHERE account = %s", 3, "has taken row 3"),
])  # fmt: skip
def test_a_log_that_is_no_continuation_is_refused(conninfo: str, forgery: str, seq: int, told: str) -> None:
    one = Writer(conninfo, f"{PREFIX}1")
    one.head = one.log.append(one.head, [step(1, 2)])
    with closing(CursorReader(conninfo, "r", into_output)) as reader:
        assert reader.advance_all() >= 3
        one.head = one.log.append(one.head, [step(4, 2)])
        one.log.close()
        with psycopg.connect(conninfo) as owner:
            owner.execute(forgery.encode(), (one.account,))
        with pytest.raises(LogCorrupt, match=told) as refused:
            reader.advance(one.account)
        assert refused.value.details["seq"] == seq
        assert [place.seq for place in reader.places() if place.account == one.account] == [3]


def test_the_reader_role_suffices(conninfo: str) -> None:
    one = Writer(conninfo, f"{PREFIX}1")
    one.head = one.log.append(one.head, [step(1, 2)])
    one.log.close()
    login = make_conninfo(conninfo, user="oms_reader")
    with closing(CursorReader(login, "r", into_output)) as reader:
        assert reader.advance(one.account) == 3
    with closing(CursorReader(login, "another", lambda *_: None)) as reader:
        assert reader.advance(one.account) == 3
    assert output_of(conninfo) == {one.account: [1, 2, 3]}
