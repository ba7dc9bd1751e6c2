"""The demo on a real server, killed in the middle: it goes on, loses nothing, and doubles nothing at the broker.

Then what the README says is typed on its log, word for word.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from eventlog.postgres import PostgresLog
from oms.events.decisions import OrderPlaced
from oms.shell.places import run_dir
from oms.shell.record import event_of
from replay import audit
from tests.checkout import ROOT
from tests.pg import database

ACCOUNT = "sim/sim/demo-1"
KILL_AT = (450, 1200)
"""Log positions in the busy part of the day at which the process dies."""


def start(conninfo: str, out: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with out.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "oms", "demo", "--json", "--db", conninfo],
            cwd=ROOT,
            env=environment,
            stdout=stream,
            stderr=subprocess.DEVNULL,
        )


def kill_at(process: subprocess.Popen[bytes], log: PostgresLog, seq: int) -> None:
    while process.poll() is None:
        head = log.head(ACCOUNT)
        if head is not None and head.seq >= seq:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.01)
    pytest.fail("the demo ended before it could be killed")


def test_demo_survives_kill_and_proves_itself(tmp_path: Path) -> None:
    with database() as conninfo:
        log = PostgresLog(conninfo)
        for seq in KILL_AT:
            kill_at(start(conninfo, tmp_path / "killed"), log, seq)
        process = start(conninfo, tmp_path / "out")
        assert process.wait() == 0
        result = json.loads((tmp_path / "out").read_text().splitlines()[-1])
        assert result["verify"] == "identical"
        assert result["chain"] == "intact"
        assert result["digest_live"] == result["digest_replayed"]
        assert result["open_positions"] == 0
        reasons = {order["reason"] for order in result["market_orders"]}
        assert {"STOP_FALLBACK", "POST_HALT"} <= reasons
        writers = [row for row in log.read(ACCOUNT) if row.type == "WriterStarted"]
        assert len(writers) == len(KILL_AT) + 1
        _assert_one_order_per_intent(log)
        log.close()
        _assert_every_check_is_empty(conninfo)
        _type_the_readme(conninfo, tmp_path)


def _assert_every_check_is_empty(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for one in audit.recipes():
            if one.is_check:
                assert not audit.ask(connection, one).rows, one.name


def _assert_one_order_per_intent(log: PostgresLog) -> None:
    """The broker's own book, which never saw our log: no client id twice, and nobody's but ours."""
    rows = list(log.read(ACCOUNT))
    ours = {event.client_order_id for row in rows if isinstance(event := event_of(row), OrderPlaced)}
    opened = json.loads(rows[0].body)
    book = run_dir("brokers") / f"demo-1-{opened['log_id'][:8]}.book"
    placed: Counter[str] = Counter()
    for line in book.read_text().splitlines():
        for fact in json.loads(line.partition(" ")[2]).get("facts", ()):
            command = fact.get("item", {}).get("command", {})
            if command.get("type") == "PlaceOrder":
                placed[command["client_order_id"]] += 1
    assert all(count == 1 for count in placed.values()), placed
    assert set(placed) <= ours
    assert len(placed) > 20


def _type_the_readme(conninfo: str, place: Path) -> None:
    """Every command and program of the README, but for cloning and the two that are running here."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = [
        shlex.split(line, comments=True)
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("python3 -m oms") and line.split()[3] not in ("demo", "test", "bench")
    ]
    assert len(commands) > 5
    subprocess.run([sys.executable, str(ROOT / "examples/sample.py"), str(place)], check=True)
    files = {"conformance": _cases(), "backtest": place / "bars.csv"}
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMS_DATABASE_URL": conninfo}
    for words in commands:
        typed = [str(files[words[3]]) if word == "FILE" else word for word in words[1:]]
        own = environment if words[3] != "db" else environment | {"OMS_DATABASE_URL": ""}
        _succeed([sys.executable, *typed], own)
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        _succeed([sys.executable, "-c", program], environment)


def _succeed(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"


def _cases() -> Path:
    shared = ROOT.parent / "shared" / "cases" / "fix44_order_states.yaml"
    return shared if shared.exists() else ROOT / "tests" / "unit" / "fix44_further_cases.yaml"
