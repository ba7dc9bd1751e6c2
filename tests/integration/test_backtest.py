"""`oms backtest` on market data that nobody here wrote: every format, through the real log, judged from outside."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventlog.postgres import PostgresLog
from oms.events.broker import OrderFilled
from oms.events.decisions import OrderPlaced, ReplaceRequested
from oms.shell.record import event_of
from oms.values import Role
from replay import audit
from tests import pg
from tests.checkout import ROOT, shared
from tests.integration import agreement

LEAN = "crypto/lean/binance/minute/btcusd/20221213"
RUNS = {
    "index-minute": (["us_index_mplfinance/SP500_NOV2019_IDay.csv"], []),
    "lean": (
        [f"{LEAN}_trade.zip", f"{LEAN}_quote.zip"],
        [
            "--market",
            "crypto",
            "--session-close",
            "23:30",
            "--fill-model",
            "worst_case",
        ],
    ),
    "binance-raw": (["crypto/hftbacktest/usdm/btcusdt_20240808.gz"], []),
}
ORDER_ID = re.compile(r"\b[A-Z2-7]{17}\b")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with pg.database() as conninfo:
        yield conninfo


def backtest(database: str, *arguments: object, code: int = 0) -> dict[str, Any]:
    words = ["backtest", *map(str, arguments), "--symbol", "TEST", "--json", "--quiet", "--db", database]
    done = subprocess.run(
        [sys.executable, "-m", "oms", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def judged(database: str, account: str) -> dict[str, Any]:
    """What the auditor that knows nothing of the product says."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/raw_audit.py"), database, account],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(database: str, result: dict[str, Any], *, flat: bool) -> None:
    assert (result["verify"], result["chain"], result["naked_seconds"]) == ("identical", "intact", 0)
    if flat:
        assert result["open_positions"] == 0
    assert result["stops_moved"] >= 1
    roles = filled_roles(database, result["account"])
    assert roles[Role.ENTRY] >= 1
    assert roles[Role.STOP] + roles[Role.TARGET] >= 1
    assert result["fills"] == roles.total()
    assert result["trades"]
    judged(database, result["account"])
    audited(database, result["account"])


def audited(database: str, account: str) -> None:
    """What the audit says in SQL is what the fold says, and no check finds anything."""

    def ask(name: str, **narrowed: Any) -> list[dict[str, Any]]:
        return list(audit.as_objects(audit.ask(connection, audit.named(name), **narrowed)))

    log = PostgresLog(database)
    with psycopg.connect(database, autocommit=True) as connection:
        assert {one.name: ask(one.name) for one in audit.recipes() if one.is_check and ask(one.name)} == {}
        assert agreement.orders_and_positions(ask, log, account)
        assert agreement.trades(ask, log, account)
        assert agreement.seconds_without_stop(ask, log, account)
    log.close()


def filled_roles(database: str, account: str) -> Counter[Role]:
    """How many executions orders of each role had. A stop that became the exit counts as the stop it was."""
    log = PostgresLog(database)
    events = [event_of(row) for row in log.read(account)]
    log.close()
    roles = {event.client_order_id: event.role for event in events if isinstance(event, OrderPlaced)}
    roles |= {one.wire_id: roles[one.client_order_id] for one in events if isinstance(one, ReplaceRequested)}
    fills = [event.client_order_id for event in events if isinstance(event, OrderFilled)]
    return Counter(roles[own] for own in fills if own is not None)


@pytest.mark.parametrize("form", sorted(RUNS))
def test_recorded_data_run_and_prove_themselves(database: str, form: str) -> None:
    files, options = RUNS[form]
    result = backtest(database, *shared(*(f"data/{name}" for name in files)), "--format", form, *options)
    check(database, result, flat=form != "binance-raw")


@pytest.mark.req("OM-017", "BT-034")
@pytest.mark.parametrize("minute", [24, 37])
def test_a_bar_that_has_not_ended_changes_nothing(database: str, tmp_path: Path, minute: int) -> None:
    """Given a day of bars, when one of them is a crash, then all that was logged before it began is the same."""
    subprocess.run([sys.executable, str(ROOT / "examples/sample.py"), str(tmp_path)], check=True)
    header, *bars = (tmp_path / "bars.csv").read_text().splitlines()
    logged = []
    for name, price in (("calm", None), ("crash", "20"), ("rally", "500")):
        cells = bars[minute].split(",")
        prices = cells[2:6] if price is None else [price] * 4
        changed = ",".join([*cells[:2], *prices, *cells[6:]])
        file = tmp_path / f"{name}.csv"
        file.write_text("\n".join([header, *bars[:minute], changed]) + "\n")
        account = backtest(database, file, "--format", "csv")["account"]
        began = datetime.fromisoformat(cells[0])
        logged.append([row for row in facts(database, account) if row[0] < began])
    calm, crash, rally = logged
    assert len(calm) > 40
    assert calm == crash
    assert calm == rally


def facts(database: str, account: str) -> list[tuple[datetime, str, str]]:
    """Time, type and body of everything that was logged after the opening; order ids, made of the account, numbered."""
    log = PostgresLog(database)
    rows = list(log.read(account))[1:]
    log.close()
    start = datetime.fromtimestamp(0, UTC)
    names: dict[str, str] = {}
    return [
        (
            start + timedelta(microseconds=row.logical_time),
            row.type,
            ORDER_ID.sub(lambda found: names.setdefault(found[0], f"id{len(names)}"), row.body),
        )
        for row in rows
    ]


def test_the_generated_sample_runs(database: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "examples/sample.py"), str(tmp_path)], check=True)
    files = [tmp_path / "bars.csv", tmp_path / "quotes.csv"]
    result = backtest(database, *files, "--format", "csv", "--fill-model", "perfect")
    check(database, result, flat=True)
