"""The audit in SQL: every question on a day that contains its case, every check against the row that breaks it.

What the views say of orders and positions is compared with the fold, event by event.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from eventlog import views
from eventlog.postgres import PostgresLog
from oms.brokers.simulated import Misbehave, When
from oms.brokers.simulated.script import (
    CancelUnasked,
    Drop,
    FillAfterCancel,
    NoFillAfterTrigger,
    Reject,
    RejectReplace,
    Swap,
)
from oms.cli import main
from oms.errors import UsageProblem
from oms.execution.market_orders import REASONS
from oms.shell.databases import bring_up
from oms.values import Role
from replay import audit
from tests import pg
from tests.integration import agreement
from tests.integration.audit_stories import (
    FORGOTTEN,
    LOWERED,
    SECOND,
    STORY,
    forgotten_orders,
    lowered_count,
    received_stop,
    second_ids,
    story,
    tell,
)
from tests.unit.replay.days import DAY, trading_day

SCRIPT = (
    Misbehave(when=When(role=Role.STOP, nth=2), what=NoFillAfterTrigger()),
    Misbehave(when=When(role=Role.STOP, nth=4), what=RejectReplace()),
    Misbehave(when=When(role=Role.ENTRY, nth=3), what=Reject()),
    Misbehave(when=When(role=Role.ENTRY, nth=2), what=FillAfterCancel()),
    Misbehave(when=When(role=Role.ENTRY, nth=5), what=Drop()),
    Misbehave(when=When(role=Role.TARGET, nth=2), what=CancelUnasked()),
    Misbehave(when=When(role=Role.TARGET, nth=5), what=Swap()),
)
BUSY = "sim/test/busy-1"
RECEIVED = "sim/test/received-1"


@dataclass
class World:
    """A database with busy days and a story of what is rare."""

    conninfo: str
    log: PostgresLog

    def ask(self, name: str, **narrowed: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            return list(audit.as_objects(audit.ask(connection, audit.named(name), **narrowed)))


@pytest.fixture(scope="module", params=pg.MAJORS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with pg.database(request.param) as conninfo:
        bring_up(conninfo, DAY)
        log = PostgresLog(conninfo)
        for seed in (1, 2):
            with trading_day(
                names=("AAPL", "MSFT"), log=log, seed=seed, script=SCRIPT, account=f"sim/test/busy-{seed}"
            ) as day:
                day.walk(240)
                day.restart()
                day.walk(80)
                day.silence(15)
        tell(log, STORY, story())
        tell(log, RECEIVED, received_stop())
        tell(log, SECOND, second_ids())
        tell(log, LOWERED, lowered_count())
        tell(log, FORGOTTEN, forgotten_orders())
        yield World(conninfo, log)
        log.close()


@pytest.mark.parametrize("account", [BUSY, "sim/test/busy-2", STORY, SECOND, LOWERED, FORGOTTEN])
def test_orders_and_positions_are_those_of_the_fold_at_every_event(world: World, account: str) -> None:
    """Given any prefix of a log, when SQL and the fold are asked, then they say the same."""
    assert agreement.orders_and_positions(world.ask, world.log, account) > 2


def test_trades_are_those_of_the_fold(world: World) -> None:
    assert agreement.trades(world.ask, world.log, BUSY) > 2


@pytest.mark.req("OD-028")
def test_every_market_order_is_told_with_the_class_of_its_exception(world: World) -> None:
    told, sent = [], []
    for account in (BUSY, "sim/test/busy-2"):
        rows = world.ask("market_orders", account=account)
        told += [(account, row["seq"], row["request"], row["reason"]) for row in rows]
        for one in world.log.read(account):
            body = json.loads(one.body)
            if body.get("order_type") == "MARKET" and one.type in ("OrderPlaced", "ReplaceRequested"):
                sent.append((account, one.seq, one.type, body["reason"]))
    assert told == sent
    assert {request for _, _, request, _ in told} == {"OrderPlaced", "ReplaceRequested"}
    assert {reason for *_, reason in told} <= REASONS


@pytest.mark.parametrize("account", [BUSY, RECEIVED])
def test_seconds_without_a_confirmed_stop_are_those_of_the_fold(world: World, account: str) -> None:
    assert agreement.seconds_without_stop(world.ask, world.log, account)


EMPTY_IN_A_SOUND_LOG = {"sequence_gaps", "forced_closes", "unanswered_commands"}


@pytest.mark.req("OD-028", "OD-062")
def test_every_question_finds_its_case(world: World) -> None:
    found = {one.name: len(world.ask(one.name)) for one in audit.recipes() if not one.is_check}
    assert {name for name, rows in found.items() if not rows} <= EMPTY_IN_A_SOUND_LOG


def test_the_story_is_told_exactly(world: World) -> None:
    rows = world.ask("duplicates", account=STORY)
    told = [(row["execution"], row["first_seq"]) for row in rows]
    assert told == [("x1", 9), ("x1-again", 9), ("y1-again", 18)]
    assert [row["status_before"] for row in world.ask("late_fills", account=STORY)] == ["CANCELED"]
    (period,) = world.ask("degradation", account=STORY)
    assert (period["value_entered"], period["value_left"], period["seconds"]) == ("6.5", "3", "2")
    (act,) = world.ask("operator_acts", account=STORY)
    assert (act["principal"], act["reason"]) == ("o'brien", 'a "quoted" reason; DROP TABLE oms.event')
    fills = {row["execution"]: (row["quantity"], row["fees"]) for row in world.ask("fills", account=STORY)}
    assert fills == {"x2": ("3", None), "x3": ("2", None), "y1": ("7", "2")}


def test_second_ids_are_told_as_the_fold_judged_them(world: World) -> None:
    fills = world.ask("fills", account=SECOND)
    told = sorted((row["execution"], row["quantity"], row["fees"]) for row in fills)
    assert told == [("across", "2", None), ("c", "3", "1"), ("d", "2", None)]
    told = [(row["type"], row["execution"]) for row in world.ask("duplicates", account=SECOND)]
    assert told == [("OrderFilled", one) for one in ("a2", "b2", "c", "across")]
    (_, _, newest) = [row for row in world.ask("positions", account=SECOND) if row["type"] != "OrderFilled"]
    assert (newest["type"], newest["change"]) == ("ExecutionJudged", "3")


def test_a_count_that_was_taken_back_is_told(world: World) -> None:
    told = [row["text"] for row in world.ask("alerts", account=LOWERED) if row["code"] == "count_lowered"]
    assert told == ["the broker counts 20, and 70 no more", "the broker counts 25, and 30 no more"]
    (order,) = [row for row in world.ask("orders", account=LOWERED) if row["role"] == "ENTRY"]
    assert (order["filled"], order["leaves"]) == ("30", "70")


def test_every_check_is_empty_on_a_sound_log(world: World) -> None:
    for one in audit.recipes():
        if one.is_check:
            assert [row for row in world.ask(one.name) if row["account"] != STORY] == [], one.name


COPY = (
    "INSERT INTO oms.event SELECT shard, account, (SELECT seq + 1 FROM oms.account_head AS head WHERE head.account = "
    "event.account), trading_day, cause_seq, kind, type, version, pipeline, trade_no, client_order_id, "
    "broker_order_id, reason, event_time, received_at, {time}, recorded_at, source, dedupe_key, body, chain "
    "FROM oms.event WHERE "
)
AGAIN = COPY.format(time="logical_time")
# Each check with the forgery that it must find, in the log of BUSY.
FORGERIES = {
    "i01_seq_is_gapless": "DELETE FROM oms.event WHERE {busy} AND seq = 5",
    "i02_sealed_rows_are_unchanged": "INSERT INTO oms.day_seal SELECT shard, account, trading_day, 1, seq, "
    "sha256(chain), chain FROM oms.event WHERE {busy} AND seq = 9",
    "i03_chain_holds": "UPDATE oms.event SET reason = 'x' WHERE {busy} AND seq = 7",
    "i11_every_decision_has_its_cause": "UPDATE oms.event SET cause_seq = 1 WHERE {busy} AND type = 'StopMoved'",
    "i13_epochs_rise": "UPDATE oms.event SET body = body || '{{\"epoch\": 99}}' "
    "WHERE {busy} AND type = 'WriterStarted'",
    "i10_types_are_registered": "UPDATE oms.event SET version = 7 WHERE {busy} AND type = 'EntryAccepted'",
    "i14_filled_is_within_quantity": "UPDATE oms.event SET body = body || '{{\"quantity\": \"1\"}}' "
    "WHERE {busy} AND type = 'OrderPlaced'",
    "i15_every_counted_share_was_seen": "DELETE FROM oms.event WHERE {busy} AND seq = (SELECT min(seq) FROM oms.event "
    "AS one WHERE one.account = event.account AND type = 'OrderFilled' AND body ->> 'leaves' <> '0')",
    "i19_order_ids_are_unique": AGAIN + "{busy} AND type = 'OrderPlaced' ORDER BY seq LIMIT 1",
    "i20_executions_count_once": "UPDATE oms.event SET body = body || '{{\"execution\": \"same\", \"revision\": 7}}' "
    "WHERE {busy} AND type = 'OrderFilled'",
    "i24_position_is_the_sum_of_fills": "UPDATE oms.event SET body = body || '{{\"complete\": true, \"positions\": "
    "[{{\"instrument\": \"AAPL\", \"quantity\": \"999\"}}]}}' WHERE {busy} AND type = 'BrokerSnapshotReported'",
    "i27_trades_hold_the_position": "UPDATE oms.event SET body = body || '{{\"quantity\": \"1\"}}' "
    "WHERE {busy} AND type = 'TradeClosed'",
    "i34_stops_stand_alone": "UPDATE oms.event SET body = body || '{{\"oca\": \"g\"}}' "
    "WHERE {busy} AND body ->> 'role' = 'STOP'",
    "i35_stops_outlive_the_session": "UPDATE oms.event SET body = body || '{{\"time_in_force\": \"DAY\"}}' "
    "WHERE {busy} AND body ->> 'role' = 'STOP'",
    "i36_stops_never_loosen": AGAIN + "{busy} AND type = 'StopMoved' ORDER BY seq LIMIT 1; UPDATE oms.event SET "
    "body = body || '{{\"level\": \"0.01\"}}' WHERE {busy} AND seq > (SELECT seq FROM oms.account_head AS head "
    "WHERE head.account = event.account); UPDATE oms.event SET body = body || '{{\"side\": \"LONG\"}}' "
    "WHERE {busy} AND type = 'EntryAccepted'",
    "i40_nothing_works_for_a_flat_trade": "DELETE FROM oms.event WHERE {busy} AND type IN ('OrderCanceled', "
    "'OrderStatusReported')",
    "i45_one_live_entry_per_trade": AGAIN + "{busy} AND type = 'OrderPlaced' AND body ->> 'role' = 'ENTRY' "
    "ORDER BY seq LIMIT 1; DELETE FROM oms.event WHERE {busy} AND kind = 'I' AND type LIKE 'Order%'",
    "i46_one_live_target_per_rung": AGAIN + "{busy} AND type = 'OrderPlaced' AND body ->> 'role' = 'TARGET' "
    "ORDER BY seq LIMIT 1; DELETE FROM oms.event WHERE {busy} AND kind = 'I' AND type LIKE 'Order%'",
    "i47_rungs_are_whole": "UPDATE oms.event SET body = body || '{{\"quantity\": \"1.5\"}}' "
    "WHERE {busy} AND type = 'OrderPlaced'",
    "i55_entries_keep_to_the_limits": "UPDATE oms.event SET body = body || '{{\"quantity\": \"100001\"}}' "
    "WHERE {busy} AND type = 'EntryAccepted'",
    "i56_every_fill_has_its_intent_price": "DELETE FROM oms.event WHERE {busy} AND type = 'EntryAccepted'",
    "i57_market_orders_have_reason_and_evidence": "UPDATE oms.event SET "
    "body = body || '{{\"order_type\": \"MARKET\"}}' WHERE {busy} AND type = 'OrderPlaced'",
    "i60_no_answer_before_its_decision": "UPDATE oms.event SET recorded_at = recorded_at + interval '1 day' "
    "WHERE {busy} AND type = 'OrderPlaced'",
    "i61_one_effective_order_per_intent": AGAIN + "{busy} AND type = 'EntryAccepted' ORDER BY seq LIMIT 1",
    "i76_operators_are_named": "UPDATE oms.event SET type = 'OperatorCommanded', body = '{{\"act\": \"KILL\"}}' "
    "WHERE {busy} AND seq = 5",
    "i77_configuration_is_known": "DELETE FROM oms.event WHERE {busy} AND type = 'ConfigActivated'",
    "i79_logical_time_never_goes_back": COPY.format(time="logical_time - interval '1 day'")
    + "{busy} AND seq = 5",
    "i84_history_is_append_only": "GRANT UPDATE ON oms.event TO oms_writer",
}  # fmt: skip


def test_every_check_has_a_forgery_to_find() -> None:
    names = {view.name for view in views.definitions() if view.name.startswith("oms_check.")}
    assert {f"oms_check.{name}" for name in FORGERIES} == names


@pytest.mark.parametrize("name", FORGERIES)
def test_a_check_finds_what_breaks_it(world: World, name: str) -> None:
    with psycopg.connect(world.conninfo) as connection:
        for setting in audit.QUICK:
            connection.execute(setting)
        statements = FORGERIES[name].format(busy=f"event.account = '{BUSY}'")
        for statement in statements.split(";"):
            connection.execute(statement.encode())
        rows = connection.execute(f"SELECT account FROM oms_check.{name}".encode()).fetchall()
        connection.rollback()
    assert rows
    assert {row[0] for row in rows} <= {BUSY, None}


@pytest.fixture
def oms(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("OMS_DATABASE_URL", world.conninfo)

    def run(*words: str) -> tuple[int, str]:
        code = main(["audit", *words])
        return code, capsys.readouterr().out

    return run


def test_a_command_runs_everything_and_says_so_to_a_program(oms: Any) -> None:
    code, out = oms("run", "--all", "--json", "--account", BUSY, "--day", str(DAY))
    result = json.loads(out.splitlines()[-1])
    assert (code, result["ok"]) == (0, True)
    names = [one["name"] for one in result["results"]]
    assert {"market_orders", "slippage", "degradation", "oms_check.i01_seq_is_gapless"} <= set(names)
    assert all(not one["rows"] for one in result["results"] if one["name"].startswith("oms_check."))


def test_a_recipe_can_be_narrowed_and_printed(oms: Any) -> None:
    _, out = oms("run", "orders", "--csv", "--account", STORY)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["client_order_id"] for row in rows] == ["A", "X:stranger", "B"]
    code, out = oms("run", "orders", "--day", "2020-01-01")
    assert (code, out.splitlines()[-1].strip()) == (0, "0 rows")
    assert "market_orders" in oms("list")[1]


def test_sql_in_an_argument_stays_text(world: World, oms: Any) -> None:
    account = "'; DROP TABLE oms.event; -- a' OR 'a' = 'a \" %s {} %(a)s"
    with psycopg.connect(world.conninfo, autocommit=True) as connection:
        for one in audit.recipes():
            assert audit.ask(connection, one, account=account).rows == (), one.name
    assert world.log.head(BUSY) is not None
    assert oms("run", "--all", "--json", "--account", account)[0] == 2


def test_an_account_that_is_not_there_is_refused(oms: Any) -> None:
    """No rows would say that nothing happened in it."""
    assert oms("run", "trades", "--account", BUSY)[0] == 0
    assert oms("run", "trades", "--account", BUSY + "0")[0] == 2


@pytest.mark.parametrize("words", [("run",), ("run", "orders", "--all"), ("run", "no_such"),
                                   ("run", "orders", "--day", "never"), ("run", "--all", "--csv")])  # fmt: skip
def test_wrong_words_are_refused(oms: Any, words: tuple[str, ...]) -> None:
    assert oms(*words)[0] == 2


def test_a_recipe_runs_in_psql_as_it_is_and_answers_the_same(world: World) -> None:
    """The command computes each view once and reads one account alone where it is told to."""
    with psycopg.connect(world.conninfo, user="oms_auditor") as connection:
        for setting in audit.QUICK:
            connection.execute(setting)
        for one in audit.recipes():
            assert one.question.endswith("?") or one.is_check, one.name
            plain = connection.execute(one.text.encode())
            place = [column.name for column in plain.description or ()].index("account")
            rows = plain.fetchall()
            for account in (None, BUSY, STORY, RECEIVED, "sim/test/nobody"):
                wanted = [row for row in rows if account is None or row[place] == account]
                found = audit.ask(connection, one, account=account).rows
                assert sorted(map(repr, found)) == sorted(map(repr, wanted)), (one.name, account)
    with pytest.raises(UsageProblem, match="no audit recipe"):
        audit.named("orderz")
