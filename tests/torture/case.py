"""One case: a broker that lives on, a writer that is killed again and again, and the verdict in the end."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from eventlog.failpoints import Plan
from eventlog.postgres import PostgresLog
from oms.brokers.simulated import Settings as BrokerSettings
from oms.brokers.simulated import process as broker_process
from oms.brokers.simulated.remote import LinkLost, RemoteSimulatedBroker
from tests.torture import judge, takeover, wires, writer
from tests.torture.day import BROKER, inputs, wanted

NAKED_BUDGET_SECONDS: Final = Decimal(2)
"""So long a position may be without protection around a death: one `ack_timeout`."""
LIFE_SECONDS: Final = 60
"""A writer that needs longer than this for its day hangs."""
BROKER_SECONDS: Final = 20
FAST: Final = Path("/dev/shm")
"""Where a book may lie: no power is cut here, so that it need not wait for a disk."""


class Kill(Struct, frozen=True):
    """Die at the `nth` pass through a point."""

    point: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}"


class Terms(Struct, frozen=True, kw_only=True):
    """How a case is set up: `migrate` an empty database first, let `downtime_s` pass between two lives."""

    migrate: bool = False
    venue: BrokerSettings = BROKER
    downtime_s: int = 0


class Outcome(Struct, frozen=True, kw_only=True):
    """How a case ended. `struck` are the kills that happened: a life may end before its point comes."""

    kills: tuple[Kill, ...]
    struck: int
    verdict: judge.Verdict | None
    failure: str = ""
    passed: dict[str, int] = {}
    downtime_s: int = 0
    seconds: float = 0.0

    @property
    def findings(self) -> tuple[str, ...]:
        """Everything that must not be."""
        found = self.verdict.findings if self.verdict is not None else ()
        naked = (f"{name}: naked for {seconds} s" for name, seconds in self.naked_over_budget.items())
        return (*((self.failure,) if self.failure else ()), *found, *naked)

    @property
    def naked_over_budget(self) -> dict[str, Decimal]:
        """Positions that were without protection for longer than a death and the pause after it may cost."""
        found = self.verdict.naked if self.verdict is not None else {}
        budget = NAKED_BUDGET_SECONDS + self.downtime_s * self.struck
        return {name: seconds for name, seconds in found.items() if seconds > budget}


def run(
    conninfo: str,
    account: str,
    kills: tuple[Kill, ...],
    terms: "Terms | None" = None,
) -> Outcome:
    """Kill one writer after the other as told, let the last one end the day, judge what is left."""
    begun, terms = time.monotonic(), terms or Terms()
    with _place() as place:
        desk = writer.Desk(
            conninfo,
            account,
            str(place / "socket"),
            str(place / "notes"),
            migrate=terms.migrate,
            downtime_s=terms.downtime_s,
        )
        with _broker(place, terms.venue):
            struck, failure = _lives(desk, kills)
            verdict = _judged(desk, place) if not failure else None
        end = place / "notes.end"
        passed = msgspec.json.decode(end.read_bytes())["passed"] if end.exists() else {}
    return Outcome(
        kills=kills,
        struck=struck,
        verdict=verdict,
        failure=failure,
        passed=passed,
        downtime_s=terms.downtime_s,
        seconds=time.monotonic() - begun,
    )


def contest(conninfo: str, account: str, given: takeover.Contest) -> Outcome:
    """Let writers fight over one account until the day is over, and judge what is left.

    Also found, as `other`: what a superseded writer sent, and trades that a single writer's run does not have.
    """
    begun = time.monotonic()
    alone = run(conninfo, f"{account}-alone", (), Terms(venue=takeover.VENUE))
    with _place() as place:
        desk = writer.Desk(conninfo, account, str(place / "socket"), str(place / "notes"))
        with _broker(place, takeover.VENUE):
            takeovers, failure = takeover.fight(desk, given)
            verdict = _judged(desk, place) if not failure else None
        if verdict is not None:
            log = PostgresLog(conninfo)
            late = takeover.superseded(
                log, account, [name for kind, name in judge.arrivals(place / "book") if kind != "QueryOrder"]
            )
            other = [*verdict.other, *late, *_differences(alone, verdict)]
            verdict = msgspec.structs.replace(verdict, other=tuple(other))
            log.close()
    return Outcome(
        kills=(), struck=takeovers, verdict=verdict, failure=failure, seconds=time.monotonic() - begun
    )


def _differences(alone: Outcome, verdict: judge.Verdict) -> Iterator[str]:
    """What was bought and sold in all: a takeover may cost time, and time may cost a tick.

    An intent whose first order died with its writer, or came too late, is given up and trades nothing.
    """
    expected = alone.verdict.traded if alone.verdict is not None else {}
    for name in sorted(expected.keys() | verdict.traded.keys()):
        given_up = name.partition(" ")[0] in verdict.given_up and name not in verdict.traded
        if expected.get(name) != verdict.traded.get(name) and not given_up:
            yield f"{name}: a single writer trades {expected.get(name)}, these {verdict.traded.get(name)}"


@contextmanager
def _place() -> Iterator[Path]:
    """A directory for a broker's socket and book; on a RAM disk, because no power is cut here."""
    with tempfile.TemporaryDirectory(prefix="oms-torture-", dir=FAST if FAST.is_dir() else None) as folder:
        yield Path(folder)


