"""Whoever changes a stored row is found at that row, by Python and by SQL alike."""

from collections.abc import Iterator
from datetime import date
from hashlib import sha256

import psycopg
import pytest

from eventlog.canon import canonical
from eventlog.chain import COLUMNS
from eventlog.envelope import StepRecord
from eventlog.postgres import PostgresLog
from eventlog.verify import ChainReport, verify_chain
from tests.contract.steps import DAY, command, row, step, stream

FRAME, CONFIG = b"the exact frame", "limit = 1"
BAD = 4
# An UPDATE of row 4 for every column that the chain binds, from NULL and to NULL included.
CHANGES = {
    "shard": ["shard = shard # 1"],
    "account": ["account = account || 'x'"],
    "seq": ["seq = 99", "seq = 0", "seq = -4"],
    "trading_day": [
        "trading_day = trading_day + 1",
        "trading_day = trading_day + 31",
        "trading_day = 'infinity'",
    ],
    "cause_seq": ["cause_seq = 1"],
    "kind": ["kind = 'D'"],
    "type": ["type = 'Other'"],
    "version": ["version = 2"],
    "pipeline": ["pipeline = 'eq:MSFT'", "pipeline = NULL", "pipeline = ''"],
    "trade_no": ["trade_no = 8", "trade_no = NULL"],
    "client_order_id": [
        "client_order_id = 'x'",
        "client_order_id = broker_order_id, broker_order_id = client_order_id",
    ],
    "broker_order_id": ["broker_order_id = NULL"],
    "reason": ["reason = 'x'", "reason = ''"],
    "event_time": ["event_time = event_time + interval '1 microsecond'", "event_time = NULL"],
    "received_at": ["received_at = received_at + interval '1 microsecond'", "received_at = 'infinity'"],
    "logical_time": ["logical_time = logical_time + interval '1 microsecond'"],
    "source": ["source = 'other'", "source = NULL"],
    "dedupe_key": ["dedupe_key = dedupe_key || 'x'"],
    "body": ["""body = '{"n": 5}'""", "body = body || '{\"x\": null}'", "body = body - 'n'"],
    "chain": ["chain = sha256(chain)"],
}


def test_every_bound_column_is_tried() -> None:
    assert set(CHANGES) == {"shard", "account", "chain", *COLUMNS}


@pytest.fixture
def log(conninfo: str) -> Iterator[PostgresLog]:
    """A log with room for the days of the tests."""
    log = PostgresLog(conninfo)
    log.ensure_partitions(DAY, 2)
    log.ensure_partitions(date(9999, 12, 1))
    yield log
    log.close()


@pytest.fixture
def filled(log: PostgresLog, account: str) -> str:
    """An account of eight rows: row 4 is a full one with a frame, row 6 brings a configuration."""
    full = row(
        BAD, pipeline="eq:AAPL", trade_no=7, client_order_id="P1", broker_order_id="b1", event_time=0, received_at=1,
        source="broker", dedupe_key="k", body=canonical({"n": 4, "raw_sha256": sha256(FRAME).hexdigest()}),
    )  # fmt: skip
    config = canonical({"config_sha256": sha256(CONFIG.encode()).hexdigest()})
    steps = [
        step(1, decisions=2),
        StepRecord((full, row(BAD + 1, BAD)), raw=FRAME, outbox=(command(BAD + 1),)),
        StepRecord((row(6, type="ConfigActivated", body=config),), config=CONFIG),
        step(7, decisions=1),
    ]
    log.append(log.acquire(account, "me"), steps)
    return account


def by_sql(conninfo: str, account: str) -> tuple[int | None, str | None]:
    """(first bad row, what) as the server computes it."""
    query = (
        "SELECT first_bad_seq, what FROM oms.chain_check JOIN oms.account_head USING (shard, account) "
        "WHERE account = %s"
    )
    with psycopg.connect(conninfo) as connection:
        found = connection.execute(query, (account,)).fetchall()
    assert len(found) == 1
    return found[0][0], found[0][1]


def both(log: PostgresLog, conninfo: str, account: str) -> ChainReport:
    """The Python report, which the SQL has to share."""
    report = verify_chain(log, account)
    assert by_sql(conninfo, account) == (report.first_bad_seq, report.what)
    return report


def tamper(conninfo: str, statement: str, account: str) -> None:
    with psycopg.connect(conninfo) as connection:
        assert connection.execute(statement.encode(), {"account": account}).rowcount == 1


def test_untouched_log_is_intact(log: PostgresLog, conninfo: str, filled: str) -> None:
    assert both(log, conninfo, filled) == ChainReport(filled, True, 8)


