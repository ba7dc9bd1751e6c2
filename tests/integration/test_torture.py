"""A sample of `oms torture`: the real writer dies by SIGKILL, and log, state and the broker's book still agree.

The whole campaign is a command; here is one death of each kind, and the proof that the judge would have noticed.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal, localcontext
from typing import Any

import pytest
from msgspec.structs import replace

from eventlog.memory import MemoryLog
from oms.brokers.simulated import SimulatedBroker
from oms.commands import PlaceOrder
from oms.config import Settings
from oms.events.base import Stamped
from oms.shell.opening import Identity, open_runner
from oms.shell.virtual import VirtualTime
from oms.state.digest import digest
from oms.values import CONTEXT, SECOND
from tests import pg
from tests.torture import campaign, case, takeover
from tests.torture.__main__ import main
from tests.torture.case import Kill
from tests.torture.day import BROKER, DAY, LENGTH, START, inputs, tape, wanted
from tests.torture.judge import Evidence, judge
from tests.torture.writer import feed

TRADED = {"AAPL", "AMZN", "GOOG", "META", "MSFT", "TSLA"}
SAMPLE = (
    (Kill("input.received", 200),),
    (Kill("append.unanswered", 60),),
    (Kill("append.stored", 70),),
    (Kill("batch.published", 50),),
    (Kill("command.torn", 9),),
    (Kill("command.sent", 12),),
    (Kill("replies.taken", 40),),
    (Kill("batch.appended", 21), Kill("link.asked")),
    (Kill("books.due", 20), Kill("books.due", 5)),
    (Kill("snapshot.saving", 3), Kill("snapshot.saved"), Kill("command.sent", 2)),
    (Kill("command.sending", 30), Kill("lease.taken"), Kill("writer.recovered"), Kill("command.claimed", 2)),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """A process without threads, from which writers and brokers can be forked."""
    with ProcessPoolExecutor(1, mp_context=campaign.FORKING) as pool:
        yield pool


@pytest.fixture(scope="module")
def conninfo() -> Iterator[str]:
    with pg.database() as conninfo:
        yield conninfo


@pytest.mark.req("OD-034")
@pytest.mark.parametrize("kills", SAMPLE, ids=lambda kills: "-".join(map(str, kills)))
def test_death_loses_and_doubles_nothing(
    pool: ProcessPoolExecutor, conninfo: str, kills: tuple[Kill, ...]
) -> None:
    account = "sim/sim/" + "-".join(map(str, kills))
    outcome = pool.submit(case.run, conninfo, account, kills).result()
    assert list(campaign.troubles([outcome])) == []
    assert outcome.struck == len(kills)
    assert outcome.verdict is not None
    assert outcome.verdict.events > 500


def test_every_point_is_passed_on_the_day(pool: ProcessPoolExecutor) -> None:
    with pg.empty_database() as conninfo:
        outcome = pool.submit(campaign.clean, conninfo).result()
    assert list(campaign.troubles([outcome])) == []
    assert {point for point in campaign.all_points() if not outcome.passed.get(point)} == set()


@pytest.mark.parametrize("kill", [Kill("migration.done"), Kill("partition.created", 2)])
def test_death_while_the_database_is_made(pool: ProcessPoolExecutor, conninfo: str, kill: Kill) -> None:
    outcome = pool.submit(campaign.attempt, conninfo, campaign.Job(0, (kill,))).result()
    assert list(campaign.troubles([outcome])) == []
    assert outcome.struck == 1


@pytest.mark.parametrize("words", [["--points", "no.such"], ["--kill", "append.stored"], ["--kill", "no:1"]])
def test_unknown_point_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)


class Shown:
    """A clock that notes what the venue is shown."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def feed(self, record: Stamped, *, broker_sees: bool) -> None:
        self.events += [type(record.event).__name__] if broker_sees else []


