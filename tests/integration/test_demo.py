"""The demo on a real server, killed in the middle: it goes on, loses nothing, and doubles nothing at the broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from eventlog.postgres import PostgresLog
from oms.events.decisions import OrderPlaced
from oms.shell.places import run_dir
from oms.shell.record import event_of
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


def _assert_one_order_per_intent(log: PostgresLog) -> None:
    """The broker's own book, which never saw our log: no client id twice, and nobody's but ours."""
    rows = list(log.read(ACCOUNT))
    ours = {event.client_order_id for row in rows if isinstance(event := event_of(row), OrderPlaced)}
    opened = json.loads(rows[0].body)
    book = run_dir("brokers") / f"demo-1-{opened['log_id'][:8]}.book"
    placed: Counter[str] = Counter()
    for line in book.read_text().splitlines():
        for fact in json.loads(line.partition(" ")[2]).get("facts", ()):
            command = fact.get("command") if isinstance(fact, dict) else None
            if isinstance(command, dict) and command.get("type") == "PlaceOrder":
                placed[command["client_order_id"]] += 1
    assert all(count == 1 for count in placed.values()), placed
    assert set(placed) <= ours