def test_empty_log_is_intact(log: PostgresLog, conninfo: str, account: str) -> None:
    log.acquire(account, "me")
    assert both(log, conninfo, account) == ChainReport(account, True, 0)


def test_varied_log_is_intact(log: PostgresLog, conninfo: str, account: str) -> None:
    log.append(log.acquire(account, "me"), list(stream(1, 2000)))
    assert both(log, conninfo, account) == ChainReport(account, True, 2000)


@pytest.mark.parametrize("change", [change for changes in CHANGES.values() for change in changes])
def test_changed_column_is_found(log: PostgresLog, conninfo: str, filled: str, change: str) -> None:
    tamper(conninfo, f"UPDATE oms.event SET {change} WHERE account = %(account)s AND seq = 4", filled)
    report = both(log, conninfo, filled)
    assert (report.intact, report.first_bad_seq) == (False, BAD)


@pytest.mark.parametrize(("statement", "seq", "what"), [
    ("DELETE FROM oms.event WHERE account = %(account)s AND seq = 4", 4, "row"),
    ("DELETE FROM oms.event WHERE account = %(account)s AND seq = 1", 1, "row"),
    ("DELETE FROM oms.event WHERE account = %(account)s AND seq = 8", 8, "row"),
    ("UPDATE oms.raw_frame SET frame = 'x' WHERE account = %(account)s", 4, "raw frame"),
    ("DELETE FROM oms.raw_frame WHERE account = %(account)s", 4, "raw frame"),
    ("UPDATE oms.raw_frame SET seq = 5 WHERE account = %(account)s", 4, "raw frame"),
    ("INSERT INTO oms.raw_frame SELECT shard, account, 2, 'x' FROM oms.account_head WHERE account = %(account)s",
     2, "raw frame"),
    ("UPDATE oms.account_head SET seq = 7 WHERE account = %(account)s", 8, "head"),
    ("UPDATE oms.account_head SET seq = 9 WHERE account = %(account)s", 9, "row"),
    ("UPDATE oms.account_head SET chain = sha256(chain) WHERE account = %(account)s", 8, "head"),
])  # fmt: skip
def test_removed_or_added_evidence_is_found(
    log: PostgresLog, conninfo: str, filled: str, statement: str, seq: int, what: str
) -> None:
    tamper(conninfo, statement, filled)
    report = both(log, conninfo, filled)
    assert (report.first_bad_seq, report.what) == (seq, what)


def test_head_set_back_with_its_link_is_found(log: PostgresLog, conninfo: str, filled: str) -> None:
    link_of_7 = "SELECT chain FROM oms.event WHERE account = %(account)s AND seq = 7"
    tamper(
        conninfo,
        f"UPDATE oms.account_head SET seq = 7, chain = ({link_of_7}) WHERE account = %(account)s",
        filled,
    )
    report = both(log, conninfo, filled)
    assert (report.first_bad_seq, report.what) == (8, "head")


def test_row_twice_in_two_months_is_found(log: PostgresLog, conninfo: str, filled: str) -> None:
    copied = ", ".join(name for name in COLUMNS if name != "trading_day")
    tamper(
        conninfo,
        f"INSERT INTO oms.event (shard, account, trading_day, chain, {copied}) "
        f"SELECT shard, account, trading_day + 31, chain, {copied} FROM oms.event "
        "WHERE account = %(account)s AND seq = 4",
        filled,
    )
    report = both(log, conninfo, filled)
    assert (report.first_bad_seq, report.what) == (4, "row")


@pytest.mark.parametrize("statement", [
    "UPDATE oms.config_version SET body = 'limit = 2' WHERE config_sha256 = %(account)s",
    "DELETE FROM oms.config_version WHERE config_sha256 = %(account)s",
])  # fmt: skip
def test_changed_configuration_is_found(
    log: PostgresLog, conninfo: str, account: str, statement: str
) -> None:
    text = f"account = {account!r}"
    name = sha256(text.encode()).hexdigest()
    one = row(2, type="ConfigActivated", body=canonical({"config_sha256": name}))
    log.append(log.acquire(account, "me"), [step(1), StepRecord((one,), config=text), step(3)])
    assert both(log, conninfo, account).intact
    tamper(conninfo, statement, name)
    report = both(log, conninfo, account)
    assert (report.first_bad_seq, report.what) == (2, "configuration")


def test_configuration_that_never_came_is_found(log: PostgresLog, conninfo: str, account: str) -> None:
    one = row(1, type="ConfigActivated", body=canonical({"config_sha256": "0" * 64}))
    log.append(log.acquire(account, "me"), [StepRecord((one,))])
    assert both(log, conninfo, account).what == "configuration"
