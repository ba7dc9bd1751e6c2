"""A live writer as a process of its own: one stock, a quote each 20 ms, one entry, and lines that say how it stands.

`python -m tests.integration.live_writer DATABASE BROKER_SOCKET PLACE SECONDS_AFTER_OPEN [--enter]`. It ends when its
stdin is closed.
"""

import json
import sys
import threading
import time
from datetime import date
from decimal import Decimal
from pathlib import Path

from oms import Oms
from oms.brokers.simulated.remote import RemoteSimulatedBroker
from oms.events.base import Stamped
from oms.shell.opening import Identity
from oms.values import SECOND, Micros
from tests import builders

ACCOUNT = "sim/sim/live"
WHO = Identity(log_id="live", code="code", dependencies="none")


class SessionClock:
    """Real time, moved so that the process starts some seconds after the open of the test session."""

    def __init__(self, after_open: float) -> None:
        self._base = builders.OPEN + int(after_open * SECOND) - time.monotonic_ns() // 1000

    def now(self) -> Micros:
        return self._base + time.monotonic_ns() // 1000


def main(database: str, socket: str, place: str, after_open: str, *options: str) -> None:
    clock = SessionClock(float(after_open))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    day: date = builders.DAY
    broker = RemoteSimulatedBroker(Path(socket))
    with Oms.open(
        database=database,
        account=ACCOUNT,
        broker=broker,
        day=day,
        at=clock.now(),
        identity=WHO,
        place=Path(place),
    ) as oms:
        if oms.view.instrument(builders.NAME) is None:
            oms.feed(Stamped(event=builders.instrument(), logical_time=clock.now()))
        oms.feed(Stamped(event=builders.session(), logical_time=clock.now()))
        oms.on_alert(lambda alert: say(alert=alert.code), minimum="INFO")
        oms.start(clock)
        has_entered, last = False, dict[str, object]()
        while not ended.wait(0.02):
            now = clock.now()
            oms.put(Stamped(event=builders.quote("99.99", "100.01", at=now), logical_time=now))
            if "--enter" in options and not has_entered:
                has_entered = True
                oms.request(builders.entry(ideal="100.01"), strategy=builders.STRATEGY)
            state = oms.published
            pipeline = state.pipelines[builders.NAME]
            stops = [order for order in pipeline.orders.values() if order.role.value == "STOP"]
            said = {
                "position": str(pipeline.position),
                "protected": any(order.is_confirmed for order in stops),
                "kill_level": state.account.kill_level,
                "live": sum(order.is_live for order in pipeline.orders.values()),
            }
            if said != last:
                last = said
                say(**said)
    say(closed=True)


def say(**what: object) -> None:
    """One line. In one piece, for more than one thread speaks."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    assert Decimal
    main(*sys.argv[1:])