def _lives(desk: writer.Desk, kills: tuple[Kill, ...]) -> tuple[int, str]:
    """(kills that struck, what went wrong): each kill is the end of one life, the last life has none."""
    for struck, kill in enumerate((*kills, None)):
        plan: Plan = wires.WirePlan(kill.point, kill.nth) if kill is not None else wires.WirePlan()
        end = life(writer.run, desk, plan)
        if end == 0:
            return struck, ""
        if end != -signal.SIGKILL or kill is None:
            return struck, f"the writer after {struck} kills ended with {end}"
    raise AssertionError("unreachable: the last life has no kill")


def life(work: Callable[..., Any], *given: Any) -> int | str:
    """Run a process to its end: its exit code, minus its signal, or "hangs"."""
    pid = writer.fork(work, *given)
    deadline = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "hangs"


@contextmanager
def _broker(place: Path, venue: BrokerSettings) -> Iterator[None]:
    """The broker process of this case; it hears nothing of the writer's deaths but a line that breaks."""
    words = ["--socket", str(place / "socket"), "--book", str(place / "book")]
    words += ["--settings", msgspec.json.encode(venue).decode(), "--idle-seconds", str(LIFE_SECONDS)]
    pid = writer.fork(broker_process.main, words)
    try:
        _wait_for(place / "socket")
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + BROKER_SECONDS
    while time.monotonic() < deadline:
        broker = RemoteSimulatedBroker(path)
        try:
            broker.dump()
        except LinkLost:
            time.sleep(0.005)
        else:
            return
        finally:
            broker.close()
    raise TimeoutError("the broker process does not answer")


def _judged(desk: writer.Desk, place: Path) -> judge.Verdict:
    broker = RemoteSimulatedBroker(Path(desk.socket))
    log = PostgresLog(desk.conninfo)
    try:
        return judge.judge(
            judge.Evidence(
                log=log,
                account=desk.account,
                book=broker.dump(),
                placed=judge.placements(place / "book"),
                acknowledged=judge.acknowledged(Path(desk.notes)),
                live=msgspec.json.decode((place / "notes.end").read_bytes())["digest"],
                wanted=wanted(),
                inputs=inputs(),
            )
        )
    finally:
        log.close()
        broker.close()


def naked(outcome: Outcome) -> Decimal:
    """Seconds without protection of the position that had the most of them, as raw rows tell."""
    return max(outcome.verdict.naked.values(), default=Decimal(0)) if outcome.verdict else Decimal(0)