def test_a_venue_is_told_its_status_even_if_its_time_has_passed() -> None:
    """A life ended between the venue's time and the record of it: a halt never ended, and its order never filled."""
    shown, late = Shown(), START + LENGTH * SECOND
    told = [record for record in tape() if START < record.logical_time <= late]
    for record in told:
        feed(shown, record, late)  # type: ignore[arg-type]
    assert shown.events == ["VenueStatusChanged"] * 2
    assert len(told) > 1000


def test_writers_that_sleep_and_wake_change_nothing(pool: ProcessPoolExecutor, conninfo: str) -> None:
    outcome = pool.submit(case.contest, conninfo, "sim/sim/fight", takeover.Contest(8)).result()
    assert list(campaign.troubles([outcome])) == []
    assert outcome.struck >= 8


# The judge itself


class Counting(SimulatedBroker):
    """Counts the orders at its door, as the lines of a book would."""

    def __init__(self) -> None:
        super().__init__(BROKER)
        self.placed: Counter[str] = Counter()

    def send_at(self, command: Any, now: int) -> None:
        """Count, and take the command."""
        self.placed.update([command.client_order_id] if isinstance(command, PlaceOrder) else [])
        super().send_at(command, now)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """A day without deaths, in memory."""
    with localcontext(CONTEXT):
        log, broker, account = MemoryLog(), Counting(), "sim/sim/judged"
        log.ensure_partitions(DAY, 2)
        who = Identity(log_id="judged", code="", dependencies="")
        runner = open_runner(log, account, Settings(), at=START, trading_day=DAY, who=who)
        clock = VirtualTime(runner, broker)
        clock.connect()
        for record in tape():
            clock.feed(record)
        clock.flush()
        return Evidence(
            log=log,
            account=account,
            book=broker.dump(),
            placed=broker.placed,
            acknowledged=[(runner.head.seq, runner.head.chain.hex())],
            live=digest(runner.published.account, runner.published.pipelines),
            wanted=wanted(),
            inputs=inputs(),
        )


def test_judge_finds_nothing_on_a_good_day(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert verdict.findings == ()
    assert sum(verdict.naked.values()) == 0
    assert {name.partition(" ")[0] for name in verdict.traded} == TRADED


def test_judge_misses_an_acknowledged_row(evidence: Evidence) -> None:
    last = evidence.acknowledged[-1]
    assert len(judge(replace(evidence, acknowledged=[(last[0] + 1, last[1])])).lost) == 1
    assert len(judge(replace(evidence, acknowledged=[(last[0] - 1, last[1])])).lost) == 1


def test_judge_misses_an_execution(evidence: Evidence) -> None:
    fewer = replace(evidence.book, executions=evidence.book.executions[1:])
    assert len(judge(replace(evidence, book=fewer)).lost) == 1
    first = replace(evidence.book.executions[0], quantity=Decimal(1))
    other = replace(evidence.book, executions=(first, *evidence.book.executions[1:]))
    assert len(judge(replace(evidence, book=other)).lost) == 1


def test_judge_sees_an_order_sent_twice_and_one_never_decided(evidence: Evidence) -> None:
    name = next(iter(evidence.placed))
    assert len(judge(replace(evidence, placed=evidence.placed + Counter([name]))).duplicates) == 1
    assert len(judge(replace(evidence, placed=evidence.placed + Counter(["FOREIGN"]))).duplicates) == 1


def test_judge_sees_an_intent_entered_twice(evidence: Evidence) -> None:
    less = {**evidence.wanted, "GOOG": Decimal(79)}
    assert len(judge(replace(evidence, wanted=less)).duplicates) == 1


def test_judge_sees_a_position_and_an_order_left_behind(evidence: Evidence) -> None:
    held = replace(evidence.book, positions={"AAPL": Decimal(1)})
    assert len(judge(replace(evidence, book=held)).other) == 2
    assert len(judge(replace(evidence, live="0" * 64)).other) == 1
